"""Rates of spread by maximum likelihood, from the times of infection on a known network.

An infection of node i at time t has the hazard beta Lambda_i(t), Lambda_i the weight of its
infectious neighbours, so with n transmissions and the exposure E = sum over susceptible nodes of
the integral of Lambda_i, the log-likelihood is n log beta - beta E + constant: beta = n/E, with
standard error beta/sqrt(n). Recoveries give gamma likewise, m events over the infectious time.
Where it is known when nodes became infectious, only then do they count in Lambda, and the rate of
incubation follows from the time that nodes were exposed. Nodes never infected, and those that were
not seen to become infectious or to recover, are censored at the end of observation and count
(Andersson & Britton, Stochastic Epidemic Models and Their Statistical Analysis, 2000, chapter 9).

Where no recovery is recorded the infectiousness may still fade: the hazard
beta sum_j A_ij exp(-gamma (t - t_j)) is fitted as well and kept if a likelihood-ratio test asks
for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.cascades import Cascade, Cascades
from graphtide.spread.inputs import outgoing
from graphtide.spread.laws import EPIDEMIC_LAWS

__all__ = ["Rate", "SpreadRates", "fit_rates"]

_CHI_SQUARE_95 = 3.841458820694124
_RECOVERY, _ONSET, _INFECTION = 0, 1, 2
"""Events, those of one time in this order; but none recovers before it was infectious."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate with its standard error and 95 % profile-likelihood interval."""

    value: float
    standard_error: float
    low: float
    high: float

    @staticmethod
    def from_events(events: float, exposure: float) -> Rate:
        """Return the rate of a Poisson number of events over an exposure."""
        from scipy.optimize import brentq

        value = events / exposure
        if events == 0:
            return Rate(0.0, np.inf, 0.0, 0.5 * _CHI_SQUARE_95 / exposure)

        def excess(logarithm: float) -> float:
            return 2.0 * events * (np.expm1(logarithm) - logarithm) - _CHI_SQUARE_95

        low, high = float(brentq(excess, -50.0, 0.0)), float(brentq(excess, 0.0, 50.0))
        return Rate(value, value / np.sqrt(events), value * np.exp(low), value * np.exp(high))


@dataclass(frozen=True, slots=True, eq=False)
class SpreadRates:
    """Rates of one law.

    Attributes:
        law: si, sis, sir or seir.
        infection: beta.
        recovery: gamma (delta for sis); None for si.
        fading: whether gamma is a fading of infectiousness, not seen as recoveries.
        transmissions: infections that had an infectious neighbour.
        unexplained: infections, after the first, that had none.
        log_likelihood: up to the weights of edges.
        incubation: sigma of seir; None for the others.
    """

    law: str
    infection: Rate
    recovery: Rate | None
    fading: bool
    transmissions: int
    unexplained: int
    log_likelihood: float
    incubation: Rate | None = None

    @property
    def values(self) -> dict[str, float]:
        """Rates by the names of the law's parameters."""
        law = EPIDEMIC_LAWS[self.law]
        found = {law.infection: self.infection.value}
        if self.recovery is not None:
            found[law.recovery] = self.recovery.value
        if self.incubation is not None:
            found[law.incubation] = self.incubation.value
        return found


def fit_rates(cascades: Cascades, graph: Graph, *, until: float | None = None) -> SpreadRates:
    """Return the maximum-likelihood rates of cascades on a network.

    Args:
        cascades: of the network's nodes in its order. Where it is given when nodes became
            infectious, the law is seir; else with recoveries sir, or sis where nodes are infected
            again; without them si, or sir where infectiousness fades.
        graph: the network, N nodes; its weights multiply the rate.
        until: end of observation of every cascade; None for each one's last event.

    Raises:
        InputError: the end of observation comes before an event; there is no infection after the
            first of each cascade; none of them has an infectious neighbour; or nodes that were
            exposed first are infected again.
    """
    if cascades.names != graph.names:
        raise InputError("the cascades are not of the network's nodes in its order")
    if cascades.has_onset and cascades.reinfected:
        raise InputError(
            "nodes are exposed first and infected again later; no law of the four does both"
        )
    ends = [_end(cascade, until) for cascade in cascades.items]
    network = outgoing(graph)
    totals = np.zeros(8)
    for cascade, end in zip(cascades.items, ends, strict=True):
        kind, node, time, seed = _events(cascade, end)
        totals += _sweep(network, kind, node, time, seed, end, cascades.reinfected)
    pressure, exposure, infected_time, transmissions, unexplained, recoveries = totals[:6].tolist()
    onsets, exposed_time = totals[6:].tolist()
    if transmissions == 0 or exposure == 0.0:
        raise InputError(
            f"of {cascades.infections} infections none comes after the first of its cascade with "
            "an infectious neighbour on this network; the rate cannot be told"
        )
    infection = Rate.from_events(transmissions, exposure)
    likelihood = pressure + transmissions * (np.log(infection.value) - 1.0)
    if not cascades.has_recovery and not cascades.has_onset:
        plain = SpreadRates(
            "si", infection, None, False, int(transmissions), int(unexplained), likelihood
        )
        faded = _fit_fading(cascades, graph, ends, plain)
        return plain if faded is None else faded
    recovery = Rate.from_events(recoveries, infected_time)
    if recoveries:
        likelihood += recoveries * (np.log(recovery.value) - 1.0)
    incubation = None
    if cascades.has_onset:
        if exposed_time == 0.0:
            raise InputError(
                "every node became infectious as soon as it was infected; leave the column "
                "'infectious' out"
            )
        incubation = Rate.from_events(onsets, exposed_time)
        likelihood += onsets * (np.log(incubation.value) - 1.0) if onsets else 0.0
    once = "sir" if incubation is None else "seir"
    return SpreadRates(
        "sis" if cascades.reinfected else once,
        infection,
        recovery,
        False,
        int(transmissions),
        int(unexplained),
        likelihood,
        incubation,
    )


def _end(cascade: Cascade, until: float | None) -> float:
    if until is None:
        return cascade.last
    if until < cascade.last:
        raise InputError(
            f"observation ends at {until:g}, but cascade '{cascade.name}' has an event at "
            f"{cascade.last:g}"
        )
    return until


def _events(cascade: Cascade, end: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return kinds, nodes, times and whether it is a beginning, of all events in order."""
    moments = np.stack([cascade.recovery, cascade.infectious, cascade.time])
    kind, place = np.nonzero(moments <= end)
    time, seed = moments[kind, place], cascade.began[place]
    at_once = (kind == _RECOVERY) & (cascade.infectious[place] == time)
    order = np.lexsort((np.where(at_once, _ONSET + 0.5, kind), time))
    return kind[order], cascade.node[place][order], time[order], seed[order]


@numba.njit(cache=True, error_model="numpy")
def _sweep(
    network: tuple[np.ndarray, np.ndarray, np.ndarray],
    kind: np.ndarray,
    node: np.ndarray,
    time: np.ndarray,
    seed: np.ndarray,
    end: float,
    reinfection: bool,
) -> np.ndarray:
    """Return sums over one cascade.

    They are log pressure, exposure, infectious time, transmissions, unexplained, recoveries,
    onsets after an incubation, exposed time. The pressure of a node is the weight of its infectious
    neighbours; their sum over susceptible nodes changes at events only. Events of one time do not
    see each other.
    """
    pointers, targets, weights = network
    count = len(pointers) - 1
    pressure = np.zeros(count)
    infectious_neighbours = np.zeros(count, np.int64)
    susceptible = np.ones(count, np.bool_)
    infectious = np.zeros(count, np.bool_)  # or recovered from it for good
    total = exposure = infected_time = exposed_time = logarithms = 0.0
    infected = exposed = transmissions = unexplained = recoveries = onsets = 0
    now = time[0]
    first = 0
    while True:
        until = time[first] if first < len(time) else end
        exposure += max(total, 0.0) * (until - now)
        infected_time += infected * (until - now)
        exposed_time += exposed * (until - now)
        now = until
        if first == len(time):
            break
        after = first
        while after < len(time) and time[after] == now:
            i = node[after]
            if kind[after] == _INFECTION and not seed[after]:
                if infectious_neighbours[i] > 0:
                    transmissions += 1
                    logarithms += np.log(pressure[i])
                else:
                    unexplained += 1
            after += 1
        for k in range(first, after):
            i = node[k]
            if kind[k] == _INFECTION:
                if susceptible[i]:
                    total -= pressure[i]
                susceptible[i] = False
                if not infectious[i]:
                    exposed += 1
                continue
            sign = 1 if kind[k] == _ONSET else -1
            if sign > 0:
                infectious[i] = True
                if not susceptible[i]:
                    exposed -= 1
                    onsets += 1
            else:
                recoveries += 1
                if reinfection:
                    infectious[i] = False
                    susceptible[i] = True
                    total += pressure[i]
            infected += sign
            for place in range(pointers[i], pointers[i + 1]):
                target = targets[place]
                infectious_neighbours[target] += sign
                change = sign * weights[place]
                if infectious_neighbours[target] == 0:
                    change = -pressure[target]  # exactly nothing is left
                pressure[target] += change
                if susceptible[target]:
                    total += change
        first = after
    return np.array(
        [
            logarithms,
            exposure,
            infected_time,
            transmissions,
            unexplained,
            recoveries,
            onsets,
            exposed_time,
        ],
        np.float64,
    )


def _fit_fading(
    cascades: Cascades, graph: Graph, ends: list[float], plain: SpreadRates
) -> SpreadRates | None:
    """Return the fit with fading infectiousness where it is worth its parameter."""
    from scipy.optimize import minimize_scalar

    lag, weight, event, span, span_weight = _pairs(cascades, graph, ends)
    count = int(event.max()) + 1

    def parts(gamma: float) -> tuple[float, float]:
        sums = np.bincount(event, weight * np.exp(-gamma * lag), minlength=count)
        with np.errstate(divide="ignore"):
            logarithms = float(np.log(sums).sum())
        reach = -np.expm1(-gamma * span) / gamma if gamma > 0.0 else span
        return logarithms, float(span_weight @ reach)

    def negative(logarithm: float) -> float:
        logarithms, exposure = parts(float(np.exp(logarithm)))
        return -(logarithms + count * (np.log(count / exposure) - 1.0))

    scale = 1.0 / max(float(np.median(lag)), 1e-300)
    grid = np.log(scale) + np.linspace(-7.0, 7.0, 29)
    best = grid[int(np.argmin([negative(g) for g in grid]))]
    found = minimize_scalar(negative, bounds=(best - 0.6, best + 0.6), method="bounded")
    steady, exposure = parts(0.0)
    gain = -float(found.fun) - steady - count * (np.log(count / exposure) - 1.0)
    if 2.0 * gain < 6.63:  # one parameter at the 1 % level
        return None
    place, step = float(found.x), 1e-3
    curvature = (negative(place + step) - 2.0 * negative(place) + negative(place - step)) / step**2
    error = 1.0 / np.sqrt(curvature) if curvature > 0.0 else np.inf
    gamma = float(np.exp(place))
    exposure = parts(gamma)[1]
    reach = np.exp(np.clip(1.96 * error, 0.0, 700.0))
    fading = Rate(gamma, gamma * error, gamma / reach, gamma * reach)
    return SpreadRates(
        "sir",
        Rate.from_events(count, exposure),
        fading,
        True,
        count,
        plain.unexplained,
        -float(found.fun),
    )


def _pairs(
    cascades: Cascades, graph: Graph, ends: list[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return what each infection could come from, and each exposure.

    Returns:
        lag, weight, event: of each infected neighbour of each transmission, its time before it, the
            edge's weight, and the transmission's number.
        span, weight: length and weight of each exposure of a node to an infected neighbour.
    """
    matrix = graph.adjacency.tocoo()
    target, source, weights = matrix.row, matrix.col, matrix.data
    found: list[list[np.ndarray]] = [[], [], [], [], []]
    events = 0
    for cascade, end in zip(cascades.items, ends, strict=True):
        when = np.full(graph.node_count, np.inf)
        when[cascade.node] = cascade.time
        began = np.zeros(graph.node_count, bool)
        began[cascade.node[cascade.began]] = True
        exposed = (when[source] < np.minimum(when[target], end)) & ~began[target] & (weights > 0)
        span = np.minimum(when[target], end)[exposed] - when[source][exposed]
        found[3].append(span)
        found[4].append(weights[exposed])
        hit = exposed & np.isfinite(when[target])
        _, order = np.unique(target[hit], return_inverse=True)
        found[0].append(when[target[hit]] - when[source[hit]])
        found[1].append(weights[hit])
        found[2].append(events + order)
        events += int(order.max()) + 1 if order.size else 0
    lag, weight, event, span, span_weight = (np.concatenate(part) for part in found)
    return lag, weight, event, span, span_weight
