"""Arguments of commands: assignments parsed, sources described for the run's configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from graphtide.errors import InputError

if TYPE_CHECKING:
    from graphtide.dynamics.holdout import Holdout

__all__ = ["describe_sources", "parse_assignments", "parse_holdout"]


def parse_assignments(texts: Iterable[str], *, option: str) -> dict[str, float]:
    """Return ``{"k": 2.0}`` from texts such as ``k=2`` (several may be joined by commas).

    Raises:
        InputError: a text is not ``name=number``, or a name is given twice.
    """
    values: dict[str, float] = {}
    for text in (part.strip() for joined in texts for part in joined.split(",")):
        name, equals, number = (piece.strip() for piece in text.partition("="))
        if not (equals and name):
            raise InputError(f"{option} {text}: name=number was expected, such as {option} k=2")
        if name in values:
            raise InputError(f"{option} {text}: '{name}' is given twice")
        try:
            values[name] = float(number)
        except ValueError:
            raise InputError(f"{option} {text}: '{number}' is not a number") from None
    return values


def parse_holdout(text: str) -> Holdout:
    """Return which times are kept from learning, from ``interpolate=0.2,extrapolate=0.2``.

    A name that is left out keeps nothing.

    Raises:
        InputError: another name, or no ``name=number``.
    """
    from graphtide.dynamics.holdout import Holdout

    shares = parse_assignments([text], option="--holdout")
    unknown = sorted(set(shares) - {"interpolate", "extrapolate"})
    if unknown:
        raise InputError(f"--holdout {text}: '{unknown[0]}' is neither interpolate nor extrapolate")
    return Holdout(
        interpolate=shares.get("interpolate", 0.0), extrapolate=shares.get("extrapolate", 0.0)
    )


def describe_sources(**sources: str | Path | None) -> dict[str, object]:
    """Return each argument as given, with the SHA-256 of its file where it names one."""
    described: dict[str, object] = {}
    for name, source in sources.items():
        if source is None:
            continue
        described[name] = str(source)
        if _is_file(source):
            described[f"{name}_sha256"] = hashlib.sha256(Path(source).read_bytes()).hexdigest()
    return described


def _is_file(source: str | Path) -> bool:
    try:
        return Path(source).is_file()
    except (OSError, ValueError):  # a text too long for a path, or with a null character
        return False
