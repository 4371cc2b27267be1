"""The rows behind an unknown network: what each node would get from every other, and its fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from graphtide.mechanisms.candidates import Candidate
from graphtide.mechanisms.messages import message_rows
from graphtide.mechanisms.rows import Sample

__all__ = ["CouplingLaw", "NodeRows"]

BLOCKS = 4
"""Parts of every trajectory that are taken or left out together."""


@dataclass(frozen=True, slots=True)
class CouplingLaw:
    """Coupling terms with coefficients for each variable, and the own terms beside them."""

    own: tuple[tuple[Candidate, ...], ...]
    coupled: tuple[tuple[tuple[Candidate, float], ...], ...]

    def form(self) -> str:
        """Return the terms without their coefficients."""
        own = [term.text for terms in self.own for term in terms]
        return " + ".join([*own, *(term.text for terms in self.coupled for term, _ in terms)])


class NodeRows:
    """The weak rows of several samples, node by node, cut into blocks.

    Attributes:
        samples: the data.
        variables: numbers of the variables.
        count: number of nodes.
        block: shape (R,): the part of a trajectory that each row's window is centred in.
        overlap: rows for each independent reading, since windows overlap.
    """

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples
        self.variables = range(samples[0].grid.shape[2])
        self.count = samples[0].graph.node_count
        rows = [len(sample.tests.value) for sample in samples]
        centre = [np.argmax(sample.tests.value, axis=1) for sample in samples]
        self.block = np.concatenate(
            [
                BLOCKS * k + (BLOCKS * c) // len(sample.tests.times)
                for k, (sample, c) in enumerate(zip(samples, centre, strict=True))
            ]
        )
        freedom = sum(float(s.smoothed.degrees_of_freedom.max()) for s in samples)
        self.overlap = max(sum(rows) / max(freedom, 1.0), 1.0)
        self._messages: dict[str, np.ndarray] = {}

    def messages(self, term: Candidate) -> np.ndarray:
        """Return the weak rows of what every node would send to every other, (N, R, N)."""
        if term.text not in self._messages:
            parts = [message_rows(sample, term) for sample in self.samples]
            self._messages[term.text] = np.concatenate(parts).transpose(1, 0, 2)
        return self._messages[term.text]

    def system(self, coupling: CouplingLaw) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rows (N, R, N), targets (N, R) and their blocks (R,), own terms projected out.

        Rows of all variables that have a coupling stand below each other, in units of what each
        node's motion in that variable leaves beside its own terms.
        """
        rows, targets, blocks = [], [], []
        for d in self.variables:
            if not coupling.coupled[d]:
                continue
            total = sum(value * self.messages(term) for term, value in coupling.coupled[d])
            assert isinstance(total, np.ndarray)  # there is a term
            left = np.concatenate([sample.own_left(d) for sample in self.samples]).T
            if coupling.own[d]:
                parts = [sample.own_rows(coupling.own[d]) for sample in self.samples]
                own = np.concatenate(parts).transpose(1, 0, 2)
                basis = _orthonormal(own)
                total = total - basis @ (basis.transpose(0, 2, 1) @ total)
                left = left - (basis @ (basis.transpose(0, 2, 1) @ left[..., None]))[..., 0]
            scale = np.maximum(np.linalg.norm(left, axis=1), 1e-300)[:, None]
            rows.append(total / scale[..., None])
            targets.append(left / scale)
            blocks.append(self.block)
        return np.concatenate(rows, 1), np.concatenate(targets, 1), np.concatenate(blocks)

    def strengths(self, coupling: CouplingLaw) -> tuple[np.ndarray, float]:
        """Return the strength of every edge, (N, N), and the log of the share left."""
        rows, targets, _ = self.system(coupling)
        strength, left = np.zeros((self.count, self.count)), np.zeros(self.count)
        for i in range(self.count):
            strength[i], left[i] = _sparse(rows[i], targets[i], i, self.overlap, penalty=False)
        share = left / np.maximum((targets**2).sum(axis=1), 1e-300)
        return strength, float(np.log(np.maximum(share, 1e-12)).mean())

    def chosen_in_halves(
        self, coupling: CouplingLaw, halves: int, generator: np.random.Generator
    ) -> np.ndarray:
        """Return the share of random halves of the blocks in which each edge is chosen."""
        rows, targets, blocks = self.system(coupling)
        known = np.unique(blocks)
        chosen = np.zeros((self.count, self.count))
        for _ in range(halves):
            half = generator.choice(known, (len(known) + 1) // 2, replace=False)
            kept = np.isin(blocks, half)
            for i in range(self.count):
                found, _ = _sparse(rows[i][kept], targets[i][kept], i, self.overlap)
                chosen[i] += found > 0
        return chosen / halves


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """Return orthonormal columns that span those of each node, (N, R, P)."""
    length = np.linalg.norm(columns, axis=1, keepdims=True)
    left, values, _ = np.linalg.svd(
        columns / np.where(length > 0, length, 1.0), full_matrices=False
    )
    return left * (values > 1e-7 * values.max(axis=1, keepdims=True, initial=1e-300))[:, None]


def _sparse(
    rows: np.ndarray, target: np.ndarray, node: int, overlap: float, *, penalty: bool = True
) -> tuple[np.ndarray, float]:
    """Return the sparse non-negative coefficients (N,) of a node, and what they leave.

    Non-negative least squares first; each coefficient a is then charged 2 log(N) s^2 / a, with s^2
    the variance of an independent reading, which drops those whose gain is what the best of N
    columns of noise would give.
    """
    others = np.delete(np.arange(rows.shape[1]), node)
    columns = rows[:, others]
    length = np.linalg.norm(columns, axis=0)
    usable = length > 1e-10 * max(float(length.max(initial=0.0)), 1e-300)
    result = np.zeros(rows.shape[1])
    total = float(target @ target)
    if not usable.any():
        return result, total
    columns, length, others = columns[:, usable], length[usable], others[usable]
    columns = columns / length
    gram, cross = columns.T @ columns, columns.T @ target
    gram[np.diag_indices_from(gram)] += 1e-9
    factor = np.linalg.cholesky(gram)
    first = nnls(factor.T, np.linalg.solve(factor, cross))[0]
    left = max(total - 2 * cross @ first + first @ gram @ first, 1e-12 * total)
    if not penalty:
        result[others] = first / length
        return result, float(left)
    freedom = max(len(target) / overlap - float((first > 0).sum()), 1.0)
    variance = left / freedom  # of an independent reading, whose rows count overlap times
    charge = math.log(len(others)) * variance
    kept = np.flatnonzero(first > 0)
    if kept.size:
        small = np.linalg.cholesky(gram[np.ix_(kept, kept)])
        shifted = cross[kept] - charge / np.maximum(first[kept], 1e-150)
        second = nnls(small.T, np.linalg.solve(small, shifted))[0]
        chosen = kept[second > 0]
        if chosen.size:  # without the penalty's pull
            last = np.linalg.cholesky(gram[np.ix_(chosen, chosen)])
            value = nnls(last.T, np.linalg.solve(last, cross[chosen]))[0]
            result[others[chosen]] = value / length[chosen]
            block = gram[np.ix_(chosen, chosen)]
            left = max(total - 2 * cross[chosen] @ value + value @ block @ value, 1e-12 * total)
        else:
            left = total
    return result, float(left)
