"""Discovery: the differential equation behind node time series on a network.

dx_i/dt = F(x_i) + sum_j A_ij G(x_i, x_j) with coefficients shared by all nodes. Steps: smooth, take
the weak form, search supports on the Gram matrix, then fit the law to the readings by its own path
and search again on the responses around that path. Where no law explains the readings to within
their noise, the weak form's law stands: its inner parameters are refined, and it is simulated with
noise of the size that was seen and fitted again (parametric bootstrap), which removes the bias that
smoothed regressors leave in the coefficients.
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
from graphtide.mechanisms.candidates import Candidate, TermSet
from graphtide.mechanisms.discovery import Discovery, FoundTerm, Law
from graphtide.mechanisms.inner import refine
from graphtide.mechanisms.library import library
from graphtide.mechanisms.notes import reader_notes
from graphtide.mechanisms.quasilinear import Model
from graphtide.mechanisms.rows import Sample, grams, prepare
from graphtide.mechanisms.search import (
    ELBOW,
    RELATIVE_FLOOR,
    Support,
    best_supports,
    chosen_size,
    identities,
    rivals,
    simplest,
)
from graphtide.mechanisms.selection import Selection, select
from graphtide.trajectory import Trajectory
from graphtide.weakform.gram import NodeGram

__all__ = ["best_library", "discover", "fit_terms"]

FEW_REPETITIONS = 4
LEAST_NOISE = 1e-3
"""Noise, as a share of the spread, from which on a law is fitted to the readings themselves."""


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
        repetitions: bootstrap fits for bias and standard errors where the law is not fitted to the
            readings themselves; 0 leaves the bias in and takes the standard errors from the
            differences between nodes alone.
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
    candidates, node_grams, supports = best_library(samples, variables, cast("TermSet", terms))
    sizes = [chosen_size(found) for found in supports]
    for d, size in enumerate(sizes):
        supports[d][size] = simplest(candidates, node_grams[d], supports[d][size])
    chosen = [
        [candidates[p] for p in found[size].terms]
        for found, size in zip(supports, sizes, strict=True)
    ]
    near = [
        tuple(rivals(*node_grams[d].total(), supports[d][sizes[d]])) for d in range(len(variables))
    ]
    inner = terms == "all" and len(variables) == 1
    report(0.2, "fitting the law to the readings")
    selection = None
    if all(chosen) and all(_noisy(sample) for sample in samples):
        first = tuple(fit_terms(samples, d, chosen[d])[0] for d in range(len(variables)))
        model = Model(variables, tuple(map(tuple, chosen)), first)
        selection = select(samples, candidates, model, inner=inner)
    if selection is not None:
        chosen = [list(found) for found in selection.fit.model.terms]
        near = list(selection.rivals)
    elif inner:
        places = [s.terms for s in supports[0]]
        chosen[0] = refine(samples, 0, candidates, places, places[sizes[0]])
    report(0.4, "estimating errors")
    fits = [fit_terms(samples, d, chosen[d]) for d in range(len(variables))]
    residuals = [fit[2] for fit in fits]
    coefficients = [fit[0] for fit in fits]
    if selection is not None:
        coefficients = list(selection.fit.model.coefficients)
    equation = _equation(variables, chosen, coefficients)
    repeated = bootstrap(
        samples,
        equation,
        chosen,
        candidates,
        seed=seed,
        repetitions=_repetitions(samples, repetitions, inclusion_repetitions, selection),
        inclusion_repetitions=inclusion_repetitions,
        report=report,
    )
    laws: list[Law] = []
    for d, variable in enumerate(variables):
        texts = [candidate.text for candidate in candidates]
        if all(term.text in texts for term in chosen[d]) and len(chosen[d]) < len(supports[d]):
            sizes[d] = len(chosen[d])
            place = tuple(sorted(texts.index(term.text) for term in chosen[d]))
            supports[d][sizes[d]] = Support(place, residuals[d])
        if selection is None:
            found = _estimates(chosen[d], *fits[d][:2], repeated, d)
        else:
            errors = node_sandwich(selection.fit.gram(d), coefficients[d])
            found = [
                FoundTerm(
                    term.text,
                    float(value),
                    float(error),
                    repeated.frequency(d, term.text) if repeated is not None else None,
                )
                for term, value, error in zip(chosen[d], coefficients[d], errors, strict=True)
            ]
        laws.append(
            Law(variable, tuple(found), tuple(supports[d]), sizes[d], residuals[d], near[d])
        )
    equation = Equation.from_terms(
        variables,
        {
            law.variable: [(t.coefficient, t.text, t.standard_error) for t in law.terms]
            for law in laws
        },
    )
    report(0.9, "rolling out")
    start = selection.fit.paths[0][0] if selection is not None else None
    predicted = roll_out(equation, samples[0], start)
    relations = identities(node_grams[0].total()[0])
    result = Discovery(
        equation=equation,
        laws=tuple(laws),
        candidates=tuple(candidates),
        samples=tuple(samples),
        predicted=predicted,
        identities=tuple(relations),
        bias_corrected=selection is not None or repeated is not None,
        seconds=time.perf_counter() - began,
        notes=(),
    )
    return result.with_notes(reader_notes(result))


def _repetitions(
    samples: Sequence[Sample], asked: int, inclusion: int, selection: Selection | None
) -> int:
    """Return how many repetitions pay: few where there is no bias, or no noise, to measure."""
    if selection is not None:
        return inclusion
    if not any(_noisy(sample) for sample in samples):
        return max(min(asked, FEW_REPETITIONS), inclusion)
    return asked


def _noisy(sample: Sample) -> bool:
    """Tell whether every variable has noise to speak of; else the weak form is exact."""
    spread = np.nanstd(sample.smoothed.states, axis=(0, 1))
    return bool((sample.smoothed.noise_sd > LEAST_NOISE * spread).all())


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


def best_library(
    samples: Sequence[Sample], variables: tuple[str, ...], terms: TermSet
) -> tuple[list[Candidate], list[NodeGram], list[list[Support]]]:
    """Search with sums over neighbours and, for one variable, with means; keep the better.

    Means must be worth ``ELBOW`` more than sums, so that a regular graph, where both are the same,
    gives a sum.
    """
    kinds: tuple[Literal["sum", "mean"], ...] = ("sum", "mean") if len(variables) == 1 else ("sum",)
    if all(np.ptp(sample.graph.degree) == 0 for sample in samples):
        kinds = ("sum",)
    together = list({c.text: c for kind in kinds for c in library(variables, kind, terms)}.values())
    place = {candidate.text: p for p, candidate in enumerate(together)}
    all_grams = grams(samples, together)
    best: tuple[list[Candidate], list[NodeGram], list[list[Support]]] | None = None
    best_score = np.inf
    for kind in kinds:
        candidates = library(variables, kind, terms)
        columns = [place[candidate.text] for candidate in candidates]
        node_grams = [gram.with_columns(columns) for gram in all_grams]
        supports = [best_supports(*gram.total()) for gram in node_grams]
        score = sum(
            found[chosen_size(found)].log_residual + ELBOW * chosen_size(found)
            for found in supports
        ) + (ELBOW if kind == "mean" else 0.0)
        if best is None or score < best_score:
            best, best_score = (candidates, node_grams, supports), score
    assert best is not None  # there is always the library of sums
    return best


def fit_terms(
    samples: Sequence[Sample], d: int, terms: list[Candidate]
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the weak form's coefficients, their node-sandwich errors and the log residual."""
    if not terms:
        return np.empty(0), np.empty(0), 0.0
    gram = grams(samples, terms)[d]
    matrix, cross, target = gram.total()
    try:
        coefficients = np.linalg.solve(matrix, cross)
    except np.linalg.LinAlgError:
        raise ComputationError(
            "the chosen terms cannot be told apart on these data: "
            + ", ".join(term.text for term in terms)
        ) from None
    left = target - 2.0 * cross @ coefficients + coefficients @ matrix @ coefficients
    residual = float(np.log(max(left / target, RELATIVE_FLOOR)))
    return coefficients, node_sandwich(gram, coefficients), residual


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
