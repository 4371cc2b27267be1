"""Where nodes depart from a shared law, and what is done about it.

A law that leaves more nodes unexplained than chance allows is not the last word. Either the
structure is wrong at some nodes (a neighbour is missing, an edge is wrong): then a good part of the
nodes follows one law exactly, and trimmed least squares finds it. Or the nodes differ everywhere by
constants of their own: then no law without them has such a following, and with them projected out
nearly every node is explained. Constants of each node's own also swallow most of what a wrong
neighbour does to it, so the first is tried first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from graphtide.errors import InputError
from graphtide.mechanisms.candidates import Candidate, TermSet
from graphtide.mechanisms.effects import parse_effects
from graphtide.mechanisms.following import NodeFit, node_fits
from graphtide.mechanisms.lawsearch import Found, find_law, noisy
from graphtide.mechanisms.robust import nodes_left, robust_law
from graphtide.mechanisms.rows import Sample
from graphtide.mechanisms.search import ELBOW

__all__ = ["Departures", "RobustMode", "find_shared_law"]

RobustMode: TypeAlias = Literal["auto", "on", "off"]

MANY_LEFT = 0.1
"""Share of nodes left unexplained from which on a law is not taken as it is (without noise)."""
MORE_THAN_CHANCE = 0.02
"""The same where noise is known: chance leaves one node in ten thousand."""
FEWEST_LEFT = 3
GOOD_FOLLOWING = 0.35
"""Share of nodes that must follow one law for the others to count as exceptions."""
EXACT = 1e-3
"""What a right law leaves of the motion at most, where there is no noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Departures:
    """The law after departures were looked into.

    Attributes:
        found: the law.
        fits: how well each usable node of each sample follows it.
        robust: whether it was learned only on nodes that follow it.
        effects: texts of the terms that differ from node to node, if they were projected out.
        suggested: texts of such terms that would explain what is left; empty for none.
    """

    found: Found
    fits: list[NodeFit]
    robust: bool
    effects: tuple[str, ...]
    suggested: tuple[str, ...]


def find_shared_law(
    samples: Sequence[Sample],
    terms: TermSet,
    extra: Sequence[Candidate],
    *,
    node_effects: Sequence[str] | Literal["auto"],
    robust: RobustMode,
    seed: int,
    report: Callable[[float, str], None],
) -> Departures:
    """Find the law, and what departs from it.

    Args:
        samples: the data.
        terms: which of the house's candidates.
        extra: further candidates.
        node_effects: texts of terms whose coefficients differ from node to node; "auto" projects
            constants or slopes out where nothing else explains the nodes of one graph.
        robust: whether to learn on the nodes that follow alone; "auto" where the plain law leaves
            more nodes than chance does.
        seed: seed of random starts.
        report: called with the share done and what is being done.

    Raises:
        InputError: node effects are asked for, and the samples are on several graphs.
    """
    variables = samples[0].observed.variables
    given = () if node_effects == "auto" else parse_effects(node_effects, variables)
    one_graph = all(sample.graph is samples[0].graph for sample in samples)
    if given and not one_graph:
        raise InputError(
            f"node effects ({', '.join(term.text for term in given)}) belong to the nodes of one "
            "graph, and the trajectories are on several; give one graph for all, or no node effects"
        )
    samples = [sample.with_effects(given) for sample in samples]
    found = find_law(samples, terms, extra)
    plain = Departures(
        found, node_fits(samples, found.model), False, tuple(c.text for c in given), ()
    )
    judged = not any(sample.known for sample in samples)
    if not judged or not (robust == "on" or _unsatisfying(samples, plain)):
        return plain
    best = plain
    if robust != "off":
        report(0.15, "looking for nodes that follow one law")
        law = robust_law(samples, terms, extra, seed=seed)
        fewer = law is not None and nodes_left(law.fits) <= nodes_left(plain.fits)
        if law is not None and (fewer or (_exact(law.found) and not _exact(found))):
            best = replace(plain, found=law.found, fits=law.fits, robust=True)
    if node_effects != "auto" or not one_graph or not _unsatisfying(samples, best):
        return best
    report(0.2, "looking for constants of the nodes' own")
    effects = _sufficient_effects(samples, terms, extra, variables)
    if effects is None:
        return best
    if best.robust and _exact(best.found) and 1.0 - nodes_left(best.fits) >= GOOD_FOLLOWING:
        return replace(best, suggested=effects)
    own = [sample.with_effects(parse_effects(effects, variables)) for sample in samples]
    found = find_law(own, terms, extra)
    fits = node_fits(own, found.model)
    if not _exact(found) or nodes_left(fits) > MANY_LEFT:
        return replace(best, suggested=effects)
    return Departures(found, fits, False, effects, ())


def _unsatisfying(samples: Sequence[Sample], departures: Departures) -> bool:
    """Tell whether a law leaves more nodes than chance does, or more than round-off."""
    inexact = not all(map(noisy, samples)) and not _exact(departures.found)
    return inexact or _too_many_left(samples, departures.fits)


def _exact(found: Found) -> bool:
    """Tell whether a law explains the nodes that it was learned on all but for noise."""
    if found.selection is not None:
        return True
    exact = all(math.exp(fit.log_residual) < EXACT for fit in found.weak)
    return exact and not all(map(noisy, found.samples))


def _too_many_left(samples: Sequence[Sample], fits: Sequence[NodeFit]) -> bool:
    left = nodes_left(fits)
    count = sum(len(fit.nodes) for fit in fits)
    limit = MORE_THAN_CHANCE if all(map(noisy, samples)) else MANY_LEFT
    return left > limit and left * count >= FEWEST_LEFT - 0.5


def _sufficient_effects(
    samples: Sequence[Sample],
    terms: TermSet,
    extra: Sequence[Candidate],
    variables: tuple[str, ...],
) -> tuple[str, ...] | None:
    """Return the fewest effects beside which a law leaves few nodes; None where none do."""
    several = [v for v in variables if len(variables) > 1]
    for tried in (
        [("1",), *((v,) for v in variables)],
        [*(("1", v) for v in variables), *([(*several,)] if several else [])],
    ):
        best, best_score = None, (MANY_LEFT, math.inf)
        for texts in tried:
            own = [sample.with_effects(parse_effects(texts, variables)) for sample in samples]
            found = find_law(own, terms, extra, quick=True)
            coupled = any(term.coupling != "none" for chosen in found.chosen for term in chosen)
            size = sum(map(len, found.chosen))
            left = sum(fit.log_residual for fit in found.weak)
            score = (nodes_left(node_fits(own, found.model)), left + ELBOW * size)
            if coupled and score <= best_score:
                best, best_score = texts, score
        if best is not None:
            return best
    return None
