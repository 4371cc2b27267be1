"""Resilience: how much of its network a system can lose before it tips.

The steady state reached from high states is followed while nodes, edges or weight are lost, on the
full network and on its one-dimensional reduction; beside it the state reached from low states.
Where both differ the system is bistable: it may be pushed over. Where the upper branch breaks off
it collapses. Early-warning signs are read along the upper branch, and the nodes whose protection
counts most are named and tested.

References:
    Gao, Barzel & Barabasi, Nature 530 (2016) 307.
    Scheffer et al., Nature 461 (2009) 53.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas

from graphtide.dynamics.analysis.damage import Loss, Order, damage
from graphtide.dynamics.analysis.damage_branch import (
    REACHES,
    Branch,
    follow_damage,
    tip_of,
    within_reach,
)
from graphtide.dynamics.analysis.fixed_points import analysed
from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.reduction import (
    Jump,
    beta_effective,
    effective_state,
    reduced_law,
)
from graphtide.dynamics.analysis.settling import settle
from graphtide.dynamics.analysis.warning import early_warning, node_worth
from graphtide.errors import InputError
from graphtide.graph import Graph

__all__ = ["DAMAGES", "Branch", "Resilience", "end_states", "resilience"]

Progress = Callable[[float, str], None]

DAMAGES: tuple[tuple[Loss, Order], ...] = (
    ("nodes", "random"),
    ("nodes", "targeted"),
    ("edges", "random"),
    ("edges", "targeted"),
    ("weight", "random"),
)
"""What is lost, and in which order; weight is lost everywhere alike."""


@dataclass(frozen=True, slots=True, eq=False)
class Resilience:
    """What `resilience` returns.

    Attributes:
        law: the law on the whole network.
        branches: one for each kind of damage.
        state: (N, D) steady state from high states on the whole network.
        continuum: whether that state is one of a connected set of steady states.
        beta: beta_eff of the whole network.
        reduced_state: state of the reduction there.
        warnings: share of the early-warning kind of damage, and signs, a row each.
        warned: name of that kind of damage.
        worth: (N,) what x_eff owes to the outgoing edges of each node.
        protected: nodes whose protection was tested.
        protected_tip: where random loss of nodes tips the system although these are kept.
    """

    law: Law
    branches: tuple[Branch, ...]
    state: np.ndarray
    continuum: bool
    beta: float
    reduced_state: float
    warnings: pandas.DataFrame
    warned: str
    worth: np.ndarray
    protected: np.ndarray
    protected_tip: Jump | None

    def metrics(self) -> dict[str, object]:
        """Return the figures by plain words."""
        state = float(effective_state(self.law.graph, self.state)[0])
        found: dict[str, object] = {
            "continuum": self.continuum,
            "beta_effective": self.beta,
            "effective_state": state,
            "effective_state_reduced": self.reduced_state,
            "leading_eigenvalue": float(self.warnings["leading_eigenvalue"].iloc[0]),
        }
        for branch in self.branches:
            found[f"tipping_{branch.name}"] = None if branch.tip is None else branch.tip.position
            if branch.tip_half_width is not None:
                found[f"tipping_{branch.name}_half_width"] = branch.tip_half_width
            found[f"tipping_{branch.name}_reduced"] = (
                None if branch.reduced_tip is None else branch.reduced_tip.position
            )
            found[f"bistable_from_{branch.name}"] = None if self.continuum else branch.bistable_from
        names = self.law.graph.names
        found["protect"] = [] if self.continuum else [names[i] for i in self.protected[:10]]
        found["tipping_nodes_random_protected"] = (
            None if self.protected_tip is None else self.protected_tip.position
        )
        found["findings"] = self.findings()
        return found

    def findings(self) -> list[str]:
        """Return what a reader should know, in sentences."""
        if self.continuum:
            return [
                "The steady states form a continuum: where the system rests follows from where it "
                "began, none of them is high or low, and no loss topples it."
            ]
        said = []
        for branch in self.branches:
            what = branch.name.replace("_", ", ")
            if branch.tip is None:
                last = branch.share[-1]
                ends = (
                    f" up to a share of {last:.3g}, beyond which the learned field runs off"
                    if self.law.equation is None and last < REACHES[1] + 0.01
                    else ""
                )
                said.append(
                    f"Losing {what}: the upper state changes without a sudden collapse{ends}."
                )
                continue
            theory = ""
            if branch.reduced_tip is not None:
                theory = f" (the one-dimensional reduction says {branch.reduced_tip.position:.3g})"
            doubt = ""
            if branch.tip_half_width is not None and np.isfinite(branch.tip_half_width):
                doubt = f" +- {branch.tip_half_width:.2g}"
            elif branch.tip_half_width is not None:
                doubt = " (most members of the ensemble do not tip nearby)"
            said.append(
                f"Losing {what}: collapse at a share of {branch.tip.position:.3g}{doubt}{theory}."
            )
        bistable = [b for b in self.branches if b.bistable_from is not None]
        if bistable:
            first = min(bistable, key=lambda b: b.bistable_from or 0.0)
            said.append(
                f"A low state exists beside the high one from a share of {first.bistable_from:.3g} "
                f"on (losing {first.name.replace('_', ', ')}): a push can topple the system."
            )
        names = ", ".join(self.law.graph.names[i] for i in self.protected[:5])
        said.append(f"The state rests most on the nodes {names}: protect them first.")
        return said

    def tables(self) -> dict[str, pandas.DataFrame]:
        """Return resilience_curves, resilience_warnings and resilience_nodes."""
        curves = [
            pandas.DataFrame(
                {
                    "damage": branch.name,
                    "share_lost": branch.share,
                    "beta_effective": branch.beta,
                    "high": branch.high,
                    "low": branch.low,
                    "reduced_high": branch.reduced_high,
                    "reduced_low": branch.reduced_low,
                }
            )
            for branch in self.branches
        ]
        graph = self.law.graph
        order = np.argsort(-self.worth, kind="stable")
        nodes = pandas.DataFrame(
            {
                "node": [graph.names[i] for i in order],
                "worth": self.worth[order],
                "in_strength": graph.degree[order],
                "protected": np.isin(order, self.protected),
            }
        )
        return {
            "resilience_curves": pandas.concat(curves, ignore_index=True),
            "resilience_warnings": self.warnings,
            "resilience_nodes": nodes,
        }


def resilience(
    law: Law,
    graph: Graph | None = None,
    *,
    damages: tuple[tuple[Loss, Order], ...] = DAMAGES,
    low: np.ndarray | float | None = None,
    high: np.ndarray | float | None = None,
    points: int = 13,
    protect: float = 0.05,
    seed: int = 0,
    progress: Progress | None = None,
) -> Resilience:
    """Follow a system's steady states while its network is damaged.

    Args:
        law: an equation or a learned field on a network.
        graph: another network than the law's own.
        damages: which kinds of loss, in which order.
        low: states to begin from at the lower end, a number or (D,); None for 0, or the lowest
            states that a field was learned on.
        high: likewise at the upper end; None for the largest of a sensible start, or the highest
            states that a field was learned on.
        points: shares lost at which states are found, from 0 to 1.
        protect: share of the nodes whose protection is tested.
        seed: of random orders.
        progress: called with a share and a text.

    Raises:
        InputError: a number is out of range.
        ComputationError: the system comes to no rest.
    """
    if points < 3 or not 0.0 < protect < 1.0:
        raise InputError(
            f"at least 3 points and a share to protect between 0 and 1, not {points}, {protect:g}"
        )
    law = law if graph is None or graph is law.graph else law.on(graph)
    ends = end_states(law, low, high, seed)
    report = progress or (lambda _share, _text: None)
    shares = np.linspace(0.0, 1.0, points)
    state = settle(law, ends[1])
    branches = []
    for k, (loss, order) in enumerate(damages):
        report(k / (len(damages) + 1), f"losing {loss}, {order}")
        kind = damage(law.graph, loss, order, seed=seed)
        branches.append(
            within_reach(law, shares, lambda part, kind=kind: follow_damage(law, kind, part, ends))
        )
    report(len(damages) / (len(damages) + 1), "early warnings and nodes to protect")
    warned = next((b for b in branches if b.name == "weight"), branches[0])
    worth = node_worth(law, state)
    count = max(1, round(protect * law.graph.node_count))
    protected = np.argsort(-worth, kind="stable")[:count]
    kept = damage(law.graph, "nodes", "random", protected=protected, seed=seed)
    return Resilience(
        law,
        tuple(branches),
        state,
        analysed(law, state, 0.0).continuum,
        beta_effective(law.graph),
        float(
            settle(
                reduced_law(law, beta_effective(law.graph)),
                effective_state(law.graph, ends[1])[None],
            )[0, 0]
        ),
        _warnings(law, warned, state),
        warned.name,
        worth,
        protected,
        within_reach(law, shares, lambda part: tip_of(law, kept, part, state)),
    )


def end_states(
    law: Law,
    low: np.ndarray | float | None = None,
    high: np.ndarray | float | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return low and high states to begin from, shape (N, D) each.

    Args:
        law: the law.
        low: a number, (D,) or (N, D); None for 0, or what a field saw: each node's lowest state,
            on another network than its own the lowest of all.
        high: likewise; None for the largest of a sensible start, or the highest that a field saw.
        seed: of that start.
    """
    seen = law.observed
    if low is None and high is None and seen is not None and seen.names == law.graph.names:
        # A uniform state would bring together neighbours that a field has never seen together.
        states = seen.states[:, np.isfinite(seen.states).all(axis=(0, 2))]
        if states.shape[1:] == law.shape:
            return states.min(axis=0), states.max(axis=0)
    if low is None:
        low = np.zeros(law.shape[1]) if law.low is None else law.low
    if high is None:
        high = law.start(seed).max(axis=0) if law.high is None else law.high
    first, last = (np.broadcast_to(np.asarray(x, dtype=float), law.shape) for x in (low, high))
    return first, last


def _warnings(law: Law, branch: Branch, state: np.ndarray) -> pandas.DataFrame:
    """Return the signs on the way to the tipping point (or to the end, where there is none)."""
    last = branch.share[-1] if branch.tip is None else branch.tip.position
    whole = early_warning(law, state, lag=1.0)
    lag = 1.0 / max(whole.recovery_rate, 1e-6)
    rows = []
    # Closer and closer to the tipping point, where the signs change.
    for share in last * (1.0 - np.geomspace(1.0, 2e-3, 12)):
        left = law.on(branch.damage.at(float(share)))
        state = settle(left, state)
        signs = early_warning(left, state, lag=lag)
        rows.append(
            {
                "share_lost": float(share),
                "effective_state": float(effective_state(left.graph, state)[0]),
                "leading_eigenvalue": signs.eigenvalue,
                "recovery_rate": signs.recovery_rate,
                "variance": signs.variance,
                "autocorrelation": signs.autocorrelation,
            }
        )
    return pandas.DataFrame(rows)
