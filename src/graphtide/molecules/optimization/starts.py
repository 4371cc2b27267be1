"""Molecules to begin from: read from a file, each once, and checked against the constraints."""

from __future__ import annotations

from dataclasses import dataclass

from graphtide.errors import InputError
from graphtide.molecules.chemistry import canonical_smiles
from graphtide.molecules.files import MoleculeLines
from graphtide.molecules.objectives import Filters

__all__ = ["Leads", "read_leads"]


@dataclass(frozen=True, slots=True)
class Leads:
    """Molecules to begin from.

    Args:
        smiles: canonical, each once.
        lines: the line of the file on which each stands.
        notices: lines that were not taken: number, text, reason.
    """

    smiles: tuple[str, ...]
    lines: tuple[int, ...]
    notices: tuple[tuple[int, str, str], ...]


def read_leads(lines: MoleculeLines, filters: Filters) -> Leads:
    """Return the molecules of a file, which must keep to the filters.

    Raises:
        InputError: none can be read, or one breaks a constraint.
    """
    places: dict[str, int] = {}
    notices = []
    for line, text in zip(lines.lines, lines.smiles, strict=True):
        try:
            smiles = canonical_smiles(text)
        except InputError as error:
            notices.append((line, text, str(error)))
            continue
        if "." in smiles:
            notices.append((line, text, "it is in several pieces"))
        elif smiles in places:
            notices.append((line, text, f"the molecule of line {places[smiles]} again"))
        else:
            places[smiles] = line
    if not places:
        line, _, reason = notices[0] if notices else (1, "", "it holds no molecule")
        raise InputError(
            f"{lines.source}: none of its {len(lines)} molecules can be a start; line {line}: "
            f"{reason}"
        )
    broken = [
        (line, text, reason)
        for text, line in places.items()
        if (reason := filters.for_start(text).accepts(text)) is not None
    ]
    if broken:
        line, text, reason = broken[0]
        more = f"; so do {len(broken) - 1} other starts" if len(broken) > 1 else ""
        raise InputError(
            f"{lines.source}, line {line}: the start {text} breaks a constraint: {reason}{more}"
        )
    return Leads(tuple(places), tuple(places.values()), tuple(notices))
