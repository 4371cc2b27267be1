"""How a node's states respond to each term of its law, around a path.

With J the derivative of a node's rates with respect to its own variables along the path x*, the
neighbours' paths being held, a term theta of its law moves its states by S, S' = J S + theta(x*),
S(0) = 0, and its start by Phi, Phi' = J Phi, Phi(0) = 1. Steps are exact for a constant J and a
source linear in time (exponential rule of Lawson's kind with phi functions; Hochbruck and
Ostermann, Acta Numerica 19, 2010, section 2).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from graphtide.mechanisms.candidates import Candidate, States, evaluate
from graphtide.mechanisms.rows import Sample

__all__ = ["Linearised", "Readings", "phi_functions", "readings_of"]

MOST_TIMES = 320
"""Longer series are averaged over blocks of readings."""
RK4_STEP = 0.6
"""Largest step of the Runge-Kutta rule, in units of the fastest rate."""


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """The readings of a sample's usable nodes, averaged over blocks where there are many.

    Attributes:
        sample: where they come from.
        part: the stretch of the sample's times that is meant.
        times: shape (K,); the first reading stands alone.
        block: number of readings in a block.
        values: shape (K, n, D); 0 where missing.
        weight: shape (K, n, D): root of the number of readings over the standard deviation of one;
            0 where missing.
    """

    sample: Sample
    part: slice
    times: np.ndarray
    block: int
    values: np.ndarray
    weight: np.ndarray

    def averaged(self, states: np.ndarray) -> np.ndarray:
        """Return states (M, ...) at the stretch's M times averaged over the same blocks."""
        return _averaged(states, self.block)

    def first_path(self) -> np.ndarray:
        """Return the smoothed path, shape (K, N, D)."""
        return self.averaged(self.sample.smoothed.states[self.part])

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables."""
        return self.sample.observed.variables


def readings_of(sample: Sample, stretches: int = 1) -> list[Readings]:
    """Return a sample's readings, at most about ``MOST_TIMES`` blocks, cut into stretches."""
    times, states = sample.observed.times, sample.observed.states[:, sample.usable]
    block = math.ceil((len(times) - 1) / MOST_TIMES)
    cuts = np.linspace(0, len(times), stretches + 1).astype(int)
    result = []
    for begin, end in itertools.pairwise(cuts):
        part = slice(int(begin), int(end))
        known = ~np.isnan(states[part])
        share = _averaged(known.astype(float), block)
        total = _averaged(np.where(known, states[part], 0.0), block)
        values = np.divide(total, share, out=np.zeros_like(total), where=share > 0)
        count = np.full((len(share), 1, 1), block, dtype=float)
        count[0] = 1.0
        weight = np.sqrt(share * count) / sample.smoothed.noise_sd
        result.append(Readings(sample, part, _averaged(times[part], block), block, values, weight))
    return result


def _averaged(series: np.ndarray, block: int) -> np.ndarray:
    """Return the first entry, then means over whole blocks of the others."""
    if block == 1:
        return series
    count = (len(series) - 1) // block
    rest = series[1 : 1 + count * block]
    means = rest.reshape(count, block, *series.shape[1:]).mean(axis=1)
    return np.concatenate([series[:1], means])


@dataclass(frozen=True, slots=True, eq=False)
class Linearised:
    """Responses of the states of one sample around a path.

    The laws of A of the D variables respond, the paths of the others are held.

    Attributes:
        readings: the readings.
        active: numbers of the A variables.
        path: shape (K, N, D), of all nodes.
        jacobian: shape (K, n, A, A), of the usable nodes.
        step: exp(h J), shape (K - 1, n, A, A).
        left, right: weights of the source at both ends of a step, shape (K - 1, n, A, A).
        transition: Phi, shape (K, n, A, B), with the responses to the node's own effects after its
            A columns: B = A (1 + Q) for Q effects.
        orthogonal: shape (n, K A, B): orthonormal columns that span the weighted Phi.
        triangle: shape (n, B, B): orthogonal @ triangle is the weighted Phi.
        effects: coefficients of the node's own effects, shape (n, D, Q).
    """

    readings: Readings
    active: tuple[int, ...]
    path: np.ndarray
    jacobian: np.ndarray
    step: np.ndarray
    left: np.ndarray
    right: np.ndarray
    transition: np.ndarray
    orthogonal: np.ndarray
    triangle: np.ndarray
    effects: np.ndarray

    @staticmethod
    def around(
        readings: Readings,
        path: np.ndarray,
        terms: Sequence[Sequence[Candidate]],
        coefficients: Sequence[np.ndarray],
        active: tuple[int, ...],
        effects: np.ndarray | None = None,
    ) -> Linearised:
        """Linearise a law with these terms and coefficients for each variable around a path.

        ``effects`` holds the coefficients of the sample's node effects, shape (n, D, Q).
        """
        count = (len(readings.sample.usable), path.shape[2], len(readings.sample.effects))
        effects = np.zeros(count) if effects is None else effects
        jacobian = _jacobian(readings, path, terms, coefficients, active, effects)
        length = np.diff(readings.times)[:, None, None, None]
        step, first, second = phi_functions(length * (jacobian[:-1] + jacobian[1:]) / 2)
        transition = np.zeros_like(jacobian)
        transition[0] = np.eye(jacobian.shape[-1])
        for k in range(len(step)):
            transition[k + 1] = step[k] @ transition[k]
        part = Linearised(
            readings,
            active,
            path,
            jacobian,
            step,
            length * (first - second),
            length * second,
            transition,
            orthogonal=np.empty(0),
            triangle=np.empty(0),
            effects=effects,
        )
        if readings.sample.effects:
            own = [part.sources(d, readings.sample.effects) for d in active]
            transition = np.concatenate([transition, part.responses(np.concatenate(own, -1))], -1)
        orthogonal, triangle = np.linalg.qr(
            _by_node(transition * readings.weight[:, :, list(active), None])
        )
        return replace(part, transition=transition, orthogonal=orthogonal, triangle=triangle)

    def sources(self, d: int, terms: Sequence[Candidate]) -> np.ndarray:
        """Return terms of variable d's law along the path, shape (K, n, A, P).

        A term that is not finite somewhere is zero, and so is never chosen.
        """
        sample = self.readings.sample
        values = evaluate(terms, _named(self.readings, self.path), sample.graph)
        values = values[:, :, sample.usable]
        values[~np.isfinite(values).all(axis=(1, 2))] = 0.0
        result = np.zeros((*self.jacobian.shape[:3], len(terms)))
        result[:, :, self.active.index(d)] = np.moveaxis(values, 0, -1)
        return result

    def responses(self, sources: np.ndarray) -> np.ndarray:
        """Return S with S' = J S + source and S(0) = 0 for sources (K, n, A, P)."""
        result = np.zeros_like(sources)
        if sources.shape[2] == 1:  # one variable: numbers for matrices
            result[1:] = self.left * sources[:-1] + self.right * sources[1:]
            for k, step in enumerate(self.step):
                result[k + 1] += step * result[k]
        else:
            result[1:] = self.left @ sources[:-1] + self.right @ sources[1:]
            for k, step in enumerate(self.step):
                result[k + 1] += step @ result[k]
        return result

    def step_errors(
        self, terms: Sequence[Sequence[Candidate]], coefficients: Sequence[np.ndarray]
    ) -> np.ndarray:
        """Return what the steps miss of the law's flow, carried along; shape (K, n, A).

        From every point of the path at once the law is integrated to the next one by classical
        Runge-Kutta steps; what is held runs straight from one point to the next.
        """
        path, active = self.path, list(self.active)
        sample = self.readings.sample
        length = np.diff(self.readings.times)[:, None, None]
        size = np.abs(self.jacobian).sum(axis=-1).max(axis=(1, 2))
        count = int(np.clip(np.ceil((size[:-1] * length[:, 0, 0]).max() / RK4_STEP), 1, 12))
        moving = np.zeros(path.shape[1:], dtype=bool)
        for d in active:
            moving[sample.usable, d] = True

        def rates(states: np.ndarray) -> np.ndarray:
            named = _named(self.readings, states)
            result = np.zeros_like(states)
            for d in active:
                if len(terms[d]):
                    values = evaluate(terms[d], named, sample.graph)
                    result[:, :, d] = np.tensordot(coefficients[d], values, 1)
                if sample.effects:
                    values = evaluate(sample.effects, named, sample.graph)[:, :, sample.usable]
                    result[:, sample.usable, d] += np.einsum(
                        "qkn,nq->kn", values, own_effects[:, d]
                    )
            return np.where(moving, result, straight[-len(states) :])

        own_effects = self.effects
        straight = np.diff(path, axis=0) / length
        state, h = path[:-1], length / count
        for _ in range(count):
            first = rates(state)
            second = rates(state + h / 2 * first)
            third = rates(state + h / 2 * second)
            fourth = rates(state + h * third)
            state = state + h / 6 * (first + 2 * second + 2 * third + fourth)
        at_path = np.concatenate([self.own(rates(path[:-1])), self.own(rates(path[-2:]))[1:]])
        own = self.own(path)
        bent = at_path - (self.jacobian @ own[..., None])[..., 0]
        scheme = self.step @ own[:-1, ..., None] + self.left @ bent[:-1, ..., None]
        scheme = (scheme + self.right @ bent[1:, ..., None])[..., 0]
        return self.carried(self.own(state) - scheme)

    def carried(self, jumps: np.ndarray) -> np.ndarray:
        """Return the series that jumps by ``jumps`` (K - 1, n, A) and follows J between."""
        result = np.zeros((len(jumps) + 1, *jumps.shape[1:]))
        for k, step in enumerate(self.step):
            result[k + 1] = (step @ result[k][..., None])[..., 0] + jumps[k]
        return result

    def rounding(self) -> np.ndarray:
        """Return the means of a smooth path over the blocks minus its points, (K, n, A)."""
        own = self.own(self.path)
        if self.readings.block == 1:
            return np.zeros_like(own)
        from scipy.interpolate import CubicSpline

        times = self.readings.sample.observed.times[self.readings.part]
        between = CubicSpline(self.readings.times, own)(times)
        return self.readings.averaged(between) - own

    def own(self, series: np.ndarray) -> np.ndarray:
        """Return the usable nodes' active variables of a series (K, N, D), shape (K, n, A)."""
        return series[:, self.readings.sample.usable][:, :, list(self.active)]

    def bend(self) -> np.ndarray:
        """Return S_0 with S_0' = J S_0 - J x*, shape (K, n, A)."""
        return self.responses(-(self.jacobian @ self.own(self.path)[..., None]))[..., 0]

    def projected(self, responses: np.ndarray) -> np.ndarray:
        """Weigh responses (K, n, A, P) and take off what a start explains; shape (n, K A, P)."""
        rows = _by_node(responses * self.weight[..., None])
        return rows - self.orthogonal @ (self.orthogonal.transpose(0, 2, 1) @ rows)

    def start(self, left: np.ndarray) -> np.ndarray:
        """Return the starts, and effects after them, (n, B), that explain most of ``left``."""
        rows = _by_node((left * self.weight)[..., None])
        right = self.orthogonal.transpose(0, 2, 1) @ rows
        if self.effects.shape[2]:  # on a node that stands still effects are one function
            return (np.linalg.pinv(self.triangle, rcond=1e-9) @ right)[..., 0]
        return np.linalg.solve(self.triangle, right)[..., 0]

    def moved_effects(self, start: np.ndarray) -> np.ndarray:
        """Return the effects (n, D, Q) with those of a start (n, B) for the active variables."""
        result = self.effects.copy()
        active = list(self.active)
        shape = (len(start), len(active), result.shape[2])
        result[:, active] = start[:, len(active) :].reshape(shape)
        return result

    def effect_errors(self) -> np.ndarray:
        """Return standard errors of the effects, (n, D, Q), for a law that is known."""
        inverse = np.linalg.pinv(self.triangle, rcond=1e-9)
        return self.moved_effects(np.sqrt((inverse**2).sum(axis=2)))

    @property
    def values(self) -> np.ndarray:
        """Readings of the active variables, shape (K, n, A)."""
        return self.readings.values[:, :, list(self.active)]

    @property
    def weight(self) -> np.ndarray:
        """Weights of the readings of the active variables, shape (K, n, A)."""
        return self.readings.weight[:, :, list(self.active)]


def _by_node(series: np.ndarray) -> np.ndarray:
    """Return (K, n, D, P) as (n, K D, P)."""
    times, nodes, variables, columns = series.shape
    return series.transpose(1, 0, 2, 3).reshape(nodes, times * variables, columns)


def _named(readings: Readings, path: np.ndarray) -> States:
    return {name: path[:, :, d] for d, name in enumerate(readings.variables)}


def _jacobian(
    readings: Readings,
    path: np.ndarray,
    terms: Sequence[Sequence[Candidate]],
    coefficients: Sequence[np.ndarray],
    active: tuple[int, ...],
    effects: np.ndarray,
) -> np.ndarray:
    """Return the active rates' derivatives by the node's active variables, (K, n, A, A)."""
    sample = readings.sample
    states = _named(readings, path)
    result = np.zeros((len(path), len(sample.usable), len(active), len(active)))
    for column, e in enumerate(active):
        name = readings.variables[e]
        distance = 1e-4 * float(np.nanstd(path[:, :, e])) + 1e-300
        above = {**states, name: states[name] + distance}
        below = {**states, name: states[name] - distance}
        for row, d in enumerate(active):
            if len(terms[d]):
                difference = evaluate(terms[d], above, sample.graph, states)
                difference -= evaluate(terms[d], below, sample.graph, states)
                rate = np.tensordot(coefficients[d], difference[:, :, sample.usable], 1)
                result[:, :, row, column] = rate / (2 * distance)
        if sample.effects:
            difference = evaluate(sample.effects, above, sample.graph, states)
            difference -= evaluate(sample.effects, below, sample.graph, states)
            rate = np.einsum(
                "qkn,naq->kna", difference[:, :, sample.usable], effects[:, list(active)]
            )
            result[:, :, :, column] += rate / (2 * distance)
    return result


def phi_functions(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return exp(z), phi_1(z) = (exp(z) - 1) / z and phi_2(z) = (phi_1(z) - 1) / z of matrices.

    Taylor series after halving z, then the doubling formulas phi_0(2z) = phi_0^2,
    phi_1(2z) = (phi_0 + 1) phi_1 / 2 and phi_2(2z) = (phi_1^2 + 2 phi_2) / 4. All are NaN where any
    entry is not finite.
    """
    count = z.shape[-1]
    identity = np.eye(count)

    def times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a * b if count == 1 else a @ b

    size = float(np.abs(z).sum(axis=-1).max())
    if not math.isfinite(size):  # a path that runs off; whoever asked sees it in what follows
        lost = np.full_like(z, np.nan)
        return lost, lost, lost
    halvings = max(0, math.ceil(math.log2(max(size, 1e-300) / 0.5)))
    z = z / 2.0**halvings
    second = np.broadcast_to(identity / math.factorial(8), z.shape)
    for k in range(7, 1, -1):
        second = times(second, z) + identity / math.factorial(k)
    first = times(second, z) + identity
    zeroth = times(first, z) + identity
    for _ in range(halvings):
        second = (times(first, first) + 2.0 * second) / 4.0
        first = times(zeroth + identity, first) / 2.0
        zeroth = times(zeroth, zeroth)
    return zeroth, first, second
