"""Many leads, each improved within its own neighbourhood and with its own budget of calls.

First every lead is called once; a surrogate fitted to these values is where each lead's own search
begins. Then leads are improved one by one, side by side in processes. Each has its own log of
calls; a lead that was interrupted is repeated from its log, whose values need no second call, so
that the history is the one that it would have had without the interruption.
"""

from __future__ import annotations

import csv
import io
import multiprocessing
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from graphtide.molecules.objectives import Filters, Objective, Pareto
from graphtide.molecules.optimization.choosing import MethodChoice
from graphtide.molecules.optimization.evaluation import Backend
from graphtide.molecules.optimization.judging import Refused
from graphtide.molecules.optimization.method import Method
from graphtide.molecules.optimization.on_ray import started_ray
from graphtide.molecules.optimization.oracle import Evaluation, Oracle
from graphtide.molecules.optimization.told import RidgeSurrogate, fragment_counts

__all__ = ["LeadHistory", "LeadPlan", "joined_log", "optimize_leads", "search"]

_BARREN = 50
_FEWEST = 10
"""Leads below which their values say too little for a surrogate."""


@dataclass(frozen=True, slots=True)
class LeadPlan:
    """How leads are improved.

    Args:
        objective: higher is better.
        filters: that all molecules keep to; their similarity is measured to each lead.
        choice: the method.
        budget: calls of each lead, its own first one included.
        seed: of all randomness; lead k takes seed + k.
        time_limit: seconds that one molecule may take; None for any time.
        logs: folder of the logs, one a lead; None keeps none.
    """

    objective: Objective
    filters: Filters
    choice: MethodChoice
    budget: int
    seed: int = 0
    time_limit: float | None = None
    logs: Path | None = None


@dataclass(frozen=True, slots=True)
class LeadHistory:
    """The calls of one lead.

    Args:
        lead: its canonical SMILES.
        evaluations: in order, the lead itself first.
    """

    lead: str
    evaluations: tuple[Evaluation, ...]

    @property
    def best(self) -> Evaluation | None:
        """The best call besides the lead, the earlier of equals; None where none has a value."""
        others = [one for one in self.evaluations[1:] if one.value == one.value]
        return max(others, key=lambda one: one.value, default=None)

    @property
    def gain(self) -> float:
        """How much better the best is than the lead; NaN where one of them has no value."""
        if self.best is None or not self.evaluations:
            return float("nan")
        return self.best.value - self.evaluations[0].value


def search(
    method: Method, oracle: Oracle, *, progress: Callable[[int], None] | None = None
) -> None:
    """Ask and tell a fresh method until the budget is spent.

    What the oracle's log holds already is asked for again, in the same order, and costs no call:
    the history goes on as if it had never been interrupted.

    Args:
        method: not told of anything.
        oracle: perhaps with a log of an earlier, interrupted search by the same method.
        progress: told the number of calls after each round.
    """
    asked: set[str] = set()
    barren = 0
    while len(asked) < oracle.budget and barren < _BARREN:
        wanted = method.ask(min(method.batch, oracle.budget - len(asked)))
        if not wanted:
            return
        method.tell(wanted, oracle(wanted))
        before = len(asked)
        asked.update(wanted)
        barren = 0 if len(asked) > before else barren + 1
        if progress is not None:
            progress(len(asked))


def optimize_leads(
    leads: Sequence[str],
    plan: LeadPlan,
    *,
    workers: int = 1,
    backend: Backend = "processes",
    progress: Callable[[float, str], None] | None = None,
) -> list[LeadHistory]:
    """Improve leads, each on its own.

    Args:
        leads: canonical SMILES, each once.
        plan: how.
        workers: leads that are worked on at a time.
        backend: processes of this machine, or Ray; other machines must see the folder of the logs.
        progress: told the share done.

    Returns:
        The history of each lead.

    Raises:
        InputError: a log is of another search, or the objective cannot be sent to other processes.
    """
    if plan.logs is None:
        with tempfile.TemporaryDirectory() as folder:
            kept = replace(plan, logs=Path(folder))
            return optimize_leads(leads, kept, workers=workers, backend=backend, progress=progress)
    values = _first_calls(leads, plan)
    weights = _prior(leads, values)
    tasks = [_Task(k, lead, plan, weights) for k, lead in enumerate(leads)]
    histories: dict[int, LeadHistory] = {}
    for place, history in _each(tasks, workers, backend):
        histories[place] = history
        if progress is not None:
            done = len(histories)
            gains = np.array([one.gain for one in histories.values()])
            told = f"{done} of {len(leads)} leads"
            if np.isfinite(gains).any():
                told += f", mean gain {np.nanmean(gains):.3f}"
            progress(done / len(leads), told)
    return [histories[k] for k in range(len(leads))]


def joined_log(histories: Sequence[LeadHistory], names: Sequence[str]) -> str:
    """Return the calls of all leads as one table: lead, call, smiles, values, reason."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["lead", "call", "smiles", *names, "reason"])
    for lead, history in enumerate(histories, start=1):
        for call, one in enumerate(history.evaluations, start=1):
            values = ["" if value != value else repr(value) for value in one.values]
            writer.writerow([lead, call, one.smiles, *values, one.reason])
    return stream.getvalue()


@dataclass(frozen=True, slots=True)
class _Task:
    place: int
    lead: str
    plan: LeadPlan
    weights: np.ndarray | None


def _first_calls(leads: Sequence[str], plan: LeadPlan) -> np.ndarray:
    """Call each lead once, and return the values, (n, k)."""
    objective = _through(plan)
    rows = []
    for place, lead in enumerate(leads):
        oracle = _oracle(objective, plan, place)
        rows.append(np.atleast_1d(oracle([lead])[0]))
    _close(objective)
    return np.array(rows)


def _prior(leads: Sequence[str], values: np.ndarray) -> np.ndarray | None:
    """Return the weights of a surrogate fitted to the leads, where they say enough."""
    known = np.flatnonzero(np.isfinite(values).all(axis=1))
    if values.shape[1] > 1 or len(known) < _FEWEST:
        return None
    surrogate = RidgeSurrogate()
    places: list[int] = known[-1000:].tolist()
    surrogate.add([fragment_counts(leads[place]) for place in places])
    surrogate.fit(values[known, 0])
    return surrogate.weights


def _each(
    tasks: Sequence[_Task], workers: int, backend: Backend
) -> Iterator[tuple[int, LeadHistory]]:
    if backend == "ray":
        yield from _with_ray(tasks, workers)
        return
    if workers <= 1 or len(tasks) < 2:
        objective = _through(tasks[0].plan)
        try:
            for task in tasks:
                yield task.place, _improved(task, objective)
        finally:
            _close(objective)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(tasks)), mp_context=context)
    try:
        open_ = {pool.submit(_alone, task): task.place for task in tasks}
        while open_:
            for done in wait(open_, return_when=FIRST_COMPLETED).done:
                yield open_.pop(done), done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _with_ray(tasks: Sequence[_Task], workers: int) -> Iterator[tuple[int, LeadHistory]]:
    ray = started_ray(workers)
    alone = ray.remote(num_cpus=1)(_alone)
    waiting, open_ = deque(tasks), dict[Any, int]()
    try:
        while waiting or open_:
            while waiting and len(open_) < workers:
                task = waiting.popleft()
                open_[alone.remote(task)] = task.place
            for done in ray.wait(list(open_), num_returns=1)[0]:
                yield open_.pop(done), ray.get(done)
    finally:
        ray.shutdown()  # an interruption leaves no lead at work


def _alone(task: _Task) -> LeadHistory:
    objective = _through(task.plan)
    try:
        return _improved(task, objective)
    finally:
        _close(objective)


def _improved(task: _Task, objective: Objective) -> LeadHistory:
    plan = task.plan
    oracle = _oracle(objective, plan, task.place)
    method = plan.choice.make(
        [task.lead],
        filters=plan.filters.for_start(task.lead),
        seed=plan.seed + task.place,
        surrogate=None if task.weights is None else RidgeSurrogate(task.weights),
    )
    search(method, oracle)
    return LeadHistory(task.lead, tuple(oracle.evaluations))


def _oracle(objective: Objective, plan: LeadPlan, place: int) -> Oracle:
    assert plan.logs is not None  # `optimize_leads` has seen to it
    return Oracle(objective, plan.budget, log=plan.logs / f"{place + 1:05d}.csv")


@dataclass(frozen=True, eq=False)
class _Through:
    """An objective whose molecules are evaluated in a process of their own, under a limit of time.

    One process serves all leads. What it refuses is raised with its reason, so that each lead's
    own oracle logs it.
    """

    objective: Objective
    oracle: Oracle

    @property
    def name(self) -> str:
        return self.objective.name

    def __call__(self, smiles: Sequence[str], /) -> np.ndarray:
        values = self.oracle(smiles)
        for text, value in zip(smiles, values.tolist(), strict=True):
            if value != value:
                reasons = {one.smiles: one.reason for one in self.oracle.evaluations}
                raise Refused(reasons.get(text, "no value"))
        return values


def _through(plan: LeadPlan) -> Objective:
    """Return the objective, under its limit of time where there is one."""
    if plan.time_limit is None:
        return plan.objective
    if isinstance(plan.objective, Pareto):
        parts = [_through(replace(plan, objective=part)) for part in plan.objective.parts]
        return Pareto(tuple(parts))
    return _Through(plan.objective, Oracle(plan.objective, 10**12, time_limit=plan.time_limit))


def _close(objective: Objective) -> None:
    for part in objective.parts if isinstance(objective, Pareto) else (objective,):
        if isinstance(part, _Through):
            part.oracle.close()
