"""What a reader must know beside the law: near-ties, identities, limits of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphtide.mechanisms.discovery import Discovery

__all__ = ["reader_notes"]


def reader_notes(discovery: Discovery) -> list[str]:
    """Return plain sentences on what the data can and cannot tell."""
    notes: list[str] = []
    sample = discovery.samples[0]
    for law in discovery.laws:
        left = np.exp(law.log_residual)
        name = f"d{law.variable}/dt"
        if not law.terms:
            notes.append(
                f"No candidate explains {name}: it is no function of the library's terms. Terms of "
                "your own (--library FILE) or symbolic regression (--symbolic) may."
            )
            continue
        notes.append(
            f"The law leaves {100 * left:.2g} % of the motion of {law.variable} unexplained "
            "(weak form, every node with equal weight)."
        )
        if law.rivals:
            notes.append(
                f"Not decided for {name}: {len(law.rivals)} other sets of as many terms explain "
                f"nearly as much; the nearest is {discovery.text_of(law.rivals[0])}."
            )
        unsure = [
            term.text for term in law.terms if abs(term.coefficient) < 2 * term.standard_error
        ]
        if unsure:
            notes.append(
                f"In {name} the coefficient of {', '.join(unsure)} is within two standard errors "
                "of zero."
            )
    coupled = any("_j" in term.text for law in discovery.laws for term in law.terms)
    if sample.graph.edge_count and not coupled and any(law.terms for law in discovery.laws):
        notes.append(
            "No term of the neighbours was chosen: what neighbours add does not stand out of what "
            "each node does by itself in these data."
        )
    if not discovery.bias_corrected and any(law.terms for law in discovery.laws):
        notes.append(
            "The coefficients carry the bias of noisy regressors: the law's own roll-out does not "
            "stay near the data, so it could not be simulated to remove it."
        )
    notes += [
        f"Cannot be told apart on these data: {_relation(discovery, relation)}; equivalent forms "
        "of the law follow from it."
        for relation in discovery.identities[:6]
    ]
    degree = sample.graph.degree
    if len(degree) > 1 and np.ptp(degree) == 0:
        notes.append(
            f"Every node has the same in-degree {degree[0]:g}: k_i*x_i and x_i are the same here, "
            "and so are sums and means over neighbours."
        )
    for d, variable in enumerate(sample.observed.variables):
        states = sample.grid[:, sample.usable, d]
        notes.append(
            f"{variable} was seen between {states.min():.4g} and {states.max():.4g}; the law says "
            "nothing beyond."
        )
        together = np.std(states, axis=1).mean() / max(float(np.std(states)), 1e-300)
        if together < 0.05:
            notes.append(
                f"All nodes have moved together in {variable} (they differ by "
                f"{100 * together:.2g} % of its spread): {variable}_i and {variable}_j can hardly "
                "be told apart."
            )
    notes += _departures(discovery)
    delay = discovery.delay
    lagged = any("_lag" in term.text for law in discovery.laws for term in law.terms)
    if delay is not None and delay.delay and not lagged:
        notes.append(
            f"The states {delay.delay:.4g} ago explain nothing more: no term of theirs was chosen."
        )
    elif delay is not None and delay.delay:
        notes.append(
            f"Names that end in _lag are states {delay.delay:.4g} ago; in the law's own roll-out "
            "they are taken from the smoothed readings."
        )
    elif delay is not None and delay.refused:
        notes.append(
            f"A delay of {delay.refused:.4g} is too short to be seen here: the state less its own "
            "past, divided by the delay, is the slope of any smooth series, so the law is without "
            "delayed states."
        )
    elif delay is not None:
        notes.append(
            "No delay up to a third of the series leaves so much less that it is taken in."
        )
    if any(series.name for series in sample.known):
        notes.append(
            "With inputs or delays the law is that of the weak form, and nodes are not judged one "
            "by one."
        )
    judged = len(discovery.node_fits[0].nodes) if discovery.node_fits else len(sample.usable)
    hidden = len(sample.observed.names) - judged
    if hidden:
        notes.append(
            f"{hidden} of {len(sample.observed.names)} nodes were left out: they, or one of their "
            "neighbours, have no states."
        )
    return notes


def _departures(discovery: Discovery) -> list[str]:
    """Return sentences on nodes that do not follow, and on what differs from node to node."""
    notes = []
    names = discovery.samples[0].observed.names
    count = len(discovery.node_fits[0].nodes) if discovery.node_fits else len(names)
    if discovery.suspects:
        worst = ", ".join(names[s.node] for s in discovery.suspects[:8])
        more = len(discovery.suspects) - 8
        notes.append(
            f"{len(discovery.suspects)} of {count} nodes do not follow the law ({worst}"
            + (f" and {more} more" if more > 0 else "")
            + "): a neighbour may be missing or wrong there."
            + (" The law was learned on the others alone." if discovery.robust else "")
        )
        edges = [s for s in discovery.suspects if s.neighbour is not None]
        if edges:
            best = max(edges, key=lambda s: s.gain)
            assert best.neighbour is not None  # chosen so
            notes.append(
                f"At {len(edges)} of them one edge more or fewer would explain a good part of "
                f"what is left; most at {names[best.node]}: {best.change} the edge from "
                f"{names[best.neighbour]}, which leaves "
                f"{100 * np.exp(-best.gain):.2g} % of it. The graph was not changed."
            )
    effects = discovery.node_effects
    if effects is not None:
        notes.append(
            f"The coefficient of {', '.join(effects.terms)} differs from node to node and was "
            "projected out of each node's rows; a shared coefficient of it"
            + (", and of the degree k_i," if "1" in effects.terms else "")
            + " cannot be told beside that. The values of all nodes are in node_effects.csv."
        )
    single = sum(s.neighbour is not None for s in discovery.suspects)
    if discovery.suggested_effects and 2 * single < len(discovery.suspects):
        notes.append(
            "The residual differs from node to node more than within nodes: "
            f"{', '.join(discovery.suggested_effects)} with a coefficient for each node would "
            "explain the nodes that do not follow (--node-effects "
            f"{','.join(discovery.suggested_effects)})."
        )
    return notes


def _relation(discovery: Discovery, relation: dict[int, float]) -> str:
    parts = []
    for p, factor in relation.items():
        text = discovery.candidates[p].text
        sign = "-" if factor < 0 else "+"
        size = abs(factor)
        parts.append(f"{sign} {'' if np.isclose(size, 1) else f'{size:.4g}*'}{text}")
    return " ".join(parts).removeprefix("+ ") + " = 0"
