"""Where molecules to learn from come from: a file, or a set by name."""

from __future__ import annotations

from pathlib import Path

from graphtide.errors import InputError
from graphtide.molecules.files import MoleculeLines, read_molecules

__all__ = ["SAMPLES", "read_source"]

SAMPLES = ("qm9_sample", "zinc250k_sample", "esol")
"""Sets that ship inside the package: 5,000 molecules each, and 1,128 with their solubility."""
_FETCHED = {"qm9": "qm9.csv", "zinc250k": "zinc250k.smi", "moses": "moses_train.csv"}


def read_source(source: str, *, column: str | None = None) -> MoleculeLines:
    """Read the molecules of a file, of a sample by name, or of a set fetched before.

    Args:
        source: a file's path; qm9_sample, zinc250k_sample or esol; or qm9, zinc250k, moses, once
            ``graphtide data get`` has them.
        column: column of a table that holds the SMILES.

    Raises:
        InputError: the file cannot be read, or the set is not here.
    """
    if Path(source).exists():
        return read_molecules(source, column=column)
    if source in SAMPLES:
        from graphtide.data import esol, qm9_sample, zinc250k_sample

        makers = {"qm9_sample": qm9_sample, "zinc250k_sample": zinc250k_sample, "esol": esol}
        frame = makers[source]()
        smiles = tuple(frame["smiles"])
        others = {
            str(name): tuple(str(value) for value in frame[name])
            for name in frame.columns
            if name != "smiles"
        }
        return MoleculeLines(smiles, tuple(range(1, len(smiles) + 1)), others, source)
    if source in _FETCHED:
        from graphtide.data.fetch import cached

        found = [path for path in cached(source) if path.name.startswith(_FETCHED[source])]
        if not found:
            raise InputError(
                f"the set {source} is not here: `graphtide data get {source}` fetches it; "
                f"{' and '.join(SAMPLES)} need no network"
            )
        return read_molecules(found[0], column=column)
    raise InputError(
        f"{source}: there is no such file; a file of molecules was expected, or one of "
        f"{', '.join((*SAMPLES, *_FETCHED))}"
    )
