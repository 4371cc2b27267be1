"""Time and memory of simulation: one right-hand side, its growth with edges, a very large network.

Run `python benchmarks/simulate.py [--quick]`; the figures go to benchmarks/results/simulate.json.
SciPy's sparse product of the same matrix is the yardstick, measured in turn with ours in one
process; medians of the ratios are reported, since absolute times depend on the machine's load.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import scipy
import torch

from graphtide.dynamics.catalogue import CATALOGUE, random_start, resolve
from graphtide.dynamics.simulate import simulate, with_default_attributes
from graphtide.equation.numba_backend import FusedEquation
from graphtide.graph import Graph

RESULTS = Path(__file__).parent / "results" / "simulate.json"
ZERO = torch.tensor(0.0, dtype=torch.float64)


def in_turn(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return seconds of each call, all called in turn in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio(seconds: dict[str, list[float]], name: str, to: str) -> float:
    """Return the median over rounds of one call's time over another's."""
    pairs = zip(seconds[name], seconds[to], strict=True)
    return statistics.median(a / b for a, b in pairs)


def right_hand_side(rounds: int) -> dict[str, float]:
    """Time one right-hand side at 2 million directed edges against SciPy's sparse product."""
    graph = Graph.from_source("barabasi_albert:200000:5", seed=0)
    law = resolve("mutualistic")
    start = random_start(law, graph)
    states = torch.from_numpy(start)
    vector = start[:, 0].copy()
    matrix = graph.adjacency
    fused = FusedEquation(law, graph)
    compiled = law.compile().on(graph)
    out = np.empty_like(start)

    def by_torch() -> None:
        with torch.no_grad():
            compiled(ZERO, states)

    both = {
        "fused": lambda: fused.evaluate(0.0, start, out),
        "scipy": lambda: matrix @ vector,
    }
    seconds = in_turn(both, rounds)
    numba.set_num_threads(1)
    alone = in_turn(both, rounds)
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    slow = in_turn({"torch": by_torch, "scipy": both["scipy"]}, max(3, rounds // 10))
    return {
        "nodes": graph.node_count,
        "edges": graph.edge_count,
        "fused_milliseconds": 1e3 * statistics.median(seconds["fused"]),
        "scipy_milliseconds": 1e3 * statistics.median(seconds["scipy"]),
        "fused_over_scipy": ratio(seconds, "fused", "scipy"),
        "fused_over_scipy_one_thread": ratio(alone, "fused", "scipy"),
        "torch_over_scipy": ratio(slow, "torch", "scipy"),
    }


def growth(rounds: int, sizes: list[int]) -> dict[str, object]:
    """Time one right-hand side from 10^4 to 10^7 directed edges; the log-log slope should be 1.

    One thread for all sizes: small graphs would not use more.
    """
    numba.set_num_threads(1)
    edges, seconds = [], []
    for nodes in sizes:
        graph = Graph.from_source(f"barabasi_albert:{nodes}:5", seed=0)
        law = resolve("mutualistic")
        start = random_start(law, graph)
        out = np.empty_like(start)
        fused = FusedEquation(law, graph)
        calls = {"fused": lambda f=fused, s=start, o=out: f.evaluate(0.0, s, o)}
        # The least time is the least disturbed by other work on the machine.
        seconds.append(min(in_turn(calls, rounds)["fused"]))
        edges.append(graph.edge_count)
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    slope = float(np.polyfit(np.log(edges), np.log(seconds), 1)[0])
    return {"edges": edges, "seconds": seconds, "log_log_slope": slope}


def very_large() -> dict[str, float]:
    """Simulate 10^6 nodes and 10^7 directed edges; run in a process of its own for its memory."""
    began = time.perf_counter()
    graph = Graph.from_source("barabasi_albert:1000000:5", seed=0)
    built = time.perf_counter() - began
    began = time.perf_counter()
    times = np.linspace(0.0, 1.0, 5)
    result = simulate(resolve("mutualistic"), graph, times, seed=0)
    return {
        "nodes": graph.node_count,
        "edges": graph.edge_count,
        "graph_seconds": built,
        "simulation_seconds": time.perf_counter() - began,
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "largest_state": float(result.states.max()),
    }


def back_ends() -> dict[str, float]:
    """Return the largest relative difference of the two back ends for each law of the catalogue."""
    differences = {}
    for name, entry in CATALOGUE.items():
        law = entry.equation
        graph = with_default_attributes(law, Graph.from_source("barabasi_albert:1000:3", seed=1))
        states = torch.from_numpy(random_start(law, graph, seed=1))
        with torch.no_grad():
            one = law.compile().on(graph)(ZERO, states)
        other = FusedEquation(law, graph)(ZERO, states)
        differences[name] = float((one - other).abs().max() / one.abs().max())
    return differences


def main() -> None:
    """Run all parts, print them and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, up to 2e6 edges")
    parser.add_argument("--very-large", action="store_true", help="only that part, as JSON")
    options = parser.parse_args()
    if options.very_large:
        print(json.dumps(very_large()))
        return
    rounds = 15 if options.quick else 60
    sizes = [1_000, 10_000, 100_000] + ([] if options.quick else [1_000_000])
    results: dict[str, object] = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "threads": numba.config.NUMBA_NUM_THREADS,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "numba": numba.__version__,
            "torch": torch.__version__,
        },
        "right_hand_side": right_hand_side(rounds),
        "growth": growth(rounds, sizes),
        "back_ends": back_ends(),
    }
    if not options.quick:
        command = [sys.executable, __file__, "--very-large"]
        finished = subprocess.run(command, check=True, capture_output=True, text=True)
        results["very_large"] = json.loads(finished.stdout)
    print(json.dumps(results, indent=2))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
