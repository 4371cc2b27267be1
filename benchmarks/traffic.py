"""Forecasts of traffic and of two epidemics, beside the plain methods and recurrent networks.

Los Angeles: 207 sensors, one week of five-minute readings, the first 80 % before the split, twelve
readings to the next twelve. Every figure is of one model of twelve steps: 15, 30 and 60 minutes are
the mean over its first 3, 6 and 12 steps, over all windows whose targets lie after the split.
T-GCN's published figures are of the same split, of a model for each horizon, and of the windows
that lie wholly after the split (11 fewer). Networks, widths and rates of learning were chosen on
the validation windows with another seed (100).

    python benchmarks/traffic.py --data DATA [--seeds 3] [--only traffic] [--models direct_network]

DATA holds traffic/ and epidemics/. Each run is appended to traffic.jsonl beside the results, so
that an interrupted benchmark goes on; tables are printed and written to
benchmarks/results/traffic.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
import pandas
import torch

import graphtide
from graphtide import Graph, Trajectory
from graphtide.dynamics.forecast import Forecast, forecast

RESULTS = Path(__file__).parent / "results"
GOAL = {3: (4.6, 2.6), 6: (5.3, 2.9), 12: (6.2, 3.25)}
"""RMSE and MAE over the first 3, 6 and 12 steps."""
T_GCN = {3: (5.13, 3.18), 6: (6.06, 3.75), 12: (7.27, 4.60)}
"""Zhao et al., T-GCN, 2019, published, the same split."""


@dataclass(frozen=True, slots=True)
class Case:
    """One data set and how it is forecast."""

    name: str
    history: int
    horizon: int
    split: float
    period: int | None
    missing: float | None = None


CASES = (
    Case("los_angeles", 12, 12, 0.8, 288, 0.0),
    Case("chickenpox 0.8", 4, 1, 0.8, 52),
    Case("chickenpox 0.2", 4, 1, 0.2, 52),
    Case("england_covid 0.8", 8, 1, 0.8, 7),
    Case("england_covid 0.2", 8, 1, 0.2, 7),
)


def read(case: Case, data: Path) -> tuple[Trajectory, Graph]:
    """Return the readings and the network of a case."""
    if case.name == "los_angeles":
        graph = Graph.read(data / "traffic" / "los_edges.csv.gz")
        return Trajectory.read(data / "traffic" / "los_states.csv.gz"), graph
    name = case.name.split()[0]
    states = Trajectory.read(data / "epidemics" / f"{name}_states.csv.gz")
    path = data / "epidemics" / f"{name}_edges.csv.gz"
    if name == "chickenpox":
        return states, Graph.read(path, directed=True)
    # Mobility of each day: the mean over the days before the split.
    table = pandas.read_csv(path)
    days = round(case.split * len(states.times))
    mean = table[table["time"] < days].groupby(["source", "target"])["weight"].sum() / days
    number = {node: k for k, node in enumerate(states.names)}
    index = np.array([[number[a], number[b]] for a, b in mean.index]).T
    return states, Graph(index, mean.to_numpy(), names=states.names, directed=True)


def run(case: Case, data: Path, model: str, seed: int, *, recurrent: bool) -> dict:
    """Return the figures of one run."""
    states, graph = read(case, data)
    began, wall = time.process_time(), time.perf_counter()
    result = forecast(
        states,
        graph,
        history=case.history,
        horizon=case.horizon,
        split=case.split,
        period=case.period,
        missing=case.missing,
        model=model,
        recurrent=recurrent,
        seed=seed,
    )
    return {
        "case": case.name,
        "asked": model,
        "seed": seed,
        "model": result.model,
        "errors": over_horizons(result, result.model, case.horizon),
        "baselines": {name: over_horizons(result, name, case.horizon) for name in result.baselines},
        "validation": dict(result.validation),
        "coverage": float(result.coverage.mean()),
        "coverage_by_step": result.coverage.tolist(),
        "coverage_without_following": float(result.coverage_fixed.mean()),
        "seconds_by_model": dict(result.seconds),
        "cpu_seconds": time.process_time() - began,
        "seconds": time.perf_counter() - wall,
    }


def over_horizons(result: Forecast, name: str, horizon: int) -> dict[str, list[float]]:
    """Return RMSE and MAE over the first 3, 6 and 12 steps (or over the whole horizon)."""
    errors = result.errors if name == result.model else result.baselines[name]
    found = {}
    for steps in sorted({step for step in (3, 6, 12) if step <= horizon} | {horizon}):
        mae, rmse = errors.first(steps)
        found[str(steps)] = [rmse, mae]
    return found


def main() -> None:
    """Run what is not done yet, then report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[case.name.split()[0] for case in CASES])
    parser.add_argument("--models", nargs="+", default=["direct_network", "auto"])
    parser.add_argument("--log", type=Path, default=RESULTS / "traffic.jsonl")
    options = parser.parse_args()
    torch.set_num_threads(1)
    RESULTS.mkdir(exist_ok=True)
    rows = []
    if options.log.exists():
        rows = [json.loads(line) for line in options.log.read_text().splitlines()]
    done = {(row["case"], row["asked"], row["seed"]) for row in rows}
    for case in CASES:
        if case.name.split()[0] not in options.only:
            continue
        models = options.models if case.name == "los_angeles" else ["auto"]
        for model in models:
            for seed in range(options.seeds):
                if (case.name, model, seed) in done:
                    continue
                row = run(case, options.data, model, seed, recurrent=model == "auto")
                rows.append(row)
                with options.log.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
                report(rows)
    report(rows)


def report(rows: list[dict]) -> None:
    """Print tables, and write the JSON."""
    content: dict[str, object] = {
        "graphtide": graphtide.__version__,
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
        "goal_rmse_mae": {str(steps): goal for steps, goal in GOAL.items()},
        "t_gcn_published_rmse_mae": {str(steps): said for steps, said in T_GCN.items()},
        "cases": {},
    }
    for case in CASES:
        mine = [row for row in rows if row["case"] == case.name]
        figures = {}
        for asked in dict.fromkeys(row["asked"] for row in mine):
            runs = [row for row in mine if row["asked"] == asked]
            figures[asked] = {
                "seeds": len(runs),
                "chosen": [row["model"] for row in runs],
                "rmse_mae": mean_of([row["errors"] for row in runs]),
                "rmse_mae_by_seed": [row["errors"] for row in runs],
                "coverage": [row["coverage"] for row in runs],
                "coverage_without_following": [row["coverage_without_following"] for row in runs],
                "seconds_of_chosen": [row["seconds_by_model"][row["model"]] for row in runs],
                "cpu_seconds_of_all": [row["cpu_seconds"] for row in runs],
                "baselines": {
                    name: mean_of([row["baselines"][name] for row in runs])
                    for name in runs[0]["baselines"]
                },
            }
        if not figures:
            continue
        content["cases"][case.name] = figures
        print(f"\n{case.name}: RMSE / MAE over the first steps")
        for asked, found in figures.items():
            print(f"  {asked} ({', '.join(found['chosen'])}): {words(found['rmse_mae'])}")
            print(
                f"    coverage {', '.join(f'{100 * share:.1f} %' for share in found['coverage'])}"
            )
        for name, errors in list(figures.values())[-1]["baselines"].items():
            print(f"  {name}: {words(errors)}")
    (RESULTS / "traffic.json").write_text(json.dumps(content, indent=2) + "\n")


def mean_of(errors: list[dict[str, list[float]]]) -> dict[str, list[float]]:
    """Return the mean over runs."""
    return {
        steps: np.mean([found[steps] for found in errors], axis=0).tolist() for steps in errors[0]
    }


def words(errors: dict[str, list[float]]) -> str:
    """Return figures as text."""
    return ", ".join(f"{rmse:.3f} / {mae:.3f} ({s})" for s, (rmse, mae) in errors.items())


if __name__ == "__main__":
    main()
