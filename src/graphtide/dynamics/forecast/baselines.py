"""Plain forecasters: what any model has to beat.

    last value          x(i + j) = x(i - 1)
    history mean        the mean of the history
    seasonal mean       the mean of the other cycles at the same phase
    autoregression      x(i + j) - x(i - 1) = c_j + sum_l w_jl x(i - l), weights shared by all nodes
    graph autoregression   the same with the lags of A x, A' x and A^2 x beside the own ones
    vector autoregression  each node has a weight for each lag of each node

with A the mean over neighbours. All weights are ridge estimates; the penalty is chosen on the
validation windows. A missing target counts for nothing, a missing reading is filled (see
`windows`); the vector autoregression takes a missing target as no change.

Source: Knight, Nunes, Nason, Modelling, detrending and decorrelation of network time series,
arXiv:1603.03221 (network autoregression); Hoerl, Kennard, Technometrics 12 (1970) (ridge).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse import csr_array

from graphtide.dynamics.forecast.season import Season
from graphtide.dynamics.forecast.windows import Windows, batches
from graphtide.errors import ComputationError
from graphtide.graph import Graph

__all__ = [
    "Autoregression",
    "Forecaster",
    "HistoryMean",
    "LastValue",
    "SeasonalMean",
    "VectorAutoregression",
    "plain_forecasters",
]

_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Ridge penalties, as shares of the mean of the Gram matrix' diagonal."""
_MOST_LAGS = 3
"""Lags of the vector autoregression: its Gram matrix has (lags N D)^2 entries."""
_MOST_WEIGHTS = 4000
"""Beyond this many inputs the vector autoregression is left out."""
_CHUNK = 128


@runtime_checkable
class Forecaster(Protocol):
    """What fits to windows and forecasts them."""

    name: str

    def fit(self, windows: Windows, train: np.ndarray, validation: np.ndarray | None) -> None:
        """Learn from the windows `train`.

        Args:
            windows: the readings.
            train: windows to learn from.
            validation: windows that choose what is to be chosen; None keeps what an earlier fit
                chose (the final fit on the whole training part).
        """
        ...

    def predict(self, windows: Windows, numbers: np.ndarray) -> np.ndarray:
        """Return forecasts, (B, h, N, D), in the unit of the readings."""
        ...


class LastValue:
    """The last reading goes on."""

    name = "last_value"

    def fit(self, windows: Windows, train: np.ndarray, validation: np.ndarray | None) -> None:
        """Do nothing: there is nothing to learn."""
        del windows, train, validation

    def predict(self, windows: Windows, numbers: np.ndarray) -> np.ndarray:
        """Return forecasts, (B, h, N, D)."""
        return np.repeat(windows.filled[numbers - 1][:, None], windows.horizon, axis=1)


class HistoryMean:
    """The mean of the history goes on."""

    name = "history_mean"

    def fit(self, windows: Windows, train: np.ndarray, validation: np.ndarray | None) -> None:
        """Do nothing: there is nothing to learn."""
        del windows, train, validation

    def predict(self, windows: Windows, numbers: np.ndarray) -> np.ndarray:
        """Return forecasts, (B, h, N, D)."""
        mean = windows.histories(numbers).mean(axis=1, keepdims=True)
        return np.repeat(mean, windows.horizon, axis=1)


class SeasonalMean:
    """The mean of the other cycles at the same phase."""

    name = "seasonal_mean"

    def __init__(self) -> None:
        self.season: Season | None = None

    def fit(self, windows: Windows, train: np.ndarray, validation: np.ndarray | None) -> None:
        """Read the cycles before the last target of the training windows."""
        del validation
        self.season = Season.of(windows, int(train[-1]) + windows.horizon)

    def predict(self, windows: Windows, numbers: np.ndarray) -> np.ndarray:
        """Return forecasts, (B, h, N, D)."""
        assert self.season is not None  # plain_forecasters offers it only where there is a season
        return self.season.mean(numbers, windows.horizon)


class Autoregression:
    """Ridge regression on lags, with weights that all nodes share.

    Args:
        graph: with it, lags of the neighbours stand beside the node's own.
    """

    def __init__(self, graph: Graph | None = None) -> None:
        self.name = "autoregression" if graph is None else "graph_autoregression"
        self.operators = [] if graph is None else _operators(graph)
        self.penalty = _PENALTIES[0]
        self.weight = np.zeros((0, 0))  # (features, h D)

    def fit(self, windows: Windows, train: np.ndarray, validation: np.ndarray | None) -> None:
        """Solve the normal equations, one right-hand side for each step."""
        grams, sides = self._normal_equations(windows, train)
        if validation is not None:
            scores = {}
            for penalty in _PENALTIES:
                self.weight = _ridge(grams, sides, penalty)
                error = self.predict(windows, validation) - windows.targets(validation)
                scores[penalty] = float(np.nanmean(np.square(error / windows.deviation)))
            self.penalty = min(scores, key=lambda penalty: scores[penalty])
        self.weight = _ridge(grams, sides, self.penalty)

    def predict(self, windows: Windows, numbers: np.ndarray) -> np.ndarray:
        """Return forecasts, (B, h, N, D)."""
        parts = []
        for some in batches(numbers, _CHUNK):
            change = self._features(windows, some) @ self.weight  # (B, N, h D)
            shape = (*change.shape[:2], windows.horizon, -1)
            change = change.reshape(shape).swapaxes(1, 2) * windows.deviation
            parts.append(windows.filled[some - 1][:, None] + change)
        return np.concatenate(parts)

    def _features(self, windows: Windows, numbers: np.ndarray) -> np.ndarray:
        """Return a constant and the standardised lags, (B, N, 1 + (1 + operators) k D)."""
        lags = (windows.histories(numbers) - windows.mean) / windows.deviation  # (B, k, N, D)
        stacked = np.moveaxis(lags, 2, 0)  # (N, B, k, D)
        flat = stacked.reshape(len(stacked), -1)
        parts = [flat, *(operator @ flat for operator in self.operators)]
        shape = (*stacked.shape[:2], -1)
        features = np.concatenate([part.reshape(shape) for part in parts], axis=2)
        ones = np.ones((*features.shape[:2], 1))
        return np.concatenate([ones, features], axis=2).swapaxes(0, 1)

    def _normal_equations(
        self, windows: Windows, train: np.ndarray
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Return one Gram matrix a target (one for all where nothing is missing), and X'y."""
        grams: list[np.ndarray] = []
        sides: np.ndarray | float = 0.0
        complete = not np.isnan(windows.readings[: int(train[-1]) + windows.horizon]).any()
        for some in batches(train, _CHUNK):
            features = self._features(windows, some)
            rows = features.reshape(-1, features.shape[-1])
            change = windows.targets(some) - windows.filled[some - 1][:, None]
            target = (change / windows.deviation).swapaxes(1, 2).reshape(len(rows), -1)
            there = ~np.isnan(target)
            sides = sides + rows.T @ np.where(there, target, 0.0)
            if complete:
                new = [rows.T @ rows]
            else:
                new = [rows.T @ (rows * there[:, [k]]) for k in range(target.shape[1])]
            grams = [a + b for a, b in zip(grams, new, strict=True)] if grams else new
        assert isinstance(sides, np.ndarray)  # there is at least one training window
        return grams, sides


class VectorAutoregression:
    """Ridge regression of every node on the last lags of every node."""

    name = "vector_autoregression"

    def __init__(self) -> None:
        self.penalty = _PENALTIES[-1]
        self.weight = np.zeros((0, 0))

    def fit(self, windows: Windows, train: np.ndarray, validation: np.ndarray | None) -> None:
        """Solve the normal equations."""
        rows = self._features(windows, train)
        change = windows.targets(train) - windows.filled[train - 1][:, None]
        target = np.nan_to_num(change / windows.deviation).reshape(len(train), -1)
        grams, sides = [rows.T @ rows], rows.T @ target
        if validation is not None:
            scores = {}
            for penalty in (*_PENALTIES, 10.0, 100.0):
                self.weight = _ridge(grams, sides, penalty)
                error = self.predict(windows, validation) - windows.targets(validation)
                scores[penalty] = float(np.nanmean(np.square(error / windows.deviation)))
            self.penalty = min(scores, key=lambda penalty: scores[penalty])
        self.weight = _ridge(grams, sides, self.penalty)

    def predict(self, windows: Windows, numbers: np.ndarray) -> np.ndarray:
        """Return forecasts, (B, h, N, D)."""
        shape = (len(numbers), windows.horizon, *windows.filled.shape[1:])
        change = (self._features(windows, numbers) @ self.weight).reshape(shape)
        return windows.filled[numbers - 1][:, None] + change * windows.deviation

    def _features(self, windows: Windows, numbers: np.ndarray) -> np.ndarray:
        lags = (windows.histories(numbers) - windows.mean) / windows.deviation
        flat = lags[:, -_MOST_LAGS:].reshape(len(numbers), -1)
        return np.concatenate([np.ones((len(numbers), 1)), flat], axis=1)


def plain_forecasters(windows: Windows, graph: Graph) -> list[Forecaster]:
    """Return the plain forecasters that these windows allow."""
    found: list[Forecaster] = [LastValue(), HistoryMean()]
    if Season.of(windows, windows.validation_start) is not None:
        found.append(SeasonalMean())
    found.append(Autoregression())
    if graph.edge_count:
        found.append(Autoregression(graph))
    _, node_count, variables = windows.readings.shape
    if _MOST_LAGS * node_count * variables <= _MOST_WEIGHTS:
        found.append(VectorAutoregression())
    return found


def _operators(graph: Graph) -> list[csr_array]:
    """Return mean over in-neighbours, mean over out-neighbours (if they differ), and its square."""
    forth = graph.matrix("mean_adjacency")
    found = [forth]
    if graph.directed:
        back = graph.transpose
        totals = np.asarray(back.sum(axis=1)).ravel()
        inverse = np.divide(1.0, totals, out=np.zeros_like(totals), where=totals != 0)
        found.append(csr_array(back.multiply(inverse[:, None])))
    return [*found, csr_array(forth @ forth)]


def _ridge(grams: list[np.ndarray], sides: np.ndarray, penalty: float) -> np.ndarray:
    """Return the ridge estimate of each column; the constant (first row) is not shrunk."""
    columns = []
    for k, gram in enumerate(grams):
        weight = np.full(len(gram), penalty * float(np.trace(gram)) / len(gram))
        weight[0] = 1e-9 * float(np.trace(gram))
        matrix = gram + np.diag(weight)
        side = sides if len(grams) == 1 else sides[:, [k]]
        if not gram.any():  # this target was never read
            columns.append(np.zeros_like(side))
            continue
        try:
            columns.append(cho_solve(cho_factor(matrix), side))
        except LinAlgError as error:
            raise ComputationError(f"a ridge regression failed: {error}") from None
    return np.concatenate(columns, axis=1)
