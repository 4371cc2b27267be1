"""How sure the coefficients are: the node sandwich, and repetitions with simulated noise."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from graphtide.equation import Equation
from graphtide.errors import ComputationError
from graphtide.mechanisms.candidates import Candidate
from graphtide.mechanisms.rows import Sample, grams
from graphtide.mechanisms.search import best_supports, chosen_size, simplest
from graphtide.ode.solve import solve
from graphtide.vector_field import RightHandSide
from graphtide.weakform.gram import NodeGram

__all__ = ["Bootstrap", "bootstrap", "node_covariance", "node_sandwich", "roll_out"]


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Fits repeated on simulated data.

    Attributes:
        coefficients: for each variable, shape (repetitions, terms).
        chosen: for each variable, the texts of the terms that each repeated search chose.
    """

    coefficients: list[np.ndarray]
    chosen: list[list[frozenset[str]]]

    def frequency(self, d: int, text: str) -> float | None:
        """Return the share of repeated searches that chose a term; None where none was made."""
        searches = self.chosen[d]
        return float(np.mean([text in terms for terms in searches])) if searches else None


def node_covariance(
    gram: NodeGram, coefficients: np.ndarray, *, alike: float = 1e-15
) -> np.ndarray:
    """Return the covariance of coefficients that lets each node's rows err together, shape (P, P).

    H^-1 (sum_i g_i g_i') H^-1 with g_i = R_i'(y_i - R_i c) (Liang and Zeger, Biometrika 73, 1986),
    times n / (n - P) for n nodes. Directions of the scaled H below ``alike`` of the largest are
    left out.
    """
    total = gram.terms.sum(axis=0)
    scale = np.sqrt(np.maximum(np.diag(total), 1e-300))
    outer = np.outer(scale, scale)
    bread = np.linalg.pinv(total / outer, rcond=alike, hermitian=True) / outer
    scores = gram.cross - gram.terms @ coefficients
    count, terms = scores.shape
    correction = count / max(count - terms, 1)
    return correction * bread @ (scores.T @ scores) @ bread


def node_sandwich(gram: NodeGram, coefficients: np.ndarray) -> np.ndarray:
    """Return the standard errors of :func:`node_covariance`, shape (P,)."""
    return np.sqrt(np.diag(node_covariance(gram, coefficients)))


def roll_out(
    equation: Equation, sample: Sample, start: np.ndarray | None = None
) -> np.ndarray | None:
    """Return the law's own states at the observed times, (T, N, D).

    Args:
        equation: the law.
        sample: times and network; the law drives its usable nodes, the others are held at their
            smoothed states and NaN in the result.
        start: shape (N, D); None for the first smoothed states.

    None where the law runs off to infinity.
    """
    first = sample.smoothed.states[0] if start is None else start
    held = np.ones(len(first), dtype=bool)
    held[sample.usable] = False
    first = np.where(np.isnan(first), 0.0, first)  # nodes that no driven node reads
    rhs = _right_hand_side(equation, sample)
    if held.any():
        rhs = _held(rhs, sample, held)
    with torch.no_grad():
        try:
            solution = solve(
                rhs,
                torch.from_numpy(first.copy()),
                torch.from_numpy(sample.observed.times.copy()),
                method="dormand_prince5",
                relative_tolerance=1e-5,
                absolute_tolerance=1e-7 * float(np.abs(first).max() + 1e-12),
                maximum_steps=2_000,
            )
        except ComputationError:
            return None
    states = solution.states.numpy().copy()
    states[:, held] = np.nan
    return states


def _right_hand_side(equation: Equation, sample: Sample) -> RightHandSide:
    """Return the law on the sample's graph, known series filled in at every time."""
    if not sample.known:
        return equation.compile().on(sample.graph)
    heads = "".join(f", d{series.name}/dt = 0" for series in sample.known)
    whole = Equation.parse(equation.text(values=True) + heads).compile().on(sample.graph)
    count, variables = sample.graph.node_count, len(equation.variables)

    def rates(time: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        moment = np.array([float(time)])
        known = np.stack([series.at(moment, count)[0] for series in sample.known], axis=1)
        joined = torch.cat([states, torch.as_tensor(known, dtype=states.dtype)], dim=1)
        return whole(time, joined)[:, :variables]

    return rates


def _held(rhs: RightHandSide, sample: Sample, held: np.ndarray) -> RightHandSide:
    """Return the right-hand side with some nodes held at their smoothed states."""
    from scipy.interpolate import CubicSpline

    seen = np.nan_to_num(sample.smoothed.states[:, held])
    spline = CubicSpline(sample.observed.times, seen)
    nodes = torch.from_numpy(np.flatnonzero(held))

    def rates(time: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        states = states.clone()
        states[nodes] = torch.as_tensor(spline(float(time)), dtype=states.dtype)
        result = rhs(time, states).clone()
        result[nodes] = 0.0
        return result

    return rates


def bootstrap(
    samples: Sequence[Sample],
    equation: Equation,
    chosen: list[list[Candidate]],
    candidates: list[Candidate],
    *,
    seed: int,
    repetitions: int,
    inclusion_repetitions: int,
    report: Callable[[float, str], None],
) -> Bootstrap | None:
    """Simulate the law, add noise of the size that was seen, smooth and fit again.

    Returns None where no repetition was asked for, no term was chosen, or the law's own roll-out
    fails or leaves the range of the data, so that it cannot stand for them.
    """
    if repetitions < 2 or not any(chosen):
        return None
    clean = [roll_out(equation, sample) for sample in samples]
    if any(
        states is None or not _stands_for(states, sample)
        for states, sample in zip(clean, samples, strict=True)
    ):
        return None
    generator = np.random.default_rng(seed)
    candidates = _with_fitted_terms(candidates, chosen)
    coefficients: list[list[np.ndarray]] = [[] for _ in chosen]
    searches: list[list[frozenset[str]]] = [[] for _ in chosen]
    for repetition in range(repetitions):
        report(0.4 + 0.5 * repetition / repetitions, "repeating with simulated noise")
        again = []
        for states, sample in zip(clean, samples, strict=True):
            assert states is not None  # checked above
            noisy = states + sample.smoothed.noise_sd * generator.normal(size=states.shape)
            # Nodes that are held show the neighbours what was seen of them.
            noisy = np.where(np.isnan(noisy), sample.observed.states, noisy)
            noisy[np.isnan(sample.observed.states)] = np.nan
            again.append(sample.with_states(noisy))
        for d, terms in enumerate(chosen):
            if terms:
                matrix, cross, _ = grams(again, terms)[d].total()
                coefficients[d].append(np.linalg.lstsq(matrix, cross, rcond=None)[0])
        if repetition < inclusion_repetitions:
            for d, gram in enumerate(grams(again, candidates)):
                most = min(len(chosen[d]) + 2, 7)
                found = best_supports(*gram.total(), most_terms=most)
                best = simplest(candidates, gram, found[chosen_size(found)])
                searches[d].append(frozenset(candidates[p].text for p in best.terms))
    return Bootstrap(
        [
            np.array(values).reshape(repetitions, -1) if values else np.empty((repetitions, 0))
            for values in coefficients
        ],
        searches,
    )


def _with_fitted_terms(
    candidates: Sequence[Candidate], chosen: Sequence[Sequence[Candidate]]
) -> list[Candidate]:
    """Return a library that holds the chosen terms, in place of those of their forms.

    A term whose inner constants were fitted is of the same form as its candidate; beside each other
    noise alone would decide between the two.
    """
    known = {candidate.text for candidate in candidates}
    fitted = {t.text: t for terms in chosen for t in terms if t.text not in known}
    forms = {_form(text) for text in fitted}
    return [*(c for c in candidates if _form(c.text) not in forms), *fitted.values()]


def _form(text: str) -> str:
    """Return a term's text without its numbers."""
    return re.sub(r"(?<![\w.])[-+]?\d+(\.\d+)?(e[-+]?\d+)?", "#", text)


def _stands_for(states: np.ndarray, sample: Sample) -> bool:
    """Tell whether a roll-out stays near enough to the data to repeat them."""
    states, known = states[:, sample.usable], sample.smoothed.states[:, sample.usable]
    if not np.isfinite(states).all():
        return False
    error = np.nanmean(np.abs(states - known), axis=(0, 1))
    spread = np.nanstd(known, axis=(0, 1))
    return bool((error <= spread + sample.smoothed.noise_sd).all())
