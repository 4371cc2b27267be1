"""Exact stochastic epidemics beside EoN: time, the same final sizes, and the mean-field limit.

    python benchmarks/spread.py [--quick]

EoN's fast_SIR and fast_SIS are event-driven and exact as ours. Both run one after the other in one
process on one thread, in CPU seconds; EoN gets its NetworkX graph ready made, and our compilation
is measured apart. The figures go to benchmarks/results/spread.json.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import importlib.metadata
import json
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import EoN
import networkx
import numpy as np
from scipy.stats import ks_2samp
from sklearn.metrics import average_precision_score

from graphtide.dynamics.simulate import simulate
from graphtide.graph import Graph
from graphtide.mechanisms.cascades import Cascade, Cascades
from graphtide.mechanisms.network_inference import infer_network
from graphtide.mechanisms.spread_rates import fit_rates
from graphtide.spread.epidemic import simulate_epidemic
from graphtide.spread.laws import EPIDEMIC_LAWS, seeded_start

RESULTS = Path(__file__).parent / "results" / "spread.json"
TAU, GAMMA, SEEDS = 0.3, 1.0, 10


def network(nodes: int) -> tuple[Graph, networkx.Graph]:
    """Return one Barabasi-Albert graph in both libraries' form."""
    graph = networkx.barabasi_albert_graph(nodes, 5, seed=0)
    return Graph.from_networkx(graph), graph


def seconds_of(call: Callable[[int], object], rounds: int) -> list[float]:
    """Return CPU seconds of each call."""
    found = []
    for k in range(rounds):
        began = time.process_time()
        call(k)
        found.append(time.process_time() - began)
    return found


FIRST_CALL = """
import time
import numpy as np
from graphtide.graph import Graph
from graphtide.spread.epidemic import simulate_epidemic
from graphtide.spread.laws import EPIDEMIC_LAWS, seeded_start
graph = Graph.from_source("path:3")
law = EPIDEMIC_LAWS["sir"].equation(beta=0.3, gamma=1.0)
start = seeded_start(law, graph, [0])
began = time.process_time()
simulate_epidemic(law, graph, np.array([0.0, 9.0]), start, runs=1)
print(time.process_time() - began)
"""


def compilation() -> dict[str, float]:
    """Return CPU seconds of the first call in a fresh process: compiling, and from the cache."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        seconds = [
            float(
                subprocess.run(
                    [sys.executable, "-c", FIRST_CALL],
                    env=environment,
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
            )
            for _ in range(2)
        ]
    return {"compiled": seconds[0], "from_cache": seconds[1]}


def inference(counts: tuple[int, ...], repetitions: int) -> dict[str, object]:
    """Find the rates, and the network of 50 nodes without knowing it, from SIR cascades."""
    graph = Graph.from_source("barabasi_albert:50:2", seed=0)
    law = EPIDEMIC_LAWS["sir"].equation(beta=0.5, gamma=0.6)
    true = graph.adjacency.toarray() > 0
    apart = ~np.eye(50, dtype=bool)
    found: dict[str, object] = {"nodes": 50, "directed_edges": graph.edge_count}
    for count in counts:
        precision, exact, scores, seconds = [], [], [], []
        for seed in range(repetitions):
            seeds = np.random.default_rng(seed + 1000).integers(0, 50, count)
            items = []
            for k, node in enumerate(seeds.tolist()):
                (run,) = simulate_epidemic(
                    law,
                    graph,
                    np.array([0.0, 4.0]),
                    seeded_start(law, graph, [node]),
                    runs=1,
                    seed=(seed, k),
                    infections=True,
                ).infections
                parent = np.full(len(run.node), -1)
                items.append(Cascade(str(k), run.node, run.time, parent, run.recovery))
            cascades = Cascades(tuple(items), graph.names, False, True)
            rates = fit_rates(cascades, graph, until=4.0)
            assert rates.recovery is not None
            for rate, value in ((rates.infection, 0.5), (rates.recovery, 0.6)):
                scores.append(abs(rate.value - value) <= 2.0 * rate.standard_error)
            began = time.process_time()
            network = infer_network(cascades, until=4.0)
            seconds.append(time.process_time() - began)
            precision.append(average_precision_score(true[apart], network.rates[apart]))
            kept = network.graph.adjacency.toarray() > 0
            exact.append(2.0 * (kept & true).sum() / (kept.sum() + true.sum()))
        found[f"{count} cascades"] = {
            "rates_within_2_standard_errors": float(np.mean(scores)),
            "average_precision": float(np.mean(precision)),
            "f1_of_kept_edges": float(np.mean(exact)),
            "cpu_seconds": float(np.median(seconds)),
        }
    print(json.dumps(found, indent=2), flush=True)
    return found


def speed(nodes: int, rounds: int) -> dict[str, object]:
    """Time SIR to extinction and SIS to t = 5 on one graph, the two libraries in turn."""
    graph, theirs = network(nodes)
    seeds = list(np.random.default_rng(0).choice(nodes, SEEDS, replace=False))
    sir = EPIDEMIC_LAWS["sir"].equation(beta=TAU, gamma=GAMMA)
    sis = EPIDEMIC_LAWS["sis"].equation(beta=TAU, delta=GAMMA)
    start = {"sir": seeded_start(sir, graph, seeds), "sis": seeded_start(sis, graph, seeds)}
    long, short = np.linspace(0.0, 100.0, 101), np.linspace(0.0, 5.0, 101)
    calls = {
        "sir": (
            lambda k: simulate_epidemic(sir, graph, long, start["sir"], runs=1, seed=k),
            lambda _: EoN.fast_SIR(theirs, TAU, GAMMA, initial_infecteds=seeds),
        ),
        "sis": (
            lambda k: simulate_epidemic(sis, graph, short, start["sis"], runs=1, seed=k),
            lambda _: EoN.fast_SIS(theirs, TAU, GAMMA, initial_infecteds=seeds, tmax=5.0),
        ),
    }
    found: dict[str, object] = {"nodes": nodes, "edges": graph.edge_count // 2, "rounds": rounds}
    for name, (ours, peer) in calls.items():
        ours(0)
        mine, other = [], []
        for k in range(rounds):
            mine += seconds_of(ours, 3)
            other += seconds_of(lambda _, k=k, peer=peer: peer(k), 1)
        found[name] = {
            "graphtide_cpu_seconds": statistics.median(mine),
            "eon_cpu_seconds": statistics.median(other),
            "ratio": statistics.median(other) / statistics.median(mine),
            "smallest_ratio": min(other) / max(mine),
        }
    began = time.process_time()
    runs = simulate_epidemic(sir, graph, long, start["sir"], runs=20, seed=1)
    found["sir"]["graphtide_20_runs_cpu_seconds"] = time.process_time() - began
    found["sir"]["final_size_mean"] = float(runs.ever_infected.mean() / nodes)
    print(json.dumps(found, indent=2), flush=True)
    return found


def same_distribution(runs: int) -> dict[str, object]:
    """Compare final sizes of both, small outbreaks and large, by Kolmogorov-Smirnov's test."""
    graph, theirs = network(1000)
    found: dict[str, object] = {"runs": runs}
    for name, tau, seeds in (("large", 0.3, [0]), ("near threshold", 0.06, [500])):
        law = EPIDEMIC_LAWS["sir"].equation(beta=tau, gamma=GAMMA)
        times = np.array([0.0, 1e4])
        start = seeded_start(law, graph, seeds)
        mine = simulate_epidemic(law, graph, times, start, runs=runs, seed=0).ever_infected
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002 - EoN draws from the global generators
        other = []
        for _ in range(runs):
            _, susceptible, _, _ = EoN.fast_SIR(theirs, tau, GAMMA, initial_infecteds=seeds)
            other.append(1000 - susceptible[-1])
        test = ks_2samp(mine, other)
        found[name] = {
            "graphtide_mean": float(np.mean(mine)),
            "eon_mean": float(np.mean(other)),
            "ks": float(test.statistic),
            "p_value": float(test.pvalue),
        }
    print(json.dumps(found, indent=2), flush=True)
    return found


def mean_field_limit(sizes: tuple[int, ...], runs: int) -> dict[str, object]:
    """Compare the mean of runs with the mean field on complete graphs that grow."""
    found: dict[str, object] = {"runs_times_nodes": runs}
    for name, rates in (
        ("si", {}),
        ("sis", {"delta": 0.5}),
        ("sir", {"gamma": 0.5}),
        ("seir", {"gamma": 0.5, "sigma": 1.0}),
    ):
        rows = {}
        for count in sizes:
            graph = Graph.from_source(f"complete:{count}")
            law = EPIDEMIC_LAWS[name].equation(beta=2.0 / count, **rates)
            times = np.linspace(0.0, 10.0, 21)
            start = seeded_start(law, graph, np.arange(count // 20))
            result = simulate_epidemic(law, graph, times, start, runs=runs // count, seed=0)
            field = simulate(law, graph, times, start).states.mean(axis=1)
            share = result.mean / count
            if field.shape[1] == 1:
                field = np.concatenate([1 - field, field], axis=1)
            rows[str(count)] = float(np.abs(share - field).max())
        found[name] = rows
    print(json.dumps(found, indent=2), flush=True)
    return found


def main() -> None:
    """Run all and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, nothing written")
    parser.add_argument("--data", help="not used: every network is generated")
    parser.add_argument("--only", help="one part: compilation, speed, final_sizes, ...")
    options = parser.parse_args()
    quick = options.quick
    sizes = (2000,) if quick else (10_000, 100_000)
    parts: dict[str, Callable[[], object]] = {
        "compilation_cpu_seconds": compilation,
        "speed": lambda: [speed(nodes, 3 if quick else 5) for nodes in sizes],
        "final_sizes": lambda: same_distribution(100 if quick else 1000),
        "mean_field": lambda: mean_field_limit((20, 100) if quick else (20, 80, 320, 1280), 64_000),
        "inference": lambda: inference((100,) if quick else (50, 100, 500), 2 if quick else 20),
    }
    content = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    content |= {"machine": platform.machine(), "eon": importlib.metadata.version("EoN")}
    for name, part in parts.items():
        if options.only is None or name.startswith(options.only):
            content[name] = part()
            if not quick:
                RESULTS.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
