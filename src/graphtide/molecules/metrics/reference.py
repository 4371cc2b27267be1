"""The real molecules that generated ones are compared with, and the floor between two such sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphtide.errors import InputError
from graphtide.molecules.files import MoleculeLines
from graphtide.molecules.metrics.chemnet import embed
from graphtide.molecules.metrics.distances import Summary, distances, summarise
from graphtide.molecules.metrics.features import features_of, parse_all
from graphtide.molecules.metrics.store import kept_codes, kept_summary, key_of, molecule_codes

__all__ = ["Molecules", "Reading", "Reference", "draw_reference", "texts_of", "training_codes"]

Molecules = MoleculeLines | Sequence[str]
_SPARE = 200
"""Molecules drawn beyond those needed, for lines that are no molecules."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How molecules are read: stereo marks kept or not, processes, and where results are kept."""

    stereo: bool = False
    workers: int = 1
    cache: Path | None = None

    def summary(self, smiles: Sequence[str], progress: Callable[[float], None]) -> Summary:
        """Return the summary of canonical SMILES, computed or kept from before."""

        def compute() -> Summary:
            features = features_of(
                smiles, workers=self.workers, progress=lambda share: progress(0.4 * share)
            )
            embedding = embed(smiles, progress=lambda share: progress(0.4 + 0.6 * share))
            return summarise(features, embedding)

        return kept_summary(self.cache, key_of(smiles, stereo=self.stereo), compute)


@dataclass(frozen=True, slots=True)
class Reference:
    """Molecules to compare with.

    Attributes:
        smiles: canonical SMILES of the reference.
        other: as many further molecules of the same source, or none where it is too small.
        notes: what a reader should know.
    """

    smiles: tuple[str, ...]
    other: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def floor_number(self) -> int:
        """Number of molecules on each side of the floor."""
        return len(self.other) or len(self.smiles) // 2

    def floor(
        self, real: Summary, reading: Reading, progress: Callable[[float], None]
    ) -> dict[str, float]:
        """Return the distances between real molecules and other real ones.

        Args:
            real: summary of the reference.
            reading: how molecules are read.
            progress: is told the share that is done.
        """
        if self.other:
            return distances(reading.summary(self.other, progress), real)
        half = len(self.smiles) // 2
        first = reading.summary(self.smiles[:half], lambda share: progress(share / 2))
        second = reading.summary(
            self.smiles[half : 2 * half], lambda share: progress(0.5 + share / 2)
        )
        return distances(first, second)


def draw_reference(
    molecules: Molecules, size: int, *, reading: Reading, generator: np.random.Generator
) -> Reference:
    """Draw at most ``size`` molecules to compare with, and as many others where there are enough.

    Args:
        molecules: real molecules; lines that are none are left out and counted in a note.
        size: most molecules of the reference.
        reading: how molecules are read.
        generator: source of randomness.

    Raises:
        InputError: fewer than four are molecules.
    """
    texts, _ = texts_of(molecules)
    order = generator.permutation(len(texts))
    drawn = [texts[k] for k in order[: 2 * size + _SPARE]]
    parsed = parse_all(drawn, stereo=reading.stereo, workers=reading.workers)
    smiles = tuple(one[0] for one in parsed if one is not None)
    if len(smiles) < 4:
        raise InputError(f"the reference has {len(smiles)} molecules; at least 4 were expected")
    lost = len(drawn) - len(smiles)
    note = f"{lost} of {len(drawn)} lines of the reference are no molecules and are left out."
    other = smiles[size : 2 * size] if len(smiles) >= 2 * size else ()
    return Reference(smiles[:size], other, (note,) if lost else ())


def texts_of(molecules: Molecules, number: int | None = None) -> tuple[list[str], list[int]]:
    """Return texts and line numbers, the first ones only where a number is given."""
    if isinstance(molecules, MoleculeLines):
        return list(molecules.smiles[:number]), list(molecules.lines[:number])
    texts = list(molecules)[:number]
    return texts, list(range(1, len(texts) + 1))


def training_codes(train: Molecules, reading: Reading) -> np.ndarray:
    """Return the sorted codes of the training molecules, computed or kept from before."""
    texts, _ = texts_of(train)

    def compute() -> np.ndarray:
        parsed = parse_all(texts, stereo=reading.stereo, workers=reading.workers)
        return np.unique(molecule_codes([one[0] for one in parsed if one is not None]))

    return kept_codes(reading.cache, key_of(texts, stereo=reading.stereo), compute)
