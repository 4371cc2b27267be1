"""What all lessons share: their result, one descent for every model, and counting.

A lesson is a module with one function `teach(seed, progress=...)` that trains and measures and
returns a `Lesson`; its page is built from the saved run by `graphtide.report`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pandas
import torch
from torch import Tensor, nn

from graphtide.errors import ComputationError
from graphtide.run import Run

__all__ = ["Lesson", "Progress", "descend", "on_one_thread", "parameter_count", "part_of"]

Progress = Callable[[float, str], None]
"""Told the share of the work that is done, and what is done next."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a lesson found.

    Args:
        metrics: figures by name, as a command prints them.
        tables: tables by name; each becomes a CSV file of the run.
        arrays: pictures' numbers by name; together one file of the run.
    """

    metrics: Mapping[str, object]
    tables: Mapping[str, pandas.DataFrame]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def save(self, run: Run) -> None:
        """Write metrics, tables and arrays into a run."""
        run.write_metrics(self.metrics)
        for name, table in self.tables.items():
            run.write_table(name, table)
        if self.arrays:
            run.write_tensors("arrays", self.arrays)


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Hold PyTorch to one thread, and give it back its number afterwards.

    A lesson's tensors are small: more threads gain little on a free machine, wait for each other
    on a busy one, and add in another order, so that the figures would depend on the machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def descend(
    model: nn.Module,
    loss: Callable[[], Tensor],
    *,
    steps: int,
    rate: float,
    weight_decay: float = 0.0,
    progress: Callable[[float], None] | None = None,
) -> float:
    """Train a model by AdamW with a rate that falls to nothing along a cosine.

    Args:
        model: its parameters are changed in place.
        loss: the loss of the model as it is, a 0-dim tensor.
        steps: number of descents.
        rate: learning rate at the start.
        weight_decay: of AdamW.
        progress: told the share of the steps that are done.

    Returns:
        Seconds of wall clock.

    Raises:
        ComputationError: the loss is not finite.
    """
    began = time.perf_counter()
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    value = loss()
    for step in range(steps):
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress((step + 1) / steps)
        value = loss()
    if not math.isfinite(float(value.detach())):
        raise ComputationError("the training of a lesson diverged; take another seed")
    return time.perf_counter() - began


def parameter_count(model: nn.Module) -> int:
    """Return how many numbers a model learns."""
    return sum(parameter.numel() for parameter in model.parameters())


def part_of(progress: Progress, start: float, stop: float) -> Progress:
    """Return the progress of a part of the work that spans shares from `start` to `stop`."""
    return lambda share, text: progress(start + (stop - start) * share, text)
