"""A molecule as a sequence of actions that build it, and the rules that keep each action legal.

The graph is traversed depth first. Each atom is added, bonded to the current atom, and becomes the
current one; then its rings are closed, each by the distance to an atom on the path back to the
first; an atom after which the traversal will return to its parent is a branch, and ``close`` ends
it; ``end`` ends the molecule:

    add(type, order, branch)   add an atom, bonded to the current one (the first one: to none)
    ring(distance, order)      bond the newest atom to the one so many bonds back
    close                      go back to where the innermost branch began
    end                        the molecule is complete

Legal is what keeps every atom within its valence and the graph connected: a branch holds back the
valence that its continuation will need, so that from every state some action leads on and every
sequence ends in a valid, connected molecule. Each order of traversal gives one sequence, hence
the exact probability of a molecule in that order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from graphtide.errors import InputError
from graphtide.molecules.building import ADD, BRANCH, CLOSE, END, RING, Rules
from graphtide.molecules.chemistry import AtomType
from graphtide.molecules.corpus import Corpus

__all__ = ["Actions", "Sequences", "traverse"]

_RING_CODE = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """Molecules as sequences of actions, one after the other.

    Args:
        actions: the actions' codes, or their places among those known.
        starts: int64 (K + 1,), where each sequence begins.
    """

    actions: np.ndarray
    starts: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Number of actions of each molecule, (K,)."""
        return np.diff(self.starts)

    def padded(self, indices: np.ndarray) -> np.ndarray:
        """Return sequences side by side, int64 (B, T), -1 after their end."""
        lengths = self.lengths[indices]
        rows = np.full((len(indices), int(lengths.max())), -1, dtype=np.int64)
        for row, index in enumerate(indices):
            rows[row, : lengths[row]] = self.actions[self.starts[index] : self.starts[index + 1]]
        return rows


@dataclass(frozen=True, slots=True)
class Actions:
    """The actions that a corpus knows; the first two are ``end`` and ``close``.

    Args:
        codes: one integer for each action, as the traversal writes them; int64 (V,).
        vocabulary: types of atoms.
        most_atoms: nodes that a molecule may have.
    """

    codes: np.ndarray
    vocabulary: tuple[AtomType, ...]
    most_atoms: int

    @staticmethod
    def of(corpus: Corpus, *traversals: Sequences) -> Actions:
        """Return the actions that occur in traversals of a corpus."""
        codes = [np.array([END, CLOSE]), *(one.actions for one in traversals)]
        return Actions(np.unique(np.concatenate(codes)), corpus.vocabulary, int(corpus.sizes.max()))

    def places(self, traversal: Sequences) -> Sequences:
        """Return a traversal with each action's place among these.

        Raises:
            InputError: an action occurs that is not among these.
        """
        codes = traversal.actions
        found = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        if (self.codes[found] != codes).any():
            raise InputError("a molecule needs an action (a type, a bond, a ring) not known here")
        return Sequences(found.astype(np.int16), traversal.starts)

    def __len__(self) -> int:
        """Return the number of actions."""
        return len(self.codes)

    def rules(self) -> Rules:
        """Return the tables that the rules need.

        Raises:
            InputError: a code is none of these actions.
        """
        codes = self.codes
        adds = (codes >= 2) & (codes < _RING_CODE)
        rings = codes >= _RING_CODE
        branch = adds & ((codes - 2) % 2 == 1)
        types = np.where(adds, (codes - 2) // 8, 0)
        orders = np.where(adds, (codes - 2) // 2 % 4, np.where(rings, codes % 4, 0))
        if codes[:2].tolist() != [END, CLOSE] or types.max(initial=0) >= len(self.vocabulary):
            raise InputError("these are no actions of this vocabulary")
        kind = np.select(
            [codes == END, codes == CLOSE, branch, adds], [END, CLOSE, BRANCH, ADD], RING
        )
        onward = orders[(kind == ADD) & (orders > 0)]
        return Rules(
            kind.astype(np.int8),
            orders.astype(np.int8),
            types.astype(np.int16),
            np.where(rings, (codes - _RING_CODE) // 4, 0).astype(np.int16),
            np.array([kind.valence for kind in self.vocabulary], dtype=np.int16),
            int(onward.min(initial=4)),
            self.most_atoms,
        )


def traverse(corpus: Corpus, *, order: np.random.Generator | None = None) -> Sequences:
    """Return the codes of the actions that build each molecule of a corpus.

    Args:
        corpus: connected molecules.
        order: draws a random traversal of each molecule; None takes the corpus's own order.
    """
    old = corpus.encoded
    total = int(old.atom_counts.sum())
    codes, lengths = _traverse(
        np.asarray(old.atoms),
        np.asarray(old.atom_counts),
        np.asarray(old.bonds),
        np.asarray(old.bond_counts),
        np.arange(total, dtype=np.float64) if order is None else order.random(total),
    )
    return Sequences(codes, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))


@njit(cache=True)
def _neighbours(counts: np.ndarray, bonds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row starts, neighbours and orders of one molecule's bonds."""
    starts = np.zeros(len(counts) + 1, dtype=np.int64)
    for m in range(len(bonds)):
        starts[bonds[m, 0] + 1] += 1
        starts[bonds[m, 1] + 1] += 1
    for v in range(len(counts)):
        starts[v + 1] += starts[v]
    fill = starts[:-1].copy()
    ends = np.empty(2 * len(bonds), dtype=np.int64)
    orders = np.empty(2 * len(bonds), dtype=np.int64)
    for m in range(len(bonds)):
        a, b = bonds[m, 0], bonds[m, 1]
        ends[fill[a]], orders[fill[a]] = b, bonds[m, 2]
        ends[fill[b]], orders[fill[b]] = a, bonds[m, 2]
        fill[a] += 1
        fill[b] += 1
    return starts, ends, orders


@njit(cache=True)
def _traverse(
    atoms: np.ndarray,
    atom_counts: np.ndarray,
    bonds: np.ndarray,
    bond_counts: np.ndarray,
    priority: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Write the codes of each molecule's actions; return them and the number for each molecule."""
    codes = np.empty(2 * len(atoms) + 2 * len(bonds) + len(atom_counts), dtype=np.int64)
    lengths = np.empty(len(atom_counts), dtype=np.int64)
    at = first = bond = 0
    for k in range(len(atom_counts)):
        n, m = atom_counts[k], bond_counts[k]
        begin = at
        own = priority[first : first + n]
        starts, ends, orders = _neighbours(own, bonds[bond : bond + m])
        parent, depth = np.full(n, -1), np.full(n, -1)
        up = np.zeros(n, dtype=np.int64)  # order of the bond to the parent
        last = np.full(n, -1)  # the child visited last
        visit = np.empty(n, dtype=np.int64)
        # First the tree: whether a child is a branch is known only when all have been seen.
        stack = np.empty(n, dtype=np.int64)
        root = np.argmin(own)
        stack[0], depth[root], visit[0] = root, 0, root
        height, seen = 1, 1
        while height > 0:
            v = stack[height - 1]
            best = -1
            for e in range(starts[v], starts[v + 1]):
                w = ends[e]
                if depth[w] < 0 and (best < 0 or own[w] < own[ends[best]]):
                    best = e
            if best < 0:
                height -= 1
                continue
            w = ends[best]
            parent[w], depth[w], up[w], last[v] = v, depth[v] + 1, orders[best], w
            visit[seen] = w
            stack[height] = w
            seen += 1
            height += 1
        # Then the actions, atom by atom in the order of the visits.
        previous = root
        for i in range(n):
            v = visit[i]
            if i > 0:
                u = previous  # leave the branches that end before v
                while u != parent[v]:
                    if parent[u] >= 0 and last[parent[u]] != u:
                        codes[at] = CLOSE
                        at += 1
                    u = parent[u]
            branch = 1 if parent[v] >= 0 and last[parent[v]] != v else 0
            codes[at] = 2 + (atoms[first + v] * 4 + up[v]) * 2 + branch
            at += 1
            ringed = 0
            while True:  # rings by increasing distance
                best, nearest = -1, 1 << 30
                for e in range(starts[v], starts[v + 1]):
                    distance = depth[v] - depth[ends[e]]
                    if distance > max(1, ringed) and distance < nearest:
                        best, nearest = e, distance
                if best < 0:
                    break
                codes[at] = _RING_CODE + 4 * nearest + orders[best]
                at += 1
                ringed = nearest
            previous = v
        codes[at] = END
        at += 1
        lengths[k] = at - begin
        first += n
        bond += m
    return codes[:at].copy(), lengths
