"""Label propagation: what neighbours' labels alone say, without any feature.

    F <- a S F + (1 - a) Y,   S = D^(-1/2) A D^(-1/2)

from F = Y, the known labels (one column a class), and for values also a column of ones, by which
they are divided. The share a is chosen on the validation nodes.

Source: Zhou, Bousquet, Lal, Weston, Schoelkopf, Learning with local and global consistency,
NeurIPS 2003.
"""

from __future__ import annotations

import numpy as np

from graphtide.dynamics.classify.data import NodeTask

__all__ = ["propagate_labels"]

_SHARES = (0.5, 0.8, 0.9, 0.95, 0.99)
_ROUNDS = 60


def propagate_labels(task: NodeTask) -> np.ndarray:
    """Return class probabilities (N, C), or values (N, 1); a node that nothing reaches gets means.

    Only the labels of the training nodes are used.
    """
    graph, train = task.graph, task.train
    identity_less = -graph.laplacian("symmetric")
    identity_less.setdiag(identity_less.diagonal() + (graph.degree > 0))
    known = np.zeros((graph.node_count, 2 if task.is_regression else len(task.classes)))
    if task.is_regression:
        known[train, 0], known[train, 1] = task.target[train], 1.0
    else:
        known[train, task.target[train]] = 1.0
    best, chosen = np.inf, np.zeros(0)
    for share in _SHARES:
        state = known
        for _ in range(_ROUNDS):
            state = share * (identity_less @ state) + (1 - share) * known
        said = _read(state, known[train].mean(axis=0), regression=task.is_regression)
        score = _missed(said, task)
        if score < best:
            best, chosen = score, said
    return chosen


def _read(state: np.ndarray, mean: np.ndarray, *, regression: bool) -> np.ndarray:
    if regression:
        total = state[:, [1]]
        return np.divide(
            state[:, [0]], total, out=np.full_like(total, mean[0]), where=total > 1e-12
        )
    total = state.sum(axis=1, keepdims=True)
    return np.where(total > 1e-12, state / np.where(total > 1e-12, total, 1.0), mean)


def _missed(said: np.ndarray, task: NodeTask) -> float:
    nodes = task.validation
    if task.is_regression:
        return float(np.square(said[nodes, 0] - task.target[nodes]).mean())
    return float((said[nodes].argmax(axis=1) != task.target[nodes]).mean())
