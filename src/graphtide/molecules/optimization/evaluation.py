"""Evaluating molecules: in this process, in processes of our own, or with Ray.

Each way yields every molecule with its outcome as it becomes known. Processes are started afresh
(not forked: forking after OpenMP has run can hang), take one molecule at a time, and are ended and
replaced where a molecule takes longer than it may, or where they die of it.
"""

from __future__ import annotations

import importlib
import multiprocessing
import pickle
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Literal, Protocol

import numpy as np

from graphtide.errors import InputError
from graphtide.molecules.objectives.base import Objective

__all__ = ["Evaluator", "Outcome", "Refused", "evaluator"]


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


def evaluator(
    objective: Objective,
    width: int,
    *,
    workers: int,
    time_limit: float | None,
    backend: Literal["processes", "ray"],
) -> Evaluator:
    """Return the way that the arguments ask for; see `graphtide.molecules.optimization.Oracle`.

    Raises:
        InputError: an argument is out of its range, the objective cannot be pickled, or Ray is not
            installed.
    """
    if workers < 1:
        raise InputError(f"{workers} workers; at least 1 was expected")
    if time_limit is not None and not time_limit > 0:
        raise InputError(f"a limit of {time_limit} seconds a molecule; more than 0 was expected")
    if backend not in ("processes", "ray"):
        raise InputError(f"backend '{backend}' is not known: processes and ray are")
    if workers == 1 and time_limit is None and backend == "processes":
        return _Here(objective, width)
    try:
        pickle.dumps(objective)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise InputError(
            f"the objective '{objective.name}' cannot be sent to another process: {error}"
        ) from None
    way = _Processes if backend == "processes" else _Ray
    return way(objective, width, workers, time_limit)


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
            return [_failed(str(error), width)]
        return [_failed(f"{type(error).__name__}: {_one_line(error)}", width)]
    if values.shape[1] != width:
        return [_failed(f"{values.shape[1]} values where {width} were expected", width)] * len(
            smiles
        )
    return [
        Outcome(tuple(map(float, row)))
        if np.isfinite(row).all()
        else _failed("the objective returned NaN or infinity", width)
        for row in values
    ]


class _Here:
    """Evaluates in this process."""

    def __init__(self, objective: Objective, width: int) -> None:
        self._objective = objective
        self._width = width
        self._batch = getattr(objective, "batch_size", 1)

    def evaluate(self, smiles: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
        for first in range(0, len(smiles), self._batch):
            chunk = smiles[first : first + self._batch]
            yield from zip(chunk, judged(self._objective, chunk, self._width), strict=True)

    def close(self) -> None:
        pass


class _Worker:
    """One process, and what it is at work on."""

    def __init__(self, objective: Objective, width: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(objective, width, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.ready = False
        self.task: str | None = None
        self.began = 0.0

    def give(self, text: str) -> None:
        self.task = text
        self.began = time.monotonic()
        self.pipe.send(text)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.process.close()
        self.pipe.close()


class _Processes:
    """Evaluates in processes of our own, each one molecule at a time."""

    def __init__(
        self, objective: Objective, width: int, workers: int, time_limit: float | None
    ) -> None:
        self._objective = objective
        self._width = width
        self._count = workers
        self._limit = time_limit
        self._workers: list[_Worker] = []

    def evaluate(self, smiles: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
        waiting = deque(smiles)
        open_tasks = len(waiting)
        try:
            while open_tasks:
                while len(self._workers) < min(self._count, open_tasks):
                    self._workers.append(_Worker(self._objective, self._width))
                for worker in self._workers:
                    if worker.ready and worker.task is None and waiting:
                        worker.give(waiting.popleft())
                for text, outcome in self._news():
                    open_tasks -= 1
                    yield text, outcome
        except BaseException:
            self.close()  # an interruption leaves no worker with half a task
            raise

    def close(self) -> None:
        for worker in self._workers:
            worker.end()
        self._workers = []

    def _news(self) -> Iterator[tuple[str, Outcome]]:
        """Wait for the first news, and yield what it is about."""
        heard = connection.wait([worker.pipe for worker in self._workers], self._patience())
        for worker in list(self._workers):
            if worker.pipe in heard:
                try:
                    message = worker.pipe.recv()
                except EOFError:
                    yield from self._buried(worker)
                    continue
                if worker.ready:
                    assert worker.task is not None  # a worker answers what it was given
                    text, worker.task = worker.task, None
                    yield text, message
                worker.ready = True
            elif worker.task is not None and self._late(worker):
                text = worker.task
                self._remove(worker)
                yield text, _failed(f"it took more than {self._limit:g} s", self._width)

    def _patience(self) -> float | None:
        began = [worker.began for worker in self._workers if worker.task is not None]
        if self._limit is None or not began:
            return None
        return max(0.0, min(began) + self._limit - time.monotonic())

    def _late(self, worker: _Worker) -> bool:
        return self._limit is not None and time.monotonic() - worker.began >= self._limit

    def _buried(self, worker: _Worker) -> Iterator[tuple[str, Outcome]]:
        self._remove(worker)
        if worker.task is None:
            raise InputError(
                f"a process for the objective '{self._objective.name}' could not start; a script "
                "that asks for workers needs `if __name__ == '__main__':` around its work"
            )
        yield worker.task, _failed("its process died", self._width)

    def _remove(self, worker: _Worker) -> None:
        worker.end()
        self._workers.remove(worker)


def _serve(objective: Objective, width: int, pipe: connection.Connection) -> None:
    """Answer one molecule after the other until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interruption is for the process that asks
    pipe.send(None)
    while True:
        try:
            text = pipe.recv()
        except EOFError:
            return
        pipe.send(judged(objective, [text], width)[0])


class _Ray:
    """Evaluates in actors of Ray, on whatever machines it has, each one molecule at a time."""

    def __init__(
        self, objective: Objective, width: int, workers: int, time_limit: float | None
    ) -> None:
        try:
            self._ray: Any = importlib.import_module("ray")
        except ModuleNotFoundError:
            raise InputError(
                "the package ray is not installed; `pip install graphtide[ray]` brings it, and "
                "the backend 'processes' needs nothing"
            ) from None
        self._objective = objective
        self._width = width
        self._count = workers
        self._limit = time_limit
        self._idle: list[Any] = []

    def evaluate(self, smiles: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
        ray = self._ray
        if not ray.is_initialized():
            ray.init(num_cpus=self._count, include_dashboard=False, log_to_driver=False)
        judge = ray.remote(num_cpus=1)(_Judge)
        waiting, running = deque(smiles), dict[Any, tuple[Any, str | None, float]]()
        open_tasks = len(waiting)
        try:
            while open_tasks:
                while len(self._idle) + len(running) < min(self._count, open_tasks):
                    actor = judge.remote(self._objective, self._width)
                    running[actor.ready.remote()] = actor, None, 0.0
                while self._idle and waiting:
                    actor, text = self._idle.pop(), waiting.popleft()
                    running[actor.judge.remote(text)] = actor, text, time.monotonic()
                for text, outcome in self._news(running):
                    open_tasks -= 1
                    yield text, outcome
        except BaseException:
            self.close()  # an interruption leaves no actor with half a task
            raise

    def close(self) -> None:
        self._idle = []
        if self._ray.is_initialized():
            self._ray.shutdown()

    def _news(
        self, running: dict[Any, tuple[Any, str | None, float]]
    ) -> Iterator[tuple[str, Outcome]]:
        """Wait for the first news, and yield what it is about."""
        ray, limit = self._ray, self._limit
        began = [since for _, text, since in running.values() if text is not None]
        patience = None
        if limit is not None and began:
            patience = max(0.0, min(began) + limit - time.monotonic())
        for reference in ray.wait(list(running), num_returns=1, timeout=patience)[0]:
            actor, text, _ = running.pop(reference)
            try:
                outcome = ray.get(reference)
            except ray.exceptions.RayError as error:
                if text is None:
                    raise InputError(
                        f"an actor for the objective '{self._objective.name}' could not start: "
                        f"{_one_line(error)}"
                    ) from None
                yield text, _failed("its process died", self._width)
                continue
            self._idle.append(actor)
            if text is not None:
                yield text, outcome
        for reference, (actor, text, since) in list(running.items()):
            if limit is not None and text is not None and time.monotonic() - since >= limit:
                ray.kill(actor)
                del running[reference]
                yield text, _failed(f"it took more than {limit:g} s", self._width)


class _Judge:
    """What an actor of Ray holds."""

    def __init__(self, objective: Objective, width: int) -> None:
        self._objective = objective
        self._width = width

    def ready(self) -> None:
        """Answer once the objective is there."""

    def judge(self, text: str) -> Outcome:
        """Return the outcome of one molecule."""
        return judged(self._objective, [text], self._width)[0]


def _failed(reason: str, width: int) -> Outcome:
    return Outcome((float("nan"),) * width, reason)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or "no message"
