"""The mean of several forecasters: errors of their own cancel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphtide.dynamics.forecast.baselines import Forecaster
from graphtide.dynamics.forecast.windows import Windows

__all__ = ["Combination"]


class Combination:
    """The mean of forecasters, each already fitted to the windows it is asked to fit.

    Args:
        members: the forecasters.
        name: of the whole.
    """

    def __init__(self, members: Sequence[Forecaster], name: str = "combination") -> None:
        self.members, self.name = tuple(members), name

    def fit(self, windows: Windows, train: np.ndarray, validation: np.ndarray | None) -> None:
        """Fit every member."""
        for member in self.members:
            member.fit(windows, train, validation)

    def predict(self, windows: Windows, numbers: np.ndarray) -> np.ndarray:
        """Return forecasts, (B, h, N, D)."""
        return np.mean([member.predict(windows, numbers) for member in self.members], axis=0)
