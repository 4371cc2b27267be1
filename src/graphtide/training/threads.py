"""Batches of inference side by side on a CPU: a thread each, and each product on one thread.

Networks on small graphs make products that are too small to be shared among threads: two batches
side by side take little longer than one. On a GPU batches follow each other.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

from graphtide.training.memory import keep_freed_memory

__all__ = ["side_by_side"]

Item = TypeVar("Item")
Made = TypeVar("Made")


def side_by_side(
    work: Callable[[Item], Made], items: Iterable[Item], device: torch.device
) -> Iterator[Made]:
    """Yield the work on each item, in order.

    Args:
        work: may use torch, but no randomness that items share.
        items: taken as they are needed.
        device: that the work is done on. On a CPU as many threads work as torch is allowed.
    """
    keep_freed_memory()
    allowed = torch.get_num_threads() if device.type == "cpu" else 1
    workers = min(allowed, os.cpu_count() or 1)
    if workers == 1:
        yield from map(work, items)
        return
    grad = torch.is_grad_enabled()

    def begin() -> None:
        torch.set_num_threads(1)  # of this thread, and of threads made later
        torch.set_grad_enabled(grad)  # each thread has its own

    pool = ThreadPoolExecutor(workers, initializer=begin)
    waiting: deque[Future[Made]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(allowed)
