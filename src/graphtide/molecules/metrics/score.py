"""Score generated molecules: every metric with its floor and its standard error.

The number generated is the one denominator of validity and connectivity. Every distance stands
beside its floor, the same distance between real molecules and other real molecules, as it is not
zero for a finite sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import InputError
from graphtide.molecules.files import MoleculeLines
from graphtide.molecules.metrics.chemnet import embed
from graphtide.molecules.metrics.definitions import DEFINITIONS, Definition
from graphtide.molecules.metrics.distances import (
    DISTANCES,
    Summary,
    distances,
    resampled_errors,
    summarise,
)
from graphtide.molecules.metrics.features import features_of, parse_all
from graphtide.molecules.metrics.store import kept_codes, kept_summary, key_of, molecule_codes

if TYPE_CHECKING:
    import pandas

__all__ = ["Metric", "Scores", "score"]

Molecules = MoleculeLines | Sequence[str]
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure with what it means.

    Attributes:
        name: key of ``DEFINITIONS``.
        value: the figure; None where it was not asked for or nothing is there to compute it from.
        floor: the same for real molecules against real molecules; None where it has none.
        standard_error: of the value; None where there is none.
    """

    name: str
    value: float | None
    floor: float | None = None
    standard_error: float | None = None

    @property
    def definition(self) -> Definition:
        """What the metric means."""
        return DEFINITIONS[self.name]


@dataclass(frozen=True, slots=True)
class Scores:
    """All metrics of a set of generated molecules.

    Attributes:
        number: molecules generated, the denominator.
        valid: how many of them are molecules.
        reference_number, floor_number: molecules of the reference, and of each side of the floor.
        entries: the metrics.
        unparseable: line number and text of each that is no molecule.
        smiles: canonical SMILES of the valid ones.
        descriptors, reference_descriptors: shapes (valid, 11) and (reference, 11), columns as in
            ``features.DESCRIPTORS``.
        notes: what a reader should know.
    """

    number: int
    valid: int
    reference_number: int
    floor_number: int
    entries: tuple[Metric, ...]
    unparseable: tuple[tuple[int, str], ...]
    smiles: tuple[str, ...]
    descriptors: np.ndarray
    reference_descriptors: np.ndarray
    notes: tuple[str, ...] = ()

    def metrics(self) -> dict[str, float | int | None]:
        """Return the figures by plain names, each floor and standard error under its own."""
        found: dict[str, float | int | None] = {
            "number": self.number,
            "valid": self.valid,
            "unparseable": len(self.unparseable),
            "reference_number": self.reference_number,
            "floor_number": self.floor_number,
        }
        for entry in self.entries:
            found[entry.name] = entry.value
            if entry.definition.distance:
                found[f"{entry.name}_floor"] = entry.floor
            if entry.standard_error is not None:
                found[f"{entry.name}_standard_error"] = entry.standard_error
        return found

    def table(self) -> pandas.DataFrame:
        """Return one row a metric: figures, direction, what it is against, definition, source."""
        import pandas

        rows = [
            {
                "metric": entry.name,
                "value": entry.value,
                "floor": entry.floor,
                "standard_error": entry.standard_error,
                "better": entry.definition.direction,
                "against": entry.definition.against,
                "definition": entry.definition.text,
                "source": entry.definition.source,
            }
            for entry in self.entries
        ]
        return pandas.DataFrame(rows)


def score(
    molecules: Molecules,
    reference: Molecules,
    *,
    train: Molecules | None = None,
    before_correction: Molecules | None = None,
    reconstruction: float | None = None,
    number: int | None = None,
    reference_size: int = 10_000,
    stereo: bool = False,
    draws: int = 10,
    workers: int = 1,
    seed: int = 0,
    cache: Path | None = None,
    progress: Progress = lambda _share, _text: None,
) -> Scores:
    """Score generated molecules against real ones.

    Costs about 8 ms of one core a molecule (half of it ChemNet's), and twice that for the reference
    the first time, as its floor is computed too; with a cache only the first time.

    Args:
        molecules: what was generated, SMILES; what is no molecule counts against validity.
        reference: real molecules to compare with, best ones that the model has not seen.
        train: molecules the model has seen, for novelty.
        before_correction: the same molecules before any repair, for their validity.
        reconstruction: share reconstructed, passed on to the table.
        number: how many were generated: the first ones are scored; where fewer are given, those
            missing count as failed. None takes all given.
        reference_size: most molecules of the reference that are used, drawn with the seed. Where it
            holds twice as many, the floor is between two such draws, else between its halves.
        stereo: tell stereoisomers apart; otherwise marks of stereochemistry are removed everywhere.
        draws: bootstrap sets for standard errors, at least 2.
        workers: processes.
        seed: seed of the draws from the reference and of the bootstrap.
        cache: folder in which summaries of the reference and the training set are kept.
        progress: is told the share that is done and what is being done.

    Raises:
        InputError: nothing was generated, the reference has fewer than four molecules, a number is
            not positive, or the reconstruction is no share.
    """
    for name, value, least in (
        ("number", number, 1),
        ("reference_size", reference_size, 2),
        ("draws", draws, 2),
        ("workers", workers, 1),
    ):
        if value is not None and value < least:
            raise InputError(f"{name} is {value}; at least {least} was expected")
    if reconstruction is not None and not 0 <= reconstruction <= 1:
        raise InputError(f"reconstruction is {reconstruction}; a share between 0 and 1 is expected")
    texts, lines = _texts(molecules, number)
    count = number if number is not None else len(texts)
    if count == 0:
        raise InputError("there is no molecule to score")
    progress(0.0, "reading molecules")
    parsed = parse_all(texts, stereo=stereo, workers=workers)
    valid = [one for one in parsed if one is not None]
    smiles = tuple(text for text, _ in valid)
    distinct = sorted(set(smiles))
    shares: dict[str, tuple[float | None, int]] = {
        "validity": (len(valid) / count, count),
        "validity_before_correction": _share_valid(before_correction, count, stereo, workers),
        "connectivity": (sum(pieces == 1 for _, pieces in valid) / count, count),
        "uniqueness": (len(distinct) / len(valid) if valid else None, len(valid)),
        "valid_unique": (len(distinct) / count, count),
        "reconstruction": (reconstruction, 0),
    }
    if train is not None:
        progress(0.05, "looking for the molecules in the training set")
        codes = _training_codes(train, stereo=stereo, workers=workers, cache=cache)
        novel = int((~np.isin(molecule_codes(distinct), codes)).sum())
        shares["novelty"] = (novel / len(distinct) if distinct else None, len(distinct))
        shares["valid_unique_novel"] = (novel / count, count)
    ours, other, notes = _reference_parts(
        reference, reference_size, stereo=stereo, workers=workers, seed=seed
    )
    real = _summary_of(
        ours, stereo, workers, cache, lambda s: progress(0.1 + 0.25 * s, "reference")
    )
    floor = _floor(
        ours, other, real, stereo, workers, cache, lambda s: progress(0.35 + 0.25 * s, "floor")
    )
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    descriptors = np.empty((0, real.descriptors.shape[1]))
    if valid:
        features = features_of(
            smiles, workers=workers, progress=lambda s: progress(0.6 + 0.1 * s, "features")
        )
        embedding = embed(smiles, progress=lambda s: progress(0.7 + 0.2 * s, "ChemNet"))
        own = summarise(features, embedding)
        descriptors = own.descriptors
        values = distances(own, real)
        progress(0.95, "bootstrap")
        errors = resampled_errors(
            features, embedding, own, real, draws=draws, generator=np.random.default_rng(seed)
        )
    entries = []
    for name in DEFINITIONS:
        if name in DISTANCES:
            entries.append(
                Metric(
                    name, _finite(values.get(name)), _finite(floor[name]), _finite(errors.get(name))
                )
            )
        else:
            share, of = shares.get(name, (None, 0))
            # A share of independent draws: what the bootstrap gives in the limit of many draws.
            error = np.sqrt(share * (1 - share) / of) if share is not None and of else None
            entries.append(Metric(name, share, None, None if error is None else float(error)))
    unparseable = tuple(
        (line, text) for line, text, one in zip(lines, texts, parsed, strict=True) if one is None
    )
    return Scores(
        number=count,
        valid=len(valid),
        reference_number=len(ours),
        floor_number=len(other) or len(ours) // 2,
        entries=tuple(entries),
        unparseable=unparseable,
        smiles=smiles,
        descriptors=descriptors,
        reference_descriptors=real.descriptors,
        notes=tuple(notes),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None


def _texts(molecules: Molecules, number: int | None = None) -> tuple[list[str], list[int]]:
    """Return texts and line numbers, the first ones only where a number is given."""
    if isinstance(molecules, MoleculeLines):
        return list(molecules.smiles[:number]), list(molecules.lines[:number])
    texts = list(molecules)[:number]
    return texts, list(range(1, len(texts) + 1))


def _share_valid(
    molecules: Molecules | None, count: int, stereo: bool, workers: int
) -> tuple[float | None, int]:
    if molecules is None:
        return None, 0
    texts, _ = _texts(molecules, count)
    parsed = parse_all(texts, stereo=stereo, workers=workers)
    return sum(one is not None for one in parsed) / count, count


def _training_codes(
    train: Molecules, *, stereo: bool, workers: int, cache: Path | None
) -> np.ndarray:
    texts, _ = _texts(train)

    def compute() -> np.ndarray:
        parsed = parse_all(texts, stereo=stereo, workers=workers)
        return np.unique(molecule_codes([one[0] for one in parsed if one is not None]))

    return kept_codes(cache, key_of(texts, stereo=stereo), compute)


def _reference_parts(
    reference: Molecules, size: int, *, stereo: bool, workers: int, seed: int
) -> tuple[list[str], list[str], list[str]]:
    """Return the reference, other molecules of it for the floor (or none), and notes."""
    texts, _ = _texts(reference)
    order = np.random.default_rng(seed).permutation(len(texts))
    # A few more than are needed, for those that are no molecules.
    drawn = [texts[k] for k in order[: 2 * size + 200]]
    parsed = [one for one in parse_all(drawn, stereo=stereo, workers=workers) if one is not None]
    notes = []
    if len(parsed) < len(drawn):
        notes.append(
            f"{len(drawn) - len(parsed)} of {len(drawn)} reference lines are no molecules and are "
            "left out."
        )
    smiles = [text for text, _ in parsed]
    if len(smiles) < 4:
        raise InputError(f"the reference has {len(smiles)} molecules; at least 4 were expected")
    if len(smiles) >= 2 * size:
        return smiles[:size], smiles[size : 2 * size], notes
    return smiles[:size], [], notes


def _summary_of(
    smiles: Sequence[str],
    stereo: bool,
    workers: int,
    cache: Path | None,
    progress: Callable[[float], None],
) -> Summary:
    def compute() -> Summary:
        features = features_of(smiles, workers=workers, progress=lambda s: progress(0.4 * s))
        return summarise(features, embed(smiles, progress=lambda s: progress(0.4 + 0.6 * s)))

    return kept_summary(cache, key_of(smiles, stereo=stereo), compute)


def _floor(
    ours: Sequence[str],
    other: Sequence[str],
    real: Summary,
    stereo: bool,
    workers: int,
    cache: Path | None,
    progress: Callable[[float], None],
) -> dict[str, float]:
    """Return the distances between real molecules and other real molecules."""
    if other:
        return distances(_summary_of(other, stereo, workers, cache, progress), real)
    half = len(ours) // 2
    first = _summary_of(ours[:half], stereo, workers, cache, lambda s: progress(s / 2))
    second = _summary_of(
        ours[half : 2 * half], stereo, workers, cache, lambda s: progress(0.5 + s / 2)
    )
    return distances(first, second)
