"""A cross-section: values, which of them are exact, and what was not seen.

Each row is a unit seen once. It may be exact; known only to lie in a cell [a, b), as whole numbers
and rounded readings do; right-censored (the unit had reached the value and was still growing); and
seen only because it had passed an entry value (left truncation). Rows may have weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphtide.errors import InputError

__all__ = ["MINIMUM_SIZE", "Sample", "rounding_step"]

MINIMUM_SIZE = 8
"""Fewest rows from which a law is fitted."""

_FINEST_DECIMAL = 6
_TIED_BELOW = 0.5  # share of distinct values under which decimals count as rounded
_ENOUGH_FOR_TENS = 100  # rows that must all be multiples of ten (a hundred, ...) to be rounded so
_FEWEST_IN_LATTICE = 12  # distinct values that must all lie on a lattice for it to be one
_OFF_LATTICE = 0.02  # share of the step
_COARSE_ABOVE = 0.01  # or a step that is coarser than this share of the interquartile range


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of a cross-section in increasing order of value; made by :meth:`of`.

    Attributes:
        values: (n,) float64.
        weights: (n,), how many units each row stands for; None for one each.
        observed: (n,), False where right-censored; None where all were seen.
        entry: (n,), value that a unit had to reach to be seen; None where there is none.
        step: width of the cells of whole or rounded numbers; 0 for exact values.
        below: how far a cell reaches below its value: 0 for counts, step/2 for rounded values.
        ratio: upper over lower end of the cells of values rounded on a logarithmic scale (powers of
            magnitudes); 1 where they are not.
        counts: whether the weights are numbers of units.
    """

    values: np.ndarray
    weights: np.ndarray | None
    observed: np.ndarray | None
    entry: np.ndarray | None
    step: float
    below: float
    counts: bool
    ratio: float = 1.0

    @staticmethod
    def of(
        values: np.ndarray,
        *,
        weights: np.ndarray | None = None,
        observed: np.ndarray | None = None,
        entry: np.ndarray | None = None,
        discrete: bool = False,
    ) -> Sample:
        """Check and sort a cross-section; find out whether its values are whole or rounded.

        Args:
            values: (n,) finite numbers.
            weights: (n,) above 0. Whole numbers count units; others are sampling weights, scaled so
                that they sum to the effective size (sum w)^2 / sum w^2.
            observed: (n,) truth values; False for right-censored rows.
            entry: (n,) left truncation, each below its value.
            discrete: the values are counts; otherwise whole numbers are recognised by themselves.

        Raises:
            InputError: a value is missing or infinite, shapes differ, fewer than eight rows, all
                values are equal, weights are not positive, an entry lies above its value, no row is
                observed, or `discrete` is asked of numbers that are not whole.
        """
        data = np.asarray(values, dtype=np.float64).ravel()
        if not np.isfinite(data).all():
            row = int(np.flatnonzero(~np.isfinite(data))[0])
            raise InputError(f"sample {row + 1} is {data[row]:g}; every value must be finite")
        if len(data) < MINIMUM_SIZE:
            raise InputError(
                f"{len(data)} samples; a law needs at least {MINIMUM_SIZE}, and some hundred to "
                "tell families apart"
            )
        if data.min() == data.max():
            raise InputError(
                f"all {len(data)} values equal {data[0]:g}; a distribution needs values that differ"
            )
        if discrete and not np.array_equal(data, np.rint(data)):
            odd = data[data != np.rint(data)][0]
            raise InputError(f"counts were announced, but {odd:g} is not a whole number")
        given = {"weights": weights, "observed": observed, "entry": entry}
        plain = all(column is None for column in given.values())
        order = np.arange(0) if plain else np.argsort(data, kind="stable")
        columns = {
            name: None if column is None else _aligned(column, name, len(data))[order]
            for name, column in given.items()
        }
        data = np.sort(data) if plain else data[order]
        weight, counts = _checked_weights(columns["weights"])
        seen = columns["observed"]
        if seen is not None:
            seen = seen.astype(bool)
            if not seen.any():
                raise InputError("every row is censored; at least some values must be observed")
            seen = None if seen.all() else seen
        if columns["entry"] is not None and (columns["entry"] > data).any():
            row = int(np.flatnonzero(columns["entry"] > data)[0])
            raise InputError(
                f"an entry of {columns['entry'][row]:g} lies above its value {data[row]:g}"
            )
        step = 1.0 if discrete else rounding_step(data)
        below = 0.0 if step == 1.0 else step / 2
        ratio = 1.0
        if step == 0.0 and data[0] > 0.0:
            ratio = float(np.exp(_lattice(np.log(data))))
        return Sample(data, weight, seen, columns["entry"], step, below, counts, ratio)

    @property
    def size(self) -> float:
        """Number of units: rows, or the sum of the weights."""
        return float(len(self.values) if self.weights is None else self.weights.sum())

    @property
    def positive(self) -> bool:
        """Whether every value may be the size of something: above 0, or a count from 0 on."""
        lowest = float(self.values[0])
        return lowest > 0.0 or (lowest == 0.0 and self.step > 0.0)

    @property
    def tied(self) -> bool:
        """Whether a value stands for a cell about it."""
        return self.step > 0.0 or self.ratio > 1.0

    def lower(self, values: np.ndarray) -> np.ndarray:
        """Return the lower ends of the cells of values; the values where they are exact."""
        return values / np.sqrt(self.ratio) - self.below

    def upper(self, values: np.ndarray) -> np.ndarray:
        """Return the upper ends of the cells of values; the values where they are exact."""
        return values * np.sqrt(self.ratio) + (self.step - self.below)

    @property
    def middle(self) -> np.ndarray:
        """Middles of the cells, (n,); the values where they are exact."""
        return self.values + (self.step / 2 - self.below)

    @property
    def whole(self) -> bool:
        """Whether the values are counts."""
        return self.step == 1.0 and self.below == 0.0

    @property
    def start(self) -> float:
        """Where growth is seen to begin: the lowest entry, or the end of the lowest cell."""
        lowest = float(self.lower(self.values[:1])[0])
        if self.entry is not None:
            return min(float(self.entry.min()), lowest)
        return lowest

    @property
    def truncation(self) -> float | None:
        """Value below which counts cannot lie, taken as the least count where that is above 0."""
        if self.whole and self.entry is None and self.values[0] > 0.0:
            return float(self.values[0])
        return None


def rounding_step(values: np.ndarray) -> float:
    """Return the step of whole or rounded values, 0 for values without one.

    Whole numbers have step 1. Values of which half are ties and that are all multiples of their
    smallest difference have that step (counts scaled by a constant). Other decimals count as
    rounded to a step 10^-k where all are multiples of it and either half of the values are ties or
    the step is a hundredth of the interquartile range.

    Args:
        values: (n,) in increasing order.
    """
    head = values[:: max(1, len(values) // 500)]
    for digits in range(-9, _FINEST_DECIMAL + 1):
        scale = 10.0**digits
        if not (_multiples(head, scale) and _multiples(values, scale)):
            continue
        if digits <= 0:
            # A few counts may all end in zeros by chance.
            return 1.0 if len(values) < _ENOUGH_FOR_TENS else 10.0**-digits
        lattice = _lattice(values)
        if lattice > 0.0:
            return lattice
        step = 1.0 / scale
        distinct = 1 + np.count_nonzero(np.diff(values))
        quarter, three_quarters = np.quantile(values, [0.25, 0.75])
        coarse = step > _COARSE_ABOVE * (three_quarters - quarter)
        return step if coarse or distinct < _TIED_BELOW * len(values) else 0.0
    return _lattice(values)


def _lattice(values: np.ndarray) -> float:
    """Return the smallest difference of tied values where all are multiples of it, else 0."""
    gaps = np.diff(values)
    distinct = values[np.concatenate([[True], gaps > 0.0])]
    if len(distinct) < _FEWEST_IN_LATTICE or len(distinct) >= _TIED_BELOW * len(values):
        return 0.0
    smallest = np.diff(distinct)
    step = float(smallest[smallest > 1e-9 * np.ptp(values)].min())
    for _ in range(2):
        number = np.rint(distinct / step)
        step = float((number @ distinct) / (number @ number))
    off = np.abs(distinct / step - np.rint(distinct / step))
    return step if float(off.max()) < _OFF_LATTICE else 0.0


def _multiples(values: np.ndarray, scale: float) -> bool:
    scaled = values * scale
    return bool((np.abs(scaled - np.rint(scaled)) <= 1e-9 * np.maximum(1.0, np.abs(scaled))).all())


def _aligned(column: np.ndarray, name: str, count: int) -> np.ndarray:
    array = np.asarray(column).ravel()
    if array.shape != (count,):
        raise InputError(f"{name} has {array.size} entries where there are {count} values")
    if not np.isfinite(array.astype(np.float64)).all():
        raise InputError(f"{name} has an entry that is missing or infinite")
    return array


def _checked_weights(weights: np.ndarray | None) -> tuple[np.ndarray | None, bool]:
    """Return weights that sum to the number of independent units, and whether they are counts."""
    if weights is None:
        return None, True
    weight = weights.astype(np.float64)
    if (weight <= 0.0).any():
        raise InputError(f"a weight is {weight.min():g}; weights must be above 0")
    if np.array_equal(weight, np.rint(weight)):
        return weight, True
    return weight * (weight.sum() / (weight**2).sum()), False
