"""Molecules of a corpus as dense graphs, a batch at a time, and where the chain starts from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from graphtide.errors import InputError
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.flow_matching.pairs import pair_place

__all__ = ["FlowMatchingExamples"]


class FlowMatchingExamples:
    """Molecules prepared for :class:`FlowMatching`.

    Args:
        corpus: the molecules.
        properties: numbers (K,) for each of the K molecules, by name; NaN where not known.

    Raises:
        InputError: a property has another length, or no finite values.
    """

    def __init__(self, corpus: Corpus, properties: Mapping[str, np.ndarray] | None = None) -> None:
        self.corpus = corpus
        self.names = tuple(properties or ())
        columns = [
            _column(name, values, len(corpus)) for name, values in (properties or {}).items()
        ]
        self.values = np.stack(columns, axis=1) if columns else np.empty((len(corpus), 0))
        with np.errstate(all="ignore"):
            self.means = np.nanmean(self.values, axis=0)
            spreads = np.nanstd(self.values, axis=0)
        self.spreads = np.where(spreads > 0, spreads, 1.0)

    @property
    def sizes(self) -> np.ndarray:
        """Number of nodes of each molecule, (K,)."""
        return self.corpus.sizes

    def batch(self, indices: np.ndarray, generator: np.random.Generator) -> tuple[Tensor, ...]:
        """Return the clean graphs of a batch.

        Returns:
            types int64 (n, B); orders int64 (P, B), 0 for no bond; padding bool (n, B), where
            smaller graphs have no node, or (0, B) where all have n; standardised properties
            (B, properties), NaN where not known.
        """
        del generator
        chosen = self.corpus.subset(indices).encoded
        counts = chosen.atom_counts.astype(np.int64)
        n, batch = int(counts.max()), len(counts)
        types = np.zeros((n, batch), dtype=np.int64)
        types[_within(counts), np.repeat(np.arange(batch), counts)] = chosen.atoms
        orders = np.zeros((n * (n - 1) // 2, batch), dtype=np.int64)
        rows = np.asarray(chosen.bonds, dtype=np.int64)
        place = pair_place(rows[:, 0], rows[:, 1], n)
        orders[place, np.repeat(np.arange(batch), chosen.bond_counts)] = rows[:, 2]
        padding = np.arange(n)[:, None] >= counts
        padding = padding if padding.any() else padding[:0]
        known = (self.values[indices] - self.means) / self.spreads
        return (
            torch.from_numpy(types),
            torch.from_numpy(orders),
            torch.from_numpy(padding),
            torch.from_numpy(known.astype(np.float32)),
        )

    def compositions(self) -> np.ndarray:
        """Return how many atoms of each type each molecule has, int16 (K, T)."""
        table = np.zeros((len(self.corpus), len(self.corpus.vocabulary)), dtype=np.int16)
        owner = np.repeat(np.arange(len(self.corpus)), self.sizes)
        np.add.at(table, (owner, np.asarray(self.corpus.encoded.atoms, dtype=np.int64)), 1)
        return table

    def order_counts(self) -> np.ndarray:
        """Return how many pairs of nodes have no bond, a single, a double, a triple one, (4,)."""
        found = np.bincount(np.asarray(self.corpus.encoded.bonds[:, 2]), minlength=4)[:4]
        sizes = self.sizes.astype(np.int64)
        found[0] = int((sizes * (sizes - 1) // 2).sum()) - int(found[1:].sum())
        return found


def _column(name: str, values: np.ndarray, count: int) -> np.ndarray:
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (count,):
        raise InputError(
            f"property '{name}' has the shape {column.shape}; one number for each of the {count} "
            "molecules was expected"
        )
    column = np.where(np.isfinite(column), column, np.nan)
    if np.isnan(column).all():
        raise InputError(f"property '{name}' has no finite value")
    return column


def _within(counts: np.ndarray) -> np.ndarray:
    """Return 0 .. count - 1 for each count, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1]) - np.repeat(ends - counts, counts)
