"""Errors of forecasts: mean absolute, root mean square, and relative to the reading, by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Errors"]

_SMALLEST = 1e-5
"""Readings nearer to zero than this have no relative error."""


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """Errors over all test windows and nodes, missing readings left out.

    Args:
        mae: (h,) mean absolute error of each step.
        rmse: (h,) root mean square error of each step.
        mape: (h,) mean of |error| / |reading|, readings of zero left out; NaN where none is left.
        all: MAE, RMSE and MAPE over all steps.
    """

    mae: np.ndarray
    rmse: np.ndarray
    mape: np.ndarray
    all: tuple[float, float, float]

    @staticmethod
    def of(forecast: np.ndarray, observed: np.ndarray) -> Errors:
        """Return the errors of forecasts (B, h, N, D); observed is NaN where missing."""
        error = np.abs(forecast - observed)
        relative = np.divide(
            error, np.abs(observed), out=np.full_like(error, np.nan),
            where=np.abs(observed) > _SMALLEST,
        )  # fmt: skip
        steps = range(error.shape[1])
        return Errors(
            np.array([_mean(error[:, j]) for j in steps]),
            np.array([_mean(np.square(error[:, j])) ** 0.5 for j in steps]),
            np.array([_mean(relative[:, j]) for j in steps]),
            (_mean(error), _mean(np.square(error)) ** 0.5, _mean(relative)),
        )

    def first(self, steps: int) -> tuple[float, float]:
        """Return MAE and RMSE over the first steps (the steps have equal numbers of readings)."""
        return float(self.mae[:steps].mean()), float(np.sqrt(np.square(self.rmse[:steps]).mean()))

    def metrics(self) -> dict[str, object]:
        """Return them by name: mae, rmse, mape, and by_step."""
        mae, rmse, mape = self.all
        rows = zip(self.mae.tolist(), self.rmse.tolist(), self.mape.tolist(), strict=True)
        by_step = [
            {"step": j, "mae": a, "rmse": r, "mape": p} for j, (a, r, p) in enumerate(rows, start=1)
        ]
        return {"mae": mae, "rmse": rmse, "mape": mape, "by_step": by_step}


def _mean(values: np.ndarray) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")
