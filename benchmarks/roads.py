"""Traffic on roads, controlled: total delay over demand patterns, by meters and by speed limits.

    python benchmarks/roads.py [--patterns 20] [--learned 5]

On a made network of 100 road cells each pattern is driven without control, under ALINEA, and under
a plan ahead on the law itself (``predictive``). The first patterns are also driven by plans on

    predictive_nominal   a network whose numbers are wrong: each kind by a factor drawn with a
                         deviation of 20 %, each cell by 3 % besides, no capacity drop
    predictive_learned   the same, after its numbers were learned from the densities and speeds of
                         three uncontrolled days (patterns 100 to 102), read with 5 % noise
    predictive_limits    the law itself, with speed limits before the merges beside the meters

The plant is the true law in all of them. What is there is not run again; figures are written to
benchmarks/results/roads.json after each run.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from graphtide.dynamics.traffic import (
    CellTransmission,
    LearnedRoads,
    RoadActuators,
    RoadReadings,
    alinea,
    drive,
    freeway_network,
    learn_roads,
    peak_demand,
    predictive_control,
    read_detectors,
)
from graphtide.graph import Graph

RESULTS = Path(__file__).parent / "results" / "roads.json"
MINUTES, SIXES = np.linspace(0.0, 2.0, 121), np.linspace(0.0, 2.0, 21)
NONE = np.zeros(0, dtype=np.int64)
ROADS = freeway_network()
KIND = np.asarray(ROADS.node_attributes["kind"])
METERS = RoadActuators(np.flatnonzero(KIND == 1), NONE)
NOMINAL_DROP = 0.0


def before_merges() -> np.ndarray:
    """Return the cells from which a motorway enters a cell that a ramp enters too."""
    source, target = ROADS.edge_index
    merged = target[KIND[source] == 1]
    return np.unique(source[np.isin(target, merged) & (KIND[source] == 0)])


def plant(seed: int, actuators: RoadActuators = METERS) -> CellTransmission:
    """Return the true law under a demand pattern."""
    return CellTransmission(ROADS, peak_demand(ROADS, seed=seed), actuators)


def nominal() -> Graph:
    """Return the network with wrong numbers."""
    random = np.random.default_rng(0)
    wrong = {}
    for name in ("free_speed", "wave_speed", "jam_density", "capacity"):
        common, own = random.standard_normal(), random.standard_normal(ROADS.node_count)
        wrong[name] = ROADS.node_attributes[name] * np.exp(0.2 * common + 0.03 * own)
    return ROADS.with_node_attributes(**wrong)


@functools.cache
def learned() -> LearnedRoads:
    """Return the nominal network after three days of readings."""
    days = []
    for seed in (100, 101, 102):
        field = plant(seed, RoadActuators(NONE, NONE))
        days.append(read_detectors(field, drive(field, MINUTES), noise=0.05, seed=seed))
    readings = RoadReadings(
        np.concatenate([day.density for day in days]), np.concatenate([day.speed for day in days])
    )
    return learn_roads(nominal(), readings, capacity_drop=NOMINAL_DROP)


def planned(seed: int, model: CellTransmission, actuators: RoadActuators = METERS) -> float:
    """Return the delay of the true law under plans on a model."""
    return drive(plant(seed, actuators), SIXES, predictive_control(model)).delay


def with_nominal(seed: int) -> float:
    """Return the delay under plans on wrong numbers."""
    demand = peak_demand(ROADS, seed=seed)
    return planned(seed, CellTransmission(nominal(), demand, METERS, capacity_drop=NOMINAL_DROP))


def with_limits(seed: int) -> float:
    """Return the delay under plans of meters and speed limits."""
    both = RoadActuators(METERS.ramps, before_merges())
    return planned(seed, plant(seed, both), both)


ALWAYS: dict[str, Callable[[int], float]] = {
    "none": lambda seed: drive(plant(seed), MINUTES).delay,
    "alinea": lambda seed: drive(plant(seed), MINUTES, alinea(plant(seed))).delay,
    "predictive": lambda seed: planned(seed, plant(seed)),
}
MORE: dict[str, Callable[[int], float]] = {
    "predictive_nominal": with_nominal,
    "predictive_learned": lambda seed: planned(
        seed, learned().field(peak_demand(ROADS, seed=seed), METERS)
    ),
    "predictive_limits": with_limits,
}


def numbers_off(roads: Graph) -> dict[str, float]:
    """Return the median error, in %, of each number over the cells of motorways."""
    found = {}
    for name in ("free_speed", "wave_speed", "jam_density", "capacity"):
        ratio = np.asarray(roads.node_attributes[name]) / np.asarray(ROADS.node_attributes[name])
        found[name] = float(100 * np.median(np.abs(ratio[KIND == 0] - 1.0)))
    return found


def summary(patterns: dict[str, dict[str, float]]) -> dict[str, object]:
    """Return the figures over the patterns that each controller has driven."""
    rows = [row for row in patterns.values() if all(name in row for name in ALWAYS)]
    total = {name: sum(row[name] for row in rows) for name in ALWAYS}
    found: dict[str, object] = {
        "patterns_done": len(rows),
        "saved_of_no_control": 1.0 - total["predictive"] / total["none"],
        "saved_by_alinea": 1.0 - total["alinea"] / total["none"],
        "least_saved_of_no_control": min(1 - r["predictive"] / r["none"] for r in rows),
        "patterns_worse_than_alinea": sum(r["predictive"] > r["alinea"] for r in rows),
    }
    for name in MORE:
        own = [row for row in rows if name in row]
        if own:
            none = sum(row["none"] for row in own)
            found[name] = {
                "patterns_done": len(own),
                "saved_of_no_control": 1.0 - sum(row[name] for row in own) / none,
                "saved_by_predictive": 1.0 - sum(row["predictive"] for row in own) / none,
                "patterns_worse_than_alinea": sum(row[name] > row["alinea"] for row in own),
            }
    return found


def main() -> None:
    """Run what is not there yet."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--patterns", type=int, default=20)
    options.add_argument("--learned", type=int, default=5, help="patterns of the further plans")
    asked = options.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    patterns = results.setdefault("patterns", {})
    if "learned" not in results:
        began = time.process_time()
        found = learned()
        results["learned"] = {
            "cpu_seconds": time.process_time() - began,
            "flow_error": found.flow_error,
            "nominal_flow_error": found.nominal_flow_error,
            "capacity_drop": found.capacity_drop,
            "percent_off": numbers_off(found.roads),
            "nominal_percent_off": numbers_off(nominal()),
        }
        print(results["learned"], flush=True)
    for seed in range(asked.patterns):
        row = patterns.setdefault(str(seed), {})
        for name, delay in (ALWAYS | (MORE if seed < asked.learned else {})).items():
            if name not in row:
                row[name] = delay(seed)
                print(seed, name, row[name], flush=True)
                if all(kind in row for kind in ALWAYS):
                    results.update(summary(patterns))
                RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
