"""A branch of fixed points followed along a parameter, through its folds.

    f(x, p) = 0   with   <t, (x, p) - (x_0, p_0)> = s

Each step goes a length s along the tangent t of the branch and is brought back by Newton's method
on the bordered system, which stays regular where the branch turns round (pseudo-arclength: Keller,
1977; Doedel et al., Int. J. Bifurcation and Chaos 1, 1991). Between two steps a change of sign is
located: of the tangent's part along p (fold), of the real part of a complex pair (Hopf point), or
of a real eigenvalue without a fold (branch point: another branch crosses).

Where fixed points form a continuum (a conserved quantity, a symmetry), one unknown for each zero
eigenvalue is held by a pull towards where it started; the pull must vanish on the branch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.linear import factorised, scale_of_rates
from graphtide.dynamics.analysis.spectrum import leading_eigenvalues
from graphtide.errors import ComputationError, InputError

__all__ = ["Branch", "Special", "SpecialKind", "follow_branch"]

SpecialKind = Literal["fold", "hopf", "branch point"]

LONGEST, SHORTEST = 0.04, 1e-5
"""Length of a step, in units of the range of the parameter and the size of the states."""


@dataclass(frozen=True, slots=True, eq=False)
class Special:
    """A fold, a Hopf point or a branch point.

    Args:
        kind: which.
        parameter: where.
        states: shape (N, D).
        frequency: of the motion that is born at a Hopf point, radians a unit of time; else 0.
        of_stability: whether the branch is stable on one side of it.
    """

    kind: SpecialKind
    parameter: float
    states: np.ndarray
    frequency: float
    of_stability: bool = True


@dataclass(slots=True, eq=False)
class Branch:
    """Fixed points along a parameter, in the order of the branch.

    Args:
        name: of the parameter.
        parameter: shape (M,).
        states: shape (M, N, D).
        leading: eigenvalue of largest real part, shape (M,), complex.
        unstable: how many eigenvalues (of the leading ones) have a positive real part, shape (M,).
        special: points located between.
    """

    name: str
    parameter: np.ndarray
    states: np.ndarray
    leading: NDArray[np.complex128]
    unstable: np.ndarray
    special: list[Special] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    x: np.ndarray  # (n,)
    p: float
    tangent: np.ndarray  # (n + 1,), scaled
    values: NDArray[np.complex128]  # leading eigenvalues
    unstable: int


def follow_branch(
    law: Law,
    name: str,
    states: np.ndarray,
    low: float,
    high: float,
    *,
    steps: int = 150,
    eigenvalues: int = 6,
    progress: Callable[[float, str], None] | None = None,
) -> Branch:
    """Follow the branch through a fixed point of the law, both ways, within a range of a parameter.

    Args:
        law: with the parameter's value at which `states` are a fixed point.
        name: of the parameter.
        states: a fixed point, shape (N, D).
        low: lower end of the parameter's range.
        high: upper end.
        steps: most steps each way.
        eigenvalues: how many leading ones are watched.
        progress: told the share done.

    Raises:
        InputError: the parameter is unknown, or its value lies outside the range.
        ComputationError: the branch cannot be followed from this point.
    """
    if name not in law.parameters:
        raise InputError(f"the law has no parameter '{name}'; it has {', '.join(law.parameters)}")
    value = law.parameters[name]
    if not low <= value <= high or low == high:
        raise InputError(f"{name} = {value:g} is not inside the range {low:g} to {high:g}")
    follower = _Follower(law, name, states, low, high, eigenvalues)
    start = follower.point(states.ravel(), value, None)
    if start is None:
        raise ComputationError(f"the branch cannot be followed from {name} = {value:g}")
    parts: list[list[_Point]] = []
    special: list[Special] = []
    for number, sign in enumerate((-1.0, 1.0)):
        first = _Point(start.x, start.p, sign * start.tangent, start.values, start.unstable)
        walked, met = follower.walk(first, steps, progress, 0.5 * number)
        parts.append(walked)
        special += met
    points = [*parts[0][:0:-1], *parts[1]]
    return Branch(
        name,
        np.array([point.p for point in points]),
        np.stack([point.x.reshape(law.shape) for point in points]),
        np.array([point.values[0] for point in points]),
        np.array([point.unstable for point in points]),
        special,
    )


class _Follower:
    """Newton's method, tangents and eigenvalues on the branch of one law and parameter."""

    def __init__(
        self, law: Law, name: str, states: np.ndarray, low: float, high: float, eigenvalues: int
    ) -> None:
        self.law, self.name, self.low, self.high = law, name, low, high
        self.count = eigenvalues
        size = max(float(np.abs(states).max()), 0.1 * float(np.abs(law.start(0)).max())) or 1.0
        self.unit_x = size * np.sqrt(states.size)
        self.unit_p = high - low
        self.start = states.ravel().copy()
        self.held = self._to_hold(states)

    def _to_hold(self, states: np.ndarray) -> np.ndarray:
        """Return the unknown that moves most along each mode whose eigenvalue is zero."""
        spectrum = leading_eigenvalues(
            self.law.jacobian(states), self.count, block=self.law.shape[1], dense_up_to=150
        )
        zero = np.flatnonzero(np.abs(spectrum.values) < 1e-9 * spectrum.rate)
        held = [int(np.argmax(np.abs(spectrum.modes[:, k]))) for k in zero]
        return np.unique(np.array(held, dtype=np.int64))

    def hold(self, jacobian: csr_array) -> csr_array:
        """Return the Jacobian with the pulls on the unknowns that are held."""
        if not len(self.held):
            return jacobian
        pull = np.zeros(jacobian.shape[0])
        pull[self.held] = -scale_of_rates(jacobian)
        return csr_array(jacobian + scipy.sparse.diags_array(pull))

    def at(self, p: float) -> Law:
        return self.law.with_parameters({self.name: p})

    def rates(self, law: Law, x: np.ndarray) -> np.ndarray:
        zero = torch.tensor(0.0, dtype=torch.float64)
        return law.numeric(zero, torch.from_numpy(x.reshape(law.shape))).numpy().ravel()

    def slope(self, x: np.ndarray, p: float) -> np.ndarray:
        """Return df/dp, by a central difference."""
        step = 1e-6 * self.unit_p
        states = torch.from_numpy(x.reshape(self.law.shape))
        with torch.no_grad():
            after, before = (
                self.law.rate(states, parameters={self.name: torch.tensor(q, dtype=states.dtype)})
                for q in (p + step, p - step)
            )
        return ((after - before) / (2 * step)).numpy().ravel()

    def bordered(self, jacobian: csr_array, x: np.ndarray, p: float, row: np.ndarray) -> csr_array:
        """Return the system in (x / unit_x, p / unit_p), with a last row, divided by the rate."""
        rate = scale_of_rates(jacobian)
        column = self.slope(x, p)[:, None] * (self.unit_p / (rate * self.unit_x))
        parts = [[jacobian / rate, column], [row[None, :-1], row[None, -1:]]]
        return csr_array(scipy.sparse.block_array([[csr_array(c) for c in line] for line in parts]))

    def corrected(
        self, x: np.ndarray, p: float, tangent: np.ndarray | None
    ) -> tuple[np.ndarray, float, csr_array, int] | None:
        """Bring a point back to the branch, along p alone where there is no tangent yet."""
        start = np.append(x / self.unit_x, p / self.unit_p)
        place = start.copy()
        for number in range(12):
            law = self.at(place[-1] * self.unit_p)
            x = place[:-1] * self.unit_x
            rates = self.rates(law, x)
            if not np.isfinite(rates).all():
                return None
            try:
                jacobian = law.jacobian(x.reshape(law.shape))
                rate = scale_of_rates(jacobian)
                residual = rates / (rate * self.unit_x)
                free = np.abs(residual).max()
                residual[self.held] -= (x - self.start)[self.held] / self.unit_x
                if np.abs(residual).max() < 1e-11 and number > 0:
                    if free > 1e-9:
                        return None  # at rest only by the pull
                    return x, float(place[-1] * self.unit_p), jacobian, number
                row = np.append(np.zeros(len(x)), 1.0) if tangent is None else tangent
                system = self.bordered(self.hold(jacobian), x, place[-1] * self.unit_p, row)
                solve = factorised(system, block=self.law.shape[1])
                step = solve(np.append(residual, row @ (place - start)))
            except ComputationError:
                return None
            if not np.isfinite(step).all() or np.linalg.norm(step) > 0.5:
                return None
            place = place - step
        return None

    def point(self, x: np.ndarray, p: float, tangent: np.ndarray | None) -> _Point | None:
        """Return the point of the branch near (x, p), its tangent in the direction of the last."""
        found = self.corrected(x, p, tangent)
        if found is None:
            return None
        x, p, jacobian, _ = found
        row = np.append(np.zeros(len(x)), 1.0) if tangent is None else tangent
        try:
            solve = factorised(
                self.bordered(self.hold(jacobian), x, p, row), block=self.law.shape[1]
            )
            ahead = solve(np.append(np.zeros(len(x)), 1.0))
        except ComputationError:
            return None
        length = np.linalg.norm(ahead)
        if not np.isfinite(length) or length == 0.0:
            return None
        spectrum = leading_eigenvalues(
            jacobian, self.count, block=self.law.shape[1], dense_up_to=150
        )
        unstable = int((spectrum.values.real > 1e-8 * spectrum.rate).sum())
        return _Point(x, p, ahead / length, spectrum.values, unstable)

    def ahead(self, point: _Point, length: float) -> _Point | None:
        x = point.x + length * point.tangent[:-1] * self.unit_x
        p = point.p + length * point.tangent[-1] * self.unit_p
        found = self.point(x, p, point.tangent)
        if found is None or found.tangent @ point.tangent < 0.7:
            return None
        return found

    def walk(
        self,
        point: _Point,
        steps: int,
        progress: Callable[[float, str], None] | None,
        share: float,
    ) -> tuple[list[_Point], list[Special]]:
        points, special, length = [point], [], 0.25 * LONGEST
        for number in range(steps):
            if progress is not None:
                progress(share + 0.5 * number / steps, f"following the branch along {self.name}")
            found = self.ahead(points[-1], length)
            if found is None:
                length *= 0.5
                if length < SHORTEST:
                    break
                continue
            special += self.between(points[-1], found, length)
            if not self.low <= found.p <= self.high or np.abs(found.x).max() > 1e3 * self.unit_x:
                found = self.at_the_end(points[-1], found)
                points += [found] if found is not None else []
                break
            points.append(found)
            length = min(1.4 * length, LONGEST)
        return points, [s for s in special if self.low <= s.parameter <= self.high]

    def at_the_end(self, inside: _Point, outside: _Point) -> _Point | None:
        """Return the point of the branch where it leaves the range of the parameter."""
        end = self.high if outside.p > self.high else self.low
        if abs(outside.p - inside.p) < 1e-12 * self.unit_p:
            return None
        share = (end - inside.p) / (outside.p - inside.p)
        return self.point(inside.x + share * (outside.x - inside.x), end, None)

    def between(self, before: _Point, after: _Point, length: float) -> list[Special]:
        """Return what lies between two points of the branch."""
        stable = min(before.unstable, after.unstable) == 0
        if before.tangent[-1] * after.tangent[-1] < 0.0:
            found = self.located(before, length, lambda point: point.tangent[-1])
            return [Special("fold", found.p, found.x.reshape(self.law.shape), 0.0, stable)]
        if before.unstable == after.unstable:
            return []
        found = self.located(before, length, _crossing(before, after))
        nearest = found.values[np.argmin(np.abs(found.values.real))]
        turning = abs(nearest.imag) > 1e-3 * (np.abs(found.values).max() or 1.0)
        kind: SpecialKind = "hopf" if turning else "branch point"
        frequency = float(abs(nearest.imag)) if turning else 0.0
        return [Special(kind, found.p, found.x.reshape(self.law.shape), frequency, stable)]

    def located(self, before: _Point, length: float, test: Callable[[_Point], float]) -> _Point:
        """Return the point where a test changes its sign, by regula falsi with bisection."""
        ends, signs = [0.0, length], [test(before), 0.0]
        last = self.ahead(before, length)
        assert last is not None  # it was reached before
        signs[1] = test(last)
        best = last if abs(signs[1]) < abs(signs[0]) else before
        for number in range(20):
            if signs[0] * signs[1] >= 0.0 or ends[1] - ends[0] < 1e-9:
                break
            share = signs[0] / (signs[0] - signs[1]) if number % 3 else 0.5
            middle = ends[0] + min(max(share, 0.05), 0.95) * (ends[1] - ends[0])
            found = self.ahead(before, middle)
            if found is None:  # the system is singular on a branch point itself: go beside it
                middle += 0.1 * (ends[1] - middle)
                found = self.ahead(before, middle)
            if found is None:
                break
            value = test(found)
            if abs(value) < abs(test(best)):
                best = found
            side = 0 if value * signs[0] > 0.0 else 1
            ends[side], signs[side] = middle, value
            if abs(value) < 1e-10:
                break
        return best


def _crossing(before: _Point, after: _Point) -> Callable[[_Point], float]:
    """Return the real part that changes its sign, counted from the largest."""
    place = min(before.unstable, after.unstable)

    def test(point: _Point) -> float:
        return float(np.sort(point.values.real)[::-1][min(place, len(point.values) - 1)])

    return test
