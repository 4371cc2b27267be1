"""The law where the structure is wrong somewhere: nodes that follow it teach it, others are named.

Trimmed least squares over nodes finds a law that a share of the nodes follows; the whole search is
repeated on them, every node is then judged by its own readings, and those that follow teach the law
anew until they stay the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphtide.errors import ComputationError
from graphtide.mechanisms.candidates import Candidate, TermSet
from graphtide.mechanisms.following import NodeFit, node_fits
from graphtide.mechanisms.lawsearch import Found, find_law, libraries
from graphtide.mechanisms.rows import Sample, grams
from graphtide.mechanisms.search import ELBOW
from graphtide.mechanisms.trimmed import Trimmed, node_residuals, trimmed_law
from graphtide.weakform.gram import NodeGram

__all__ = ["Robust", "nodes_left", "right_nodes", "robust_law"]

DECIDING = 0.3
"""Share of the nodes that decide on a law: three in ten are right in all that is asked for here."""
FEWEST_NODES = 8
ROUNDS = 4
MANY_TERMS = 45
"""Libraries larger than this get fewer random starts."""


@dataclass(frozen=True, slots=True, eq=False)
class Robust:
    """A law that some nodes follow.

    Attributes:
        found: the law, learned on the nodes that surely follow it.
        fits: how well each usable node of each sample follows.
    """

    found: Found
    fits: list[NodeFit]


def nodes_left(fits: Sequence[NodeFit]) -> float:
    """Return the share of nodes (over all samples) that do not follow."""
    follows = np.concatenate([fit.follows for fit in fits])
    return float(1.0 - follows.mean())


def robust_law(
    samples: Sequence[Sample],
    terms: TermSet,
    extra: Sequence[Candidate] = (),
    *,
    starts: int = 100,
    seed: int = 0,
) -> Robust | None:
    """Return the law that some of the nodes follow; None where too few follow any.

    Args:
        samples: the data; a node of one graph is one node, in however many of them.
        terms: which of the house's candidates.
        extra: further candidates.
        starts: random starts of the trimmed search; two fifths of them for large libraries.
        seed: seed of the starts.
    """
    groups = _Groups.of(samples)
    if groups.count < FEWEST_NODES:
        return None
    kept = _first_nodes(samples, groups, terms, extra, starts, seed)
    best: Robust | None = None
    for _ in range(ROUNDS):
        if kept is None or kept.sum() < FEWEST_NODES:
            break
        try:
            found = find_law(groups.restricted(samples, kept), terms, extra)
        except ComputationError:
            break
        if not any(found.chosen):
            break
        fits = node_fits(samples, found.model)
        following = groups.all_of([fit.follows for fit in fits])
        if following.sum() < max(FEWEST_NODES, 0.15 * groups.count):
            break
        now = Robust(found, fits)
        if best is None or nodes_left(fits) <= nodes_left(best.fits):
            best = now
        sure = groups.all_of([fit.sure for fit in fits])
        if (sure == kept).all() or (best is not now):
            break
        kept = sure
    return best


def right_nodes(
    samples: Sequence[Sample],
    terms: TermSet,
    extra: Sequence[Candidate] = (),
    *,
    starts: int,
    seed: int,
) -> list[Sample] | None:
    """Return the samples with the nodes that the trimmed search keeps; None where it keeps none."""
    groups = _Groups.of(samples)
    kept = _first_nodes(samples, groups, terms, extra, starts, seed)
    return None if kept is None else groups.restricted(samples, kept)


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """Which usable nodes of several samples are the same node of the same graph.

    Attributes:
        numbers: for each sample the group of each usable node.
        count: number of groups.
        degree: number of neighbours of each group's node.
    """

    numbers: list[np.ndarray]
    count: int
    degree: np.ndarray

    @staticmethod
    def of(samples: Sequence[Sample]) -> _Groups:
        known: dict[tuple[int, int], int] = {}
        numbers, degree = [], []
        for sample in samples:
            neighbours = np.diff(sample.graph.adjacency.indptr)
            own = []
            for node in sample.usable.tolist():
                key = (id(sample.graph), node)
                if key not in known:
                    known[key] = len(known)
                    degree.append(int(neighbours[node]))
                own.append(known[key])
            numbers.append(np.array(own, dtype=np.int64))
        return _Groups(numbers, len(known), np.array(degree))

    def summed(self, gram: NodeGram) -> NodeGram:
        """Return the Gram of the joined samples with the rows of a group summed."""
        place = np.concatenate(self.numbers)
        if len(place) == self.count:
            return gram
        terms = np.zeros((self.count, *gram.terms.shape[1:]))
        cross, target = np.zeros((self.count, gram.cross.shape[1])), np.zeros(self.count)
        np.add.at(terms, place, gram.terms)
        np.add.at(cross, place, gram.cross)
        np.add.at(target, place, gram.target)
        return NodeGram(terms, cross, target)

    def restricted(self, samples: Sequence[Sample], kept: np.ndarray) -> list[Sample]:
        """Return the samples with the kept groups' nodes; samples without any are left out."""
        result = [
            sample.with_nodes(sample.usable[kept[own]])
            for sample, own in zip(samples, self.numbers, strict=True)
        ]
        return [sample for sample in result if sample.usable.size]

    def all_of(self, flags: Sequence[np.ndarray]) -> np.ndarray:
        """Return for each group whether its node is flagged in all samples that have it."""
        result = np.ones(self.count, dtype=bool)
        for own, flag in zip(self.numbers, flags, strict=True):
            result[own[~flag]] = False
        return result


def _first_nodes(
    samples: Sequence[Sample],
    groups: _Groups,
    terms: TermSet,
    extra: Sequence[Candidate],
    starts: int,
    seed: int,
) -> np.ndarray | None:
    """Return which nodes the trimmed search keeps, (groups,) bool, by the better library."""
    best, best_score = None, np.inf
    for number, candidates in enumerate(libraries(samples, terms, extra)):
        joined = [groups.summed(gram) for gram in grams(samples, candidates)]
        fewer = starts if len(candidates) <= MANY_TERMS else max(1, 2 * starts // 5)
        laws = [
            trimmed_law(gram, groups.degree, share=DECIDING, starts=fewer, seed=[seed, d])
            for d, gram in enumerate(joined)
        ]
        if not any(laws):
            continue
        score = ELBOW * number + sum(law.score if law is not None else 0.0 for law in laws)
        if score < best_score:
            best, best_score = _common(joined, laws), score
    return best


def _common(joined: Sequence[NodeGram], laws: Sequence[Trimmed | None]) -> np.ndarray:
    """Return the nodes that follow the laws of all variables best, as many as each keeps."""
    total = np.zeros(len(joined[0].target))
    keep = 0
    for gram, law in zip(joined, laws, strict=True):
        if law is None:
            continue
        keep = len(law.kept)
        columns = list(law.terms)
        matrix = gram.terms[law.kept][:, columns][:, :, columns].sum(axis=0)
        cross = gram.cross[law.kept][:, columns].sum(axis=0)
        left = node_residuals(gram, columns, np.linalg.lstsq(matrix, cross, rcond=1e-12)[0])
        total += left / max(float(np.median(left[law.kept])), 1e-300)
    kept = np.zeros(len(total), dtype=bool)
    kept[np.argsort(total, kind="stable")[:keep]] = True
    return kept
