"""Forms of terms with inner parameters: Hill functions, sigmoids, gain that both ends saturate.

Each form has trial values that follow the range of states that was visited, and makes its terms at
any values. Inner parameters live on scales without bounds: logarithms of positive ones, thresholds
in units of the visited range.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from graphtide.mechanisms.candidates import Candidate, Coupling, Series, States
from graphtide.mechanisms.rows import Sample

__all__ = ["trial_terms"]


@dataclass(frozen=True, slots=True)
class Family:
    """Terms of one form with two inner parameters.

    Attributes:
        grid: trial values of both.
        make: makes a term from their values.
        units: for each the unit of its unbounded scale; None for the logarithm of a positive one.
    """

    grid: tuple[tuple[float, ...], tuple[float, ...]]
    make: Callable[[float, float], Candidate]
    units: tuple[float | None, float | None] = (None, None)

    def term(self, point: tuple[float, ...], digits: int | None = None) -> Candidate:
        """Return the term at a point of the unbounded scales, values rounded to digits."""
        values = [
            float(np.exp(p)) if unit is None else p * unit
            for p, unit in zip(point, self.units, strict=True)
        ]
        if digits is not None:
            values = [float(f"{value:.{digits}g}") for value in values]
        return replace(self.make(*values), inner=point, remake=self.term)

    def trials(self) -> list[Candidate]:
        """Return the terms of the grid."""
        return [
            self.term(
                tuple(
                    float(np.log(v)) if unit is None else v / unit
                    for v, unit in zip(values, self.units, strict=True)
                )
            )
            for values in itertools.product(*self.grid)
        ]


def trial_terms(samples: Sequence[Sample]) -> list[list[Candidate]]:
    """Return the terms of every form's grid, a list for each form."""
    return [family.trials() for family in _families(samples)]


def _families(samples: Sequence[Sample]) -> list[Family]:
    """Return the families for these data: trial values follow the range that was visited."""
    variables = samples[0].observed.variables
    mean = any(
        np.ptp(sample.graph.degree) > 0 for sample in samples
    )  # on a regular graph a mean is a sum
    couplings: tuple[Coupling, ...] = ("none", "sum", "mean") if mean else ("none", "sum")
    families = []
    for d, x in enumerate(variables):
        visited = np.concatenate(
            [np.abs(sample.grid[:, sample.usable, d]).ravel() for sample in samples]
        )
        scale = np.quantile(visited, [0.2, 0.5, 0.8])
        scale = tuple(float(f"{max(v, 1e-6):.3g}") for v in scale)
        signed = np.concatenate([sample.grid[:, sample.usable, d].ravel() for sample in samples])
        centres = tuple(float(f"{v:.3g}") for v in np.quantile(signed, [0.1, 0.35, 0.65, 0.9]))
        width = max(float(np.quantile(signed, 0.9) - np.quantile(signed, 0.1)), 1e-6)
        slopes = tuple(float(f"{s / width:.3g}") for s in (3.0, 8.0, 20.0))
        for coupling in couplings:
            for factor in (False, True):
                if coupling == "none" and factor:
                    continue
                families.append(
                    Family(
                        ((1.0, 2.0, 4.0), scale),
                        _saturating(x, coupling, factor=factor),
                    )
                )
            families.append(Family((slopes, centres), _threshold(x, coupling), (None, width)))
            if coupling != "none":
                rates = tuple(float(f"{r / scale[1]:.3g}") for r in (0.05, 0.3, 1.5))
                families.append(Family((rates, rates), _shared_saturation(x, coupling)))
    return families


def _saturating(x: str, coupling: Coupling, *, factor: bool) -> Callable[[float, float], Candidate]:
    """Return a maker of Hill terms x^h / (K^h + x^h), perhaps times the node's own state."""

    def make(exponent: float, half: float) -> Candidate:
        def hill(value: Series) -> Series:
            with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
                power = (np.maximum(value, 0.0) / half) ** exponent
                return power / (1.0 + power)

        inside = f"hill({x}{'_j' if coupling != 'none' else ''}, {exponent:g}, {half:g})"
        return _term(x, coupling, inside, hill, factor=factor)

    return make


def _threshold(x: str, coupling: Coupling) -> Callable[[float, float], Candidate]:
    """Return a maker of sigmoid terms 1 / (1 + exp(-slope (x - threshold)))."""

    def make(slope: float, threshold: float) -> Candidate:
        def sigmoid(value: Series) -> Series:
            return 0.5 * (1.0 + np.tanh(0.5 * slope * (value - threshold)))

        name = f"{x}{'_j' if coupling != 'none' else ''}"
        sign = "-" if threshold >= 0 else "+"
        inside = f"sigmoid({slope:g}*({name} {sign} {abs(threshold):g}))"
        return _term(x, coupling, inside, sigmoid, factor=False)

    return make


def _shared_saturation(x: str, coupling: Coupling) -> Callable[[float, float], Candidate]:
    """Return a maker of x_i x_j / (1 + e |x_i| + h |x_j|): gain that both ends saturate."""

    def make(own: float, other: float) -> Candidate:
        def pair(here: States, there: States) -> Series:
            return here[x] * there[x] / (1.0 + own * np.abs(here[x]) + other * np.abs(there[x]))

        inside = f"{x}_i*{x}_j/(1 + {own:g}*abs({x}_i) + {other:g}*abs({x}_j))"
        return Candidate(f"{coupling}_j A_ij*({inside})", 10, coupling, pair=pair)

    return make


def _term(
    x: str, coupling: Coupling, inside: str, function: Callable[[Series], Series], *, factor: bool
) -> Candidate:
    def of_states(states: States) -> Series:
        return function(states[x])

    def own(states: States) -> Series:
        return states[x] if factor else np.ones_like(states[x])

    if coupling == "none":
        return Candidate(inside, 6, own=of_states)
    text = f"{coupling}_j A_ij*({f'{x}_i*{inside}' if factor else inside})"
    return Candidate(text, 8, coupling, separable=((own, of_states),))
