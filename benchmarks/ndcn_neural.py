"""Neural fields on NDCN's 15 settings, and where readings are noisy, missing, or nodes unseen.

The protocol, the truth and the plain rows are those of ndcn.py. Models: message passing (F and a
factorised G as perceptrons), the same without the graph, and the latent model (NDCN's architecture,
trained by this library). Beside the plain test: trained on the first 40 times, carried to other
starts and to other graphs, and (`small_world_1000`) from 400 nodes to a small-world network of
1,000; then with 5 % noise, with 30 % of the readings missing, and with 20 % of the nodes never seen
(errors over all nodes, the unseen ones too).

    python benchmarks/ndcn_neural.py [--tests plain,noise] [--settings grid:heat] [--seeds 0]
                                     [--models message_passing,latent] [--limit SECONDS]

Results are kept in benchmarks/results/ndcn_neural.json; what is there is not computed again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import ndcn  # holds the number of threads
import networkx as nx
import numpy as np
import torch

from graphtide.dynamics.fit import Fit
from graphtide.dynamics.neural_data import NeuralSettings
from graphtide.dynamics.neural_fit import fit_neural
from graphtide.dynamics.neural_task import TrainingSettings
from graphtide.errors import GraphtideError
from graphtide.graph import Graph
from graphtide.trajectory import Trajectory

RESULTS = Path(__file__).parent / "results" / "ndcn_neural.json"
MODELS = ("message_passing", "latent", "no_graph")
TESTS = {
    "plain": "NDCN's own test, no noise",
    "first40": "trained on the first 40 times only, the other 80 predicted",
    "noise": "5 % noise on all readings but the first, errors against the truth",
    "missing": "30 % of the readings after the first missing",
    "unseen": "20 % of the nodes never seen",
}
LATENT_EPOCHS = 600


def disturbed(test: str, true: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return the readings of a test, shape (T, N)."""
    states = true.copy()
    if test == "noise":
        noise = generator.standard_normal(true[1:].shape)
        states[1:] += ndcn.NOISE * np.abs(true).mean() * noise
    if test == "missing":
        states[1:][generator.random(true[1:].shape) < 0.3] = np.nan
    if test == "unseen":
        states[:, generator.permutation(ndcn.NODES)[: ndcn.NODES // 5]] = np.nan
    return states


def plain_rows(
    times: np.ndarray, states: np.ndarray, true: np.ndarray, roles: np.ndarray
) -> dict[str, float]:
    """Return the errors of the last value and of linear interpolation, unseen nodes by the mean."""
    train = roles == "train"
    known = states[train]
    result = {}
    filled = np.empty((len(times), known.shape[1]))
    for i, series in enumerate(known.T):
        seen = ~np.isnan(series)
        if seen.any():
            filled[:, i] = np.interp(times, times[train][seen], series[seen])
        else:
            average = np.nanmean(known, axis=1)
            filled[:, i] = np.interp(times, times[train], average)
    if (roles == "interpolate").any():
        inner = roles == "interpolate"
        result["linear_interpolation"] = ndcn.error(filled[inner], true[inner])
    outer = roles == "extrapolate"
    result["last_value"] = ndcn.error(filled[outer], true[outer])  # held after the last reading
    return result


def run_case(kind: str, dynamics: str, seed: int, test: str, model: str) -> dict[str, object]:
    """Fit one model to one setting."""
    graph, start = ndcn.make_graph(kind, seed), ndcn.block_start()
    times, roles = ndcn.make_times(seed)
    true = ndcn.simulate(dynamics, graph, start, times)
    generator = np.random.default_rng(1000 + seed)
    states = disturbed(test, true, generator)
    if test == "first40":
        roles = np.where(np.arange(120) < 40, "train", "extrapolate")
    settings = NeuralSettings(
        model=model,  # pyright: ignore[reportArgumentType]
        width=20 if model == "latent" else 32,
        epochs=LATENT_EPOCHS,
        training=TrainingSettings(loss="l1" if model == "latent" else "square"),
    )
    record: dict[str, object] = plain_rows(times, states, true, roles)
    try:
        result = fit_neural(
            Trajectory(times, states, graph=graph),
            graph,
            settings=settings,
            holdout=roles,
            exact_start=True,
            seed=seed,
        )
    except GraphtideError as error:
        return {**record, "failed": str(error)}
    predicted = result.predicted[0].states[..., 0]
    for role, name in (("interpolate", "interpolation"), ("extrapolate", "extrapolation")):
        chosen = roles == role
        if chosen.any():
            record[role] = ndcn.error(predicted[chosen], true[chosen])
            record[f"coverage_{name}"] = result.metrics[f"coverage_{name}"]
    record["start"] = result.metrics["start"]
    record["cpu_seconds"] = result.metrics["cpu_seconds"]
    record["parameters"] = result.metrics["parameters"]
    if test == "plain" and model == "message_passing":
        record.update(elsewhere(result, kind, dynamics, seed, generator))
    return record


def elsewhere(
    result: Fit, kind: str, dynamics: str, seed: int, generator: np.random.Generator
) -> dict[str, object]:
    """Return errors from other starts and on other graphs, the last of 1,000 nodes."""
    graph, start = ndcn.make_graph(kind, seed), ndcn.block_start()
    times, _ = ndcn.make_times(seed)
    found: dict[str, object] = {
        "permuted": ndcn.new_trajectory(
            result, dynamics, graph, generator.permutation(start), times
        ),
        "other_graph": ndcn.new_trajectory(
            result, dynamics, ndcn.make_graph(kind, 100 + seed), start, times
        ),
    }
    network = nx.newman_watts_strogatz_graph(1000, 5, 0.5, seed=seed)
    large = Graph.from_scipy(nx.to_scipy_sparse_array(network, dtype=float))
    placed = np.zeros(1000)
    placed[generator.permutation(1000)[: int((start > 0).sum() * 2.5)]] = generator.choice(
        start[start > 0], int((start > 0).sum() * 2.5)
    )
    found["small_world_1000"] = ndcn.new_trajectory(result, dynamics, large, placed, times)
    return found


def main() -> None:
    """Run what is asked for and not yet there, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", default="", help="graph, :dynamics or graph:dynamics, commas")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--tests", default="plain", help=f"of {', '.join(TESTS)}")
    parser.add_argument("--models", default="message_passing", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--limit", type=float, default=float("inf"), help="stop after seconds")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    wanted = [word for word in chosen.settings.split(",") if word]
    cases = [
        (test, model, kind, dynamics, seed)
        for seed in map(int, chosen.seeds.split(","))
        for test in chosen.tests.split(",")
        for model in chosen.models.split(",")
        for kind in ndcn.GRAPHS
        for dynamics in ndcn.DYNAMICS
    ]
    for test, model, kind, dynamics, seed in cases:
        names = (f"{kind}:{dynamics}", kind, dynamics)
        key = f"{test}:{model}:{kind}:{dynamics}:{seed}"
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        if (wanted and not any(word in names for word in wanted)) or key in results:
            continue
        if time.perf_counter() - began > chosen.limit:
            break
        record = run_case(kind, dynamics, seed, test, model)
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results[key] = record
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
        print(key, json.dumps(results[key]), flush=True)
    print_tables(json.loads(RESULTS.read_text()))


def print_tables(results: dict[str, dict]) -> None:
    """Print a table for each test: error inside / after the span, in per cent."""
    for test, title in TESTS.items():
        rows = {key: row for key, row in results.items() if key.startswith(f"{test}:")}
        if not rows:
            continue
        print(f"\n{title}; relative error in per cent, interpolation / extrapolation (CPU s)")
        head = ["setting", "linear / last value", "NDCN (measured)", *MODELS]
        table = [head]
        for setting in (f"{kind}:{dynamics}" for kind in ndcn.GRAPHS for dynamics in ndcn.DYNAMICS):
            mine = {m: rows.get(f"{test}:{m}:{setting}:0") for m in MODELS}
            first = next((row for row in mine.values() if row), None)
            if first is None:
                continue
            peer = ndcn.NDCN.get(setting) if test == "plain" else None
            cells = [setting, _pair(first, "linear_interpolation", "last_value")]
            cells.append(f"{peer[0]} / {peer[1]}" if peer else "")
            cells += [_cell(row) for row in mine.values()]
            table.append(cells)
        width = [max(len(row[k]) for row in table) for k in range(len(head))]
        for row in table:
            print("  " + "  ".join(cell.ljust(w) for cell, w in zip(row, width, strict=True)))
    print("\nmessage passing carried elsewhere: error in per cent (share of states / pairs unseen)")
    for key, row in results.items():
        if "permuted" in row:
            parts = []
            for name in ("permuted", "other_graph", "small_world_1000"):
                at = row[name]
                error = "lost" if at["error"] is None else f"{at['error']:.3f}"
                states, pairs = at["true_states_outside"], at["true_pairs_unseen"]
                parts.append(f"{name} {error} ({100 * states:.1f} / {100 * pairs:.1f} %)")
            print("  " + key.removeprefix("plain:message_passing:"), "; ".join(parts))


def _pair(row: dict, inner: str, outer: str) -> str:
    parts = [f"{row[name]:.3f}" if row.get(name) is not None else "-" for name in (inner, outer)]
    return " / ".join(parts)


def _cell(row: dict | None) -> str:
    if row is None:
        return ""
    if "failed" in row:
        return "failed"
    return f"{_pair(row, 'interpolate', 'extrapolate')} ({row['cpu_seconds']:.0f})"


if __name__ == "__main__":
    main()
