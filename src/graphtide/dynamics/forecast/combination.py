"""The mean of several forecasters: errors that each makes by itself cancel.

Source: Lakshminarayanan, Pritzel, Blundell, Deep ensembles, NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from graphtide.dynamics.forecast.baselines import Forecaster
from graphtide.dynamics.forecast.learned import LEARNED, LearnedForecaster
from graphtide.dynamics.forecast.windows import Windows
from graphtide.graph import Graph

__all__ = ["Combination", "networks_of", "trained"]

_SEED_STEP = 1000


class Combination:
    """The mean of forecasters.

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


def trained(name: str, graph: Graph, *, seed: int, folder: Path | None, device: str) -> Forecaster:
    """Return the network of a name, or the mean of as many as its settings ask for.

    The seeds of members are seed, seed + 1000, ...
    """
    members = [
        LearnedForecaster(name, graph, seed=seed + _SEED_STEP * k, folder=folder, device=device)
        for k in range(LEARNED[name][1].members)
    ]
    return members[0] if len(members) == 1 else Combination(members, name)


def networks_of(forecaster: Forecaster) -> list[LearnedForecaster]:
    """Return all networks within a forecaster."""
    if isinstance(forecaster, LearnedForecaster):
        return [forecaster]
    if isinstance(forecaster, Combination):
        return [network for member in forecaster.members for network in networks_of(member)]
    return []
