"""Time Runge-Kutta-Chebyshev against SciPy's solve_ivp on heat over a large Barabasi-Albert graph.

    dx_i/dt = -sum_j A_ij (x_i - x_j) = -(L x)_i,   t from 0 to 5, 200,000 nodes, m = 5

All solvers get the very same right-hand side, SciPy's CSR product with -L (32-bit indices). The
start is uniform on [0, 25]. The error is the largest over 26 output times of |x - exact| / |exact|;
the exact states are the Chebyshev series of exp(-t L) x_0, which needs no solver. Each solver runs
at the loosest tolerance of a ladder of decades (relative = absolute) whose error is at most
`ERROR`; all have one thread.

    RK45            as it is
    LSODA           as it is: its full Jacobian has N^2 numbers (320 GB)
    BDF             with -L as its sparse Jacobian
    LSODA diagonal  told that the Jacobian is the diagonal of -L (a band of one). It is not, but the
                    modified Newton iteration of LSODA then is a Jacobi iteration, which converges
                    fast on this graph, an expander. Counted apart: it is an answer to this graph,
                    not a use that solve_ivp documents.

A solve that passes the time limit or the memory limit is reported as such. Each solve has a process
of its own; seconds are those of the solve alone; ratios are medians over pairs of runs in turn.

    python benchmarks/ode_stabilized.py [--nodes 200000] [--repeats 3] [--limit 300] [--together 1]
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.special import ive

ERROR = 1e-4
LADDER = [10.0**-power for power in range(1, 8)]
TIMES = np.linspace(0.0, 5.0, 26)
RESULTS = Path(__file__).parent / "results" / "ode_stabilized.json"
PEERS = ("RK45", "LSODA", "BDF")
TRICK = "LSODA diagonal"
OURS = "graphtide runge_kutta_chebyshev"
Outcome = dict[str, float | str]


def write_problem(nodes: int, folder: Path) -> dict[str, float]:
    """Write -L, the start and the exact states (T, N) into `folder`."""
    from graphtide.graph import Graph

    graph = Graph.from_source(f"barabasi_albert:{nodes}:5", seed=0)
    matrix = sparse.csr_array(graph.adjacency - sparse.diags_array(graph.degree))
    matrix.indices, matrix.indptr = (a.astype(np.int32) for a in (matrix.indices, matrix.indptr))
    start = np.random.default_rng(0).uniform(0.0, 25.0, nodes)
    sparse.save_npz(folder / "matrix.npz", matrix, compressed=False)
    np.save(folder / "start.npy", start)
    np.save(folder / "exact.npy", exact_states(matrix, start, 2.0 * float(graph.degree.max())))
    return {"edges": graph.edge_count, "largest_degree": float(graph.degree.max())}


def exact_states(
    matrix: sparse.csr_array, start: NDArray[np.float64], bound: float
) -> NDArray[np.float64]:
    """Return exp(t matrix) start at `TIMES`, (T, N), for a spectrum in [-bound, 0].

    With y = 2 matrix / bound + 1 and z = t bound / 2, the series is
    sum_k (2 - [k = 0]) e^(-z) I_k(z) T_k(y).
    """
    half = bound / 2.0
    terms = int(20.0 + 9.0 * np.sqrt(TIMES[-1] * half))  # e^(-z) I_k(z) < 1e-16 beyond
    weights = 2.0 * ive(np.arange(terms)[:, None], TIMES * half)  # (K, T)
    weights[0] *= 0.5
    before, current = start, matrix @ start / half + start
    states = weights[0][:, None] * before + weights[1][:, None] * current
    for term in range(2, terms):
        before, current = current, 2.0 * (matrix @ current / half + current) - before
        states += weights[term][:, None] * current
    return states


def solver(name: str, matrix: sparse.csr_array) -> Callable[..., NDArray[np.float64]]:
    """Return (start, tolerance) -> states (T, N) of one solver."""
    if name == OURS:
        import torch

        from graphtide.ode.solve import solve

        torch.set_num_threads(1)

        def product(_time: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(matrix @ state.numpy())

        def ours(start: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
            return solve(
                product,
                torch.from_numpy(start),
                TIMES,
                method="runge_kutta_chebyshev",
                relative_tolerance=tolerance,
                absolute_tolerance=tolerance,
            ).states.numpy()

        return ours
    options: dict[str, object] = {}
    if name == "BDF":
        options["jac"] = sparse.csc_array(matrix)
    if name == TRICK:
        diagonal = matrix.diagonal()[None]  # (1, N), a band of one
        options.update(lband=0, uband=0, jac=lambda _time, _state: diagonal)

    def theirs(start: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
        result = solve_ivp(
            lambda _time, state: matrix @ state,
            (0.0, TIMES[-1]),
            start,
            method=name.split()[0],
            t_eval=TIMES,
            rtol=tolerance,
            atol=tolerance,
            **options,
        )
        if not result.success:
            raise SystemExit(result.message)
        return result.y.T

    return theirs


def work(name: str, tolerance: float, folder: Path) -> None:
    """Solve once and print seconds and error (the inside of a process)."""
    matrix = sparse.csr_array(sparse.load_npz(folder / "matrix.npz"))
    start, exact = np.load(folder / "start.npy"), np.load(folder / "exact.npy")
    run = solver(name, matrix)
    begun = time.perf_counter()
    states = run(start, tolerance)
    seconds = time.perf_counter() - begun
    error = np.linalg.norm(states - exact, axis=1) / np.linalg.norm(exact, axis=1)
    print(json.dumps({"seconds": seconds, "error": float(error.max())}))


def solve_apart(name: str, tolerance: float, folder: Path, limit: float, memory: float) -> Outcome:
    """Solve in a process of its own; return seconds and error, or how it failed."""
    command = [sys.executable, __file__, "--work", name, str(tolerance), str(folder)]
    size = int(memory * 2**30)
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=limit,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size)),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {limit:g} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"failed": lines[-1]}
    return json.loads(done.stdout)


def calibrate(name: str, folder: Path, limit: float, memory: float) -> Outcome:
    """Return the run at the loosest tolerance that reaches the error, or why there is none."""
    for tolerance in LADDER:
        outcome = solve_apart(name, tolerance, folder, limit, memory)
        print(f"{name:<32} tolerance {tolerance:.0e}  {outcome}", flush=True)
        if "failed" in outcome:
            return {"name": name, "tolerance": tolerance, **outcome}
        if float(outcome["error"]) <= ERROR:
            return {"name": name, "tolerance": tolerance, **outcome}
    return {"name": name, "failed": f"error above {ERROR:g} at all tolerances"}


def compare(
    ours: Outcome, peer: Outcome, folder: Path, repeats: int, limits: tuple[float, float]
) -> dict[str, float | list[list[float]]]:
    """Return the seconds of pairs [ours, peer] at their tolerances and the median ratio."""
    pairs: list[list[float]] = []
    for _ in range(repeats):
        runs = [
            solve_apart(str(row["name"]), float(row["tolerance"]), folder, 9 * limits[0], limits[1])
            for row in (ours, peer)
        ]
        pairs.append([float(run["seconds"]) for run in runs])
        print(f"ours {pairs[-1][0]:.2f} s, {peer['name']} {pairs[-1][1]:.2f} s", flush=True)
    return {"ratio": statistics.median(b / a for a, b in pairs), "pairs_seconds": pairs}


def main() -> None:
    """Read the options, measure, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds a solve may take")
    parser.add_argument("--memory", type=float, default=12.0, help="GiB a solve may take")
    parser.add_argument("--together", type=int, default=1, help="calibrations at a time")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work[0], float(options.work[1]), Path(options.work[2]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        problem = write_problem(options.nodes, folder)
        limits = (options.limit, options.memory)
        names = (OURS, TRICK, *PEERS)
        with ThreadPoolExecutor(options.together) as pool:
            rows = list(pool.map(lambda name: calibrate(name, folder, *limits), names))
        solved = [row for row in rows[2:] if "seconds" in row]
        best = min(solved, key=lambda row: float(row["seconds"]))
        ratios = {
            str(row["name"]): compare(rows[0], row, folder, options.repeats, limits)
            for row in (best, rows[1])
        }
    written = {
        "what": __doc__,
        "error": ERROR,
        "nodes": options.nodes,
        **problem,
        "rows": rows,
        "fastest_peer": best["name"],
        "ratios": ratios,
        "threads": 1,
        "machine": {
            "processor": platform.machine(),
            "system": platform.platform(),
            "cores": os.cpu_count(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("graphtide", "torch", "numpy", "scipy")},
        },
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(written, indent=2) + "\n")
    for name, measured in ratios.items():
        print(f"{name} / graphtide: {measured['ratio']:.2f}")


if __name__ == "__main__":
    main()
