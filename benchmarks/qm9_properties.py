"""Dipole moment and gap of QM9 from the graph alone, within some minutes, beside trees.

    python benchmarks/qm9_properties.py --data DATA [--minutes 15] [--workers 2]

DATA holds molecules/qm9.csv.gz, whose mu is in debye and gap in hartree. Molecules are split at
random, 80/10/10 with seed 0; one model learns both targets from training and validation molecules
and is judged on the test molecules, once. The minutes are those of the network, as in
`graphtide molecules learn`. Beside it stand the members of the model and, on the same descriptors
of all molecules, histogram boosting. Neither sees the geometry, which the dipole moment depends on:
models of atoms in space err by a tenth of this. Mean absolute errors are printed and written to
benchmarks/results/qm9_properties.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingRegressor

import graphtide
from graphtide.files import write_text
from graphtide.molecules.files import read_molecules
from graphtide.molecules.prediction import PropertyModel
from graphtide.molecules.prediction.inputs import make_inputs
from graphtide.molecules.prediction.members import MEMBERS
from graphtide.molecules.prediction.splits import split_molecules
from graphtide.molecules.prediction.table import property_table

RESULTS = Path(__file__).parent / "results"
ELECTRON_VOLT = 27.211386245988  # per hartree (CODATA 2018)
UNITS = {"mu": ("debye", 1.0), "gap": ("meV", 1000.0 * ELECTRON_VOLT)}


def main() -> None:
    """Learn, judge, and write the figures."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--minutes", type=float, default=15.0)
    options.add_argument("--workers", type=int, default=1, help="processes for the descriptors")
    options.add_argument(
        "--most", type=int, help="molecules to use, drawn at random; all if absent"
    )
    options.add_argument("--results", type=Path, default=RESULTS)
    asked = options.parse_args()
    table = property_table(read_molecules(asked.data / "molecules" / "qm9.csv.gz"), list(UNITS))
    used = np.random.default_rng(0).permutation(len(table))[: asked.most]
    molecules = [table.molecules[k] for k in used]
    values = table.values[used]
    began = time.perf_counter()
    inputs = make_inputs(molecules, workers=asked.workers, progress=tell)
    described = time.perf_counter() - began
    parts = split_molecules("random", molecules, seed=0)
    learned = np.concatenate([parts.training, parts.validation])
    known, test = inputs.take(learned), inputs.take(parts.test)
    began, busy = time.perf_counter(), time.process_time()
    model = PropertyModel.fit(
        [molecules[k] for k in learned],
        values[learned],
        tuple(UNITS),
        inputs=known,
        minutes=asked.minutes,
        progress=tell,
    )
    seconds, work = time.perf_counter() - began, time.process_time() - busy
    told, _, lower, upper, _ = model.predict_inputs(test)
    members, _ = model.members.predict(test, np.ones(model.weights.shape, dtype=bool))
    measured = values[parts.test]
    figures: dict[str, object] = {}
    for k, (name, (unit, factor)) in enumerate(UNITS.items()):
        errors = {
            member: factor * float(np.abs(members[:, k, place] - measured[:, k]).mean())
            for place, member in enumerate(MEMBERS)
        }
        first, last = (
            np.clip(np.nan_to_num(one.descriptors), -1e9, 1e9).astype(np.float32)
            for one in (known, test)
        )
        boosted = HistGradientBoostingRegressor(max_iter=500, learning_rate=0.1, random_state=0)
        said = boosted.fit(first, values[learned, k]).predict(last)
        errors["histogram_boosting"] = factor * float(np.abs(said - measured[:, k]).mean())
        inside = (lower[:, k] <= measured[:, k]) & (measured[:, k] <= upper[:, k])
        figures[name] = {
            "unit": unit,
            "mean_absolute_error": factor * float(np.abs(told[:, k] - measured[:, k]).mean()),
            "others": errors,
            "chosen": model.chosen(name),
            "coverage_90": float(inside.mean()),
        }
    content = {
        "graphtide": graphtide.__version__,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "training": len(learned),
        "test": len(parts.test),
        "minutes": asked.minutes,
        "descriptor_seconds": described,
        "fit_seconds": seconds,
        "fit_cpu_seconds": work,
        "targets": figures,
    }
    write_text(asked.results / "qm9_properties.json", json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))


def tell(share: float, text: str) -> None:
    """Print progress."""
    print(f"{100 * share:5.1f} %  {text}", flush=True)


if __name__ == "__main__":
    main()
