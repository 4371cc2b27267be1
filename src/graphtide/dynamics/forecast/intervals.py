"""Intervals from held-out residuals: conformal, with widths that follow what comes true.

Residuals r of the validation windows, divided by the typical size of their node and step, give for
each step j the quantiles q_low and q_high of the wanted share; a forecast f then has the interval

    [f + q_low_j s_jn, f + q_high_j s_jn].

Where the share of misses drifts, widths follow: when targets of a step have come true,

    log q <- log q + g (m / m* - 1),

m the share of nodes that missed on this side and m* the share that should. Only targets that lie
before a forecast's first step have a say in its interval.

Sources: Lei, G'Sell, Rinaldo, Tibshirani, Wasserman, JASA 113 (2018) (split conformal, locally
scaled); Gibbs, Candes, NeurIPS 2021; Angelopoulos, Candes, Tibshirani, NeurIPS 2023 (quantiles that
follow their misses).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Intervals", "coverage"]

_PRIOR = 10.0
"""Residuals by which a node's own size is drawn to that of all nodes."""
_GAIN = 0.02
"""g: how fast widths follow the misses."""


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """What residuals say of the errors to come.

    Args:
        level: share of the readings that the intervals should hold.
        scale: (h, N, D) typical size of a residual, positive.
        low: (h, D) quantile below of the scaled residuals, at most zero.
        high: (h, D) quantile above, at least zero.
    """

    level: float
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @staticmethod
    def of(residuals: np.ndarray, level: float) -> Intervals:
        """Return intervals from residuals (B, h, N, D), observed less forecast, NaN where missing.

        A step of a variable without any residual takes those of all steps.
        """
        there = ~np.isnan(residuals)
        size = np.where(there, np.abs(residuals), 0.0).sum(axis=0)  # (h, N, D)
        count = there.sum(axis=0)
        common = size.sum(axis=1, keepdims=True) / np.maximum(count.sum(axis=1, keepdims=True), 1)
        scale = (size + _PRIOR * common) / (count + _PRIOR)
        scale = np.maximum(scale, 1e-12 + 1e-6 * float(scale.max(initial=0.0)))
        steps, variables = residuals.shape[1], residuals.shape[3]
        low, high = np.zeros((steps, variables)), np.zeros((steps, variables))
        scaled = residuals / scale
        for d in range(variables):
            for j in range(steps):
                values = scaled[:, j, :, d]
                values = values[~np.isnan(values)]
                if not values.size:
                    values = scaled[..., d][there[..., d]]
                # The correction of split conformal prediction for a finite number of residuals.
                share = (1 - level) / 2 * (1 - 1 / (len(values) + 1)) if values.size else 0.0
                if values.size:
                    low[j, d] = min(0.0, float(np.quantile(values, share)))
                    high[j, d] = max(0.0, float(np.quantile(values, 1 - share)))
        return Intervals(level, scale, low, high)

    def fixed(self, forecast: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return lower and upper ends for forecasts (B, h, N, D)."""
        return (
            forecast + self.low[:, None] * self.scale,
            forecast + self.high[:, None] * self.scale,
        )

    def following(
        self, forecast: np.ndarray, observed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, Intervals]:
        """Return ends that follow the misses, and the intervals as they are after the last one.

        Args:
            forecast: (B, h, N, D) of windows that follow each other by one reading.
            observed: (B, h, N, D), NaN where missing.
        """
        low, high = self.low.copy(), self.high.copy()
        lower, upper = np.empty_like(forecast), np.empty_like(forecast)
        wanted = (1 - self.level) / 2
        for number in range(len(forecast)):
            for j in range(forecast.shape[1]):
                known = number - 1 - j  # its target of step j is the reading just made
                if known < 0:
                    break
                truth = observed[known, j]
                count = np.maximum((~np.isnan(truth)).sum(axis=0), 1)
                below = (truth < lower[known, j]).sum(axis=0) / count
                above = (truth > upper[known, j]).sum(axis=0) / count
                seen = ~np.isnan(truth).all(axis=0)
                low[j] *= np.where(seen, np.exp(_GAIN * (below / wanted - 1)), 1.0)
                high[j] *= np.where(seen, np.exp(_GAIN * (above / wanted - 1)), 1.0)
            lower[number] = forecast[number] + low[:, None] * self.scale
            upper[number] = forecast[number] + high[:, None] * self.scale
        return lower, upper, Intervals(self.level, self.scale, low, high)


def coverage(lower: np.ndarray, upper: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return the share of readings within their intervals for each step, (h,)."""
    there = ~np.isnan(observed)
    inside = (observed >= lower) & (observed <= upper) & there
    return inside.sum(axis=(0, 2, 3)) / np.maximum(there.sum(axis=(0, 2, 3)), 1)
