"""Who infects whom, from several cascades and no network at all.

If node j infects node i at rate alpha_ji while both have the chance, the log-likelihood of the
times of infection of i over cascades c is

    sum over c with i infected of log(sum over j infected before of alpha_ji)
    - sum over j of alpha_ji E_ji,   E_ji the time that i, not infected, spent with infectious j,

concave in the rates (Gomez-Rodriguez, Balduzzi & Schoelkopf, ICML 2011, exponential transmission;
it separates into one problem a node). The rates are found by expectation and maximisation: each
infection is shared among its possible sources, and a rate is the number of its infections over
E_ji; rates that explain nothing fall to zero by themselves. An edge is kept where taking it away
costs more than Schwarz's price of a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.cascades import Cascades

__all__ = ["InferredNetwork", "infer_network"]

_ITERATIONS = 400
_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class InferredNetwork:
    """A network found from cascades.

    Attributes:
        graph: directed, the kept edges with their rates as weights.
        rates: (N, N) every rate, [i, j] from j to i, before any edge is dropped.
        source, target: (E,) numbers of nodes of the kept edges.
        rate: (E,) rates of the kept edges.
        standard_error: (E,) of the rates, the other rates known.
        transmissions: (E,) expected number of infections along each edge.
        gain: (E,) by how much the edge raises the log-likelihood, the other rates as they are.
    """

    graph: Graph
    rates: np.ndarray
    source: np.ndarray
    target: np.ndarray
    rate: np.ndarray
    standard_error: np.ndarray
    transmissions: np.ndarray
    gain: np.ndarray


def infer_network(cascades: Cascades, *, until: float | None = None) -> InferredNetwork:
    """Return the network along which cascades spread, with a rate for each edge.

    Args:
        cascades: several cascades of the same N nodes, none infected twice in one.
        until: end of observation; None for each cascade's last event.

    Raises:
        InputError: there are fewer than two cascades, a node is infected twice in one, or
            observation ends before an event.
    """
    if len(cascades.items) < 2:
        raise InputError("a network is inferred from several cascades; there is one")
    if cascades.reinfected:
        raise InputError("a network is inferred from cascades in which nobody is infected twice")
    last = max(cascade.last for cascade in cascades.items)
    if until is not None and until < last:
        raise InputError(f"observation ends at {until:g}, but there is an event at {last:g}")
    count = len(cascades.names)
    when = np.full((len(cascades.items), count), np.inf)
    onset, ended = np.full_like(when, np.inf), np.full_like(when, np.inf)
    began = np.zeros(when.shape, bool)
    for c, cascade in enumerate(cascades.items):
        when[c, cascade.node] = cascade.time
        onset[c, cascade.node] = cascade.infectious
        ended[c, cascade.node] = cascade.recovery
        began[c, cascade.node[cascade.began]] = True
    ends = np.array([cascade.last if until is None else until for cascade in cascades.items])
    rates = np.zeros((count, count))
    rows: list[tuple[int, int, float, float, float, float]] = []
    for i in range(count):
        rows += _one_node(i, when, onset, ended, began, ends, rates)
    table = np.array(rows).reshape(-1, 6)
    target, source = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    graph = Graph(np.stack([source, target]), table[:, 2], names=cascades.names, directed=True)
    return InferredNetwork(
        graph, rates, source, target, table[:, 2], table[:, 3], table[:, 4], table[:, 5]
    )


def _one_node(
    i: int,
    when: np.ndarray,
    onset: np.ndarray,
    ended: np.ndarray,
    began: np.ndarray,
    ends: np.ndarray,
    rates: np.ndarray,
) -> list[tuple[int, int, float, float, float, float]]:
    """Fill the rates into node i and return its kept edges as rows."""
    meeting = ~began[:, i]  # cascades in which i had something to catch
    mine, theirs = when[meeting, i][:, None], onset[meeting]
    stop = np.minimum(np.minimum(mine, ends[meeting][:, None]), ended[meeting])
    exposure = np.maximum(stop - theirs, 0.0, where=np.isfinite(theirs), out=np.zeros_like(theirs))
    total = exposure.sum(axis=0)  # (N,)
    infected = np.isfinite(mine[:, 0])
    possible = (theirs < mine) & (ended[meeting] >= mine) & infected[:, None]
    candidates = np.flatnonzero(possible.any(axis=0) & (total > 0.0))
    if not candidates.size:
        return []
    could = possible[infected][:, candidates].astype(np.float64)  # (infections, candidates)
    could = could[could.any(axis=1)]
    total = total[candidates]
    alpha = could.sum(axis=0) / (total * could.sum(axis=1).mean())
    for _ in range(_ITERATIONS):
        hazard = could @ alpha
        updated = alpha * (could.T @ (1.0 / hazard)) / total
        change = np.abs(updated - alpha) @ total
        alpha = updated
        if change < _TOLERANCE * len(could):
            break
    rates[i, candidates] = alpha
    hazard = could @ alpha
    shared = alpha * (could.T @ (1.0 / hazard))
    price = 0.5 * np.log(len(could)) + np.log(len(candidates))
    rows = []
    for place, j in enumerate(candidates.tolist()):
        mine_only = could[:, place] > 0.0
        rest = hazard[mine_only] - alpha[place]
        with np.errstate(divide="ignore"):
            gain = float(np.log(hazard[mine_only] / np.maximum(rest, 0.0)).sum())
        gain -= float(alpha[place] * total[place])
        if gain > price:
            information = float((1.0 / hazard[mine_only] ** 2).sum())
            error = 1.0 / np.sqrt(information)
            rows.append((i, j, float(alpha[place]), error, float(shared[place]), gain))
    return rows
