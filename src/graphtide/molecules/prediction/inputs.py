"""What the members of a model see of molecules: descriptors, fragments, fingerprint and graph."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rdkit import Chem

from graphtide.molecules.prediction.descriptors import (
    descriptor_names,
    descriptor_table,
    morgan_counts,
)
from graphtide.molecules.prediction.features import MolecularBatch, MoleculeFeatures, featurize
from graphtide.molecules.prediction.network import Encoder
from graphtide.molecules.prediction.pretrained import load_encoder

__all__ = ["Inputs", "make_inputs", "shipped_encoder"]

_BATCH = 128
_MOST_COUNT = 15
"""Counts of a fragment above this are told as this; they are kept as bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """M molecules as their members see them.

    Args:
        descriptors: float64 (M, D) of ``names``, NaN where missing.
        names: D names of RDKit's descriptors.
        counts: uint8 (M, 2048), circular fragments.
        fingerprints: float32 (M, P), sum and mean over atoms of the pretrained encoder.
        features: the graphs.
    """

    descriptors: np.ndarray
    names: tuple[str, ...]
    counts: np.ndarray
    fingerprints: np.ndarray
    features: tuple[MoleculeFeatures, ...]

    def __len__(self) -> int:
        return len(self.descriptors)

    def take(self, rows: np.ndarray) -> Inputs:
        """Return some of the molecules, by number."""
        return Inputs(
            self.descriptors[rows],
            self.names,
            self.counts[rows],
            self.fingerprints[rows],
            tuple(self.features[int(k)] for k in rows),
        )


def make_inputs(
    molecules: Sequence[Chem.Mol],
    *,
    names: Sequence[str] | None = None,
    workers: int = 1,
    progress: Callable[[float, str], None] | None = None,
) -> Inputs:
    """Compute what the members need of molecules; about 6 ms each, all but 1 of them descriptors.

    Args:
        molecules: sanitised.
        names: descriptors; None takes all that RDKit has.
        workers: processes for the descriptors.
        progress: told the share done.
    """
    wanted = descriptor_names() if names is None else tuple(names)
    stride = max(256, len(molecules))
    if progress is not None:
        stride = 256 * workers
    tables = []
    for start in range(0, len(molecules), stride):
        part = molecules[start : start + stride]
        tables.append(descriptor_table(part, wanted, workers=workers))
        if progress is not None:
            progress((start + len(part)) / len(molecules), "descriptors")
    features = tuple(featurize(molecule) for molecule in molecules)
    return Inputs(
        np.concatenate(tables) if tables else np.empty((0, len(wanted))),
        wanted,
        np.minimum(morgan_counts(molecules), _MOST_COUNT).astype(np.uint8),
        _fingerprints(features),
        features,
    )


@functools.cache
def shipped_encoder() -> Encoder:
    """Return the pretrained encoder, read once, for evaluation alone."""
    return load_encoder().eval().requires_grad_(False)


@torch.no_grad()
def _fingerprints(features: Sequence[MoleculeFeatures]) -> np.ndarray:
    encoder = shipped_encoder()
    parts = [
        encoder.pooled(MolecularBatch.of(features[k : k + _BATCH])).numpy()
        for k in range(0, len(features), _BATCH)
    ]
    width = 2 * encoder.size.atoms
    return np.concatenate(parts) if parts else np.empty((0, width), dtype=np.float32)
