"""Roll-outs of closed-form fields in NumPy, and how they depend on the coefficients.

Dormand-Prince 5(4) with a step that is controlled and lands on every time asked for; the accepted
steps are kept, so that the sensitivities S = dx/dc, dS/dt = J S + df/dc, follow on the same grid
and are the exact derivative of the discrete roll-out (Hairer, Norsett, Wanner, Solving Ordinary
Differential Equations I, 1993, II.4 and I.14). During a fit hundreds of small roll-outs are tried;
those that leave the range of the data stop at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from graphtide.dynamics.families import Coefficients, Family, NumericField, aggregate, network_of
from graphtide.ode.tableaus import TABLEAUS
from graphtide.weakform.piecewise import PiecewiseBasis

__all__ = ["Rollout", "own_rate", "quick_sensitivities", "roll_out", "sensitivities"]

_TABLEAU = TABLEAUS["dormand_prince5"]
_STAGES = [np.array([float(a) for a in row]) for row in _TABLEAU.stages[1:]]
_ERROR = np.array([float(e) for e in _TABLEAU.error])

Grid = list[list[float]]


@dataclass(frozen=True, slots=True, eq=False)
class Rollout:
    """States (T, N, D) at the times asked for, and the sizes of the steps to each of them.

    ``path`` holds the states and slopes at the ends of all steps, shape (steps + 1, 2, N, D).
    """

    states: np.ndarray
    grid: Grid
    path: np.ndarray


def roll_out(
    field: Callable[[np.ndarray], np.ndarray],
    times: np.ndarray,
    start: np.ndarray,
    *,
    bound: tuple[np.ndarray, np.ndarray],
    tolerance: float = 1e-6,
    maximum_steps: int = 2000,
) -> Rollout | None:
    """Integrate a field from ``start`` (N, D) through ``times``; None where it leaves ``bound``.

    Args:
        field: rates of change of states (N, D).
        times: shape (T,), increasing; the first is the start's.
        start: shape (N, D).
        bound: lowest and highest value (D,) that is still followed.
        tolerance: relative and absolute (in units of the mean distance between the bounds / 10).
        maximum_steps: trial steps after which the roll-out counts as lost.
    """
    if isinstance(field, NumericField) and field.tables is not None:
        return _compiled(field, times, start, bound, tolerance, maximum_steps)
    low, high = bound
    state, slope = np.array(start), field(start)
    absolute = tolerance * (high - low) / 10.0
    size = 1e-3 * (times[-1] - times[0])
    states, grid, trials = [state], [], 0
    path = [np.stack([state, slope])]
    with np.errstate(over="ignore", invalid="ignore"):
        for begin, end in pairwise(times):
            now, sizes = begin, []
            while now < end - 1e-12 * (abs(end) + abs(begin)):
                trials += 1
                if trials > maximum_steps:
                    return None
                left = end - now
                step = left / np.ceil(left / size * (1 - 1e-9)) if left > size else left
                slopes, trial = [slope], state
                for row in _STAGES:
                    trial = state + step * _combined(row, slopes)
                    slopes.append(field(trial))
                scale = absolute + tolerance * np.maximum(np.abs(state), np.abs(trial))
                error = np.sqrt(np.mean((step * _combined(_ERROR, slopes) / scale) ** 2))
                lost = not np.isfinite(error) or (trial < low).any() or (trial > high).any()
                if lost:
                    size = 0.2 * step
                    if size < 1e-9 * (times[-1] - times[0]) or (error <= 1.0):
                        return None
                    continue
                factor = min(5.0, max(0.2, 0.9 * (error + 1e-16) ** -0.2))
                if error > 1.0:
                    size = step * factor
                    continue
                now += step
                state, slope = trial, slopes[-1]
                path.append(np.stack([state, slope]))
                sizes.append(float(step))
                size = max(size, step * factor) if factor > 1.0 else step * factor
            states.append(state)
            grid.append(sizes)
    return Rollout(np.array(states), grid, np.array(path))


def _compiled(
    field: NumericField,
    times: np.ndarray,
    start: np.ndarray,
    bound: tuple[np.ndarray, np.ndarray],
    tolerance: float,
    maximum_steps: int,
) -> Rollout | None:
    """Roll out a field of one variable whose functions are tables."""
    from graphtide.dynamics.kernels import LANES, TABLEAU
    from graphtide.dynamics.kernels import roll_out as compiled

    assert field.tables is not None
    own, receiver, sender = (
        _table(part, lanes) for part, lanes in zip(field.tables, (1, LANES, LANES), strict=True)
    )
    low, high = float(bound[0][0]), float(bound[1][0])
    count = len(start)
    states = np.empty((len(times), count))
    states[0] = start[:, 0]
    path = np.empty((maximum_steps + 1, 2, count))
    sizes, ends = np.empty(maximum_steps), np.empty(len(times) - 1, dtype=np.int64)
    lost, taken = compiled(
        field.network, own, receiver, sender, TABLEAU, np.array(times, dtype=float),
        (low, high, tolerance * (high - low) / 10.0, tolerance), states, path, sizes, ends,
    )  # fmt: skip
    if lost:
        return None
    grid = [part.tolist() for part in np.split(sizes[:taken], ends[:-1])]
    return Rollout(states[..., None], grid, path[: taken + 1, ..., None])


def _table(basis: PiecewiseBasis, lanes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return breakpoints and table, with zero functions behind to a multiple of ``lanes``.

    Fresh arrays, so that the compiled loops meet one layout of memory only.
    """
    missing = -basis.size % lanes
    return np.array(basis.breakpoints), np.pad(basis.table, ((0, 0), (0, 0), (0, missing)))


def quick_sensitivities(
    family: Family,
    coefficients: Coefficients,
    adjacency: csr_array,
    rollout: Rollout,
    *,
    parts: int = 1,
) -> np.ndarray | None:
    """Return dx/dc of a roll-out, shape (T, N, 1, P), to second order in its steps.

    Good enough for Gauss-Newton steps and several times cheaper than `sensitivities`; None where
    the family is not one of tables for one variable.

    Args:
        family: the family.
        coefficients: shape (P, 1).
        adjacency: A, shape (N, N).
        rollout: of the family with these coefficients.
        parts: parts into which each step of the roll-out is cut.
    """
    from graphtide.dynamics.kernels import sensitivities as compiled

    tables = family.tables
    if tables is None:
        return None
    weights, pair = family.split(coefficients)
    sizes = np.array([size for part in rollout.grid for size in part])
    ends = np.cumsum([len(part) for part in rollout.grid])
    result = np.empty((*rollout.states.shape[:2], family.size))
    compiled(
        network_of(adjacency),
        (_table(tables[0]), _table(tables[1]), _table(tables[2])),
        np.array(weights[:, 0]),
        np.array(pair[:, :, 0]),
        rollout.path[..., 0],
        sizes,
        ends,
        parts,
        result,
    )
    return result[:, :, None]


def sensitivities(
    family: Family, coefficients: Coefficients, adjacency: csr_array, start: np.ndarray, grid: Grid
) -> np.ndarray:
    """Return dx/dc of a roll-out on its own grid, shape (T, N, D, P x D).

    Columns are ordered as ``coefficients.ravel()``. Each step costs six products of the Jacobian
    with N D x P D numbers; values that are not finite are left to the caller.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _sensitivities(_Linearised(family, coefficients, adjacency), start, grid)


def _sensitivities(linear: _Linearised, start: np.ndarray, grid: Grid) -> np.ndarray:
    state = np.array(start)
    count = linear.count
    sensitivity = np.zeros((*state.shape, count))
    result = [sensitivity]
    slope, rate = linear(state, sensitivity)
    for sizes in grid:
        for step in sizes:
            slopes, rates = [slope], [rate]
            trial, moved = state, sensitivity
            for row in _STAGES:
                trial = state + step * _combined(row, slopes)
                moved = sensitivity + step * _combined(row, rates)
                slope, rate = linear(trial, moved)
                slopes.append(slope)
                rates.append(rate)
            state, sensitivity = trial, moved
        result.append(sensitivity)
    return np.array(result)


def own_rate(
    family: Family, coefficients: Coefficients, adjacency: csr_array, states: np.ndarray
) -> np.ndarray:
    """Return df_i/dx_i, the mean over variables, for states (..., N, D), shape (..., N)."""
    own, pair = family.split(coefficients)
    message = aggregate(adjacency, family.sender_basis.evaluate(states))
    diagonal = np.einsum("...fd,fd->...", family.self_basis.derivative(states), own)
    slope = family.receiver_basis.derivative(states)
    for d in range(own.shape[1]):
        diagonal += ((slope[..., d] @ pair[:, :, d]) * message).sum(axis=-1)
    return diagonal / own.shape[1]


class _Linearised:
    """The field and its derivatives along a roll-out; the sparsity of A is used for J as well."""

    def __init__(self, family: Family, coefficients: Coefficients, adjacency: csr_array) -> None:
        self.family, self.adjacency = family, csr_array(adjacency)
        self.count = coefficients.size
        self.own, self.pair = family.split(coefficients)
        self.row = np.repeat(np.arange(adjacency.shape[0]), np.diff(self.adjacency.indptr))
        self.column = self.adjacency.indices
        self.weight = self.adjacency.copy()

    def __call__(self, states: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        family, (nodes, variables) = self.family, states.shape
        own = family.self_basis.evaluate(states)  # (N, f)
        receiver = family.receiver_basis.evaluate(states)  # (N, a)
        message = self.adjacency @ family.sender_basis.evaluate(states)  # (N, b)
        receiver_slope = family.receiver_basis.derivative(states)  # (N, a, D)
        sender_slope = family.sender_basis.derivative(states)  # (N, b, D)
        response = np.einsum("na,abd->nbd", receiver, self.pair)
        value = own @ self.own + np.einsum("nbd,nb->nd", response, message)
        pulled = np.einsum("nb,abd->nad", message, self.pair)
        jacobian = np.einsum("nfe,fd->nde", family.self_basis.derivative(states), self.own)
        jacobian += np.einsum("nae,nad->nde", receiver_slope, pulled)
        rate = jacobian @ moved  # (N, D, P D)
        for d in range(variables):
            for e in range(variables):
                self.weight.data = self.adjacency.data * np.einsum(
                    "eb,eb->e", response[self.row, :, d], sender_slope[self.column, :, e]
                )
                rate[:, d] += self.weight @ moved[:, e]
        terms = np.concatenate(
            [own, (receiver[:, :, None] * message[:, None, :]).reshape(nodes, -1)], axis=1
        )
        for d in range(variables):
            rate[:, d, d::variables] += terms
        return value, rate


def _combined(weights: np.ndarray, slopes: list[np.ndarray]) -> np.ndarray:
    total: np.ndarray | None = None
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            total = weight * slope if total is None else total + weight * slope
    return np.zeros_like(slopes[0]) if total is None else total
