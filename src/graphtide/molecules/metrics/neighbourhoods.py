"""Features of a graph kernel on pairs of neighbourhoods, after NSPDK.

Costa & De Grave (ICML 2010) compare graphs by the pairs of nodes u, v at distance d whose
neighbourhoods of radius r are alike. Here: r = 0..2, d = 0..4; a node's label is its element and
charge, a bond's its order with aromatic as an order of its own; a neighbourhood is named by r
rounds of Weisfeiler-Lehman relabelling; each pair is hashed to one of 2^16 features; the counts of
each (r, d) are scaled to length one, and so is the whole. The kernel is the inner product of two
molecules' features, and the squared maximum mean discrepancy of two sets is |mean - mean|^2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rdkit import Chem

__all__ = ["FEATURES", "neighbourhood_pairs"]

FEATURES = 1 << 16
"""Number of features."""
RADIUS = 2
DISTANCE = 4
_PRIME = np.uint64(0x9E3779B97F4A7C15)


def neighbourhood_pairs(molecule: Chem.Mol) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of a molecule that are not zero: indices (k,) and values (k,), float32.

    The sum of the squared values is one.
    """
    from rdkit import Chem

    distance = Chem.GetDistanceMatrix(molecule)
    first, second = np.nonzero(np.triu(distance <= DISTANCE))
    apart = distance[first, second].astype(np.uint64)
    indices, values = [], []
    for radius, label in enumerate(_labels(molecule)):
        low = np.minimum(label[first], label[second])
        high = np.maximum(label[first], label[second])
        code = _mixed(_mixed(low) ^ (high + np.uint64(radius * (DISTANCE + 1)) + apart))
        for d in range(DISTANCE + 1):
            found, counts = np.unique(code[apart == d] % np.uint64(FEATURES), return_counts=True)
            indices.append(found.astype(np.int64))
            values.append(counts / max(1.0, float(np.sqrt(counts @ counts))))
    column = np.concatenate(indices)
    value = np.concatenate(values)
    distinct, place = np.unique(column, return_inverse=True)
    total = np.bincount(place, weights=value)
    return distinct, (total / np.sqrt(total @ total)).astype(np.float32)


def _labels(molecule: Chem.Mol) -> list[np.ndarray]:
    """Return the name of each atom's neighbourhood, uint64, for each radius."""
    atoms = [atom.GetAtomicNum() * 16 + atom.GetFormalCharge() + 8 for atom in molecule.GetAtoms()]
    label = _mixed(np.array(atoms, dtype=np.uint64))
    ends = [
        (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), int(bond.GetBondType()))
        for bond in molecule.GetBonds()
    ]
    labels = [label]
    if not ends:
        return labels * (RADIUS + 1)
    begin, end, order = np.array(ends, dtype=np.int64).T
    source, target = np.concatenate([end, begin]), np.concatenate([begin, end])
    kind = np.concatenate([order, order]).astype(np.uint64)
    for _ in range(RADIUS):
        # A sum of mixed numbers names the multiset of neighbours, in whatever order they stand.
        around = np.zeros_like(label)
        np.add.at(around, target, _mixed(label[source] + kind * _PRIME))
        label = _mixed(label * _PRIME + around)
        labels.append(label)
    return labels


def _mixed(number: np.ndarray) -> np.ndarray:
    """Return well-mixed bits of each 64-bit number (the finaliser of SplitMix64)."""
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))
