"""Compiled loops of contagion in rounds, and of reverse-reachable sets; import this module late."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["forward", "reverse", "thresholds"]

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")

_INDEPENDENT_CASCADE, _LINEAR_THRESHOLD, _SIR = 0, 1, 2
_Network = tuple[np.ndarray, np.ndarray, np.ndarray]


@_compiled
def forward(
    network: _Network,
    code: int,
    rate: float,
    seeds: np.ndarray,
    generator: np.random.Generator,
    rounds: np.ndarray,
    sources: np.ndarray,
) -> None:
    """Fill the round and the source of each node reached: independent cascade or SIR.

    Args:
        network: CSR rows of what leaves each node.
        code: number of the model.
        rate: c of an edge's probability 1 - exp(-c w); in SIR times the node's period.
        seeds: (S,) different nodes.
        generator: source of randomness.
        rounds: (N,), -1 at first.
        sources: (N,), -1 at first.
    """
    pointers, targets, weights = network
    queue = np.empty(len(rounds), np.int32)
    size = 0
    for node in seeds:
        rounds[node] = 0
        queue[size] = node
        size += 1
    place = 0
    while place < size:
        node = queue[place]
        place += 1
        period = generator.standard_exponential() if code == _SIR else 1.0
        for k in range(pointers[node], pointers[node + 1]):
            target = targets[k]
            if rounds[target] >= 0 or weights[k] == 0.0:
                continue
            if generator.standard_exponential() <= rate * weights[k] * period:
                rounds[target] = rounds[node] + 1
                sources[target] = node
                queue[size] = target
                size += 1


@_compiled
def thresholds(
    network: _Network,
    total: np.ndarray,
    seeds: np.ndarray,
    generator: np.random.Generator,
    rounds: np.ndarray,
) -> None:
    """Fill the round in which each node passes its threshold.

    Args:
        network: CSR rows of what leaves each node.
        total: (N,) weighted in-degree.
        seeds: (S,) different nodes.
        generator: source of randomness.
        rounds: (N,), -1 at first.
    """
    pointers, targets, weights = network
    count = len(rounds)
    left = np.empty(count)  # what is still missing to the threshold, in weight
    for node in range(count):
        left[node] = (1.0 - generator.random()) * total[node]  # in (0, total]
    queue = np.empty(count, np.int32)
    size = 0
    for node in seeds:
        rounds[node] = 0
        queue[size] = node
        size += 1
    place = 0
    while place < size:
        node = queue[place]
        place += 1
        for k in range(pointers[node], pointers[node + 1]):
            target = targets[k]
            left[target] -= weights[k]
            # The sum of weights may fall short of the total by rounding.
            if rounds[target] < 0 and weights[k] > 0.0 and left[target] <= 1e-12 * total[target]:
                rounds[target] = rounds[node] + 1
                queue[size] = target
                size += 1


@_compiled
def reverse(
    network: _Network, code: int, rate: float, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets and nodes of reverse-reachable sets (see `contagion.reverse_reachable`).

    Args:
        network: CSR rows of what reaches each node.
        code: number of the model.
        rate: c of an edge's probability 1 - exp(-c w); in SIR times the source's period.
        count: number of sets.
        generator: source of randomness.
    """
    pointers, origins, weights = network
    total = len(pointers) - 1
    offsets = np.zeros(count + 1, np.int64)
    nodes = np.empty(4 * count + 16, np.int32)
    seen = np.full(total, -1, np.int64)
    drawn = np.full(total, -1, np.int64)
    period = np.ones(total)
    size = 0
    for k in range(count):
        begin = size
        root = generator.integers(0, total)
        seen[root] = k
        if size + total + 1 > len(nodes):
            more = np.empty(2 * (size + total + 1), np.int32)
            more[:size] = nodes[:size]
            nodes = more
        nodes[size] = root
        size += 1
        place = begin
        while place < size:
            node = nodes[place]
            place += 1
            first, last = pointers[node], pointers[node + 1]
            if code == _LINEAR_THRESHOLD:
                # One in-edge is live at most, in proportion to the weights (Kempe et al., 2003).
                strength = weights[first:last].sum()
                left = generator.random() * strength
                for position in range(first, last):
                    left -= weights[position]
                    if left < 0.0:
                        origin = origins[position]
                        if seen[origin] != k:
                            seen[origin] = k
                            nodes[size] = origin
                            size += 1
                        break
                continue
            for position in range(first, last):
                origin = origins[position]
                if seen[origin] == k or weights[position] == 0.0:
                    continue
                scale = rate * weights[position]
                if code == _SIR:
                    # All edges that leave a node share its infectious period.
                    if drawn[origin] != k:
                        drawn[origin] = k
                        period[origin] = generator.standard_exponential()
                    scale *= period[origin]
                if generator.standard_exponential() <= scale:
                    seen[origin] = k
                    nodes[size] = origin
                    size += 1
        offsets[k + 1] = size
    return offsets, nodes[:size]
