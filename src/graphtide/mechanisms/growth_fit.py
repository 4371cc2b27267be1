"""One law of growth fitted to one curve: least squares on log n, its errors, profiles, forecasts.

Levenberg-Marquardt from several starts. The residuals of growth curves hang together in time: with
rho their correlation from one time to the next, m readings count as m (1 - rho)/(1 + rho), in the
standard errors and in the profile likelihood alike (Bartlett 1946).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graphtide.errors import ComputationError
from graphtide.mechanisms.growth_laws import GrowthLaw, Span

__all__ = ["GrowthFit", "fit_law", "inverse_information", "jacobian", "minimise"]

_CHI_SQUARE_95 = 3.841458820694124
_FAR = float(np.log(1e6))
"""How far from its estimate, in logarithms, a profile is followed before it is called open."""


@dataclass(frozen=True, slots=True, eq=False)
class GrowthFit:
    """A law fitted to a curve.

    Attributes:
        law: the law.
        span: the times fitted on.
        internal: internal parameters.
        covariance: of the internal parameters; not finite where the data do not determine them.
        residuals: log of the readings minus log of the law, shape (T,).
        effective_count: how many independent readings the curve counts as.
    """

    law: GrowthLaw
    span: Span
    internal: np.ndarray
    covariance: np.ndarray
    residuals: np.ndarray
    effective_count: float

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters by name."""
        values = self.law.natural(self.internal, self.span)
        return dict(zip(self.law.parameters, values, strict=True))

    @property
    def standard_errors(self) -> dict[str, float]:
        """Standard errors of the parameters by name; infinite where they are not determined."""
        count = len(self.internal)
        rows = np.empty((count, count))
        centre = np.array(self.law.natural(self.internal, self.span))
        for k in range(count):
            moved = self.internal.copy()
            step = 1e-6 * max(1.0, abs(moved[k]))
            moved[k] += step
            rows[:, k] = (np.array(self.law.natural(moved, self.span)) - centre) / step
        with np.errstate(invalid="ignore", over="ignore"):
            variance = np.einsum("ij,jk,ik->i", rows, self.covariance, rows)
        variance = np.where(np.isfinite(variance) & (variance >= 0), variance, np.inf)
        return dict(zip(self.law.parameters, np.sqrt(variance).tolist(), strict=True))

    @property
    def residual_deviation(self) -> float:
        """Standard deviation of the residuals of log n, degrees of freedom taken off."""
        freedom = max(1, len(self.residuals) - len(self.internal))
        return float(np.sqrt(self.residuals @ self.residuals / freedom))

    def size(self, times: np.ndarray) -> np.ndarray:
        """Return the law's size at times, shape of the times."""
        return np.exp(np.minimum(self.law.log_size(self.internal, times, self.span), 700.0))

    def band(self, times: np.ndarray, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Return the interval in which a reading at each time is expected.

        The error of the parameters (to first order, on log n) and the scatter of readings together.
        """
        from scipy.stats import t as student

        centre = self.law.log_size(self.internal, times, self.span)
        rows = jacobian(lambda u: self.law.log_size(u, times, self.span), self.internal)
        with np.errstate(invalid="ignore", over="ignore"):
            variance = np.einsum("ti,ij,tj->t", rows, self.covariance, rows)
        variance = np.where(np.isfinite(variance) & (variance >= 0.0), variance, np.inf)
        freedom = max(1.0, self.effective_count - len(self.internal))
        reach = float(student.ppf(0.5 + level / 2, freedom))
        spread = reach * np.sqrt(variance + self.residual_deviation**2)
        low = np.exp(np.clip(centre - spread, -700.0, 700.0))
        return low, np.exp(np.clip(centre + spread, -700.0, 700.0))

    def interval(
        self, name: str, times: np.ndarray, log_size: np.ndarray
    ) -> tuple[float | None, float | None]:
        """Return the 95 % profile-likelihood interval of a parameter; None where it is open.

        Args:
            name: the parameter's name.
            times: (T,) the curve that was fitted.
            log_size: (T,) log of its sizes.
        """
        place = self.law.parameters.index(name)
        positive = name != "theta"

        def value(u: np.ndarray) -> float:
            natural = self.law.natural(u, self.span)[place]
            return float(np.log(natural)) if positive else natural

        error = self.standard_errors[name] / (self.parameters[name] if positive else 1.0)
        step = min(max(error, 1e-4), 0.5) if np.isfinite(error) else 0.5
        ends = (self._end(value, sign * step, times, log_size) for sign in (-1.0, 1.0))
        low, high = (None if end is None else _exp(end) if positive else float(end) for end in ends)
        return low, high

    def _end(
        self,
        value: Callable[[np.ndarray], float],
        step: float,
        times: np.ndarray,
        log_size: np.ndarray,
    ) -> float | None:
        """Return where the profile leaves the confidence region, on one side; None if nowhere."""
        best = value(self.internal)
        least = float(self.residuals @ self.residuals)
        if least <= 1e-24 * len(times):
            return best  # the curve lies on the law

        def excess(wanted: float, start: np.ndarray) -> tuple[float, np.ndarray]:
            found = _constrained(self.law, self.span, times, log_size, value, wanted, start)
            residual = self.law.log_size(found, times, self.span) - log_size
            ratio = max(float(residual @ residual) / least, 1.0)
            return self.effective_count * np.log(ratio) - _CHI_SQUARE_95, found

        inner, at_inner, start = best, -_CHI_SQUARE_95, self.internal
        outer = best + step
        while True:
            at_outer, found = excess(outer, start)
            if at_outer > 0.0:
                break
            if abs(outer - best) > _FAR:
                return None
            inner, at_inner, start = outer, at_outer, found
            outer = best + 2.0 * (outer - best)
        for _ in range(7):
            share = np.clip(at_inner / (at_inner - at_outer), 0.1, 0.9)
            middle = inner + share * (outer - inner)
            at_middle, found = excess(middle, start)
            if at_middle > 0.0:
                outer, at_outer = middle, at_middle
            else:
                inner, at_inner, start = middle, at_middle, found
            if abs(outer - inner) < 0.01 * abs(outer - best):
                break
        return 0.5 * (inner + outer)


def fit_law(law: GrowthLaw, times: np.ndarray, log_size: np.ndarray, span: Span) -> GrowthFit:
    """Return the least-squares fit of a law to log n, the best of several starts.

    Args:
        law: the law.
        times: (T,) increasing, T at least the number of parameters and two more.
        log_size: (T,) logarithms of sizes.
        span: first and last time, and the origin.

    Raises:
        ComputationError: no start led to a finite fit.
    """
    best: np.ndarray | None = None
    least = np.inf
    for start in law.starts(times, log_size, span):
        found = minimise(
            lambda u: _finite(law.log_size(u, times, span) - log_size), np.array(start, float)
        )
        residual = law.log_size(found, times, span) - log_size
        cost = float(residual @ residual)
        if cost < least:
            best, least = found, cost
    if best is None:
        raise ComputationError(f"the {law.name} law could not be fitted: no start led to a fit")
    residuals = log_size - law.log_size(best, times, span)
    rows = jacobian(lambda u: law.log_size(u, times, span), best)
    count = _effective_count(residuals)
    freedom = max(1.0, count - len(best))
    variance = max(least / len(times), 1e-24) * count / freedom
    information = rows.T @ rows * (count / len(times)) / variance
    return GrowthFit(law, span, best, inverse_information(information), residuals, count)


def inverse_information(information: np.ndarray) -> np.ndarray:
    """Return the inverse of an information matrix; infinite where it is singular."""
    scale = np.sqrt(np.diag(information))
    scale = np.maximum(scale, 1e-9 * float(scale.max()) + 1e-100)
    scaled = information / np.outer(scale, scale)
    if not np.isfinite(scaled).all():
        return np.full(information.shape, np.inf)
    values, vectors = np.linalg.eigh(scaled)
    if values[0] < 1e-12 * values[-1]:
        # Directions that the data do not see at all: a huge variance, the others as they are.
        values = np.maximum(values, 1e-12 * values[-1])
    return (vectors / values) @ vectors.T / np.outer(scale, scale)


def _effective_count(residuals: np.ndarray) -> float:
    """Return how many independent readings these residuals count as."""
    total = float(residuals @ residuals)
    if len(residuals) < 3 or total == 0.0:
        return float(len(residuals))
    rho = float(np.clip(residuals[1:] @ residuals[:-1] / total, 0.0, 0.95))
    return max(4.0, len(residuals) * (1.0 - rho) / (1.0 + rho))


def _constrained(
    law: GrowthLaw,
    span: Span,
    times: np.ndarray,
    log_size: np.ndarray,
    value: Callable[[np.ndarray], float],
    wanted: float,
    start: np.ndarray,
) -> np.ndarray:
    """Return the least-squares fit that gives a function of the parameters a wanted value."""

    def residual(u: np.ndarray) -> np.ndarray:
        return _finite(
            np.append(law.log_size(u, times, span) - log_size, 1e3 * (value(u) - wanted))
        )

    return minimise(residual, start)


def minimise(residual: Callable[[np.ndarray], np.ndarray], start: np.ndarray) -> np.ndarray:
    """Return the end of Levenberg and Marquardt's method from one start."""
    from scipy.optimize import least_squares

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return least_squares(residual, start, method="lm", max_nfev=400, xtol=1e-10).x


def _finite(residual: np.ndarray) -> np.ndarray:
    """Return residuals with what overflowed made large but finite."""
    return np.clip(np.nan_to_num(residual, nan=1e6, posinf=1e6, neginf=-1e6), -1e6, 1e6)


def jacobian(function: Callable[[np.ndarray], np.ndarray], at: np.ndarray) -> np.ndarray:
    """Return derivatives by central differences, shape (values, parameters)."""
    columns = []
    for k in range(len(at)):
        step = 1e-5 * max(1.0, abs(at[k]))
        up, down = at.copy(), at.copy()
        up[k] += step
        down[k] -= step
        columns.append((function(up) - function(down)) / (2.0 * step))
    return np.stack(columns, axis=1)


def _exp(value: float) -> float:
    return float(np.exp(min(value, 700.0)))
