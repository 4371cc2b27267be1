"""What a page is made of: sections of text, figures and tables; each figure with its data."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

import pandas

__all__ = ["Figure", "Network", "Page", "Section", "Table", "number"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with what it shows in words.

    Attributes:
        svg: the picture, inline SVG.
        caption: what is seen, under the picture.
        finding: what it means in one sentence, for those who do not see it.
        data: the numbers behind it.
        name: file name of the numbers, without extension.
        wide: whether it takes the whole width of the page.
    """

    svg: str
    caption: str
    finding: str
    data: pandas.DataFrame
    name: str
    wide: bool = True

    @property
    def data_link(self) -> str:
        """The numbers as a link that a browser saves as CSV."""
        text = self.data.to_csv(index=False, lineterminator="\n")
        return "data:text/csv;base64," + base64.b64encode(text.encode()).decode()


@dataclass(frozen=True, slots=True)
class Network:
    """A network whose nodes change colour with time, drawn on a canvas.

    Attributes:
        payload: JSON for the script: positions, edges, times, colours.
        caption: what is seen.
        finding: what it means in one sentence.
        low, high: the states at both ends of the colours.
        moments: number of times.
        unit: unit of the states, or nothing.
    """

    payload: str
    caption: str
    finding: str
    low: str
    high: str
    moments: int
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a header; numbers are already written out."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with paragraphs, then figures and tables in order."""

    title: str
    paragraphs: tuple[str, ...] = ()
    items: tuple[Figure | Network | Table, ...] = ()
    law: str = ""
    notes: tuple[str, ...] = ()

    def kind_of(self, item: object) -> str:
        """Return the name by which the template tells items apart."""
        return type(item).__name__.lower()


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page: title, one sentence of result, sections, and how the run was made."""

    title: str
    lead: str
    sections: tuple[Section, ...]
    provenance: dict[str, str] = field(default_factory=dict)


def number(value: object, digits: int = 3) -> str:
    """Write a number for a reader; nothing becomes a dash."""
    if value is None or value != value:  # only not-a-number differs from itself
        return "–"
    if isinstance(value, int | float):
        size = abs(float(value))
        if size >= 1000:
            return f"{value:,.0f}"
        return f"{value:.{digits}g}"
    return str(value)
