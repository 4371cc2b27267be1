"""A random sample of QM9, 5,000 molecules with properties (CARD.md: source, units, hashes)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graphtide.files import numeric_column, read_table

if TYPE_CHECKING:
    import pandas

__all__ = ["qm9_sample"]


def qm9_sample() -> pandas.DataFrame:
    """Return 5,000 molecules of QM9 with twelve properties computed by B3LYP/6-31G(2df,p).

    Columns: ``index`` (number in QM9), ``smiles``, then float64: ``mu`` (dipole moment, Debye),
    ``alpha`` (polarisability, cubed Bohr), ``homo``, ``lumo``, ``gap`` (Hartree), ``r2`` (squared
    Bohr), ``zpve``, ``u0``, ``u298``, ``h298``, ``g298`` (Hartree), ``cv`` (cal/(mol K)).

    Example:
        >>> sample = qm9_sample()
        >>> len(sample), float(sample["gap"].mean()) > 0.2
        (5000, True)
    """
    import pandas

    frame = read_table(Path(__file__).parent / "sample.csv.gz")
    columns = {
        name: frame[name].astype(str).to_numpy()
        if name == "smiles"
        else numeric_column(frame, name, source="sample.csv.gz")
        for name in frame.columns
    }
    result = pandas.DataFrame(columns)
    return result.astype({"index": "int64", "smiles": str})
