"""Discovery: the differential equation behind node time series on a network.

dx_i/dt = F(x_i) + sum_j A_ij G(x_i, x_j) with coefficients shared by all nodes. Steps: smooth, take
the weak form, search supports on the Gram matrix, refine inner parameters, then simulate the found
law with noise of the size that was seen and fit again (parametric bootstrap): that removes the bias
which smoothed, noisy regressors leave in the coefficients, and gives standard errors and the share
of repetitions that choose each term.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal, cast, get_args

import numpy as np

from graphtide.equation import Equation
from graphtide.errors import ComputationError, InputError
from graphtide.graph import Graph
from graphtide.mechanisms.bootstrap import Bootstrap, bootstrap, node_sandwich, roll_out
from graphtide.mechanisms.candidates import Candidate, TermSet, library
from graphtide.mechanisms.discovery import Discovery, FoundTerm, Law
from graphtide.mechanisms.inner import refine
from graphtide.mechanisms.notes import reader_notes
from graphtide.mechanisms.rows import Sample, grams, prepare
from graphtide.mechanisms.search import (
    ELBOW,
    Support,
    best_supports,
    chosen_size,
    identities,
    rivals,
    simplest,
)
from graphtide.trajectory import Trajectory
from graphtide.weakform.gram import NodeGram

__all__ = ["discover"]


def discover(
    trajectories: Trajectory | Sequence[Trajectory],
    graph: Graph | None = None,
    *,
    terms: TermSet | str = "all",
    seed: int = 0,
    repetitions: int = 20,
    inclusion_repetitions: int = 8,
    progress: Callable[[float, str], None] | None = None,
) -> Discovery:
    """Find the law behind one or several trajectories.

    Args:
        trajectories: states (T, N, D) with at least 20 times; of the same variables.
        graph: the network of all trajectories; None takes each trajectory's own.
        terms: "all" candidates, or "polynomial" ones only.
        seed: seed of the bootstrap's noise.
        repetitions: bootstrap fits for bias and standard errors; 0 leaves the bias in and takes the
            standard errors from the differences between nodes alone.
        inclusion_repetitions: bootstrap searches for the inclusion frequencies; 0 gives none.
        progress: called with the share done and what is being done.

    Raises:
        InputError: a trajectory is too short, constant, has no graph, or has other variables; or
            ``terms`` is neither.
        ComputationError: the coefficients of the chosen terms cannot be told apart.
    """
    began = time.perf_counter()
    report = progress or (lambda _share, _text: None)
    report(0.0, "smoothing")
    if terms not in get_args(TermSet):
        raise InputError(f"terms '{terms}' are unknown; all or polynomial were expected")
    samples = _samples(trajectories, graph)
    variables = samples[0].observed.variables
    report(0.1, "searching")
    candidates, node_grams, supports = _best_library(samples, variables, cast("TermSet", terms))
    laws: list[Law] = []
    chosen: list[list[Candidate]] = []
    for d in range(len(variables)):
        size = chosen_size(supports[d])
        supports[d][size] = simplest(candidates, node_grams[d], supports[d][size])
        found = [candidates[p] for p in supports[d][size].terms]
        residual = supports[d][size].log_residual
        if terms == "all" and len(variables) == 1:
            shorter = [[candidates[p] for p in s.terms] for s in supports[d][:size]]
            found, residual = refine(samples, d, found, shorter)
        chosen.append(found)
        laws.append(
            Law(
                variable=variables[d],
                terms=(),
                supports=tuple(supports[d]),
                chosen_size=size,
                log_residual=residual,
                rivals=tuple(rivals(*node_grams[d].total(), supports[d][size])),
            )
        )
    report(0.4, "estimating errors")
    fits = [_fit(samples, d, chosen[d]) for d in range(len(variables))]
    equation = _equation(variables, chosen, [fit[0] for fit in fits])
    repeated = bootstrap(
        samples,
        equation,
        chosen,
        candidates,
        seed=seed,
        repetitions=repetitions,
        inclusion_repetitions=inclusion_repetitions,
        report=report,
    )
    laws = [
        law.with_terms(_estimates(chosen[d], *fits[d], repeated, d)) for d, law in enumerate(laws)
    ]
    equation = Equation.from_terms(
        variables,
        {
            law.variable: [(t.coefficient, t.text, t.standard_error) for t in law.terms]
            for law in laws
        },
    )
    report(0.9, "rolling out")
    predicted = roll_out(equation, samples[0])
    relations = identities(node_grams[0].total()[0])
    result = Discovery(
        equation=equation,
        laws=tuple(laws),
        candidates=tuple(candidates),
        samples=tuple(samples),
        predicted=predicted,
        identities=tuple(relations),
        bias_corrected=repeated is not None,
        seconds=time.perf_counter() - began,
        notes=(),
    )
    return result.with_notes(reader_notes(result))


def _samples(trajectories: Trajectory | Sequence[Trajectory], graph: Graph | None) -> list[Sample]:
    given = [trajectories] if isinstance(trajectories, Trajectory) else list(trajectories)
    if not given:
        raise InputError("no trajectory was given")
    samples = []
    for trajectory in given:
        network = graph if graph is not None else trajectory.graph
        if network is None:
            raise InputError("a trajectory has no graph; give graph=...")
        if trajectory.variables != given[0].variables:
            raise InputError(
                f"trajectories have the variables {given[0].variables} and {trajectory.variables}; "
                "the same ones were expected"
            )
        samples.append(prepare(trajectory, network))
    return samples


def _best_library(
    samples: Sequence[Sample], variables: tuple[str, ...], terms: TermSet
) -> tuple[list[Candidate], list[NodeGram], list[list[Support]]]:
    """Search with sums over neighbours and, for one variable, with means; keep the better.

    Means must be worth ``ELBOW`` more than sums, so that a regular graph, where both are the same,
    gives a sum.
    """
    kinds: tuple[Literal["sum", "mean"], ...] = ("sum", "mean") if len(variables) == 1 else ("sum",)
    if all(np.ptp(sample.graph.degree) == 0 for sample in samples):
        kinds = ("sum",)
    best: tuple[list[Candidate], list[NodeGram], list[list[Support]]] | None = None
    best_score = np.inf
    for kind in kinds:
        candidates = library(variables, kind, terms)
        node_grams = grams(samples, candidates)
        supports = [best_supports(*gram.total()) for gram in node_grams]
        score = sum(
            found[chosen_size(found)].log_residual + ELBOW * chosen_size(found)
            for found in supports
        ) + (ELBOW if kind == "mean" else 0.0)
        if best is None or score < best_score:
            best, best_score = (candidates, node_grams, supports), score
    assert best is not None  # there is always the library of sums
    return best


def _fit(
    samples: Sequence[Sample], d: int, terms: list[Candidate]
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients and the node-sandwich standard errors of the chosen terms."""
    if not terms:
        return np.empty(0), np.empty(0)
    gram = grams(samples, terms)[d]
    matrix, cross, _ = gram.total()
    try:
        coefficients = np.linalg.solve(matrix, cross)
    except np.linalg.LinAlgError:
        raise ComputationError(
            "the chosen terms cannot be told apart on these data: "
            + ", ".join(term.text for term in terms)
        ) from None
    return coefficients, node_sandwich(gram, coefficients)


def _equation(
    variables: tuple[str, ...], chosen: list[list[Candidate]], coefficients: list[np.ndarray]
) -> Equation:
    return Equation.from_terms(
        variables,
        {
            variable: [(float(c), term.text, None) for c, term in zip(values, terms, strict=True)]
            for variable, terms, values in zip(variables, chosen, coefficients, strict=True)
        },
    )


def _estimates(
    terms: list[Candidate],
    coefficients: np.ndarray,
    sandwich: np.ndarray,
    repeated: Bootstrap | None,
    d: int,
) -> list[FoundTerm]:
    """Join the fit with what its repetitions tell: bias, spread, frequency of each term.

    The standard error is the larger of the sandwich's and the bootstrap's, joined with half of the
    bias that was removed, since the bias is itself only estimated.
    """
    found = []
    for k, term in enumerate(terms):
        value, error, frequency = float(coefficients[k]), float(sandwich[k]), None
        if repeated is not None:
            again = repeated.coefficients[d][:, k]
            bias = float(again.mean()) - value
            value -= bias
            spread = float(again.std(ddof=1))
            error = float(np.hypot(max(error, spread), bias / 2))
            frequency = repeated.frequency(d, term.text)
        found.append(FoundTerm(term.text, value, error, frequency))
    return found
