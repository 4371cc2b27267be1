"""Goal-directed tasks: area under the top-10 curve within a budget of calls, beside mol-ga.

    python benchmarks/goal_directed.py --data DATA [--tasks qed median1] [--seeds 0 1 2]
        [--methods genetic mol_ga] [--budget 10000]

DATA holds molecules/zinc250k.smi.gz. Both methods begin with the same 1,000 random molecules of
ZINC250k (one draw a seed), which count, and call the same oracle: 20 tasks of the benchmark of
practical molecular optimisation that need RDKit alone, stereochemistry set aside, each molecule
counted once. mol-ga runs with its own defaults and 5 offspring a generation, the better of its
published settings (Tripp & Hernández-Lobato 2023). Figures are printed and kept in
benchmarks/results/goal_directed.json as they come; what is there already is not run again.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import contextlib
import fcntl
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from graphtide.molecules.files import read_molecules
from graphtide.molecules.objectives.tasks import DESCRIPTIONS, GoalDirectedTask
from graphtide.molecules.optimization import Oracle, optimize

PUBLISHED = {"Mol GA": 15.7, "Genetic GFN": 16.2, "GenMol": 18.4}
"""Sums over the 23 tasks of that benchmark, as published."""
STARTS = 1000


class BudgetSpent(Exception):
    """Ends a method that has no end of its own."""


def genetic(starts: Sequence[str], oracle: Oracle, seed: int) -> None:
    """Run the genetic algorithm of graphtide."""
    from graphtide.molecules.optimization.genetic import GraphGenetic

    optimize(GraphGenetic(starts, seed=seed), oracle)


def mol_ga(starts: Sequence[str], oracle: Oracle, seed: int) -> None:
    """Run the package mol-ga with its defaults and 5 offspring a generation."""
    from mol_ga import default_ga

    def values(smiles: list[str]) -> list[float]:
        found = oracle(smiles).tolist()
        if oracle.remaining == 0:
            raise BudgetSpent
        return found

    with contextlib.suppress(BudgetSpent):
        default_ga(
            starting_population_smiles=list(starts),
            scoring_function=values,
            max_generations=oracle.budget,
            offspring_size=5,
            rng=random.Random(seed),
        )


METHODS = {"genetic": genetic, "mol_ga": mol_ga}


def run(method: str, task: str, seed: int, budget: int, pool: Sequence[str]) -> dict[str, float]:
    """Run one method on one task, and return its figures."""
    chosen = np.random.default_rng(seed).choice(len(pool), min(STARTS, len(pool)), replace=False)
    starts = [pool[k] for k in chosen]
    oracle = Oracle(GoalDirectedTask(task), budget)
    began = time.process_time()
    METHODS[method](starts, oracle, seed)
    top = [value for _, value in oracle.top(10)]
    return {
        "area_under_top_10": oracle.area_under_top(10),
        "top_10": float(np.mean(top)),
        "best": top[0],
        "calls": oracle.calls,
        "cpu_seconds": time.process_time() - began,
    }


def keep(path: Path, place: Sequence[str], figures: dict[str, float]) -> None:
    """Add figures to the file; several of these scripts may run at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        found = json.loads(stream.read() or "{}")
        inner = found
        for name in place[:-1]:
            inner = inner.setdefault(name, {})
        inner[place[-1]] = figures
        stream.truncate(0)
        stream.write(json.dumps(found, indent=1, sort_keys=True) + "\n")


def table(found: dict[str, dict[str, dict[str, dict[str, float]]]]) -> str:
    """Return the mean area of each task and method over its seeds, and the sums."""
    lines, sums = [], {}
    for task in sorted(found):
        cells = []
        for method in METHODS:
            runs = [one["area_under_top_10"] for one in found[task].get(method, {}).values()]
            if runs:
                cells.append(f"{method} {np.mean(runs):.3f} ({len(runs)})")
                sums.setdefault(method, {})[task] = float(np.mean(runs))
        lines.append(f"{task:28} {'   '.join(cells)}")
    both = set.intersection(*(set(one) for one in sums.values())) if sums else set()
    for method, areas in sums.items():
        total = sum(areas[task] for task in both)
        lines.append(f"{method}: sum {total:.3f} over {len(both)} tasks that all have run")
    said = ", ".join(f"{name} {value}" for name, value in PUBLISHED.items())
    lines.append(f"published sums over 23 tasks (20 of them these): {said}")
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for and not yet there, and print the table."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--tasks", nargs="+", default=list(DESCRIPTIONS))
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options.add_argument("--budget", type=int, default=10_000)
    options.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    asked = options.parse_args()
    pool = read_molecules(asked.data / "molecules" / "zinc250k.smi.gz").smiles
    name = "goal_directed" if asked.budget == 10_000 else f"goal_directed_{asked.budget}"
    path = asked.results / f"{name}.json"
    for seed in asked.seeds:
        for method in asked.methods:
            for task in asked.tasks:
                found = json.loads(path.read_text()) if path.exists() else {}
                if str(seed) in found.get(task, {}).get(method, {}):
                    continue
                figures = run(method, task, seed, asked.budget, pool)
                keep(path, (task, method, str(seed)), figures)
                said = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
                print(f"{task}, {method}, seed {seed}: {said}", flush=True)
    print(table(json.loads(path.read_text())))


if __name__ == "__main__":
    main()
