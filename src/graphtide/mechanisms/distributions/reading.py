"""Columns of a table of samples, read fast, with the row named where a cell is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphtide.errors import InputError
from graphtide.files import numeric_column, read_table, read_text

__all__ = ["Columns", "parse_ages", "read_columns"]

_LARGE = 5_000_000  # characters from which a table is first tried by the parser of pandas


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of the rows that have a value.

    Attributes:
        values: (n,) float64.
        others: further columns by their role.
        missing: number of rows left out because they have no value.
    """

    values: np.ndarray
    others: dict[str, np.ndarray]
    missing: int


def read_columns(path: str | Path, column: str, **others: str | None) -> Columns:
    """Return a column of numbers, and others by role (such as ``weights="count"``).

    Rows whose value is missing are left out; in the other columns a missing cell is an error.

    Raises:
        InputError: the file or a column is missing, a cell is text or infinite, or no row has a
            value.
    """
    wanted = {role: name for role, name in others.items() if name is not None}
    found = _numbers(path, [column, *wanted.values()])
    values = found[column]
    held = ~np.isnan(values)
    if not held.any():
        raise InputError(f"{path}: column '{column}' holds no number")
    picked = {}
    for role, name in wanted.items():
        cells = found[name][held]
        if np.isnan(cells).any():
            row = int(np.flatnonzero(held)[np.flatnonzero(np.isnan(cells))[0]]) + 2
            raise InputError(f"{path}, row {row}, column '{name}': the cell is empty")
        picked[role] = cells
    return Columns(values[held], picked, int(np.count_nonzero(~held)))


def parse_ages(text: str) -> float:
    """Return the hazard of the ages from ``exponential:rate``.

    Raises:
        InputError: another law, or no positive number.
    """
    law, colon, number = (part.strip() for part in text.partition(":"))
    if law != "exponential" or not colon:
        raise InputError(f"--ages {text}: exponential:rate was expected, such as exponential:0.02")
    try:
        rate = float(number)
    except ValueError:
        raise InputError(f"--ages {text}: '{number}' is not a number") from None
    if not (np.isfinite(rate) and rate > 0.0):
        raise InputError(f"--ages {text}: the rate must be above 0")
    return rate


def _numbers(path: str | Path, names: list[str]) -> dict[str, np.ndarray]:
    """Return columns as float64; large clean tables by the parser of pandas."""
    import io

    import pandas

    text = read_text(path)
    if len(text) > _LARGE:
        try:
            frame = pandas.read_csv(
                io.StringIO(text), usecols=list(set(names)), dtype=np.float64, skipinitialspace=True
            )
        except (ValueError, pandas.errors.ParserError):
            pass  # the careful reader below names the row
        else:
            if all(np.isfinite(frame[name].to_numpy()).all() for name in names):
                return {name: frame[name].to_numpy() for name in names}
    table = read_table(path)
    return {name: numeric_column(table, name, source=path) for name in names}
