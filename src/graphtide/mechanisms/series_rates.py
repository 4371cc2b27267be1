"""Rates of spread from states of nodes that were read now and then, not from times of infection.

Between two readings a susceptible node i is infected with probability 1 - exp(-beta L_i), L_i the
integral of the weight of its infectious neighbours; an infectious one recovers with probability
1 - exp(-gamma h) over a gap h. The likelihood of both is concave in each rate (interval-censored
exponential times). L_i is taken by the trapezoid rule between the readings, node i itself apart, so
the rates are right to the order of the gap: read several times within an infectious period.
"""

from __future__ import annotations

import numpy as np

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.spread_rates import Rate
from graphtide.trajectory import Trajectory

__all__ = ["rates_from_series"]

_CHI_SQUARE_95 = 3.841458820694124


def rates_from_series(states: Trajectory, graph: Graph) -> dict[str, Rate]:
    """Return the rates of infection and, where it was seen, of recovery.

    Args:
        states: one variable x, 1 where a node is infectious and 0 where not (si, or sis); or
            variables S, I, R of which one is 1 (sir). Every reading of every node is needed.
        graph: the network; its weights multiply the rate.

    Returns:
        "infection", and "recovery" where a node recovered.

    Raises:
        InputError: the nodes are not the network's, a state is missing or neither 0 nor 1, there
            are fewer than two readings, or nobody was infected beside an infectious neighbour.
    """
    if states.names != graph.names:
        raise InputError("the states are not of the network's nodes in its order")
    if len(states.times) < 2:
        raise InputError("rates need at least two readings")
    values = states.states
    wrong = np.argwhere(~((values == 0.0) | (values == 1.0)))
    if wrong.size:
        k, i, d = wrong[0]
        raise InputError(
            f"node '{states.names[i]}' has {states.variables[d]} = {values[k, i, d]:g} at time "
            f"{states.times[k]:g}; states of 0 and 1 were expected"
        )
    if len(states.variables) == 1:
        infectious = values[:, :, 0]
        susceptible = 1.0 - infectious
    elif set(states.variables) == {"S", "I", "R"}:
        infectious = values[:, :, states.variables.index("I")]
        susceptible = values[:, :, states.variables.index("S")]
    else:
        raise InputError(
            f"the variables are {', '.join(states.variables)}; one, or S, I, R were expected"
        )
    gaps = np.diff(states.times)[:, None]
    pressure = (graph.adjacency @ infectious.T).T  # (T, N)
    reach = 0.5 * (pressure[1:] + pressure[:-1]) * gaps
    at_risk = susceptible[:-1] > 0.0
    hit = at_risk & (susceptible[1:] == 0.0)
    seen = hit & (reach > 0.0)
    if not seen.any():
        raise InputError(
            "nobody was infected beside an infectious neighbour; the rate cannot be told"
        )
    rates = {"infection": _interval_rate(reach[seen], reach[at_risk & ~hit].sum())}
    sick = infectious[:-1] > 0.0
    well = sick & (infectious[1:] == 0.0)
    if well.any():
        spans = np.broadcast_to(gaps, sick.shape)
        rates["recovery"] = _interval_rate(spans[well], float(spans[sick & ~well].sum()))
    return rates


def _interval_rate(happened: np.ndarray, survived: float) -> Rate:
    """Return the rate b that maximises sum of log(1 - exp(-b h)) - b * survived.

    Args:
        happened: (n,) exposures within which the event came.
        survived: sum of the exposures without it.
    """
    from scipy.optimize import brentq

    def likelihood(b: float) -> float:
        return float(np.log(-np.expm1(-b * happened)).sum() - b * survived)

    def score(b: float) -> float:
        return float((happened / np.expm1(b * happened)).sum() - survived)

    scale = len(happened) / (float(happened.sum()) + survived)
    low, high = scale, scale
    while score(low) < 0.0:
        low /= 2.0
    while score(high) > 0.0:
        high *= 2.0
        if high > 1e12 * scale:
            raise InputError(
                "every exposed node changed between two readings; the readings are too far apart"
            )
    best = float(brentq(score, low, high)) if low < high else low
    growth = np.expm1(best * happened)
    information = float((happened**2 * (growth + 1.0) / growth**2).sum())
    top = likelihood(best)

    def excess(b: float) -> float:
        return 2.0 * (top - likelihood(b)) - _CHI_SQUARE_95

    left, right = best / 2.0, best * 2.0
    while excess(left) < 0.0:
        left /= 2.0
    while excess(right) < 0.0:
        right *= 2.0
    return Rate(
        best,
        1.0 / np.sqrt(information),
        float(brentq(excess, left, best)),
        float(brentq(excess, best, right)),
    )
