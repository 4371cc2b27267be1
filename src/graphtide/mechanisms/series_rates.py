"""Rates of spread from states of nodes that were read now and then, not from times of infection.

Between two readings a susceptible node i is infected with probability 1 - exp(-beta L_i), L_i the
integral of the weight of its infectious neighbours; an infectious one recovers with probability
1 - exp(-gamma h) over a gap h, and an exposed one becomes infectious likewise. The likelihood is
concave in each rate (interval-censored exponential times). L_i is taken by the trapezoid rule
between the readings, node i itself apart, so the rates are right to the order of the gap: read
several times within an infectious period.
"""

from __future__ import annotations

import numpy as np

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.spread_rates import Rate, SpreadRates
from graphtide.trajectory import Trajectory

__all__ = ["rates_from_series"]

_CHI_SQUARE_95 = 3.841458820694124


def rates_from_series(states: Trajectory, graph: Graph) -> SpreadRates:
    """Return the rates of the law that states of nodes follow.

    Args:
        states: one variable, 1 where a node is infectious and 0 where not (sis where a node
            recovered, else si); or variables S, I, R, or S, E, I, R of which one is 1 (sir, seir).
            Every reading of every node is needed.
        graph: the network; its weights multiply the rate.

    Raises:
        InputError: the nodes are not the network's, a state is missing or neither 0 nor 1, a node
            is in no state or in two, there are fewer than two readings, or nobody was infected
            beside an infectious neighbour.
    """
    compartment = _compartments(states, graph)
    infectious = compartment["I"]
    gaps = np.diff(states.times)[:, None]
    pressure = (graph.adjacency @ infectious.T).T  # (T, N)
    reach = 0.5 * (pressure[1:] + pressure[:-1]) * gaps
    at_risk = compartment["S"][:-1] > 0.0
    hit = at_risk & (compartment["S"][1:] == 0.0)
    seen = hit & (reach > 0.0)
    if not seen.any():
        raise InputError(
            "nobody was infected beside an infectious neighbour; the rate cannot be told"
        )
    infection, likelihood = _interval_rate(reach[seen], reach[at_risk & ~hit].sum())
    spans = np.broadcast_to(gaps, reach.shape)
    rates: dict[str, Rate | None] = {"E": None, "I": None}
    for letter in rates:
        within = compartment.get(letter, np.zeros((1, 1)))[:-1] > 0.0
        left = within & (compartment.get(letter, np.zeros((1, 1)))[1:] == 0.0)
        if left.any():
            rates[letter], more = _interval_rate(spans[left], float(spans[within & ~left].sum()))
            likelihood += more
    if len(states.variables) == 1:
        law = "si" if rates["I"] is None else "sis"
    else:
        law = "".join(states.variables).lower()
        for letter, within in (("E", compartment.get("E")), ("I", infectious)):
            if rates[letter] is None and within is not None:  # nobody was seen to leave
                rates[letter] = Rate.from_events(0.0, float((within[:-1] * spans).sum()))
    return SpreadRates(
        law, infection, rates["I"], False, int(seen.sum()), int((hit & ~seen).sum()),
        likelihood, rates["E"],
    )  # fmt: skip


def _compartments(states: Trajectory, graph: Graph) -> dict[str, np.ndarray]:
    """Return which nodes were in which state, (T, N) of 0 and 1 by letter."""
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
        return {"S": 1.0 - values[:, :, 0], "I": values[:, :, 0]}
    if states.variables not in (("S", "I", "R"), ("S", "E", "I", "R")):
        raise InputError(
            f"the variables are {', '.join(states.variables)}; one, or S, I, R, or S, E, I, R were "
            "expected"
        )
    several = np.argwhere(values.sum(axis=2) != 1.0)
    if several.size:
        k, i = several[0]
        raise InputError(
            f"node '{states.names[i]}' is in {values[k, i].sum():g} states at time "
            f"{states.times[k]:g}; one was expected"
        )
    return {letter: values[:, :, d] for d, letter in enumerate(states.variables)}


def _interval_rate(happened: np.ndarray, survived: float) -> tuple[Rate, float]:
    """Return the rate b that maximises sum of log(1 - exp(-b h)) - b * survived, and the maximum.

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
    rate = Rate(
        best,
        1.0 / np.sqrt(information),
        float(brentq(excess, left, best)),
        float(brentq(excess, best, right)),
    )
    return rate, top
