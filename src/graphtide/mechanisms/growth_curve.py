"""A growth curve: sizes at times, read from a table and checked."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import InputError
from graphtide.files import numeric_column, read_table

if TYPE_CHECKING:
    import pandas

__all__ = ["LEAST_READINGS", "GrowthCurve", "read_curve"]

LEAST_READINGS = 8
"""Fewest readings of a curve: laws of four parameters, a tail held out."""
_MOST_READINGS = 600
"""Longer curves are thinned to about this many readings, evenly in their order."""
_FALL = 0.2
"""Share of the largest size so far by which a reading may lie below it, as noise."""


@dataclass(frozen=True, slots=True, eq=False)
class GrowthCurve:
    """Sizes at times.

    Args:
        times: (T,) increasing.
        sizes: (T,) positive.
        links: (T,) numbers of links, positive, where known.
        time_unit: unit of the times, where known.
        rows: (T,) row numbers of the file, for messages.
        source: the file, for messages.

    Raises:
        InputError: there are fewer than 8 readings, times do not increase, a size is not a positive
            number, or the curve shrinks: it ends below its start, or falls by more than a fifth.
    """

    times: np.ndarray
    sizes: np.ndarray
    links: np.ndarray | None = None
    time_unit: str = ""
    rows: np.ndarray | None = None
    source: str = "the curve"

    def __post_init__(self) -> None:
        """Check times and sizes."""
        times = np.array(self.times, dtype=np.float64)
        object.__setattr__(self, "times", times)
        if times.ndim != 1 or len(times) < LEAST_READINGS:
            raise InputError(
                f"{self.source}: {times.size} readings; at least {LEAST_READINGS} are needed"
            )
        if not np.isfinite(times).all():
            place = int(np.flatnonzero(~np.isfinite(times))[0])
            raise InputError(f"{self._where(place)}: the time is missing")
        back = np.flatnonzero(np.diff(times) <= 0)
        if back.size:
            k = int(back[0])
            raise InputError(
                f"{self._where(k + 1)}: time {times[k + 1]:g} follows {times[k]:g}; times must "
                "increase"
            )
        object.__setattr__(self, "sizes", self._checked(self.sizes, "size"))
        if self.links is not None:
            object.__setattr__(self, "links", self._checked(self.links, "number of links"))

    def _checked(self, values: np.ndarray, what: str) -> np.ndarray:
        sizes = np.array(values, dtype=np.float64)
        if sizes.shape != self.times.shape:
            raise InputError(f"{self.source}: {len(sizes)} sizes at {len(self.times)} times")
        wrong = np.flatnonzero(~(np.isfinite(sizes) & (sizes > 0.0)))
        if wrong.size:
            k = int(wrong[0])
            raise InputError(
                f"{self._where(k)}: the {what} is {sizes[k]:g}; a positive number was expected"
            )
        highest = np.maximum.accumulate(sizes)
        fallen = np.flatnonzero(sizes < (1.0 - _FALL) * highest)
        if fallen.size:
            k = int(fallen[0])
            raise InputError(
                f"{self._where(k)}: the {what} falls from {highest[k]:g} to {sizes[k]:g}; a growth "
                "curve must not shrink (cumulative sizes are wanted)"
            )
        if sizes[-1] <= sizes[0]:
            raise InputError(
                f"{self._where(len(sizes) - 1)}: the {what} ends at {sizes[-1]:g} after beginning "
                f"at {sizes[0]:g}; a growth curve must grow"
            )
        return sizes

    def _where(self, place: int) -> str:
        if self.rows is None:
            return f"{self.source}, reading {place + 1}"
        return f"{self.source}, row {self.rows[place]}"

    def thinned(self) -> GrowthCurve:
        """Return at most about 600 of the readings, evenly in their order, first and last kept."""
        if len(self.times) <= _MOST_READINGS:
            return self
        kept = np.unique(np.linspace(0, len(self.times) - 1, _MOST_READINGS).astype(int))
        return GrowthCurve(
            self.times[kept],
            self.sizes[kept],
            None if self.links is None else self.links[kept],
            self.time_unit,
            None if self.rows is None else self.rows[kept],
            self.source,
        )


def read_curve(
    path: str | Path, *, size: str | None = None, links: str | None = None
) -> GrowthCurve:
    """Return the growth curve of a CSV file.

    Args:
        path: a table whose first column is the time, a number or a date (2020-03-31; times are then
            days from the first).
        size: column of the sizes; None for the second.
        links: column of numbers of links; None for none.

    Raises:
        InputError: as :class:`GrowthCurve` and :func:`graphtide.files.read_table`, with file and
            row; or a column is missing.
    """
    frame = read_table(path)
    if len(frame.columns) < 2:
        raise InputError(f"{path}: there is one column; a time and a size were expected")
    first = str(frame.columns[0])
    column = str(frame.columns[1]) if size is None else size
    times, unit = _times(frame, first, path)
    sizes = numeric_column(frame, column, source=path)
    count = None if links is None else numeric_column(frame, links, source=path)
    return GrowthCurve(times, sizes, count, unit, frame.index.to_numpy(), str(path))


def _times(frame: pandas.DataFrame, column: str, path: str | Path) -> tuple[np.ndarray, str]:
    """Return times and their unit: numbers as they are, dates as days from the first."""
    cells = frame[column].to_numpy()
    try:
        dates = [datetime.datetime.fromisoformat(cell) for cell in cells]
        float_like = all(cell.isdigit() for cell in cells)
    except ValueError:
        dates, float_like = [], True
    if not dates or float_like:
        return numeric_column(frame, column, source=path), ""
    try:
        days = [(date - dates[0]).total_seconds() / 86400.0 for date in dates]
    except TypeError:
        raise InputError(f"{path}, column '{column}': dates with and without a time zone") from None
    return np.array(days), "days"
