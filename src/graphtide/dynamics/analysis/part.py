"""What every part of an analysis gives: figures, tables, and its findings as plain sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pandas

__all__ = ["Part", "Progress", "untold"]

Progress = Callable[[float, str], None]
"""Told the share done and what is being done."""


class Part(Protocol):
    """The result of one part of an analysis."""

    def metrics(self) -> dict[str, object]:
        """Return figures by plain words; `findings`, where there, is a list of sentences."""
        ...

    def tables(self) -> dict[str, pandas.DataFrame]:
        """Return tables by file name, without extension."""
        ...


def untold(_share: float, _text: str) -> None:
    """Tell nobody how far the work is."""
