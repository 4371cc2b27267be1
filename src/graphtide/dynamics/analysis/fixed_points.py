"""Fixed points of a law, f(x) = 0: found from many starts, made different, and classified.

Newton's method on the sparse Jacobian, damped so that |f| falls (Deuflhard, Newton Methods for
Nonlinear Problems, 2004), from the starts themselves, which also finds unstable points, and from
where the law leads within a long time, which finds the stable ones a user would see. Linear systems
are solved by `linear.factorised`: Newton-Krylov on large graphs. The kind of a point is read off
its leading eigenvalues; a real part counts as zero within a tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.linear import factorised, scale_of_rates, shifted
from graphtide.dynamics.analysis.spectrum import Spectrum, leading_eigenvalues
from graphtide.errors import ComputationError

__all__ = [
    "FixedPoint",
    "Kind",
    "Tolerance",
    "analysed",
    "classify",
    "distance",
    "distinct",
    "is_continuum",
    "newton",
    "tolerance_of",
]

Kind = Literal[
    "stable node", "stable focus", "saddle", "unstable node", "unstable focus", "centre", "neutral"
]
Tolerance = float

SAME = 1e-5
"""Distance, relative to the states, below which two points are the same."""
LEARNED_ZERO = 0.05
"""Share of the median rate below which an eigenvalue of a learned field counts as zero."""
WRITTEN_ZERO = 1e-7
"""The same for an equation, where only rounding stands between."""


@dataclass(frozen=True, slots=True, eq=False)
class FixedPoint:
    """A state at which nothing changes.

    Args:
        states: shape (N, D).
        residual: largest rate left there, relative to the median rate times the states' size.
        spectrum: leading eigenvalues of the linearisation.
        kind: what it is.
        continuum: whether it is one of a connected set of fixed points.
        outside: share of its states outside the range that the field was learned on.
        share: share of random starts that end there; NaN where that was not tried.
        reached: how many starts led there, by Newton's method or in time.
    """

    states: np.ndarray
    residual: float
    spectrum: Spectrum
    kind: Kind
    continuum: bool = False
    outside: float = 0.0
    share: float = field(default=float("nan"))
    reached: int = 1

    @property
    def leading(self) -> complex:
        """The eigenvalue of largest real part."""
        return complex(self.spectrum.values[0])

    @property
    def stable(self) -> bool:
        """Whether small pushes die out (or, on a continuum, do not grow)."""
        return self.kind in ("stable node", "stable focus")


def newton(
    law: Law, start: np.ndarray, *, time: float = 0.0, steps: int = 60, tolerance: float = 1e-11
) -> tuple[np.ndarray, float] | None:
    """Return a fixed point near a start and its relative residual; None where there is none.

    A small shift of the Jacobian, that vanishes with the residual, keeps singular steps finite: on
    a continuum of fixed points the nearest is found.

    Args:
        law: the law.
        start: shape (N, D).
        time: at which the rates are taken, where they depend on it.
        steps: most Newton steps.
        tolerance: wanted size of the rates, relative to the median rate times the states' size.
    """
    x = np.array(start, dtype=np.float64)
    rates = _rates(law, x, time)
    if not np.isfinite(rates).all():
        return None
    first = float(np.linalg.norm(rates))
    best, slack = np.inf, 0
    for _ in range(steps):
        norm = float(np.linalg.norm(rates))
        try:
            jacobian = law.jacobian(x, time)
        except ComputationError:
            return None
        rate = scale_of_rates(jacobian)
        unit = rate * (float(np.sqrt(np.mean(x**2))) + 1e-3 * _extent(law))
        relative = float(np.abs(rates).max()) / unit
        if relative <= 1e-14:
            return x, relative
        slack = slack + 1 if relative > 0.5 * best else 0
        best = min(best, relative)
        if relative <= tolerance and slack >= 1:
            return x, relative
        shift = 1e-10 * rate * min(1.0, norm / max(first, 1e-300) + 1e-3)
        try:
            solve = factorised(shifted(jacobian, shift), block=law.shape[1], tolerance=1e-8)
            step = -solve(rates.ravel()).reshape(x.shape)
        except ComputationError:
            return None
        taken = _damped(law, x, step, norm, time)
        if taken is None:
            return (x, relative) if relative <= tolerance else None
        x, rates = taken
    return (x, best) if best <= tolerance else None


def _damped(
    law: Law, x: np.ndarray, step: np.ndarray, norm: float, time: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the states and rates after the longest halving of a step by which |f| falls."""
    if not np.isfinite(step).all():
        return None
    share = 1.0
    for _ in range(30):
        there = x + share * step
        rates = _rates(law, there, time)
        after = float(np.linalg.norm(rates))
        if np.isfinite(after) and after <= (1.0 - 0.25 * share) * norm:
            return there, rates
        share *= 0.5
    return None


def _rates(law: Law, states: np.ndarray, time: float) -> np.ndarray:
    moment = torch.tensor(time, dtype=torch.float64)
    return law.numeric(moment, torch.from_numpy(states)).numpy()


def _extent(law: Law) -> float:
    """Return the size of the states in which a law is used, for what is compared with zero."""
    if law.low is not None and law.high is not None:
        return float(np.abs([law.low, law.high]).max()) or 1.0
    return float(np.abs(law.start(0)).max()) or 1.0


def distance(law: Law, one: np.ndarray, other: np.ndarray) -> float:
    """Return how far two states are from each other, relative to the size of the states."""
    size = max(float(np.abs(one).max()), float(np.abs(other).max()), 1e-3 * _extent(law))
    return float(np.abs(one - other).max()) / size


def distinct(
    law: Law, found: list[tuple[np.ndarray, float]]
) -> list[tuple[np.ndarray, float, int]]:
    """Return fixed points that differ, each with its smallest residual and how often it came."""
    kept: list[tuple[np.ndarray, float, int]] = []
    for states, residual in found:
        for k, (known, least, count) in enumerate(kept):
            if distance(law, known, states) < SAME:
                better = residual < least
                kept[k] = (states if better else known, min(least, residual), count + 1)
                break
        else:
            kept.append((states, residual, 1))
    return kept


def tolerance_of(law: Law, spectrum: Spectrum) -> Tolerance:
    """Return the size below which a real part counts as zero."""
    share = WRITTEN_ZERO if law.equation is not None else LEARNED_ZERO
    return share * spectrum.rate


def classify(spectrum: Spectrum, tolerance: Tolerance, *, falling: bool) -> Kind:
    """Return the kind of a fixed point.

    Args:
        spectrum: its leading eigenvalues.
        tolerance: size below which a real part is zero.
        falling: whether some eigenvalue beyond those known has a negative real part.
    """
    real = spectrum.values.real
    turning = abs(spectrum.values[0].imag) > tolerance
    if real[0] > tolerance:
        if (real < -tolerance).any() or (falling and not spectrum.whole):
            return "saddle"
        return "unstable focus" if turning else "unstable node"
    if real[0] < -tolerance:
        return "stable focus" if turning else "stable node"
    middle = spectrum.values[np.abs(real) <= tolerance]
    return "centre" if (np.abs(middle.imag) > tolerance).all() else "neutral"


def analysed(
    law: Law, states: np.ndarray, residual: float, *, count: int = 10, reached: int = 1
) -> FixedPoint:
    """Return a fixed point with its spectrum and its kind.

    Raises:
        ComputationError: its leading eigenvalues do not settle.
    """
    jacobian = law.jacobian(states)
    spectrum = leading_eigenvalues(jacobian, count, block=law.shape[1])
    tolerance = tolerance_of(law, spectrum)
    remaining = float(jacobian.diagonal().sum()) - float(spectrum.values.real.sum())
    kind = classify(spectrum, tolerance, falling=remaining < 0.0)
    continuum = kind == "neutral" and is_continuum(law, states, spectrum, tolerance)
    return FixedPoint(
        states, residual, spectrum, kind, continuum, law.outside(states), reached=reached
    )


def is_continuum(law: Law, states: np.ndarray, spectrum: Spectrum, tolerance: Tolerance) -> bool:
    """Return whether fixed points go on along the mode whose eigenvalue is zero.

    A step is taken along the mode, and Newton's method, which moves across it, is asked for a fixed
    point there: on a continuum it stays about where the step led.
    """
    zero = int(np.argmin(np.abs(spectrum.values)))
    mode = spectrum.modes[:, zero].real.reshape(states.shape)
    if abs(spectrum.values[zero]) > tolerance or not np.abs(mode).max() > 0.0:
        return False
    size = max(float(np.abs(states).max()), 0.1 * _extent(law))
    step = 0.05 * size * mode / np.abs(mode).max()
    found = newton(law, states + step, tolerance=1e-9)
    if found is None:
        return False
    moved = float((found[0] - states).ravel() @ step.ravel() / (step.ravel() @ step.ravel()))
    return 0.5 < moved < 1.5
