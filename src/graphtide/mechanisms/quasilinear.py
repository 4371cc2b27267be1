"""A law fitted to the readings themselves: its coefficients and its path together.

A law x' = sum_p c_p theta_p(x) is right if its solution passes through the readings y. Newton's
method in the space of paths makes that linear (quasilinearisation: Bellman and Kalaba,
Quasilinearization and Nonlinear Boundary-Value Problems, 1965): around a path x*,

    y(t) = Phi(t) x(0) + sum_p c_p S_p(t) + S_0(t) + noise,   S_0' = J S_0 - J x*,

with Phi and S_p of :mod:`graphtide.mechanisms.linearised`. Least squares gives x(0) and c; the
right-hand side is the next path. No data is differentiated or smoothed: once the path has converged
the noise enters linearly, and the coefficients are free of the bias that smoothed regressors leave.
What the steps miss between readings is taken from accurate integrations over each step and carried
along, so that the converged path solves the law.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from graphtide.equation import Equation
from graphtide.mechanisms.candidates import Candidate
from graphtide.mechanisms.linearised import Linearised, Readings, readings_of
from graphtide.mechanisms.rows import Sample
from graphtide.weakform.gram import NodeGram, node_gram

__all__ = ["Model", "PathFit", "fit_path", "weak_effects"]

MOST_PASSES = 15
CONVERGED = 0.05
"""Root mean square change of the path, in standard deviations of a reading."""
INNER_STEP = 0.5
"""Most that an inner parameter moves in one pass."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A law under trial: the terms of each variable and their coefficients."""

    variables: tuple[str, ...]
    terms: tuple[tuple[Candidate, ...], ...]
    coefficients: tuple[np.ndarray, ...]

    def equation(self) -> Equation:
        """Return the law as an equation."""
        return Equation.from_terms(
            self.variables,
            {
                variable: [(float(c), t.text, None) for c, t in zip(values, terms, strict=True)]
                for variable, values, terms in zip(
                    self.variables, self.coefficients, self.terms, strict=True
                )
            },
        )


@dataclass(frozen=True, slots=True, eq=False)
class PathFit:
    """A law with the path that fits the readings best.

    Attributes:
        model: the law.
        readings: the readings, one entry a stretch.
        paths: shape (K, N, D) each.
        active: the variables whose laws and paths were fitted.
        deviance: sum of squares of readings minus path, in variances of a reading, by variable.
        count: number of readings (or blocks of them), by variable.
        effects: coefficients of the nodes' own effects, shape (n, D, Q) for each stretch.
    """

    model: Model
    readings: tuple[Readings, ...]
    paths: tuple[np.ndarray, ...]
    active: tuple[int, ...]
    deviance: np.ndarray
    count: np.ndarray
    effects: tuple[np.ndarray, ...]
    _cache: dict[int, list[tuple[Linearised, np.ndarray]]] = field(default_factory=dict)

    @property
    def misfits(self) -> np.ndarray:
        """Mean square of readings minus path by variable; 1 for a right law."""
        return self.deviance / np.maximum(self.count, 1)

    @property
    def misfit(self) -> float:
        """The largest of the misfits."""
        return float(self.misfits.max())

    def rows(self, d: int, terms: Sequence[Candidate]) -> tuple[np.ndarray, np.ndarray]:
        """Return terms' responses in variable d, (rows, P), and what they must explain, (rows,).

        What a node's start explains is taken off; the other variables' paths are held. The target
        is what the law leaves plus what its own terms explain, so that errors of the steps cancel.
        Rows are in standard deviations of a reading.
        """
        rows, targets = [], []
        for part, target in self._parts(d):
            responses = part.projected(part.responses(part.sources(d, terms)))
            rows.append(responses.reshape(-1, len(terms)))
            targets.append(target.reshape(-1))
        joined = np.concatenate(rows)
        joined[:, ~np.isfinite(joined).all(axis=0)] = 0.0  # never chosen
        return joined, np.concatenate(targets)

    def gram(self, d: int, *, inner: bool = False) -> NodeGram:
        """Return the products of variable d's own terms for each node, summed over stretches.

        Trajectories of the same nodes of one graph are summed too; other nodes follow one another.

        ``inner`` adds the slopes of the terms by their inner parameters as further columns.
        """
        of_nodes: dict[tuple[int, bytes], NodeGram] = {}
        terms = list(self.model.terms[d])
        if inner:
            terms += [slope for term in self.model.terms[d] for slope in term.slopes()]
        for part, target in self._parts(d):
            rows = part.projected(part.responses(part.sources(d, terms)))
            gram = node_gram(rows.transpose(1, 0, 2), target[..., 0].T)
            sample = part.readings.sample
            nodes = (id(sample.graph), sample.usable.tobytes())
            of_nodes[nodes] = of_nodes[nodes] + gram if nodes in of_nodes else gram
        return functools.reduce(NodeGram.joined, of_nodes.values())

    def linearised(self) -> list[Linearised]:
        """Return the law linearised around the path of each stretch, all variables together."""
        every = tuple(range(len(self.model.variables)))
        terms, coefficients = self.model.terms, self.model.coefficients
        return [
            Linearised.around(each, path, terms, coefficients, every, own)
            for each, path, own in zip(self.readings, self.paths, self.effects, strict=True)
        ]

    def _parts(self, d: int) -> list[tuple[Linearised, np.ndarray]]:
        """Return the linearisation of each stretch and its target, (n, K, 1)."""
        if d not in self._cache:
            terms, coefficients = self.model.terms, self.model.coefficients
            result = []
            for each, path, own in zip(self.readings, self.paths, self.effects, strict=True):
                part = Linearised.around(each, path, terms, coefficients, (d,), own)
                left = part.values - part.rounding() - part.own(path)
                if terms[d]:
                    source = part.sources(d, terms[d]) @ coefficients[d]
                    left = left + part.responses(source[..., None])[..., 0]
                result.append((part, part.projected(left[..., None])))
            self._cache[d] = result
        return self._cache[d]


def fit_path(
    samples: Sequence[Sample],
    model: Model,
    *,
    stretches: int = 1,
    active: tuple[int, ...] | None = None,
    paths: Sequence[np.ndarray] | None = None,
    passes: int = MOST_PASSES,
) -> PathFit | None:
    """Fit a law's coefficients, inner parameters and starts to the readings.

    Args:
        samples: the data.
        model: terms, and coefficients to begin with.
        stretches: into how many parts, each with its own start, every series is cut.
        active: numbers of the variables that are fitted while the paths of the others are held;
            None for all.
        paths: paths to begin with; None for the smoothed ones.
        passes: most passes.

    Returns None where the law runs off, or has no term.
    """
    readings = [part for sample in samples for part in readings_of(sample, stretches)]
    paths = [each.first_path() for each in readings] if paths is None else list(paths)
    active = tuple(range(len(model.variables))) if active is None else active
    if not any(len(model.terms[d]) for d in active):
        return None
    effects = [weak_effects(each.sample, model) for each in readings]
    parts: list[Linearised] = []
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(passes):
            moved = _pass(readings, paths, model, active, effects)
            if moved is None:
                return None
            new_model, new_paths, parts, effects = moved
            change = _change(readings, paths, new_paths, active)
            model, paths = new_model, new_paths
            if not change < 1e3:
                return None
            if change < CONVERGED:
                break
    return _finished(parts, paths, model, active, effects)


def weak_effects(sample: Sample, model: Model) -> np.ndarray:
    """Return the nodes' own effects beside a law by the weak form, shape (n, D, Q)."""
    result = np.zeros((len(sample.usable), len(model.terms), len(sample.effects)))
    if not sample.effects:
        return result
    own = sample.own_rows(sample.effects).transpose(1, 0, 2)
    inverse = np.linalg.pinv(own, rcond=1e-8)
    for d, terms in enumerate(model.terms):
        left = sample.own_left(d)
        if len(terms):
            left = left - sample.own_rows(terms) @ model.coefficients[d]
        result[:, d] = (inverse @ left.T[:, :, None])[..., 0]
    return result


def _pass(
    readings: Sequence[Readings],
    paths: Sequence[np.ndarray],
    model: Model,
    active: tuple[int, ...],
    effects: Sequence[np.ndarray],
) -> tuple[Model, list[np.ndarray], list[Linearised], list[np.ndarray]] | None:
    """Return the law, paths and effects of the next pass; None where numbers run off."""
    matrix: np.ndarray | float = 0.0
    cross: np.ndarray | float = 0.0
    solved = []
    for each, path, own in zip(readings, paths, effects, strict=True):
        part = Linearised.around(each, path, model.terms, model.coefficients, active, own)
        if not np.isfinite(part.orthogonal).all():
            return None
        sources = [
            part.sources(
                d, [column for term in model.terms[d] for column in (term, *term.slopes())]
            )
            for d in active
        ]
        responses = part.responses(np.concatenate(sources, axis=-1))
        shift = part.bend() + part.step_errors(model.terms, model.coefficients)
        known = part.values - part.rounding() - shift
        rows = part.projected(responses).reshape(-1, responses.shape[-1])
        matrix = matrix + rows.T @ rows
        cross = cross + rows.T @ part.projected(known[..., None]).reshape(-1)
        solved.append((part, responses, shift, known))
    if not (np.isfinite(matrix).all() and np.isfinite(cross).all()):
        return None
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    values = np.linalg.lstsq(matrix / np.outer(scale, scale), cross / scale, rcond=1e-12)[0] / scale
    new_paths, new_effects = [], []
    for part, responses, shift, known in solved:
        explained = responses @ values
        start = part.start(known - explained)
        path = part.path.copy()
        own = (part.transition @ start[:, :, None])[..., 0] + explained + shift
        for place, d in enumerate(active):
            path[:, part.readings.sample.usable, d] = own[:, :, place]
        new_paths.append(path)
        new_effects.append(part.moved_effects(start))
    return _moved(model, values, active), new_paths, [part for part, *_ in solved], new_effects


def _moved(model: Model, values: np.ndarray, active: tuple[int, ...]) -> Model:
    """Return the law with the coefficients of a pass and its inner parameters moved."""
    terms, coefficients, k = list(model.terms), list(model.coefficients), 0
    for d in active:
        new, numbers = [], []
        for term, before in zip(model.terms[d], model.coefficients[d], strict=True):
            number = float(values[k])
            slopes = values[k + 1 : k + 1 + len(term.inner)]
            k += 1 + len(term.inner)
            numbers.append(number)
            step = slopes / (float(before) or 1e-300)
            step *= min(1.0, INNER_STEP / max(np.abs(step).max(initial=0.0), 1e-300))
            new.append(term.moved(step))
        terms[d], coefficients[d] = tuple(new), np.array(numbers)
    return replace(model, terms=tuple(terms), coefficients=tuple(coefficients))


def _change(
    readings: Sequence[Readings],
    old: Sequence[np.ndarray],
    new: Sequence[np.ndarray],
    active: tuple[int, ...],
) -> float:
    """Return the root mean square change of paths in standard deviations of a reading."""
    total, count = 0.0, 0
    for each, before, after in zip(readings, old, new, strict=True):
        moved = (after - before)[:, each.sample.usable] / each.sample.smoothed.noise_sd
        moved = moved[:, :, list(active)]
        total, count = total + float((moved**2).sum()), count + moved.size
    return float(np.sqrt(total / count))


def _finished(
    parts: Sequence[Linearised],
    paths: Sequence[np.ndarray],
    model: Model,
    active: tuple[int, ...],
    effects: Sequence[np.ndarray],
) -> PathFit:
    deviance, count = np.zeros(len(model.variables)), np.zeros(len(model.variables))
    chosen = list(active)
    for part, path in zip(parts, paths, strict=True):
        left = part.values - part.rounding() - part.own(path)
        deviance[chosen] += ((left * part.weight) ** 2).sum(axis=(0, 1))
        count[chosen] += (part.weight > 0).sum(axis=(0, 1))
    readings = tuple(part.readings for part in parts)
    return PathFit(model, readings, tuple(paths), active, deviance, count, tuple(effects))
