"""Which pairs of neighbouring states a field has seen while it was learned.

G(x_i, x_j) is known only where both ends of an edge have been: a network with other degrees, or
another start, may bring together states that never met although each of them lies in the range
that was seen. Pairs are counted in square cells; a cell next to a visited one counts as visited.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from graphtide.graph import Graph

__all__ = ["FieldOfStates", "Visited", "share_of_unseen_pairs", "visited_pairs"]

CELLS = 12
"""Cells along each axis of the square of pairs."""
MOST_PAIRS = 4_000_000
"""Pairs looked at; of longer trajectories only some times are."""


class Visited(nn.Module):
    """The range and the pairs of states that a field was learned on, saved with it.

    Args:
        low: smallest value seen of each variable, shape (D,).
        high: largest value seen.
        pairs: cells of pairs that were seen, shape (D, C, C), from :func:`visited_pairs`.
    """

    def __init__(self, low: np.ndarray, high: np.ndarray, pairs: np.ndarray) -> None:
        super().__init__()
        self.low: Tensor
        self.high: Tensor
        self.pairs: Tensor
        for name, value in (("low", low), ("high", high), ("pairs", pairs)):
            self.register_buffer(name, torch.tensor(value))

    def outside(self, states: np.ndarray) -> float:
        """Return the share of states (..., D) outside the range that was seen."""
        low, high = self.low.cpu().numpy(), self.high.cpu().numpy()
        slack = 1e-3 * (high - low)
        inside = (states >= low - slack) & (states <= high + slack)
        return float(1.0 - inside.all(axis=-1).mean())

    def distance(self, states: Tensor) -> Tensor:
        """Return how far the farthest of states (..., D) is from the range seen, in its widths.

        Negative inside; 0-dim.
        """
        size = torch.maximum(self.high.abs(), self.low.abs())
        width = torch.maximum(self.high - self.low, 1e-6 * size).clamp_min(1e-300)
        return (torch.maximum(states - self.high, self.low - states) / width).max()

    def unseen_pairs(self, states: np.ndarray, graph: Graph) -> float:
        """Return the share of edges and times of states (T, N, D) whose pair was never seen."""
        return share_of_unseen_pairs(
            graph.adjacency,
            states,
            self.pairs.cpu().numpy(),
            self.low.cpu().numpy(),
            self.high.cpu().numpy(),
        )


class FieldOfStates(nn.Module):
    """What neural fields share: their variables, the states that they saw, and saving.

    Args:
        variables: names of the D variables of a node.
        visited: the range and the pairs of states that the field is learned on.
    """

    def __init__(self, variables: tuple[str, ...], visited: Visited) -> None:
        super().__init__()
        self._variables, self.visited = variables, visited

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the D variables of a node."""
        return self._variables

    def outside(self, states: np.ndarray) -> float:
        """Return the share of states (..., D) outside the range that was seen."""
        return self.visited.outside(states)

    def unseen_pairs(self, states: np.ndarray, graph: Graph) -> float:
        """Return the share of edges and times of states (T, N, D) whose pair was never seen."""
        return self.visited.unseen_pairs(states, graph)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return everything numeric by name, to be saved beside `description`."""
        return {name: t.detach().cpu().numpy() for name, t in self.state_dict().items()}


def visited_pairs(
    trajectories: Iterable[tuple[csr_array, np.ndarray]], low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Return the cells of (own, neighbour's) state that were visited, shape (D, C, C) bool.

    Args:
        trajectories: the adjacency (N, N) and the states (T, N, D) of each.
        low: lower end of the cells of each variable, shape (D,).
        high: upper end, shape (D,).
    """
    from scipy.ndimage import binary_dilation

    seen = np.zeros((len(low), CELLS, CELLS), dtype=bool)
    for adjacency, states in trajectories:
        for own, other in _pairs(adjacency, _cells(states, low, high)):
            for d in range(len(low)):
                seen[d, own[:, d], other[:, d]] = True
    return np.array([binary_dilation(part, np.ones((3, 3), dtype=bool)) for part in seen])


def share_of_unseen_pairs(
    adjacency: csr_array, states: np.ndarray, seen: np.ndarray, low: np.ndarray, high: np.ndarray
) -> float:
    """Return the share of pairs (edge and time) with a variable in a cell that was not visited.

    Args:
        adjacency: shape (N, N).
        states: shape (T, N, D).
        seen: what `visited_pairs` gave, with its ``low`` and ``high``.
        low: shape (D,).
        high: shape (D,).
    """
    unseen = total = 0
    for own, other in _pairs(adjacency, _cells(states, low, high)):
        known = np.ones(len(own), dtype=bool)
        for d in range(len(low)):
            known &= seen[d, own[:, d], other[:, d]]
        unseen += int((~known).sum())
        total += len(known)
    return unseen / total if total else 0.0


def _cells(states: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the number of each state's cell; states beyond the ends count to the last cells."""
    width = np.maximum(high - low, 1e-300)
    return np.clip((states - low) / width * CELLS, 0, CELLS - 1).astype(np.int64)


def _pairs(adjacency: csr_array, cells: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the cells (E, D) of both ends of all edges, time by time."""
    row = np.repeat(np.arange(adjacency.shape[0]), np.diff(adjacency.indptr))
    times = len(cells)
    count = max(1, min(times, MOST_PAIRS // max(len(row), 1)))
    for time in np.unique(np.linspace(0, times - 1, count).astype(int)):
        yield cells[time, row], cells[time, adjacency.indices]
