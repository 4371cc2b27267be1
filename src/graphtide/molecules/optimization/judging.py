"""What came of evaluating a molecule: its values, or none and the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from graphtide.molecules.objectives.base import Objective

__all__ = ["Evaluator", "Outcome", "Refused", "failed", "judged", "one_line"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Values of one molecule, NaN with the reason where there are none."""

    values: tuple[float, ...]
    reason: str = ""


class Evaluator(Protocol):
    """A way to evaluate molecules."""

    def evaluate(self, smiles: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
        """Yield each molecule with its outcome, in the order in which they become known."""
        ...

    def close(self) -> None:
        """Free what it holds; the next call takes it up again."""
        ...


class Refused(Exception):
    """A molecule has no value; the message is the whole reason, as it was told before."""


def judged(objective: Objective, smiles: Sequence[str], width: int) -> list[Outcome]:
    """Return the outcome of each molecule; where the objective raises, one by one."""
    try:
        values = np.asarray(objective(smiles), dtype=np.float64).reshape(len(smiles), -1)
    except (Exception, SystemExit) as error:  # whatever a user's function does is an outcome
        if len(smiles) > 1:
            return [one for text in smiles for one in judged(objective, [text], width)]
        if isinstance(error, Refused):
            return [failed(str(error), width)]
        return [failed(f"{type(error).__name__}: {one_line(error)}", width)]
    if values.shape[1] != width:
        return [failed(f"{values.shape[1]} values where {width} were expected", width)] * len(
            smiles
        )
    return [
        Outcome(tuple(map(float, row)))
        if np.isfinite(row).all()
        else failed("the objective returned NaN or infinity", width)
        for row in values
    ]


def failed(reason: str, width: int) -> Outcome:
    """Return the outcome of a molecule without values."""
    return Outcome((float("nan"),) * width, reason)


def one_line(error: BaseException) -> str:
    """Return the message of an error on one line, at most 200 characters of it."""
    return " ".join(str(error).split())[:200] or "no message"
