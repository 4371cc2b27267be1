"""chemprop at its defaults on the molecules and splits of moleculenet.py.

chemprop pins an RDKit of its own, so it is run from another environment, by its command line: it
learns from the training molecules and keeps the epoch that is best on the validation ones, as it
does by default. Its figures stand beside ours by the same key.

    python -m venv PEER && PEER/bin/pip install torch chemprop==2.3.1 'lightning>=2.6.6'
    python benchmarks/chemprop_peer.py --data FOLDER --chemprop PEER/bin/chemprop [--sets esol]

(lightning 2.6.2 and 2.6.3 are to be kept away: GHSA-w37p-236h-pfx3.) FOLDER holds esol, freesolv,
lipo and bbbp as .csv.gz. Seconds are those of the whole command, start included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas
from moleculenet import SETS
from rdkit import Chem

from graphtide.files import write_text
from graphtide.molecules.files import read_molecules
from graphtide.molecules.prediction.quality import quality
from graphtide.molecules.prediction.splits import split_molecules
from graphtide.molecules.prediction.table import PropertyTable, property_table

RESULTS = Path(__file__).parent / "results" / "chemprop_peer.json"


def entry(table: PropertyTable, split: str, seed: int, command: Path) -> dict[str, object]:
    """Return chemprop's figures on one split."""
    parts = split_molecules(split, table.molecules, seed=seed)
    role = np.empty(len(table.molecules), dtype="<U5")
    role[parts.training], role[parts.validation], role[parts.test] = "train", "val", "test"
    is_class = bool(table.classes[0])
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.csv"
        smiles = [Chem.MolToSmiles(molecule) for molecule in table.molecules]
        frame = pandas.DataFrame({"smiles": smiles, "y": table.values[:, 0], "split": role})
        frame.to_csv(data, index=False)
        began = time.perf_counter()
        subprocess.run(
            [
                *(command, "train", "--data-path", data, "--smiles-columns", "smiles"),
                *("--target-columns", "y", "--splits-column", "split", "--accelerator", "cpu"),
                *("--task-type", "classification" if is_class else "regression"),
                *("--pytorch-seed", str(seed), "--output-dir", Path(folder) / "out"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        seconds = time.perf_counter() - began
        (found,) = (Path(folder) / "out").rglob("test_predictions.csv")
        told = pandas.read_csv(found).drop_duplicates("smiles").set_index("smiles")
        predicted = told.loc[[smiles[k] for k in parts.test], "y"].to_numpy(float)
    return {
        "model": quality(table.values[parts.test, 0], predicted, is_class=is_class),
        "seconds": seconds,
    }


def main() -> None:
    """Run what is wanted and not there yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--chemprop", type=Path, required=True, help="the command of the peer")
    parser.add_argument("--sets", nargs="+", default=["esol", "freesolv"], choices=SETS)
    parser.add_argument("--splits", nargs="+", default=["random"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    options = parser.parse_args()
    kept = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
    version = subprocess.run(
        [options.chemprop.with_name("python"), "-c",
         "from importlib.metadata import version; print(version('chemprop'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    for name in options.sets:
        table = property_table(read_molecules(options.data / f"{name}.csv.gz"), [SETS[name][0]])
        for split in options.splits:
            for seed in options.seeds:
                key = f"{name}/{split}/{seed}"
                if key in kept:
                    continue
                kept[key] = {**entry(table, split, seed, options.chemprop), "chemprop": version}
                write_text(RESULTS, json.dumps(kept, indent=1, sort_keys=True) + "\n")
                print(
                    key, json.dumps(kept[key]["model"]), f"{kept[key]['seconds']:.0f} s", flush=True
                )


if __name__ == "__main__":
    main()
