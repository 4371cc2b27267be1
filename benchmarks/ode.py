"""Time Dormand-Prince 5, forward and backward, against torchdiffeq at equal accuracy.

The field is a graph neural differential equation: a network on each node, and diffusion,

    dx/dt = tanh(x W_1 + b_1) W_2 + b_2 + A_mean x - x,   x: nodes x variables, hidden 20,

A_mean the row-normalised adjacency of a Barabasi-Albert graph with m = 5, as one CSR product with
its own backward. Both libraries get the very same function in float32. The loss is the mean
square of the states at 20 times in [0, 5]. Both are run at the loosest tolerance of a ladder
(quarter decades) at which the states and the gradient (of the start and of all weights, each
measured relative to its own norm) agree with a float64 reference (order 8, tolerance 1e-10) to
`ERROR`. Of torchdiffeq the faster of `odeint` and `odeint_adjoint` counts. Runs alternate in one
process; ratios are medians of pairs. The row `field alone` is what no solver can save: as many
evaluations of the right-hand side as graphtide makes, forward and backward, and nothing else.

    python benchmarks/ode.py [--nodes 400 20000] [--repeats 15] [--threads 1] [--skip-heat]

At the end `ode_stabilized.py` runs: heat on a large graph against SciPy's solvers.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import threadpoolctl
import torch
import torchdiffeq
from torch import Tensor, nn

from graphtide.graph import Graph
from graphtide.ode.solve import solve
from graphtide.sparse import SparseMatrix

ERROR = 1e-4
LADDER = [10.0 ** (-power / 4) for power in range(6, 27)]
RESULTS = Path(__file__).parent / "results" / "ode.json"
Outcome = tuple[Tensor, list[Tensor]]
Run = Callable[[float], Outcome]


class Field(nn.Module):
    """The right-hand side above; counts its evaluations."""

    def __init__(self, operator: SparseMatrix, variables: int, hidden: int = 20) -> None:
        super().__init__()
        self.operator = operator
        self.inner = nn.Linear(variables, hidden)
        self.outer = nn.Linear(hidden, variables)
        self.evaluations = 0

    def forward(self, time: Tensor, state: Tensor) -> Tensor:
        """Return dx/dt of shape (N, D)."""
        del time
        self.evaluations += 1
        own = self.outer(torch.tanh(self.inner(state)))
        return own + self.operator @ state - state


@dataclass
class Row:
    """One library at its tolerance."""

    name: str
    tolerance: float
    state_error: float
    gradient_error: float
    evaluations: int  # of the right-hand side, forward and backward together
    seconds: float = float("nan")


def problem(nodes: int, variables: int, dtype: torch.dtype) -> tuple[Field, Tensor, Tensor]:
    """Return the field, the start (N, D) and the times (T,), the same numbers for every dtype."""
    graph = Graph.from_source(f"barabasi_albert:{nodes}:5", seed=1)
    generator = torch.Generator().manual_seed(2)
    like = torch.empty(0, dtype=dtype)
    field = Field(graph.operator("mean_adjacency", like=like), variables)
    for weight in field.parameters():
        spread = 1.0 / weight.shape[-1] ** 0.5
        numbers = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        weight.data = (spread * numbers).to(torch.float32).to(dtype)
    start = torch.randn((nodes, variables), generator=generator).to(dtype)
    return field, start, torch.linspace(0.0, 5.0, 20, dtype=torch.float64)


def runner(name: str, field: Field, start: Tensor, times: Tensor) -> Run:
    """Return forward plus backward of one library as a function of the tolerance."""
    weights = list(field.parameters())

    def run(tolerance: float) -> Outcome:
        state = start.clone().requires_grad_()
        if name == "graphtide":
            states = solve(
                field,
                state,
                times,
                method="dormand_prince5",
                relative_tolerance=tolerance,
                absolute_tolerance=tolerance,
            ).states
        elif name == "reference":
            states = solve(
                field,
                state,
                times,
                method="dormand_prince8",
                relative_tolerance=tolerance,
                absolute_tolerance=tolerance,
                gradient="checkpointed",
            ).states
        else:
            integrate = getattr(torchdiffeq, name.removeprefix("torchdiffeq "))
            states = integrate(field, state, times, rtol=tolerance, atol=tolerance, method="dopri5")
        loss = states.square().mean()
        return states.detach(), list(torch.autograd.grad(loss, [state, *weights]))

    return run


def field_alone(field: Field, start: Tensor, evaluations: int) -> Callable[[], None]:
    """Return a function that evaluates the right-hand side and its gradient so many times."""
    weights = list(field.parameters())

    def run() -> None:
        for _ in range(evaluations):
            state = start.clone().requires_grad_()
            value = field(state.new_zeros(()), state)
            torch.autograd.grad(value, [state, *weights], torch.ones_like(value))

    return run


def errors(outcome: Outcome, reference: Outcome) -> tuple[float, float]:
    """Return the relative error of the states and the worst one among the gradients."""

    def relative(value: Tensor, wanted: Tensor) -> float:
        return float((value.double() - wanted).norm() / wanted.norm())

    pairs = zip(outcome[1], reference[1], strict=True)
    return relative(outcome[0], reference[0]), max(relative(a, b) for a, b in pairs)


def calibrate(name: str, run: Run, field: Field, reference: Outcome) -> Row:
    """Return the loosest tolerance that reaches the error."""
    for tolerance in LADDER:
        field.evaluations = 0
        outcome = run(tolerance)
        evaluations = field.evaluations
        state_error, gradient_error = errors(outcome, reference)
        if max(state_error, gradient_error) <= ERROR:
            return Row(name, tolerance, state_error, gradient_error, evaluations)
    raise SystemExit(f"{name} did not reach an error of {ERROR:g}")


def measure(nodes: int, variables: int, repeats: int) -> dict[str, object]:
    """Compare all three on one graph."""
    exact = runner("reference", *problem(nodes, variables, torch.float64))(1e-10)
    field, start, times = problem(nodes, variables, torch.float32)
    names = ("graphtide", "torchdiffeq odeint", "torchdiffeq odeint_adjoint")
    runs = {name: runner(name, field, start, times) for name in names}
    rows = {name: calibrate(name, runs[name], field, exact) for name in names}
    alone = field_alone(field, start, rows["graphtide"].evaluations)
    work = {name: partial(runs[name], rows[name].tolerance) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in (*names, "field alone")}
    for _ in range(repeats):
        for name, job in {**work, "field alone": alone}.items():
            begun = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - begun)
    for name in names:
        rows[name].seconds = statistics.median(seconds[name])
    peer = min(names[1:], key=lambda name: rows[name].seconds)
    ratios = sorted(a / b for a, b in zip(seconds[peer], seconds["graphtide"], strict=True))
    result = {
        "nodes": nodes,
        "variables": variables,
        "rows": [asdict(rows[name]) for name in names],
        "field_alone_seconds": statistics.median(seconds["field alone"]),
        "faster_peer": peer,
        "ratio": statistics.median(ratios),
        "ratio_quartiles": [ratios[len(ratios) // 4], ratios[(3 * len(ratios)) // 4]],
    }
    for row in rows.values():
        print(
            f"{nodes:>7} nodes x {variables:<2} {row.name:<27} tolerance {row.tolerance:.1e}  "
            f"states {row.state_error:.1e}  gradient {row.gradient_error:.1e}  "
            f"{row.evaluations:4d} evaluations  "
            f"{row.seconds * 1e3:9.1f} ms"
        )
    print(
        f"{nodes:>7} nodes x {variables:<2} {peer} / graphtide: {result['ratio']:.2f}; the field "
        f"alone {statistics.median(seconds['field alone']) * 1e3:.1f} ms"
    )
    return result


def main() -> None:
    """Read the options, measure, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[400, 20_000])
    parser.add_argument("--variables", type=int, nargs="+", default=[1, 20])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--skip-heat", action="store_true", help="leave out ode_stabilized.py")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with threadpoolctl.threadpool_limits(options.threads):
        measured = [
            measure(
                nodes, variables, options.repeats if nodes < 5000 else max(3, options.repeats // 3)
            )
            for nodes in options.nodes
            for variables in options.variables
        ]
    packages = ("graphtide", "torch", "torchdiffeq", "numpy", "scipy")
    written = {
        "what": __doc__,
        "error": ERROR,
        "threads": options.threads,
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "system": platform.platform(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
        "dormand_prince5": measured,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(written, indent=2) + "\n")
    if not options.skip_heat:
        heat = Path(__file__).with_name("ode_stabilized.py")
        subprocess.run([sys.executable, str(heat)], check=True)


if __name__ == "__main__":
    main()
