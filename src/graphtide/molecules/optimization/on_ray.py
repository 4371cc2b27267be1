"""Evaluating molecules with Ray, on whatever machines it has."""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from graphtide.errors import InputError
from graphtide.molecules.objectives.base import Objective
from graphtide.molecules.optimization.judging import Outcome, failed, judged, one_line

__all__ = ["RayEvaluator", "ray_package", "started_ray"]


def ray_package() -> Any:
    """Return the package ray.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError:
        raise InputError(
            "the package ray is not installed; `pip install graphtide[ray]` brings it, and "
            "the backend 'processes' needs nothing"
        ) from None


def started_ray(workers: int) -> Any:
    """Return the package ray, connected to the cluster at RAY_ADDRESS, or else to this machine.

    Args:
        workers: processors that this machine offers; a cluster knows its own.
    """
    ray = ray_package()
    if not ray.is_initialized():
        own = {"num_cpus": workers, "include_dashboard": False}
        ray.init(
            log_to_driver=False,
            logging_level=logging.WARNING,
            **({} if os.environ.get("RAY_ADDRESS") else own),
        )
    return ray


class RayEvaluator:
    """Evaluates in actors of Ray, on whatever machines it has, each one molecule at a time."""

    def __init__(
        self, objective: Objective, width: int, workers: int, time_limit: float | None
    ) -> None:
        self._ray: Any = ray_package()
        self._objective = objective
        self._width = width
        self._count = workers
        self._limit = time_limit
        self._idle: list[Any] = []

    def evaluate(self, smiles: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
        """Yield each molecule with its outcome; see `Evaluator`."""
        ray = started_ray(self._count)
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
        """End the actors, and Ray where this process is connected to it."""
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
                        f"{one_line(error)}"
                    ) from None
                yield text, failed("its process died", self._width)
                continue
            self._idle.append(actor)
            if text is not None:
                yield text, outcome
        for reference, (actor, text, since) in list(running.items()):
            if limit is not None and text is not None and time.monotonic() - since >= limit:
                ray.kill(actor)
                del running[reference]
                yield text, failed(f"it took more than {limit:g} s", self._width)


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
