"""Inner parameters: exponents, half-saturations, thresholds and slopes inside a term.

Coefficients enter a law linearly and are solved for; a Hill exponent does not. Trial values on a
grid show which forms deserve more; variable projection (Golub and Pereyra, SIAM J. Numer. Anal. 10,
1973) then fits the inner parameters by Gauss-Newton steps beside a generous set of terms of the
node's own state, and the search is repeated with the fitted term in the library. A law takes such a
term only if its inner parameters together pay half of what the search asks of one term.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphtide.mechanisms.candidates import Candidate
from graphtide.mechanisms.families import trial_terms
from graphtide.mechanisms.rows import Sample
from graphtide.mechanisms.search import ELBOW, best_supports

__all__ = [
    "LEAST_RESIDUAL",
    "Columns",
    "fitted_terms",
    "log_residual",
    "orthogonal_basis",
    "own_polynomials",
    "polished",
    "refine",
    "weighted_rows",
]

POLISHED = 3
"""Forms that are fitted beside each set of terms."""
LEAST_RESIDUAL = -16.0
"""A law this good (log residual) has no inner parameter left to find."""
LARGEST_STEP = 0.7
"""Most that an inner parameter, on its unbounded scale, moves in one step."""

Columns = Callable[[Sequence[Candidate]], np.ndarray]
"""Makes the rows (R, P) of P terms."""


def fitted_terms(
    columns: Columns,
    target: np.ndarray,
    library: np.ndarray,
    bases: Sequence[Sequence[int]],
    trials: Sequence[Sequence[Candidate]],
) -> list[Candidate]:
    """Return the most promising terms with their inner parameters fitted.

    Args:
        columns: makes rows.
        target: shape (R,).
        library: rows of the library, shape (R, P).
        bases: sets of columns of the library beside which the forms are tried.
        trials: terms of each form's grid.
    """
    flat = [term for form in trials for term in form]
    form_of = np.repeat(np.arange(len(trials)), [len(form) for form in trials])
    tried = columns(flat)
    result = []
    for base in bases:
        orthogonal = orthogonal_basis(library[:, list(base)])
        residuals = _residuals_with_each(orthogonal, tried, target)
        order = np.argsort(residuals, kind="stable")
        forms = list(dict.fromkeys(form_of[order]))[:POLISHED]
        for form in forms:
            k = next(k for k in order if form_of[k] == form)
            result.append(polished(columns, target, orthogonal, flat[k]))
    return result


def orthogonal_basis(rows: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the space of columns (R, P), shape (R, at most P)."""
    usable = rows[:, np.linalg.norm(rows, axis=0) > 0]
    left, values, _ = np.linalg.svd(usable / np.linalg.norm(usable, axis=0), full_matrices=False)
    return left[:, values > 1e-9 * values.max(initial=0.0)]


def _residuals_with_each(
    orthogonal: np.ndarray, columns: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """Return what is left of the target with a base and one more column, for each column."""
    residual = target - orthogonal @ (orthogonal.T @ target)
    left = columns - orthogonal @ (orthogonal.T @ columns)
    length = np.linalg.norm(left, axis=0)
    sound = np.isfinite(length) & (length > 1e-6 * np.linalg.norm(columns, axis=0))
    gain = np.zeros(columns.shape[1])
    gain[sound] = (residual @ left[:, sound] / length[sound]) ** 2
    return residual @ residual - gain


def polished(
    columns: Columns, target: np.ndarray, orthogonal: np.ndarray, term: Candidate
) -> Candidate:
    """Fit a term's inner parameters by damped Gauss-Newton steps."""
    residual = target - orthogonal @ (orthogonal.T @ target)
    best, best_value, damping = term, np.inf, 1.0
    step = np.zeros(len(term.inner))
    for _ in range(25):
        rows = columns([term, *term.slopes()])
        rows = rows - orthogonal @ (orthogonal.T @ rows)
        length = float(rows[:, 0] @ rows[:, 0])
        value = np.inf
        if np.isfinite(rows).all() and length > 0:
            value = float(residual @ residual - (rows[:, 0] @ residual) ** 2 / length)
        if value < best_value:
            settled = best_value - value < 1e-7 * value
            best, best_value, damping = term, value, min(2.0 * damping, 1.0)
            if settled:
                break
            scale = np.linalg.norm(rows, axis=0) + 1e-300
            found = np.linalg.lstsq(rows / scale, residual, rcond=1e-10)[0] / scale
            # The slopes' coefficients are the step times the term's present coefficient.
            step = found[1:] / ((rows[:, 0] @ residual) / length or 1e-300)
            step *= min(1.0, LARGEST_STEP / max(np.abs(step).max(), 1e-300))
        else:
            damping /= 3.0
            if damping < 0.02:
                break
        term = best.moved(damping * step)
    return best


def own_polynomials(candidates: Sequence[Candidate]) -> list[int]:
    """Return the numbers of the terms that are a constant or a power of the node's own state."""
    return [p for p, c in enumerate(candidates) if c.coupling == "none" and c.polynomial]


def refine(
    samples: Sequence[Sample],
    d: int,
    candidates: Sequence[Candidate],
    supports: Sequence[Sequence[int]],
    chosen: Sequence[int],
) -> list[Candidate]:
    """Return the weak form's law with a term of fitted inner parameters where that pays.

    Args:
        samples: the data.
        d: number of the variable whose law it is.
        candidates: the library.
        supports: the best set of candidates of each size.
        chosen: the set found so far.

    Returns:
        The terms.
    """
    library, target = weighted_rows(samples, d, candidates)
    best = log_residual(library[:, list(chosen)], target)
    result = [candidates[p] for p in chosen]
    if best < LEAST_RESIDUAL:
        return result

    def columns(terms: Sequence[Candidate]) -> np.ndarray:
        return weighted_rows(samples, d, terms)[0]

    bases = [own_polynomials(candidates)]
    best_score = best + ELBOW * len(chosen)
    others = sorted({p for support in [*supports, *bases] for p in support})
    for term in fitted_terms(columns, target, library, bases, trial_terms(samples)):
        rows = np.column_stack([library[:, others], columns([term])])
        gram, cross = rows.T @ rows, rows.T @ target
        for support in best_supports(gram, cross, float(target @ target))[1:]:
            if len(others) not in support.terms:
                continue
            kept = [others[p] for p in support.terms if p < len(others)]
            # What a residual at round-off still falls by is worth nothing.
            score = max(support.log_residual, LEAST_RESIDUAL) + ELBOW * (len(kept) + 1.5)
            if score < best_score:
                exact = polished(columns, target, orthogonal_basis(library[:, kept]), term)
                result = [*(candidates[p] for p in kept), exact.rounded()]
                best_score = score
    return result


def weighted_rows(
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
        columns = sample.rows(terms) * weight[:, None]
        columns[:, :, ~np.isfinite(columns).all(axis=(0, 1))] = 0.0
        rows.append(columns.reshape(left.size, len(terms)))
    return np.concatenate(rows), np.concatenate(lefts)


def log_residual(columns: np.ndarray, target: np.ndarray) -> float:
    """Return the log of the share of a target (R,) that columns (R, P) leave unexplained."""
    residual = target
    if columns.shape[1]:
        residual = target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]
    return float(np.log(max((residual**2).sum() / (target**2).sum(), 1e-11)))
