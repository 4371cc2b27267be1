"""Score generated molecules: every metric with its floor and its standard error.

The number generated is the one denominator of validity and connectivity. Every distance stands
beside its floor, the same distance between real molecules and other real molecules, as it is not
zero for a finite sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import InputError
from graphtide.molecules.metrics.chemnet import embed
from graphtide.molecules.metrics.definitions import DEFINITIONS, Definition
from graphtide.molecules.metrics.distances import (
    DISTANCES,
    distances,
    resampled_errors,
    summarise,
)
from graphtide.molecules.metrics.features import features_of, parse_all
from graphtide.molecules.metrics.reference import (
    Molecules,
    Reading,
    draw_reference,
    texts_of,
    training_codes,
)
from graphtide.molecules.metrics.store import molecule_codes

if TYPE_CHECKING:
    import pandas

__all__ = ["Metric", "Scores", "score"]

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
    _check(number, reference_size, draws, workers, reconstruction)
    reading = Reading(stereo, workers, cache)
    texts, lines = texts_of(molecules, number)
    count = number if number is not None else len(texts)
    if count == 0:
        raise InputError("there is no molecule to score")
    progress(0.0, "reading molecules")
    parsed = parse_all(texts, stereo=stereo, workers=workers)
    smiles = tuple(one[0] for one in parsed if one is not None)
    distinct = sorted(set(smiles))
    connected = sum(one is not None and one[1] == 1 for one in parsed)
    shares = {
        "validity": _share(len(smiles), count),
        "connectivity": _share(connected, count),
        "uniqueness": _share(len(distinct), len(smiles)),
        "valid_unique": _share(len(distinct), count),
        "reconstruction": (reconstruction, None),
    }
    if before_correction is not None:
        before = parse_all(texts_of(before_correction, count)[0], stereo=stereo, workers=workers)
        found = sum(one is not None for one in before)
        shares["validity_before_correction"] = _share(found, count)
    if train is not None:
        progress(0.05, "looking for the molecules in the training set")
        novel = int((~np.isin(molecule_codes(distinct), training_codes(train, reading))).sum())
        shares["novelty"] = _share(novel, len(distinct))
        shares["valid_unique_novel"] = _share(novel, count)
    drawn = draw_reference(
        reference, reference_size, reading=reading, generator=np.random.default_rng(seed)
    )
    real = reading.summary(drawn.smiles, lambda share: progress(0.1 + 0.25 * share, "reference"))
    floor = drawn.floor(real, reading, lambda share: progress(0.35 + 0.25 * share, "floor"))
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    descriptors = np.empty((0, real.descriptors.shape[1]))
    if smiles:
        features = features_of(
            smiles,
            workers=workers,
            progress=lambda share: progress(0.6 + 0.1 * share, "features"),
        )
        embedding = embed(smiles, progress=lambda share: progress(0.7 + 0.2 * share, "ChemNet"))
        own = summarise(features, embedding)
        descriptors = own.descriptors
        values = distances(own, real)
        progress(0.95, "bootstrap")
        errors = resampled_errors(
            features, embedding, own, real, draws=draws, generator=np.random.default_rng(seed)
        )
    entries = tuple(
        Metric(name, _finite(values.get(name)), _finite(floor[name]), _finite(errors.get(name)))
        if name in DISTANCES
        else Metric(name, *_with_error(shares.get(name, (None, None))))
        for name in DEFINITIONS
    )
    unparseable = tuple(
        (line, text) for line, text, one in zip(lines, texts, parsed, strict=True) if one is None
    )
    return Scores(
        number=count,
        valid=len(smiles),
        reference_number=len(drawn.smiles),
        floor_number=drawn.floor_number,
        entries=entries,
        unparseable=unparseable,
        smiles=smiles,
        descriptors=descriptors,
        reference_descriptors=real.descriptors,
        notes=drawn.notes,
    )


def _check(
    number: int | None,
    reference_size: int,
    draws: int,
    workers: int,
    reconstruction: float | None,
) -> None:
    wanted = (
        ("number", number, 1),
        ("reference_size", reference_size, 2),
        ("draws", draws, 2),
        ("workers", workers, 1),
    )
    for name, value, least in wanted:
        if value is not None and value < least:
            raise InputError(f"{name} is {value}; at least {least} was expected")
    if reconstruction is not None and not 0 <= reconstruction <= 1:
        raise InputError(f"reconstruction is {reconstruction}; a share between 0 and 1 is expected")


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None


def _share(part: int, whole: int) -> tuple[float | None, int | None]:
    """Return a share and what it is of."""
    return (part / whole if whole else None), whole


def _with_error(share: tuple[float | None, int | None]) -> tuple[float | None, None, float | None]:
    """Return a share, no floor, and the standard error that a bootstrap of it converges to."""
    value, whole = share
    if value is None or not whole:
        return value, None, None
    return value, None, float(np.sqrt(value * (1 - value) / whole))
