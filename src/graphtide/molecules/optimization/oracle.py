"""The counted oracle: every molecule is evaluated once, counted once, and written down as it is.

The area under the curve of the top k within a budget of B calls is the one of the benchmark of
practical molecular optimisation (Gao, Fu, Sun, Coley, NeurIPS 2022): with t_c the mean of the k
best of the first c calls, looked at every 100 calls,

    area = 1/B sum_i (c_i - c_(i-1)) (t_(c_i) + t_(c_(i-1))) / 2,        t_0 = 0,

and flat from the last call to the budget where a search stops early.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from graphtide.errors import InputError
from graphtide.files import read_text
from graphtide.molecules.chemistry import canonical_smiles
from graphtide.molecules.objectives.base import Objective
from graphtide.molecules.objectives.combinations import Pareto
from graphtide.molecules.optimization.evaluation import Backend, evaluator
from graphtide.molecules.optimization.judging import Evaluator, Outcome

__all__ = ["Evaluation", "Oracle", "area_under_top"]

FREQUENCY = 100
"""Calls between two looks at the top, in the area under its curve."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One counted call.

    Attributes:
        smiles: canonical SMILES.
        values: one number, or one for each objective of a Pareto set; NaN where there is none.
        reason: why there is none; "" where there is.
    """

    smiles: str
    values: tuple[float, ...]
    reason: str = ""

    @property
    def value(self) -> float:
        """The number, or the mean of the numbers of a Pareto set."""
        return sum(self.values) / len(self.values)


class Oracle:
    """An objective with a budget of calls.

    Molecules are put into canonical SMILES without stereochemistry; each is evaluated and counted
    once, and known ever after. What the objective raises, what takes longer than the limit of time
    and what comes out as NaN or infinity is counted, has the value NaN, and is logged with its
    reason. SMILES that RDKit cannot read, and molecules that lie past the budget, have the value
    NaN and are not counted.

    Args:
        objective: higher is better; a `Pareto` set has k values a molecule.
        budget: number of calls.
        workers: processes to evaluate in; they are used where there are several or where there is
            a limit of time, and must be closed (:meth:`close`, or a ``with`` block).
        log: CSV file of the calls, one line each, written as they come. A log that is there
            already is read back and goes on.
        time_limit: seconds that one molecule may take; None for any time.
        backend: "processes", or "ray" where that package is installed.

    Attributes:
        objective: as given.
        budget: as given.

    Raises:
        InputError: the budget, the workers or the limit is not positive, the objective cannot be
            sent to another process, the log is no log of this objective, or Ray is not installed.
    """

    def __init__(
        self,
        objective: Objective,
        budget: int,
        *,
        workers: int = 1,
        log: str | Path | None = None,
        time_limit: float | None = None,
        backend: Backend = "processes",
    ) -> None:
        if budget < 1:
            raise InputError(f"a budget of {budget} calls; at least 1 was expected")
        self.objective = objective
        self.budget = budget
        self._names = objective.names if isinstance(objective, Pareto) else (objective.name,)
        self._known: dict[str, Evaluation] = {}
        self._log = None if log is None else Path(log)
        if self._log is not None:
            self._read_log(self._log)
        self._evaluator: Evaluator = evaluator(
            objective, len(self._names), workers=workers, time_limit=time_limit, backend=backend
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes of the workers; the oracle can go on and starts them again."""
        self._evaluator.close()

    @property
    def calls(self) -> int:
        """Calls counted so far."""
        return len(self._known)

    @property
    def remaining(self) -> int:
        """Calls left, never negative."""
        return max(0, self.budget - self.calls)

    @property
    def evaluations(self) -> list[Evaluation]:
        """Every counted call in order."""
        return list(self._known.values())

    @property
    def history(self) -> list[tuple[str, float]]:
        """SMILES and value of every counted call in order (of a Pareto set: the mean)."""
        return [(one.smiles, one.value) for one in self._known.values()]

    @property
    def values(self) -> np.ndarray:
        """Values of every counted call in order: (calls,), or (calls, k) of a Pareto set."""
        return self._shaped([one.values for one in self._known.values()])

    def top(self, k: int = 10) -> list[tuple[str, float]]:
        """Return the k best calls, best first, fewer where fewer have a value."""
        valued = [one for one in self.history if not math.isnan(one[1])]
        return sorted(valued, key=lambda one: -one[1])[:k]

    def area_under_top(self, k: int = 10) -> float:
        """Return the area under the curve of the top k, see the head of this module."""
        return area_under_top([value for _, value in self.history], self.budget, k=k)

    def __call__(self, smiles: Sequence[str]) -> np.ndarray:
        """Return the value of each molecule, float64 (n,), or (n, k) of a Pareto set.

        Raises:
            InputError: the log cannot be written.
        """
        names = [_canonical(text) for text in smiles]
        new = [text for text in dict.fromkeys(names) if text and text not in self._known]
        new = new[: self.remaining]
        with _Lines(self._log, self._header()) as lines:
            for text, outcome in self._evaluator.evaluate(new):
                self._take_in(text, outcome, lines)
        nothing = (math.nan,) * len(self._names)
        return self._shaped(
            [self._known[text].values if text in self._known else nothing for text in names]
        )

    def _take_in(self, text: str, outcome: Outcome, lines: _Lines) -> None:
        made = Evaluation(text, outcome.values, outcome.reason)
        self._known[text] = made
        lines.write([len(self._known), text, *map(_written, made.values), made.reason])

    def _shaped(self, rows: Sequence[tuple[float, ...]]) -> np.ndarray:
        values = np.array(rows, dtype=np.float64).reshape(-1, len(self._names))
        return values if isinstance(self.objective, Pareto) else values[:, 0]

    def _header(self) -> list[str]:
        return ["call", "smiles", *self._names, "reason"]

    def _read_log(self, path: Path) -> None:
        if path.is_dir():
            raise InputError(f"{path} is a folder; a log of calls was expected")
        if not path.exists() or path.stat().st_size == 0:
            return
        text = read_text(path)
        if not text.endswith("\n"):  # the line that an interruption cut
            text = text[: text.rfind("\n") + 1]
            path.write_text(text, encoding="utf-8")
        rows = list(csv.reader(io.StringIO(text)))
        if rows and rows[0] != self._header():
            raise InputError(
                f"{path} is not a log of '{self.objective.name}': its header is "
                f"'{','.join(rows[0])}'"
            )
        for number, row in enumerate(rows[1:], start=1):
            try:
                call, smiles, *values, reason = row
                if int(call) != number or len(values) != len(self._names):
                    raise ValueError
                numbers = tuple(float(value) if value else math.nan for value in values)
            except ValueError:
                raise InputError(f"{path}, line {number + 1}: no line of a log of calls") from None
            self._known[smiles] = Evaluation(smiles, numbers, reason)


def area_under_top(values: Sequence[float], budget: int, *, k: int = 10) -> float:
    """Return the area under the curve of the top k, see the head of this module.

    Args:
        values: of the calls in order; NaN where there was none, which counts but is never at top.
        budget: calls B; calls beyond it are not looked at.
        k: how many are the top.

    Raises:
        InputError: the budget or k is not positive.
    """
    if budget < 1 or k < 1:
        raise InputError(f"a budget of {budget} calls and a top of {k}; at least 1 was expected")
    calls = min(len(values), budget)
    area = last = 0.0
    places = [*range(FREQUENCY, calls, FREQUENCY), calls] if calls else []
    best: list[float] = []
    before = 0
    for place in places:
        new = [value for value in values[before:place] if not math.isnan(value)]
        best = sorted([*best, *new], reverse=True)[:k]
        now = sum(best) / len(best) if best else 0.0
        area += (place - before) * (now + last) / 2
        before, last = place, now
    return (area + (budget - calls) * last) / budget


class _Lines:
    """Appends lines to the log, each at once."""

    def __init__(self, path: Path | None, header: Sequence[str]) -> None:
        self._path = path
        self._header = header

    def __enter__(self) -> Self:
        self._stream = None
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._stream = self._path.open("a", encoding="utf-8", newline="")
            except OSError as error:
                raise InputError(f"{self._path} cannot be written: {error.strerror}") from None
            if self._stream.tell() == 0:
                self.write(self._header)
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def write(self, cells: Sequence[object]) -> None:
        if self._stream is not None:
            csv.writer(self._stream, lineterminator="\n").writerow(cells)
            self._stream.flush()


def _written(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


def _canonical(text: str) -> str:
    try:
        return canonical_smiles(text)
    except InputError:
        return ""
