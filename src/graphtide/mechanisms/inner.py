"""Inner parameters: exponents, half-saturations, thresholds and slopes inside a term.

Coefficients enter a law linearly and are solved for; a Hill exponent does not. Variable projection
(Golub and Pereyra, SIAM J. Numer. Anal. 10, 1973) searches the inner parameters alone, the
coefficients being solved anew for each trial: first on a grid, then by Nelder and Mead's method. A
law takes such a term only if its inner parameters together pay half of what the search asks of one
term.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from graphtide.mechanisms.candidates import Candidate, Coupling, Series, States
from graphtide.mechanisms.rows import Sample
from graphtide.mechanisms.search import ELBOW, residuals_with_each

__all__ = ["refine"]

POLISHED = 3
"""Families that are polished for each number of terms."""
LEAST_RESIDUAL = -16.0
"""A law this good (log residual) has no inner parameter left to find."""


@dataclass(frozen=True, slots=True)
class Family:
    """Terms of one form with two inner parameters, their trial values, and how one is made."""

    grid: tuple[tuple[float, ...], tuple[float, ...]]
    make: Callable[[float, float], Candidate]
    positive: tuple[bool, bool]


def refine(
    samples: Sequence[Sample],
    d: int,
    terms: list[Candidate],
    shorter: Sequence[list[Candidate]] = (),
) -> tuple[list[Candidate], float]:
    """Return the terms with a term of fitted inner parameters where that explains enough more.

    Args:
        samples: the data.
        d: number of the variable whose law it is.
        terms: the law found so far.
        shorter: smaller laws to which such a term may be added instead.

    Returns:
        The terms, and the log of the share of the target they leave unexplained.
    """
    columns, target = _rows(samples, d, terms)
    best = _log_residual(columns, target)
    if best < LEAST_RESIDUAL:
        return terms, best
    families = _families(samples)
    trials = [
        (family, values, family.make(*values))
        for family in families
        for values in itertools.product(*family.grid)
    ]
    tried, _ = _rows(samples, d, [candidate for _, _, candidate in trials])
    result, best_score = (terms, best), best + ELBOW * len(terms)
    for bases in _bases_by_size(terms, shorter):
        grid = [
            np.log(residuals_with_each(_rows(samples, d, base)[0], tried, target)) for base in bases
        ]
        for number, k in _most_promising(np.array(grid), trials):
            base, (family, values, _) = bases[number], trials[k]
            refined = [*base, _polish(samples, d, base, family, values, target)]
            residual = _log_residual(_rows(samples, d, refined)[0], target)
            # The inner parameters together cost half as much as one more term; what a residual
            # at round-off still falls by is worth nothing.
            score = max(residual, LEAST_RESIDUAL) + ELBOW * (len(refined) + 0.5)
            if score < best_score:
                result, best_score = (refined, residual), score
    return result


def _most_promising(
    grid: np.ndarray, trials: list[tuple[Family, tuple[float, float], Candidate]]
) -> list[tuple[int, int]]:
    """Return (base, trial) of the families that are best on the grid, each at its best place.

    The grid is coarse, so that the right family need not be the first before it is polished.
    """
    best: dict[int, tuple[float, int, int]] = {}
    for number, values in enumerate(grid):
        for k, value in enumerate(values):
            known = best.get(id(trials[k][0]))
            if known is None or value < known[0]:
                best[id(trials[k][0])] = (float(value), number, k)
    return [(number, k) for _, number, k in sorted(best.values())[:POLISHED]]


def _bases_by_size(
    terms: list[Candidate], shorter: Sequence[list[Candidate]]
) -> list[list[list[Candidate]]]:
    """Return the laws to which one more term may be added: parts of the law, and shorter laws."""
    by_size: list[list[list[Candidate]]] = [[] for _ in terms]
    for size in range(len(terms)):
        by_size[size] = [list(part) for part in itertools.combinations(terms, size)]
    for law in shorter:
        if len(law) < len(terms) and {c.text for c in law} - {c.text for c in terms}:
            by_size[len(law)].append(law)
    return by_size


def _rows(
    samples: Sequence[Sample], d: int, terms: Sequence[Candidate]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted rows of terms, (rows, P), and the weighted left-hand sides, (rows,)."""
    rows, lefts = [], []
    for sample in samples:
        left = sample.left(d)  # (W, N)
        energy = (left**2).sum(axis=0)
        moving = energy[energy > 0]
        floor = 0.01 * np.median(moving) if moving.size else 1.0
        weight = 1.0 / np.sqrt(np.maximum(energy, floor))
        lefts.append((left * weight).ravel())
        columns = np.empty((left.size, 0))
        if terms:
            columns = (sample.rows(terms) * weight[:, None]).reshape(left.size, len(terms))
        rows.append(columns)
    return np.concatenate(rows), np.concatenate(lefts)


def _log_residual(columns: np.ndarray, target: np.ndarray) -> float:
    residual = target
    if columns.shape[1]:
        residual = target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]
    return float(np.log(max((residual**2).sum() / (target**2).sum(), 1e-11)))


def _polish(
    samples: Sequence[Sample],
    d: int,
    base: list[Candidate],
    family: Family,
    values: tuple[float, float],
    target: np.ndarray,
) -> Candidate:
    """Fit the inner parameters from a point of the grid; four digits are kept."""
    from scipy.optimize import minimize

    base_columns = _rows(samples, d, base)[0]

    def made(point: np.ndarray) -> Candidate:
        numbers = [
            float(f"{np.exp(p) if positive else p:.4g}")
            for p, positive in zip(point, family.positive, strict=True)
        ]
        return family.make(*numbers)

    def objective(point: np.ndarray) -> float:
        column, _ = _rows(samples, d, [made(point)])
        if not np.isfinite(column).all():
            return 0.0
        return _log_residual(np.column_stack([base_columns, column]), target)

    start = np.array(
        [np.log(v) if positive else v for v, positive in zip(values, family.positive, strict=True)]
    )
    found = minimize(
        objective, start, method="Nelder-Mead", options={"maxfev": 80, "xatol": 1e-4, "fatol": 1e-5}
    )
    return made(found.x)


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
                        (True, True),
                    )
                )
            families.append(Family((slopes, centres), _threshold(x, coupling), (True, False)))
            if coupling != "none":
                rates = tuple(float(f"{r / scale[1]:.3g}") for r in (0.05, 0.3, 1.5))
                families.append(
                    Family((rates, rates), _shared_saturation(x, coupling), (True, True))
                )
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
