"""Accuracy on the Planetoid split of Cora and Citeseer, beside graph convolutions and propagation.

Public split (20 labels a class train, 500 nodes validate, 1,000 test); the same way of training
for both networks: Adam, early stopping on the validation nodes, the best weights by validation. No
label but those of the training nodes enters a loss: no self-training, no labels as inputs. The
depth is chosen for each set on the validation nodes with a seed (100) that is none of the
benchmark's.

    python benchmarks/citation.py --data DATA [--seeds 20] [--sets cora citeseer]

DATA holds citation/cora.npz and citation/citeseer.npz. Each seed is appended to citation.jsonl
beside the results, so that an interrupted benchmark goes on; figures are printed and written to
benchmarks/results/citation.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
import torch

import graphtide
from graphtide.dynamics.classify import classify, read_task_npz

RESULTS = Path(__file__).parent / "results"
DEPTH_SEED = 100


def main() -> None:
    """Run what is not done yet, then report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--sets", nargs="+", default=["cora", "citeseer"])
    parser.add_argument("--log", type=Path, default=RESULTS / "citation.jsonl")
    options = parser.parse_args()
    torch.set_num_threads(1)
    RESULTS.mkdir(exist_ok=True)
    rows = []
    if options.log.exists():
        rows = [json.loads(line) for line in options.log.read_text().splitlines()]
    for name in options.sets:
        task = read_task_npz(options.data / "citation" / f"{name}.npz")
        depths = [row for row in rows if row["set"] == name and row["seed"] == DEPTH_SEED]
        if not depths:
            found = classify(task, seeds=1, first_seed=DEPTH_SEED)
            scores = {f"{depth:g}": score for depth, score in found.depth_scores.items()}
            depths = [{"set": name, "seed": DEPTH_SEED, "depth": found.depth, "tried": scores}]
            keep(depths[0], rows, options.log)
        done = {row["seed"] for row in rows if row["set"] == name}
        for seed in range(options.seeds):
            if seed in done:
                continue
            began, wall = time.process_time(), time.perf_counter()
            found = classify(task, seeds=1, first_seed=seed, depth=depths[0]["depth"])
            row = {
                "set": name,
                "seed": seed,
                "accuracy": float(found.test[0]),
                "validation": float(found.validation[0]),
                "gcn": float(found.baselines["gcn"][0]),
                "label_propagation": float(found.baselines["label_propagation"][0]),
                "network_seconds": float(found.seconds[0]),
                "seconds_of_both": time.perf_counter() - wall,
                "cpu_seconds_of_both": time.process_time() - began,
            }
            keep(row, rows, options.log)
            print(json.dumps(row), flush=True)
    report(rows, options)


def keep(row: dict, rows: list[dict], log: Path) -> None:
    """Append a row to the log."""
    rows.append(row)
    with log.open("a") as file:
        file.write(json.dumps(row) + "\n")


def report(rows: list[dict], options: argparse.Namespace) -> None:
    """Print means and deviations, and write the JSON."""
    content: dict[str, object] = {
        "graphtide": graphtide.__version__,
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
        "split": "Planetoid public split",
        "sets": {},
    }
    for name in dict.fromkeys(row["set"] for row in rows):
        mine = [r for r in rows if r["set"] == name and r["seed"] < options.seeds]
        if not mine:
            continue
        chosen = next(r for r in rows if r["set"] == name and r["seed"] == DEPTH_SEED)
        figures = {"seeds": len(mine), "depth": chosen["depth"], "depths_tried": chosen["tried"]}
        for key in ("accuracy", "gcn", "validation", "label_propagation"):
            values = np.array([row[key] for row in mine])
            figures[key] = float(values.mean())
            if key != "label_propagation":
                figures[f"{key}_deviation"] = float(values.std(ddof=1)) if len(values) > 1 else None
        cpu = np.array([row["cpu_seconds_of_both"] for row in mine])
        figures |= {"cpu_seconds_a_seed": float(cpu.mean()), "largest": float(cpu.max())}
        content["sets"][name] = figures
        print(
            f"{name}: {100 * figures['accuracy']:.2f} +- {spread(figures, 'accuracy')} %, GCN "
            f"{100 * figures['gcn']:.2f} +- {spread(figures, 'gcn')} %, label "
            f"propagation {100 * figures['label_propagation']:.2f} %, depth {figures['depth']:g}, "
            f"{len(mine)} seeds, {cpu.mean():.0f} CPU s a seed for both (largest {cpu.max():.0f})"
        )
    (RESULTS / "citation.json").write_text(json.dumps(content, indent=2) + "\n")


def spread(figures: dict, key: str) -> str:
    """Return a deviation in percent; nothing for a single seed."""
    value = figures[f"{key}_deviation"]
    return "–" if value is None else f"{100 * value:.2f}"


if __name__ == "__main__":
    main()
