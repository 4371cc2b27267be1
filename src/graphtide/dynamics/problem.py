"""What is learned from: trajectories made ready, and the scales of their variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

__all__ = ["Problem", "Sample"]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One trajectory to learn from.

    Args:
        adjacency: A, shape (N, N).
        times: shape (T,).
        states: shape (T, N, D), smoothed where noisy, gaps filled.
        observed: shape (T, N, D): the readings themselves, NaN where missing.
        start: shape (N, D): where roll-outs begin.
    """

    adjacency: csr_array
    times: np.ndarray
    states: np.ndarray
    observed: np.ndarray
    start: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """All trajectories with the scales of their variables.

    Args:
        samples: at least one.
        noise: standard deviation of the readings' noise, shape (D,); zeros where none was seen.
        seed: seed of the choice of increments where there are too many.
    """

    samples: tuple[Sample, ...]
    noise: np.ndarray
    seed: int = 0
    low: np.ndarray = field(init=False)
    high: np.ndarray = field(init=False)
    size: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """Take the range and the mean size of each variable from the samples."""
        pooled = self.pooled
        object.__setattr__(self, "low", pooled.min(axis=0))
        object.__setattr__(self, "high", pooled.max(axis=0))
        size = np.maximum(np.abs(pooled).mean(axis=0), 1e-6 * np.ptp(pooled, axis=0))
        object.__setattr__(self, "size", np.where(size > 0, size, 1.0))

    @property
    def pooled(self) -> np.ndarray:
        """All states of all samples, shape (M, D)."""
        return np.concatenate([s.states.reshape(-1, s.states.shape[2]) for s in self.samples])

    @property
    def bound(self) -> tuple[np.ndarray, np.ndarray]:
        """The range that roll-outs may use: the data's and once its width on either side."""
        width = np.maximum(self.high - self.low, 1e-6 * self.size)
        return self.low - width, self.high + width

    @property
    def noisy(self) -> bool:
        """Whether the readings carry noise."""
        return bool((self.noise > 0).any())

    def in_segments(self, count: int) -> Problem:
        """Return the problem with each sample cut into at most ``count`` shorter ones.

        A segment begins with the state where the one before ends (smoothed, where noisy) and has at
        least two steps. Short roll-outs see less of the past and so more of a poor field: this is
        multiple shooting (Bock, 1981), with starts taken from the data.
        """
        samples = []
        for s in self.samples:
            steps = len(s.times) - 1
            pieces = max(1, min(count, steps // 2))
            for begin, end in pairwise(np.linspace(0, steps, pieces + 1).round().astype(int)):
                part = slice(begin, end + 1)
                start = s.states[begin] if begin else s.start
                samples.append(
                    Sample(s.adjacency, s.times[part], s.states[part], s.observed[part], start)
                )
        return Problem(tuple(samples), self.noise, self.seed)
