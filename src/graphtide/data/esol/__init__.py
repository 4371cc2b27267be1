"""ESOL: aqueous solubility of 1,128 molecules (CARD.md: source, licence, units, hashes)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graphtide.files import numeric_column, read_table

if TYPE_CHECKING:
    import pandas

__all__ = ["esol"]


def esol() -> pandas.DataFrame:
    """Return 1,128 molecules with their measured solubility in water.

    Columns: ``name``, ``smiles``, then float64: ``solubility`` (decimal logarithm of mol/L, as
    measured) and ``solubility_delaney`` (what Delaney's model of 2004 says).

    Example:
        >>> table = esol()
        >>> len(table), round(float(table["solubility"].mean()), 2)
        (1128, -3.05)
    """
    import pandas

    frame = read_table(Path(__file__).parent / "sample.csv.gz")
    columns = {
        name: frame[name].astype(str).to_numpy()
        if name in ("name", "smiles")
        else numeric_column(frame, name, source="sample.csv.gz")
        for name in frame.columns
    }
    return pandas.DataFrame(columns).astype({"name": str, "smiles": str})
