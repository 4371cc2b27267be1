"""Molecules under construction: which actions are legal, what the state looks like, carrying on.

An atom keeps the valence that it has left; an open branch holds back what its continuation will
need; a ring closes to an atom so many bonds back that has valence to spare. All molecules of a
batch are built side by side by compiled loops.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

__all__ = [
    "ADD",
    "BRANCH",
    "CLOSE",
    "END",
    "FEATURES",
    "PATH",
    "RING",
    "Building",
    "Rules",
    "advance",
    "views",
    "walk",
]

END, CLOSE, ADD, BRANCH, RING = 0, 1, 2, 3, 4
PATH = 12
"""Atoms back along the path that the model sees."""
FEATURES = 8 + 4 + 2 * PATH
"""Numbers that describe a state."""


class Rules(NamedTuple):
    """The actions as arrays (V,), and the valence of each type (K,)."""

    kind: np.ndarray
    order: np.ndarray
    type: np.ndarray
    distance: np.ndarray
    valence: np.ndarray
    held: int  # valence that a branch holds back for what comes after it
    most_atoms: int


class Building(NamedTuple):
    """Molecules under construction, side by side: B of them, of A atoms at most."""

    types: np.ndarray  # int16 (B, A), -1 where no atom is yet
    parent: np.ndarray  # int16 (B, A), the atom each was added to
    left: np.ndarray  # int16 (B, A), valence not used yet
    held: np.ndarray  # int16 (B, A), valence held back for after a branch
    atoms: np.ndarray  # int16 (B,), number of atoms
    current: np.ndarray  # int16 (B,)
    ring: np.ndarray  # int16 (B,), distance of the last ring, 0 after an atom, -1: none may close
    must: np.ndarray  # bool (B,), an atom must follow
    branches: np.ndarray  # int16 (B, A), the open branches' atoms
    open: np.ndarray  # int16 (B,), their number
    bonds: np.ndarray  # int16 (B, 4 A, 3)
    bond_count: np.ndarray  # int16 (B,)
    done: np.ndarray  # bool (B,)

    @staticmethod
    def empty(count: int, most_atoms: int) -> Building:
        """Return ``count`` molecules without atoms."""

        def zeros(*shape: int) -> np.ndarray:
            return np.zeros(shape, dtype=np.int16)

        return Building(
            types=zeros(count, most_atoms) - np.int16(1),
            parent=zeros(count, most_atoms),
            left=zeros(count, most_atoms),
            held=zeros(count, most_atoms),
            atoms=zeros(count),
            current=zeros(count) - np.int16(1),
            ring=zeros(count) - np.int16(1),
            must=np.zeros(count, dtype=np.bool_),
            branches=zeros(count, most_atoms),
            open=zeros(count),
            bonds=zeros(count, 4 * most_atoms, 3),
            bond_count=zeros(count),
            done=np.zeros(count, dtype=np.bool_),
        )

    def molecule(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the types of one molecule's atoms (N,) and its bonds (M, 3)."""
        return self.types[row, : self.atoms[row]], self.bonds[row, : self.bond_count[row]]


@njit(cache=True)
def _legal(rules: Rules, state: Building, b: int, mask: np.ndarray) -> None:
    """Write which actions are legal for molecule b."""
    n, current = state.atoms[b], state.current[b]
    must, fresh = state.must[b], state.ring[b]
    for a in range(len(rules.kind)):
        kind, order = rules.kind[a], rules.order[a]
        allowed = False
        if state.done[b]:
            allowed = kind == END
        elif n == 0:
            allowed = kind == ADD and order == 0
        elif kind == END:
            allowed = state.open[b] == 0 and not must
        elif kind == CLOSE:
            allowed = state.open[b] > 0 and not must
        elif kind == ADD:
            allowed = (
                order > 0
                and order <= state.left[b, current]
                and n + 1 + state.open[b] <= rules.most_atoms
            )
        elif kind == BRANCH:
            allowed = (
                order + rules.held <= state.left[b, current]
                and n + 2 + state.open[b] <= rules.most_atoms
            )
        elif fresh >= 0 and rules.distance[a] > max(1, fresh) and order <= state.left[b, current]:
            target = current
            for _ in range(rules.distance[a]):
                target = state.parent[b, target]
                if target < 0:
                    break
            allowed = target >= 0 and order <= state.left[b, target] - state.held[b, target]
        mask[a] = allowed


@njit(cache=True)
def _describe(rules: Rules, state: Building, b: int, features: np.ndarray) -> int:
    """Write what a state looks like; return the type of its current atom (-1 for none)."""
    features[:] = 0.0
    current = state.current[b]
    if current < 0:
        return -1
    features[min(state.left[b, current], 7)] = 1.0
    features[8] = 1.0 if state.ring[b] >= 0 else 0.0
    features[9] = 1.0 if state.must[b] else 0.0
    features[10] = min(state.open[b], 4) / 4.0
    features[11] = state.atoms[b] / rules.most_atoms
    target = current
    for d in range(PATH):
        target = state.parent[b, target]
        if target < 0:
            break
        free = state.left[b, target] - state.held[b, target]
        features[12 + 2 * d] = 1.0
        features[13 + 2 * d] = min(free, 2) / 2.0
    return state.types[b, current]


@njit(cache=True)
def _apply(rules: Rules, state: Building, b: int, action: int) -> None:
    """Carry out a legal action on molecule b."""
    kind, order = rules.kind[action], rules.order[action]
    current = state.current[b]
    if kind == END:
        state.done[b] = True
    elif kind == CLOSE:
        state.open[b] -= 1
        branch = state.branches[b, state.open[b]]
        state.held[b, branch] = 0
        state.current[b] = branch
        state.must[b] = True
        state.ring[b] = -1
    elif kind == RING:
        target = current
        for _ in range(rules.distance[action]):
            target = state.parent[b, target]
        _bond(state, b, target, current, order)
        state.ring[b] = rules.distance[action]
    else:
        new = state.atoms[b]
        state.types[b, new] = rules.type[action]
        state.left[b, new] = rules.valence[rules.type[action]]
        state.held[b, new] = 0
        state.parent[b, new] = current
        state.atoms[b] += 1
        if current >= 0:
            _bond(state, b, current, new, order)
        if kind == BRANCH:
            state.branches[b, state.open[b]] = current
            state.open[b] += 1
            state.held[b, current] = rules.held
        state.current[b] = new
        state.must[b] = False
        state.ring[b] = 0


@njit(cache=True)
def _bond(state: Building, b: int, one: int, other: int, order: int) -> None:
    m = state.bond_count[b]
    state.bonds[b, m, 0] = one
    state.bonds[b, m, 1] = other
    state.bonds[b, m, 2] = order
    state.bond_count[b] += 1
    state.left[b, one] -= order
    state.left[b, other] -= order


@njit(cache=True)
def walk(
    rules: Rules, state: Building, actions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Carry out whole sequences.

    Args:
        rules: of the actions.
        state: molecules without atoms, B of them; left as they end.
        actions: int64 (B, T), -1 after the end.

    Returns:
        Before each action: which are legal, bool (B, T, V); the state, float32 (B, T, F); the type
        of the current atom, int64 (B, T), one more than its place, 0 where there is none.
    """
    count, length = actions.shape
    masks = np.zeros((count, length, len(rules.kind)), dtype=np.bool_)
    features = np.zeros((count, length, FEATURES), dtype=np.float32)
    types = np.zeros((count, length), dtype=np.int64)
    for b in range(count):
        for t in range(length):
            if actions[b, t] < 0:
                masks[b, t, END] = True
                continue
            _legal(rules, state, b, masks[b, t])
            types[b, t] = _describe(rules, state, b, features[b, t]) + 1
            _apply(rules, state, b, actions[b, t])
    return masks, features, types


@njit(cache=True)
def views(rules: Rules, state: Building) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what `walk` returns, for the states as they are: (B, V), (B, F), (B,)."""
    count = len(state.atoms)
    masks = np.zeros((count, len(rules.kind)), dtype=np.bool_)
    features = np.zeros((count, FEATURES), dtype=np.float32)
    types = np.zeros(count, dtype=np.int64)
    for b in range(count):
        _legal(rules, state, b, masks[b])
        types[b] = _describe(rules, state, b, features[b]) + 1
    return masks, features, types


@njit(cache=True)
def advance(rules: Rules, state: Building, actions: np.ndarray) -> None:
    """Carry out one legal action for each molecule, (B,)."""
    for b in range(len(actions)):
        _apply(rules, state, b, actions[b])
