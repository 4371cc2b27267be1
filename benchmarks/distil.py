"""How often the law of a known system is read out of a neural field that learned it.

The twelve systems, graphs, starts and the test of exactness are those of discovery.py. A message
passing field is fitted to readings (without noise, or with a share of each variable's spread by
`--noise`), then sampled on the states of its own roll-out and distilled; beside it the same
search on the readings themselves is `graphtide mechanisms equation`, measured in discovery.py.

    python benchmarks/distil.py [--seeds 0] [--systems heat,gene] [--noise 0.0] [--limit SECONDS]

Results are kept in benchmarks/results/distil.json; what is there is not computed again.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import discovery
import numpy as np
import torch

from graphtide.dynamics.holdout import Holdout, kept_readings
from graphtide.dynamics.neural import set_output
from graphtide.dynamics.neural_data import NeuralSettings
from graphtide.dynamics.neural_fit import fit_neural
from graphtide.errors import GraphtideError
from graphtide.graph import Graph
from graphtide.mechanisms.distil import distil, field_sample

RESULTS = Path(__file__).parent / "results" / "distil.json"
TIMES = 150
"""Times at most that a field learns from; of longer series every k-th is taken."""


def run_case(name: str, seed: int, noise: float) -> dict[str, object]:
    """Simulate a system, learn it, and read the law out of the field."""
    system = discovery.SYSTEMS[name]
    graph = Graph.from_source("barabasi_albert:100:3", seed=seed)
    clean, seen = [], []
    for k in range(system.trajectories):
        states = discovery.simulated(name, graph, 100 * seed + k)
        step = -(-len(states.times) // TIMES)
        generator = np.random.default_rng([seed, k])
        spread = states.states.std(axis=(0, 1))
        readings = states.states + noise * spread * generator.normal(size=states.states.shape)
        clean.append(states)
        seen.append(states.with_states(readings).select(slice(None, None, step)))
    began = time.process_time()
    wide = len(system.terms) > 1
    settings = NeuralSettings(width=64 if wide else 32, pair_width=16 if wide else 12)
    try:
        fit = fit_neural(seen, graph, settings=settings, holdout=Holdout(0.1, 0.1), seed=seed)
        fitted = time.process_time()
        members = []
        assert fit.intervals is not None
        for output in fit.intervals.members.get("output", ()):
            member = copy.deepcopy(fit.field)
            set_output(member, torch.tensor(output))  # pyright: ignore[reportArgumentType]
            members.append(member)
        samples = [
            field_sample(fit.field, t, graph, members, kept_readings(o.states, roles))  # pyright: ignore[reportArgumentType]
            for t, o, roles in zip(fit.predicted, fit.observed, fit.roles, strict=True)
        ]
        found = distil(samples)
    except GraphtideError as error:
        return {"exact": False, "failed": str(error)}
    exact, errors = discovery.compare(system, clean, graph, found)
    return {
        "exact": exact,
        "coefficient_error": float(np.median(errors)) if errors else None,
        "field_error_extrapolation": fit.metrics["relative_error_extrapolation"],
        "fit_cpu_seconds": fitted - began,
        "distil_cpu_seconds": time.process_time() - fitted,
        "equation": found.equation.text(values=True, digits=4),
    }


def main() -> None:
    """Run what is asked for and not yet there, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", default=",".join(discovery.SYSTEMS))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--noise", default="0.0")
    parser.add_argument("--limit", type=float, default=float("inf"), help="stop after seconds")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    for noise in map(float, chosen.noise.split(",")):
        for seed in map(int, chosen.seeds.split(",")):
            for name in chosen.systems.split(","):
                results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
                key = f"{name}:{noise:g}:{seed}"
                if key in results or time.perf_counter() - began > chosen.limit:
                    continue
                results[key] = run_case(name, seed, noise)
                RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
                print(key, json.dumps(results[key]), flush=True)
    results = json.loads(RESULTS.read_text())
    for noise in sorted({key.split(":")[1] for key in results}):
        rows = {key: row for key, row in results.items() if key.split(":")[1] == noise}
        print(f"noise {noise}: {sum(row['exact'] for row in rows.values())} of {len(rows)} exact")


if __name__ == "__main__":
    main()
