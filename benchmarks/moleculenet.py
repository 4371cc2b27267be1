"""Prediction on MoleculeNet's small sets, beside descriptors with forest and boosting.

Random 80/10/10 splits (seeds 0-4) and scaffold splits (the largest scaffolds to training). All
models, baselines included, learn from the training and validation molecules and are judged on the
test molecules, once. Molecules written twice are averaged before the split. Each entry is written
as it comes, and entries that are there already are passed over.

    python benchmarks/moleculenet.py --data FOLDER [--sets esol freesolv] [--splits random]

FOLDER holds esol, freesolv, lipo and bbbp as .csv.gz. Seconds of a model are without the
descriptors (about 5 ms a molecule, computed once and kept in --work), on --threads.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import rdkit
import sklearn
import torch
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor

import graphtide
from graphtide.files import write_text
from graphtide.molecules.files import read_molecules
from graphtide.molecules.prediction import PropertyModel
from graphtide.molecules.prediction.descriptors import descriptor_table, morgan_counts
from graphtide.molecules.prediction.inputs import Inputs, make_inputs
from graphtide.molecules.prediction.members import MEMBERS
from graphtide.molecules.prediction.quality import quality
from graphtide.molecules.prediction.splits import groups_of, split_molecules
from graphtide.molecules.prediction.table import PropertyTable, property_table

RESULTS = Path(__file__).parent / "results" / "moleculenet.json"
SETS = {
    "esol": ("measured log solubility in mols per litre", 12),
    "freesolv": ("expt", 16),
    "lipo": ("exp", 6),
    "bbbp": ("p_np", 6),
}
"""Column to predict, and epochs of each of the five networks."""
BASELINES = ("boosting", "forest", "histogram_boosting", "morgan_forest")


def prepared(name: str, data: Path, work: Path) -> tuple[PropertyTable, Inputs]:
    """Return a set and what the members see of its molecules."""
    table = property_table(read_molecules(data / f"{name}.csv.gz"), [SETS[name][0]])
    kept = work / f"{name}.npy"
    if kept.is_file():
        inputs = make_inputs(table.molecules, names=[])
        names = make_inputs(table.molecules[:1]).names
        described = np.load(kept)
    else:
        inputs = make_inputs(table.molecules, names=[])
        names = make_inputs(table.molecules[:1]).names
        described = descriptor_table(table.molecules, names)
        work.mkdir(parents=True, exist_ok=True)
        np.save(kept, described)
    return table, Inputs(described, names, inputs.counts, inputs.fingerprints, inputs.features)


def entry(
    table: PropertyTable, inputs: Inputs, split: str, seed: int, epochs: int
) -> dict[str, object]:
    """Return the figures of one split."""
    parts = split_molecules(split, table.molecules, seed=seed)
    learned = np.sort(np.concatenate([parts.training, parts.validation]))
    molecules = [table.molecules[k] for k in learned]
    values, measured = table.values[learned, 0], table.values[parts.test, 0]
    is_class = bool(table.classes[0])
    known, test = inputs.take(learned), inputs.take(parts.test)
    began, busy = time.perf_counter(), time.process_time()
    model = PropertyModel.fit(
        molecules,
        values,
        inputs=known,
        groups=groups_of(split, molecules),
        epochs=epochs,
        seed=seed,
    )
    seconds, work = time.perf_counter() - began, time.process_time() - busy
    told, _, lower, upper, distances = model.predict_inputs(test)
    members, _ = model.members.predict(test, np.ones(model.weights.shape, dtype=bool))
    inside, _ = model.domain.judge([table.molecules[k] for k in parts.test], distances)
    found = {
        name: quality(measured, _bound(members[:, 0, k], is_class), is_class=is_class)
        for k, name in enumerate(MEMBERS)
        if name in model.scores["value"]
    }
    cleaned = [
        np.clip(np.nan_to_num(one.descriptors), -1e9, 1e9).astype(np.float32)
        for one in (known, test)
    ]
    counts = [morgan_counts([table.molecules[k] for k in rows]) for rows in (learned, parts.test)]
    for name, maker, (first, last) in (
        (
            "histogram_boosting",
            HistGradientBoostingRegressor(max_iter=300, learning_rate=0.05, random_state=seed),
            cleaned,
        ),
        ("morgan_forest", RandomForestRegressor(100, max_features=0.33, random_state=seed), counts),
    ):
        predicted = maker.fit(first, values).predict(last)
        found[name] = quality(measured, _bound(predicted, is_class), is_class=is_class)
    return {
        "training": len(learned),
        "test": len(parts.test),
        "model": quality(measured, told[:, 0], is_class=is_class),
        "members": found,
        "held_out": dict(model.scores["value"]),
        "chosen": model.chosen("value"),
        "coverage_90": float(np.mean((lower[:, 0] <= measured) & (measured <= upper[:, 0]))),
        "in_domain": float(inside.mean()),
        "epochs": epochs,
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "cpu_seconds": work,
    }


def summarised(entries: dict[str, dict[str, Any]]) -> list[str]:
    """Return one line a set and split: means over seeds, and the gain over the best baseline."""
    lines = []
    for name in SETS:
        for split in ("random", "scaffold"):
            found = [v for k, v in entries.items() if k.startswith(f"{name}/{split}/")]
            if not found:
                continue
            key = "roc_auc" if name == "bbbp" else "rmse"
            own = np.array([one["model"][key] for one in found])
            beside = {
                one: float(np.mean([f["members"][one][key] for f in found])) for one in BASELINES
            }
            pick = max if key == "roc_auc" else min
            best = pick(beside, key=lambda one, beside=beside: beside[one])
            cover = np.mean([one["coverage_90"] for one in found])
            seconds = f"{np.mean([one['cpu_seconds'] for one in found]):.0f} CPU s a model"
            for threads in sorted({one.get("threads", 1) for one in found} - {1}):
                own_time = [one["seconds"] for one in found if one.get("threads") == threads]
                seconds += f", {np.mean(own_time):.0f} s on {threads} threads"
            seeds, spread = "1 seed", ""
            if len(found) > 1:
                seeds, spread = f"{len(found)} seeds", f" +- {own.std():.3f}"
            lines.append(
                f"{name} {split} ({seeds}): {key} {own.mean():.3f}{spread}; "
                f"best baseline {best} {beside[best]:.3f} "
                f"({100 * (own.mean() / beside[best] - 1):+.1f} %); 90 % intervals cover "
                f"{100 * cover:.1f} %; {seconds}"
            )
    return lines


def main() -> None:
    """Run what is wanted and not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("build/moleculenet"))
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--splits", nargs="+", default=["random"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    kept = json.loads(options.out.read_text("utf-8")) if options.out.is_file() else {}
    entries = kept.get("entries", {})
    for name in options.sets:
        table, inputs = prepared(name, options.data, options.work)
        for split in options.splits:
            for seed in options.seeds:
                key = f"{name}/{split}/{seed}"
                if key in entries:
                    continue
                epochs = SETS[name][1] if options.epochs is None else options.epochs
                entries[key] = entry(table, inputs, split, seed, epochs)
                keep(options.out, entries)
                print(key, json.dumps(entries[key]["model"]), flush=True)
    keep(options.out, entries)  # entries may have come from another machine's file
    print("\n".join(summarised(entries)))


def keep(out: Path, entries: dict[str, Any]) -> None:
    """Write the entries with their summary."""
    content = {
        "graphtide": graphtide.__version__,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "rdkit": rdkit.__version__,
            "scikit-learn": sklearn.__version__,
        },
        "entries": entries,
        "summary": summarised(entries),
    }
    write_text(out, json.dumps(content, indent=1) + "\n")


def _bound(values: np.ndarray, is_class: bool) -> np.ndarray:
    return np.clip(values, 0.0, 1.0) if is_class else values


if __name__ == "__main__":
    main()
