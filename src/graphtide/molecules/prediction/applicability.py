"""Whether a molecule is like those learned from: distance to the training set, and its elements.

A molecule lies outside where the mean distance to its three nearest neighbours among the training
molecules, in scaled descriptors, is above that of 99 % of the training molecules among themselves,
or where it holds an element that none of them has. Of many training molecules ten thousand, drawn
at random, stand for all in the distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem
from scipy.spatial.distance import cdist

from graphtide.molecules.prediction.descriptors import DescriptorScale
from graphtide.molecules.prediction.inputs import Inputs

__all__ = ["Domain"]

_NEIGHBOURS = 3
_SHARE = 0.99
_CHUNK = 512
_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Domain:
    """What a model has seen.

    Args:
        scale: of the descriptors.
        columns: the descriptors that ``scale`` keeps.
        known: float32 (n, D), scaled descriptors of the training molecules, or of some of them.
        limit: distance above which a molecule lies outside.
        elements: atomic numbers that occur.
    """

    scale: DescriptorScale
    columns: np.ndarray
    known: np.ndarray
    limit: float
    elements: frozenset[int]

    @staticmethod
    def fit(inputs: Inputs, molecules: Sequence[Chem.Mol]) -> Domain:
        """Describe the training molecules."""
        scale, columns = DescriptorScale.fit(inputs.descriptors, inputs.names)
        known = scale.apply(inputs.descriptors[:, columns])
        if len(known) > _MOST_KNOWN:
            drawn = np.random.default_rng(0).permutation(len(known))[:_MOST_KNOWN]
            known = known[np.sort(drawn)]
        distances = _nearest(known, known, skip=1)
        elements = frozenset(
            atom.GetAtomicNum() for molecule in molecules for atom in molecule.GetAtoms()
        )
        return Domain(scale, columns, known, float(np.quantile(distances, _SHARE)), elements)

    def distances(self, inputs: Inputs) -> np.ndarray:
        """Return the mean distance to the three nearest training molecules, (M,)."""
        return _nearest(self.scale.apply(inputs.descriptors[:, self.columns]), self.known, skip=0)

    def judge(
        self, molecules: Sequence[Chem.Mol], distances: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """Return whether each molecule lies within, and a reason where it does not (else "")."""
        reasons = []
        for molecule, distance in zip(molecules, distances, strict=True):
            strange = sorted(
                {
                    atom.GetSymbol()
                    for atom in molecule.GetAtoms()
                    if atom.GetAtomicNum() not in self.elements
                }
            )
            if strange:
                reasons.append(f"no training molecule holds {', '.join(strange)}")
            elif distance > self.limit:
                reasons.append(
                    f"far from the training molecules (distance {distance:.2f}; {_SHARE:.0%} of "
                    f"them are within {self.limit:.2f} of one another)"
                )
            else:
                reasons.append("")
        return np.array([not reason for reason in reasons], dtype=bool), reasons

    def tensors(self) -> dict[str, np.ndarray]:
        """Return what is needed to make it again."""
        return {
            "centre": self.scale.centre,
            "spread": self.scale.spread,
            "columns": self.columns,
            "known": self.known,
            "limit": np.array([self.limit]),
            "elements": np.array(sorted(self.elements), dtype=np.int64),
        }

    @staticmethod
    def of(tensors: dict[str, np.ndarray], names: tuple[str, ...]) -> Domain:
        """Make it from :meth:`tensors` and the names of all descriptors."""
        columns = tensors["columns"]
        scale = DescriptorScale(
            tuple(names[int(k)] for k in columns), tensors["centre"], tensors["spread"]
        )
        elements = frozenset(tensors["elements"].tolist())
        return Domain(scale, columns, tensors["known"], float(tensors["limit"][0]), elements)


def _nearest(wanted: np.ndarray, known: np.ndarray, *, skip: int) -> np.ndarray:
    """Return mean distances (root mean square over descriptors) to the nearest of the known."""
    count = min(_NEIGHBOURS, len(known) - skip)
    found = np.zeros(len(wanted))
    if count < 1:
        return found
    for start in range(0, len(wanted), _CHUNK):
        table = cdist(wanted[start : start + _CHUNK], known)
        nearest = np.partition(table, skip + count - 1, axis=1)[:, : skip + count]
        found[start : start + _CHUNK] = np.sort(nearest, axis=1)[:, skip:].mean(axis=1)
    return found / np.sqrt(known.shape[1])
