"""From cascades to the law of their spread: rates, who infected whom, shapes, and runs of the law.

The rates come by maximum likelihood (:mod:`graphtide.mechanisms.spread_rates`); where no network is
given it is inferred first (:mod:`graphtide.mechanisms.network_inference`). The law found is run
event by event from the beginnings that were seen, and beside it its mean field.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from graphtide.equation import Equation, Parameter
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.cascade_shapes import cluster_shapes, likely_parents, shapes_table
from graphtide.mechanisms.cascades import Cascade, Cascades
from graphtide.mechanisms.influence import Influence, maximise_influence
from graphtide.mechanisms.network_inference import InferredNetwork, infer_network
from graphtide.mechanisms.spread_rates import SpreadRates, fit_rates
from graphtide.mechanisms.spread_result import SpreadCurves, SpreadResult, spread_notes
from graphtide.spread.contagion import Contagion
from graphtide.spread.epidemic import simulate_epidemic
from graphtide.spread.laws import EPIDEMIC_LAWS, seeded_start

__all__ = ["explain_spread", "influential_nodes", "law_equation", "mean_field_states"]

_MOMENTS = 61
_MOST_STARTS = 20


def explain_spread(
    cascades: Cascades,
    graph: Graph | None = None,
    *,
    until: float | None = None,
    runs: int = 100,
    influential: int = 0,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
) -> SpreadResult:
    """Return the law behind cascades, and what their shapes are.

    Args:
        cascades: of the network's nodes.
        graph: the network; None infers it from the cascades.
        until: end of observation of every cascade; None for each one's last event.
        runs: stochastic runs of the law found.
        influential: number of nodes to choose from which the law would reach the most; 0 for none.
        seed: of the runs, of the clusters and of the choice.
        progress: called with a share and a text.

    Raises:
        InputError: as :func:`fit_rates` and :func:`infer_network`; or more nodes are to be chosen
            than there are, or the law knows no recovery and reaches all from anywhere.
        ComputationError: the mean field could not be integrated.
    """
    began = time.perf_counter()
    tell = progress or (lambda _share, _text: None)
    inferred: InferredNetwork | None = None
    if graph is None:
        tell(0.0, "inferring the network")
        inferred = infer_network(cascades, until=until)
        graph = inferred.graph
    tell(0.3, "fitting the rates")
    rates = fit_rates(cascades, graph, until=until)
    fading = rates.recovery.value if rates.fading and rates.recovery is not None else 0.0
    tell(0.4, "tracing who infected whom")
    traced = [likely_parents(cascade, graph, fading=fading) for cascade in cascades.items]
    shapes = shapes_table(cascades, [parents for parents, _ in traced])
    shapes["pattern"] = cluster_shapes(shapes, seed=seed)
    equation = law_equation(rates)
    influence = influential_nodes(graph, rates, influential, seed) if influential else None
    tell(0.6, "running the law")
    curves = _curves(cascades, graph, equation, rates, until, runs, seed)
    return SpreadResult(
        cascades=cascades,
        graph=graph,
        inferred=inferred,
        rates=rates,
        equation=equation,
        traced=tuple(traced),
        shapes=shapes,
        curves=curves,
        influence=influence,
        notes=tuple(spread_notes(cascades, rates, inferred, traced, shapes)),
        seconds=time.perf_counter() - began,
    )


def influential_nodes(graph: Graph, rates: SpreadRates, count: int, seed: int) -> Influence:
    """Return the nodes from which a law reaches the most.

    Raises:
        InputError: it knows no recovery, or there are not so many nodes.
    """
    if rates.recovery is None or rates.recovery.value == 0.0:
        raise InputError(
            "no recovery was seen, so every node reaches all that it is joined to in the end; "
            "choosing the most influential ones (--seeds) needs recoveries"
        )
    ratio = rates.infection.value / rates.recovery.value
    return maximise_influence(graph, Contagion("sir", ratio), count, seed=seed)


def law_equation(rates: SpreadRates) -> Equation:
    """Return the mean field of a law with its rates and their standard errors."""
    law = EPIDEMIC_LAWS[rates.law]
    values = {law.infection: Parameter(rates.infection.value, rates.infection.standard_error)}
    for name, rate in ((law.recovery, rates.recovery), (law.incubation, rates.incubation)):
        if rate is not None:
            error = rate.standard_error
            values[name] = Parameter(rate.value, error if np.isfinite(error) else None)
    return Equation.parse(law.text, parameters=values)


def _curves(
    cascades: Cascades,
    graph: Graph,
    equation: Equation,
    rates: SpreadRates,
    until: float | None,
    runs: int,
    seed: int,
) -> SpreadCurves:
    """Return infected nodes through time: observed, in runs of the law, and in its mean field.

    Counted are nodes infected so far; with reinfection those infected at the time.
    """
    law = EPIDEMIC_LAWS[rates.law]
    ends = [(until if until is not None else c.last) - c.time[0] for c in cascades.items]
    length = float(np.median(ends))
    times = np.linspace(0.0, length if length > 0.0 else 1.0, _MOMENTS)
    observed = np.stack([_observed(c, times, reinfection=law.reinfection) for c in cascades.items])
    chosen = np.unique(
        np.linspace(0, len(cascades.items) - 1, min(_MOST_STARTS, len(cascades.items))).astype(int)
    )
    simulated, fields = [], []
    share = -(-runs // len(chosen))
    for k in chosen.tolist():
        cascade = cascades.items[k]
        start = seeded_start(equation, graph, cascade.node[cascade.began])
        result = simulate_epidemic(equation, graph, times, start, runs=share, seed=seed + k)
        count = result.counts
        if law.reinfection:
            simulated.append(count[:, :, law.compartments.index("I")])
        else:
            simulated.append(graph.node_count - count[:, :, 0])
        states = mean_field_states(equation, graph, times, start)
        first = states[:, :, 0].sum(axis=1)
        fields.append(first if len(equation.variables) == 1 else graph.node_count - first)
    return SpreadCurves(times, observed, np.concatenate(simulated), np.mean(fields, axis=0))


def _observed(cascade: Cascade, times: np.ndarray, *, reinfection: bool) -> np.ndarray:
    since = times[:, None] + cascade.time[0]
    infected = cascade.time <= since
    if reinfection:
        infected &= cascade.recovery > since
    return infected.sum(axis=1)


def mean_field_states(
    equation: Equation, graph: Graph, times: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Return the states (T, N, D) of the mean-field equation."""
    import torch

    from graphtide.ode.solve import solve

    with torch.no_grad():
        solution = solve(
            equation.compile().on(graph),
            torch.from_numpy(start),
            torch.from_numpy(times),
            relative_tolerance=1e-5,
            absolute_tolerance=1e-7,
        )
    return solution.states.numpy()
