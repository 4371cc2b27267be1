"""Steady states along one kind of damage: followed from high and from low states, full and reduced.

The upper branch is followed as more is lost, the lower one back from the most damaged network.
Where the upper one breaks off the system tips; the members of a learned field's ensemble, each
followed to its own collapse, give that place an interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from graphtide.dynamics.analysis.damage import Damage
from graphtide.dynamics.analysis.ensemble import half_width
from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.reduction import (
    Jump,
    beta_effective,
    effective_state,
    first_jump,
    jump_of,
    reduced_law,
)
from graphtide.dynamics.analysis.settling import settle
from graphtide.errors import ComputationError

__all__ = ["REACHES", "Branch", "follow_damage", "tip_of", "within_reach"]

_COLLAPSE = 0.2  # of the larger of two values of x_eff, lost at once
_WIDTH = 1e-3  # how closely a break is located, as a share of all damage

REACHES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Parts of all damage that are tried in turn where a learned field runs off."""
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """The steady states along one kind of damage.

    Attributes:
        damage: what is lost.
        share: (K,) lost.
        beta: (K,) beta_eff of what is left.
        high: (K,) x_eff of the full system, followed from high states as more is lost.
        low: (K,) the same from low states, followed back from the greatest loss.
        reduced_high: (K,) of the reduction.
        reduced_low: (K,) of the reduction.
        tip: where the upper branch of the full system breaks off; None where it does not.
        tip_half_width: half the width of its 90 % interval, from the members of a learned field's
            ensemble; None without them, infinite where more than half do not tip nearby.
        reduced_tip: the same of the reduction.
        bistable_from: the first share at which low states stay low; None where there is none.
    """

    damage: Damage
    share: np.ndarray
    beta: np.ndarray
    high: np.ndarray
    low: np.ndarray
    reduced_high: np.ndarray
    reduced_low: np.ndarray
    tip: Jump | None
    tip_half_width: float | None
    reduced_tip: Jump | None
    bistable_from: float | None

    @property
    def name(self) -> str:
        """Such as ``nodes_random``; weight has no order."""
        kind = self.damage
        return kind.loss if kind.loss == "weight" else f"{kind.loss}_{kind.order}"


def within_reach(law: Law, shares: np.ndarray, attempt: Callable[[np.ndarray], Result]) -> Result:
    """Return what an attempt gives on the shares, or on as many of them as a learned field allows.

    A field was not learned on the states of a network that has lost most of itself: it may run off.
    """
    for reach in REACHES:
        try:
            return attempt(reach * shares)
        except ComputationError:
            if law.equation is not None:
                raise
    raise ComputationError(
        f"the learned field runs off as soon as {REACHES[-1]:g} of the network is lost: it saw no "
        "states near a collapse; fit it to data that come closer to one"
    )


def _branch(law: Law, kind: Damage) -> Callable[[float, np.ndarray], tuple[float, np.ndarray]]:
    def branch(share: float, start: np.ndarray) -> tuple[float, np.ndarray]:
        left = law.on(kind.at(share))
        state = settle(left, start)
        return float(effective_state(left.graph, state)[0]), state

    return branch


def tip_of(law: Law, kind: Damage, shares: np.ndarray, state: np.ndarray) -> Jump | None:
    """Return where the upper branch breaks off; the share 1, where nothing is left, is no point."""
    return jump_of(
        _branch(law, kind), _with_network(kind, shares), state, share=_COLLAPSE, width=_WIDTH
    )


def _with_network(kind: Damage, shares: np.ndarray) -> np.ndarray:
    """Return the shares at which at least one edge with weight is left."""
    return np.array([s for s in shares if abs(kind.at(float(s)).edge_weight).sum() > 0.0])


def follow_damage(
    law: Law, kind: Damage, shares: np.ndarray, ends: tuple[np.ndarray, np.ndarray]
) -> Branch:
    """Follow the steady states along one kind of damage.

    Args:
        law: on the whole network.
        kind: what is lost.
        shares: (K,) lost, growing from 0.
        ends: low and high states to begin from, (N, D) each.

    Raises:
        ComputationError: the system comes to no rest.
    """
    shares = _with_network(kind, shares)
    full = _branch(law, kind)
    betas = np.array([beta_effective(kind.at(float(s))) for s in shares])
    upper, reduced_upper = ends[1], effective_state(law.graph, ends[1])[None]
    highs, states, reduced_states = [], [], []
    for share, beta in zip(shares, betas, strict=True):
        value, upper = full(float(share), upper)
        highs.append(value)
        states.append(upper)
        reduced_upper = settle(reduced_law(law, float(beta)), reduced_upper)
        reduced_states.append(reduced_upper)
    # The lower branch is followed from the most damaged network back to the whole one.
    lower, reduced_lower = ends[0], effective_state(law.graph, ends[0])[None]
    lows, reduced_lows = [], []
    for share, beta in zip(shares[::-1], betas[::-1], strict=True):
        value, lower = full(float(share), lower)
        lows.insert(0, value)
        reduced_lower = settle(reduced_law(law, float(beta)), reduced_lower)
        reduced_lows.insert(0, float(reduced_lower[0, 0]))
    high, low = np.array(highs), np.array(lows)
    reduced_high = [float(state[0, 0]) for state in reduced_states]
    apart = np.flatnonzero(np.abs(high - low) > 0.05 * np.abs(high).max())

    def reduced_branch(share: float, state: np.ndarray) -> tuple[float, np.ndarray]:
        found = settle(reduced_law(law, beta_effective(kind.at(share))), state)
        return float(found[0, 0]), found

    tip = first_jump(full, shares, highs, states, share=_COLLAPSE, width=_WIDTH)
    return Branch(
        kind,
        shares,
        betas,
        high,
        low,
        np.array(reduced_high),
        np.array(reduced_lows),
        tip,
        _tip_half_width(law, kind, shares, ends[1], tip),
        first_jump(
            reduced_branch, shares, reduced_high, reduced_states, share=_COLLAPSE, width=_WIDTH
        ),
        float(shares[apart[0]]) if apart.size else None,
    )


def _tip_half_width(
    law: Law, kind: Damage, shares: np.ndarray, start: np.ndarray, tip: Jump | None
) -> float | None:
    """Return half the width of the interval of a tipping point; None without members or a tip."""
    if tip is None or not law.members:
        return None

    def of_member(member: Law) -> float:
        try:
            found = tip_of(member, kind, shares, start)
        except ComputationError:  # it runs off where the field itself does not
            return np.nan
        return np.nan if found is None else found.position

    found = np.array([of_member(member) for member in law.members])
    there = found[np.isfinite(found)]
    return float("inf") if 2 * len(there) < len(found) else max(float(half_width(there)), _WIDTH)
