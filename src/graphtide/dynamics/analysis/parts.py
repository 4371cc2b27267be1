"""The parts of an analysis by name; a new part is one more line of `PARTS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphtide.dynamics.analysis.complexity import complexity
from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.part import Part, Progress, untold
from graphtide.dynamics.analysis.resilience import resilience
from graphtide.dynamics.analysis.robustness import robustness
from graphtide.dynamics.analysis.stability import stability
from graphtide.errors import ComputationError, InputError

if TYPE_CHECKING:
    import pandas

__all__ = ["PARTS", "Task", "Unanswered", "analyse", "checked_parts"]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What a part is asked for.

    Args:
        law: the law.
        vary: ranges of parameters.
        seed: of everything random.
        progress: told the share done.
    """

    law: Law
    vary: Mapping[str, tuple[float, float]]
    seed: int
    progress: Progress


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A part that could not be worked out.

    Args:
        reason: why.
    """

    reason: str

    def metrics(self) -> dict[str, object]:
        """Return the reason, as a finding too."""
        return {"failed": self.reason, "findings": [f"Not worked out: {self.reason}."]}

    def tables(self) -> dict[str, pandas.DataFrame]:
        """Return no table."""
        return {}


PARTS: dict[str, Callable[[Task], Part]] = {
    "stability": lambda t: stability(t.law, vary=t.vary, seed=t.seed, progress=t.progress),
    "robustness": lambda t: robustness(t.law, seed=t.seed, progress=t.progress),
    "complexity": lambda t: complexity(t.law, seed=t.seed, progress=t.progress),
    "resilience": lambda t: resilience(t.law, t.law.graph, seed=t.seed, progress=t.progress),
}
"""Each part by the name it has on the command line."""


def checked_parts(text: str) -> list[str]:
    """Return the names in a text such as ``stability,robustness``, each once.

    Raises:
        InputError: a name is unknown, or there is none.
    """
    names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in PARTS:
            raise InputError(f"'{name}' is no part of an analysis; known are {', '.join(PARTS)}")
    if not names:
        raise InputError(f"no part of an analysis is named; known are {', '.join(PARTS)}")
    return names


def analyse(
    law: Law,
    names: Sequence[str],
    *,
    vary: Mapping[str, tuple[float, float]] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Part]:
    """Return the results of the named parts.

    Args:
        law: the law.
        names: keys of `PARTS`.
        vary: ranges of parameters along which branches are followed.
        seed: of everything random.
        progress: told the share done.

    A part that the law does not allow (its trajectories run off, say) says so in place of figures.

    Raises:
        InputError: a parameter to vary is unknown.
        ComputationError: the law allows none of the parts.
    """
    told = progress or untold
    results: dict[str, Part] = {}
    failed: list[ComputationError] = []
    for number, name in enumerate(names):

        def part_told(share: float, text: str, number: int = number, name: str = name) -> None:
            told((number + share) / len(names), f"{name}: {text}")

        try:
            results[name] = PARTS[name](Task(law, vary or {}, seed, part_told))
        except ComputationError as error:
            failed.append(error)
            results[name] = Unanswered(str(error))
    if len(failed) == len(results):
        raise failed[0]
    return results
