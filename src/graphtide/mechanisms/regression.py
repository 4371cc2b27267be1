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
from dataclasses import replace
from typing import Literal, cast, get_args

import numpy as np
import pandas

from graphtide.equation import Equation
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.bootstrap import Bootstrap, bootstrap, node_sandwich, roll_out
from graphtide.mechanisms.candidates import Candidate, TermSet
from graphtide.mechanisms.delays import with_delay
from graphtide.mechanisms.departures import RobustMode, find_shared_law
from graphtide.mechanisms.discovery import Discovery, FoundTerm, Law
from graphtide.mechanisms.effects import NodeEffects, node_effects_of, with_attributes
from graphtide.mechanisms.following import NodeFit
from graphtide.mechanisms.known import KnownSeries, delayed_terms, input_terms
from graphtide.mechanisms.lawsearch import Found, checked_terms, noisy
from graphtide.mechanisms.notes import reader_notes
from graphtide.mechanisms.quasilinear import Model
from graphtide.mechanisms.residuals import (
    residuals_by_node,
    residuals_by_state,
    residuals_by_time,
)
from graphtide.mechanisms.rows import Sample, prepare
from graphtide.mechanisms.search import Support, identities
from graphtide.mechanisms.suspects import suspect_nodes
from graphtide.trajectory import Trajectory

__all__ = ["discover"]

FEW_REPETITIONS = 4


def discover(
    trajectories: Trajectory | Sequence[Trajectory],
    graph: Graph | Sequence[Graph] | None = None,
    *,
    terms: TermSet | str = "all",
    library: Sequence[Candidate] = (),
    node_effects: Sequence[str] | Literal["auto"] = "auto",
    robust: RobustMode | str = "auto",
    inputs: Sequence[Sequence[KnownSeries]] = (),
    delay: float | Literal["scan"] | None = None,
    seed: int = 0,
    repetitions: int = 20,
    inclusion_repetitions: int = 8,
    progress: Callable[[float, str], None] | None = None,
) -> Discovery:
    """Find the law behind one or several trajectories.

    Args:
        trajectories: states (T, N, D) with at least 20 times; of the same variables.
        graph: the network of all trajectories, or one for each; None takes each trajectory's own.
        terms: "all" candidates, "polynomial" ones only, or "none" but those of ``library``.
        library: further candidates, such as :func:`~graphtide.mechanisms.user_terms.read_terms`
            reads.
        node_effects: texts of terms whose coefficients differ from node to node, such as "1" and
            "x"; "auto" takes them in where nothing else explains the nodes, an empty sequence none.
        robust: "on" learns on the nodes that follow one law and names the others; "auto" does so
            where the plain law leaves more nodes unexplained than chance does; or "off".
        inputs: for each trajectory known series u(t), which may drive every variable, as
            :func:`~graphtide.mechanisms.known.read_inputs` reads them.
        delay: the states a time tau ago may act too; "scan" finds tau.
        seed: seed of the bootstrap's noise and of random starts.
        repetitions: bootstrap fits for bias and standard errors where the law is not fitted to the
            readings themselves; 0 leaves the bias in and takes the standard errors from the
            differences between nodes alone.
        inclusion_repetitions: bootstrap searches for the inclusion frequencies; 0 gives none.
        progress: called with the share done and what is being done.

    Raises:
        InputError: a trajectory is too short, constant, has no graph, or has other variables; or
            an option has no such value.
        ComputationError: the coefficients of the chosen terms cannot be told apart.
    """
    began = time.perf_counter()
    report = progress or (lambda _share, _text: None)
    report(0.0, "smoothing")
    terms = checked_terms(terms, library)
    if robust not in get_args(RobustMode):
        raise InputError(f"robust '{robust}' is unknown; auto, on or off was expected")
    samples = _samples(trajectories, graph)
    variables = samples[0].observed.variables
    library = list(library)
    if inputs:
        if len(inputs) != len(samples):
            raise InputError(
                f"inputs are given for {len(inputs)} of {len(samples)} trajectories; for each was "
                "expected"
            )
        samples = [replace(s, known=tuple(own)) for s, own in zip(samples, inputs, strict=True)]
        library += input_terms(variables, [series.name for series in inputs[0]])
    lag = None
    if delay is not None:
        lag = with_delay(samples, terms, library, None if delay == "scan" else delay, report)
        samples = lag.samples
        library += delayed_terms(variables) if lag.delay else []
    report(0.1, "searching")
    departures = find_shared_law(
        samples,
        terms,
        library,
        node_effects=node_effects,
        robust=cast("RobustMode", robust),
        seed=seed,
        report=report,
    )
    found = departures.found
    report(0.4, "estimating errors")
    model = found.model
    effects = node_effects_of(found)
    learned = found.samples if effects is None else with_attributes(found.samples, effects)
    repeated = bootstrap(
        learned,
        _with_effects(model.equation(), effects),
        found.chosen,
        found.candidates,
        seed=seed,
        repetitions=_repetitions(found, repetitions, inclusion_repetitions),
        inclusion_repetitions=inclusion_repetitions,
        report=report,
    )
    laws = [_law(found, d, repeated) for d in range(len(variables))]
    equation = Equation.from_terms(
        variables,
        {
            law.variable: [(t.coefficient, t.text, t.standard_error) for t in law.terms]
            for law in laws
        },
    )
    equation = _with_effects(equation, effects)
    report(0.9, "rolling out")
    start = found.selection.fit.paths[0][0] if found.selection is not None else None
    result = Discovery(
        equation=equation,
        laws=tuple(laws),
        candidates=tuple(found.candidates),
        samples=tuple(learned),
        predicted=roll_out(equation, learned[0], start),
        identities=tuple(identities(found.node_grams[0].total()[0])),
        bias_corrected=found.selection is not None or repeated is not None,
        seconds=time.perf_counter() - began,
        notes=(),
        node_fits=tuple(departures.fits),
        robust=departures.robust,
        suspects=tuple(suspect_nodes(samples, departures.fits, model)),
        node_effects=effects,
        suggested_effects=departures.suggested,
        delay=lag,
        residuals=_residuals(samples[0], departures.fits[0], learned[0], model),
    )
    return result.with_notes(reader_notes(result))


def _with_effects(equation: Equation, effects: NodeEffects | None) -> Equation:
    return equation if effects is None else effects.added_to(equation)


def _residuals(
    sample: Sample, fit: NodeFit, learned: Sample, model: Model
) -> dict[str, pandas.DataFrame]:
    """Return what the law leaves at all nodes, and by time and state at those it is learned on."""
    observed = sample.observed
    return {
        "residual_by_node": residuals_by_node(fit, observed.variables, observed.names),
        "residual_by_time": residuals_by_time(learned, model),
        "residual_by_state": residuals_by_state(learned, model),
    }


def _repetitions(found: Found, asked: int, inclusion: int) -> int:
    """Return how many repetitions pay: few where there is no bias, or no noise, to measure."""
    if found.selection is not None:
        return inclusion
    if not any(noisy(sample) for sample in found.samples):
        return max(min(asked, FEW_REPETITIONS), inclusion)
    return asked


def _samples(
    trajectories: Trajectory | Sequence[Trajectory], graph: Graph | Sequence[Graph] | None
) -> list[Sample]:
    given = [trajectories] if isinstance(trajectories, Trajectory) else list(trajectories)
    if not given:
        raise InputError("no trajectory was given")
    graphs = [graph] * len(given) if graph is None or isinstance(graph, Graph) else list(graph)
    if len(graphs) == 1:
        graphs = graphs * len(given)
    if len(graphs) != len(given):
        raise InputError(
            f"{len(graphs)} graphs were given for {len(given)} trajectories; one for all, or one "
            "for each, was expected"
        )
    samples = []
    for trajectory, own in zip(given, graphs, strict=True):
        network = own if own is not None else trajectory.graph
        if network is None:
            raise InputError("a trajectory has no graph; give graph=...")
        if trajectory.variables != given[0].variables:
            raise InputError(
                f"trajectories have the variables {given[0].variables} and {trajectory.variables}; "
                "the same ones were expected"
            )
        samples.append(prepare(trajectory, network))
    return samples


def _law(found: Found, d: int, repeated: Bootstrap | None) -> Law:
    """Return the law of one variable with what is known of its errors."""
    chosen, weak, supports = found.chosen[d], found.weak[d], list(found.supports[d])
    size = found.sizes[d]
    texts = [candidate.text for candidate in found.candidates]
    if all(term.text in texts for term in chosen) and len(chosen) < len(supports):
        size = len(chosen)
        place = tuple(sorted(texts.index(term.text) for term in chosen))
        supports[size] = Support(place, weak.log_residual)
    if found.selection is None:
        terms = _estimates(chosen, weak.coefficients, weak.standard_errors, repeated, d)
    else:
        fit = found.selection.fit
        values = fit.model.coefficients[d]
        # Inner parameters were fitted too: what they may be adds to the coefficients' errors.
        gram = fit.gram(d, inner=True)
        slopes = np.zeros(gram.cross.shape[1] - len(values))
        errors = node_sandwich(gram, np.concatenate([values, slopes]))[: len(values)]
        terms = [
            FoundTerm(
                term.text,
                float(value),
                float(error),
                repeated.frequency(d, term.text) if repeated is not None else None,
            )
            for term, value, error in zip(chosen, values, errors, strict=True)
        ]
    variable = found.samples[0].observed.variables[d]
    return Law(variable, tuple(terms), tuple(supports), size, weak.log_residual, found.rivals[d])


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
