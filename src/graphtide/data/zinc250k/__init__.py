"""A random sample of ZINC250k, 5,000 drug-like molecules (CARD.md: source, licence, hashes)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graphtide.files import read_table

if TYPE_CHECKING:
    import pandas

__all__ = ["zinc250k_sample"]


def zinc250k_sample() -> pandas.DataFrame:
    """Return 5,000 molecules of ZINC250k, one column ``smiles``; charges and stereo as in the set.

    Example:
        >>> zinc250k_sample().shape
        (5000, 1)
    """
    frame = read_table(Path(__file__).parent / "sample.csv.gz")
    return frame.reset_index(drop=True).astype(str)
