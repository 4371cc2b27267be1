"""Evaluating molecules: in this process, in processes of our own, or with Ray.

Each way yields every molecule with its outcome as it becomes known. Processes are started afresh
(not forked: forking after OpenMP has run can hang), take one molecule at a time, and are ended and
replaced where a molecule takes longer than it may, or where they die of it.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing import connection
from typing import Literal, cast, get_args

from graphtide.errors import InputError
from graphtide.molecules.objectives.base import Objective
from graphtide.molecules.optimization.judging import Evaluator, Outcome, failed, judged
from graphtide.molecules.optimization.on_ray import RayEvaluator, ray_package

__all__ = ["Backend", "check_backend", "evaluator"]

Backend = Literal["processes", "ray"]
"""Where calls run: processes of this machine, or whatever machines Ray has."""


def evaluator(
    objective: Objective,
    width: int,
    *,
    workers: int,
    time_limit: float | None,
    backend: Backend,
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
    check_backend(backend)
    if workers == 1 and time_limit is None and backend == "processes":
        return _Here(objective, width)
    try:
        pickle.dumps(objective)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise InputError(
            f"the objective '{objective.name}' cannot be sent to another process: {error}"
        ) from None
    way = _Processes if backend == "processes" else RayEvaluator
    return way(objective, width, workers, time_limit)


def check_backend(name: str) -> Backend:
    """Return the backend of that name.

    Raises:
        InputError: there is no such backend, or Ray is not installed.
    """
    if name not in get_args(Backend):
        raise InputError(f"backend '{name}' is not known: processes and ray are")
    if name == "ray":
        ray_package()
    return cast("Backend", name)


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
                yield text, failed(f"it took more than {self._limit:g} s", self._width)

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
        yield worker.task, failed("its process died", self._width)

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
