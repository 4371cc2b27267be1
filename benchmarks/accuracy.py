"""What the integration methods promise, measured: orders, agreement, gradients, memory.

Order: the slope of log error against log step over four halvings of a fixed step on

    dx/dt = (1 + 2t) |x|^2 (-x_2, x_1),   exact (cos(t + t^2), sin(t + t^2)),   t from 0 to 2

(for the symplectic methods a pendulum of driven length, against SciPy's DOP853 at 1e-13); the
largest step is one at which errors follow the order and stay above round-off. Agreement:
the largest distance from SciPy's DOP853, both at tolerance 1e-10, on two coupled driven pendulums.
Gradients: the largest relative distance between the modes, at tolerance 1e-10. Memory: the most
bytes that autograd keeps at any time between the first step and the last gradient.

    python benchmarks/accuracy.py
"""

import json
import math
import platform
from pathlib import Path

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from graphtide.ode.methods import METHODS
from graphtide.ode.solve import solve
from graphtide.ode.symplectic import SeparableSystem
from graphtide.ode.tableaus import TABLEAUS

RESULTS = Path(__file__).parent / "results" / "accuracy.json"
PROMISED = {
    **{name: tableau.order for name, tableau in TABLEAUS.items()},
    "runge_kutta_chebyshev": 2,
    "kennedy_carpenter4": 4,
    "leapfrog": 2,
    "yoshida4": 4,
}
HALVINGS = {"euler": (2.0, 256), "dormand_prince8": (1.5, 4)}
"""Last time and fewest steps, where they are not 2 and 64."""
SYMPLECTIC = ("leapfrog", "yoshida4")


def whirl(time: Tensor, state: Tensor) -> Tensor:
    """A rotation whose speed grows with time and with the distance from the centre."""
    speed = (1.0 + 2.0 * time) * (state * state).sum()
    return torch.stack([-state[1], state[0]]) * speed


PENDULUM = SeparableSystem(
    velocity=lambda _time, momentum: momentum,
    force=lambda time, position: -torch.sin(position) * (1.0 + 0.3 * torch.cos(time)),
)


def pendulums(time: Tensor, state: Tensor) -> Tensor:
    """Two coupled driven pendulums: positions, then velocities."""
    position, velocity = state[:2], state[2:]
    force = -torch.sin(position) + 0.5 * position.flip(0) + 0.3 * torch.cos(time)
    return torch.cat([velocity, force])


def order(name: str) -> float:
    """Return the measured order of a method."""
    stop, fewest = HALVINGS.get(name, (2.0, 64))
    if name in SYMPLECTIC:
        rhs, start = PENDULUM, [1.0, 0.5]
        exact = solve_ivp(
            lambda t, y: [y[1], -np.sin(y[0]) * (1.0 + 0.3 * np.cos(t))],
            (0.0, stop),
            start,
            method="DOP853",
            rtol=1e-13,
            atol=1e-14,
        ).y[:, -1]
    else:
        rhs, start, angle = whirl, [1.0, 0.0], stop + stop * stop
        exact = np.array([math.cos(angle), math.sin(angle)])
    counts = [fewest * 2**halving for halving in range(5)]
    errors = []
    for count in counts:
        solution = solve(
            rhs,
            torch.tensor(start, dtype=torch.float64),
            [0.0, stop],
            method=name,
            step=stop / count,
            relative_tolerance=1e-13,
            absolute_tolerance=1e-13,
        )
        errors.append(np.linalg.norm(solution.states[-1].numpy() - exact))
    return -float(np.polyfit(np.log(counts), np.log(errors), 1)[0])


def agreement(name: str) -> float:
    """Return the largest distance from SciPy's DOP853 at tolerance 1e-10."""
    start, times = [1.0, -0.5, 0.0, 0.7], np.linspace(0.0, 8.0, 23)
    exact = solve_ivp(
        lambda t, y: pendulums(torch.tensor(t), torch.from_numpy(y)).numpy(),
        (0.0, 8.0),
        start,
        method="DOP853",
        t_eval=times,
        rtol=1e-10,
        atol=1e-10,
    ).y.T
    solution = solve(
        pendulums,
        torch.tensor(start, dtype=torch.float64),
        times,
        method=name,
        relative_tolerance=1e-10,
        absolute_tolerance=1e-10,
    )
    return float(np.abs(solution.states.numpy() - exact).max())


def gradients(*, symplectic: bool) -> dict[str, float]:
    """Return the relative distance of each mode's gradient from the direct one."""
    modes = ("direct", "checkpointed", "reversible" if symplectic else "adjoint")
    found = {}
    for mode in modes:
        rate = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
        start = torch.linspace(-1.0, 1.0, 8, dtype=torch.float64).requires_grad_()

        def field(time: Tensor, state: Tensor, rate: Tensor = rate) -> Tensor:
            return -rate * torch.sin(state) + 0.1 * torch.cos(time) * state.roll(1)

        system = SeparableSystem(
            velocity=lambda _time, momentum: momentum,
            force=lambda _time, position, rate=rate: -rate * torch.sin(position),
        )
        solution = solve(
            system if symplectic else field,
            start,
            [0.0, 1.0, 3.0],
            method="yoshida4" if symplectic else "dormand_prince5",
            step=0.01 if symplectic else None,
            relative_tolerance=1e-10,
            absolute_tolerance=1e-10,
            gradient=mode,
            parameters=[rate],
        )
        solution.states.square().sum().backward()
        if start.grad is None or rate.grad is None:
            raise SystemExit(f"{mode} gave no gradient")
        found[mode] = torch.cat([start.grad, rate.grad.reshape(1)])
    exact = found["direct"]
    return {mode: float((value - exact).norm() / exact.norm()) for mode, value in found.items()}


class KeptBytes(torch.autograd.graph.saved_tensors_hooks):
    """Measure the most bytes that autograd keeps at any one time for the backward pass."""

    def __init__(self) -> None:
        self.now = self.most = 0
        counter = self

        class Kept:
            def __init__(self, tensor: Tensor) -> None:
                self.tensor, self.size = tensor, tensor.numel() * tensor.element_size()
                counter.now += self.size
                counter.most = max(counter.most, counter.now)

            def __del__(self) -> None:
                counter.now -= self.size

        super().__init__(Kept, lambda kept: kept.tensor)


def memory(mode: str, steps: int) -> int:
    """Return the most bytes kept for the gradient of `steps` steps of 1,000 numbers."""
    method = "leapfrog" if mode == "reversible" else "rk4"
    rate = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    start = torch.ones(1000, dtype=torch.float64, requires_grad=True)
    rhs = (
        SeparableSystem(lambda _time, p: p, lambda _time, q: -rate * torch.sin(q))
        if mode == "reversible"
        else lambda _time, state: -rate * torch.sin(state)
    )
    with (kept := KeptBytes()):
        states = solve(
            rhs,
            start,
            [0.0, 1.0],
            method=method,
            step=1.0 / steps,
            gradient=mode,
            parameters=[rate],
        ).states
        states[-1].sum().backward()
    return kept.most


def main() -> None:
    """Measure all, print it and write the results."""
    torch.set_num_threads(1)
    orders = {name: order(name) for name in METHODS}
    for name, measured in orders.items():
        print(f"order of {name:24s} promised {PROMISED[name]}  measured {measured:5.2f}")
    agreements = {
        name: agreement(name) for name in ("dormand_prince5", "tsitouras5", "dormand_prince8")
    }
    for name, distance in agreements.items():
        print(f"{name} against SciPy's DOP853, both at 1e-10: largest distance {distance:.1e}")
    plain, symplectic = gradients(symplectic=False), gradients(symplectic=True)
    for mode, distance in (*plain.items(), *symplectic.items()):
        print(f"gradient {mode:13s} relative distance from the direct one {distance:.1e}")
    steps = (16, 64, 256, 1024)
    kept = {
        mode: [memory(mode, count) for count in steps]
        for mode in ("direct", "checkpointed", "adjoint", "reversible")
    }
    print(f"bytes kept for the gradient of {', '.join(map(str, steps))} steps of 1,000 numbers")
    for mode, sizes in kept.items():
        slope = float(np.polyfit(np.log(steps), np.log(sizes), 1)[0])
        print(f"  {mode:13s} {sizes}  grows as steps^{slope:.2f}")
    content = {
        "what": __doc__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "orders": {n: {"promised": PROMISED[n], "measured": v} for n, v in orders.items()},
        "distance_from_scipy_dop853": agreements,
        "gradient_distance": {"plain": plain, "symplectic": symplectic},
        "bytes_kept": {"steps": steps, **kept},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
