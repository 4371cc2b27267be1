"""Compiled loops of exact stochastic epidemics; import this module late, as it brings Numba.

The infectious node j infects its susceptible neighbour i at rate beta A_ij; an exposed node becomes
infectious at rate sigma, an infectious one recovers at rate gamma. Times are exponential, so every
event is drawn once and handled in its order:

- Without reinfection (SI, SIR, SEIR) each edge matters once. A node draws its whole course when it
  is infected, and a delay for each susceptible neighbour; the earliest delay within its infectious
  period counts (Kiss, Miller & Simon, Mathematics of Epidemics on Networks, 2017, appendix A).
- With reinfection (SIS) an infectious node makes contacts as a Poisson process of rate
  beta sum_i A_ij, each with a neighbour drawn in proportion to its weight; a contact with an
  infected neighbour changes nothing. One entry a node waits in the queue.
"""

from __future__ import annotations

import numba
import numpy as np

from graphtide.spread.heap import pop, push, replace_first

__all__ = ["occupancy", "once", "state_counts", "with_reinfection"]

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")

SUSCEPTIBLE, EXPOSED, INFECTIOUS, RECOVERED = 0, 1, 2, 3


@_compiled
def _grown(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return arrays of twice the room."""
    more_keys = np.empty(2 * len(keys), keys.dtype)
    more_values = np.empty(2 * len(values), values.dtype)
    more_keys[: len(keys)] = keys
    more_values[: len(values)] = values
    return more_keys, more_values


@_compiled
def once(
    network: tuple[np.ndarray, np.ndarray, np.ndarray],
    rates: tuple[float, float, float],
    state: np.ndarray,
    span: tuple[float, float],
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return one outbreak in which nobody is infected twice.

    Args:
        network: CSR rows of what leaves each node: pointers (N + 1,), targets (E,), weights (E,).
        rates: beta; sigma (infinite where there is no exposed state); gamma (0: no recovery).
        state: (N,) at the start: 0 susceptible, 1 exposed, 2 infectious, 3 recovered.
        span: first and last time.
        generator: source of randomness.

    Returns:
        infected, infectious, recovered: times, shape (N,), infinite where it never happens; the
        first time for nodes that began so, minus infinity where they had recovered before.
        source: (N,), the node that transmitted, -1 where none did.
    """
    pointers, targets, weights = network
    beta, sigma, gamma = rates
    first, last = span
    count = len(state)
    infected = np.full(count, np.inf)
    infectious = np.full(count, np.inf)
    recovered = np.full(count, np.inf)
    source = np.full(count, -1, np.int32)
    keys = np.empty(max(1024, count // 4))
    nodes = np.empty(max(1024, count // 4), np.int32)
    size = 0
    for node in range(count):
        if state[node] == RECOVERED:
            infected[node] = infectious[node] = recovered[node] = -np.inf
        elif state[node] != SUSCEPTIBLE:
            infected[node] = first
            if size == len(keys):
                keys, nodes = _grown(keys, nodes)
            push(keys, nodes, size, first, node)
            size += 1
    while size > 0:
        now, node = keys[0], nodes[0]
        pop(keys, nodes, size)
        size -= 1
        if now > infected[node] or infectious[node] < np.inf:
            continue  # it was infected before, by another
        start = now
        if sigma < np.inf and state[node] != INFECTIOUS:
            start += generator.standard_exponential() / sigma
        infectious[node] = start
        duration = generator.standard_exponential() / gamma if gamma > 0.0 else np.inf
        recovered[node] = start + duration
        if start > last:
            continue
        reach = min(duration, last - start)
        for place in range(pointers[node], pointers[node + 1]):
            target = targets[place]
            best = infected[target]
            if best <= start:
                continue
            delay = generator.standard_exponential() / (beta * weights[place])
            if delay <= reach and start + delay < best:
                infected[target] = start + delay
                source[target] = node
                if size == len(keys):
                    keys, nodes = _grown(keys, nodes)
                push(keys, nodes, size, start + delay, target)
                size += 1
    return infected, infectious, recovered, source


@_compiled
def _place(times: np.ndarray, value: float) -> int:
    """Return the number of times before ``value``: the first time at which it has happened."""
    low, high = 0, len(times)
    while low < high:
        middle = (low + high) // 2
        if times[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@_compiled
def state_counts(
    times: np.ndarray, infected: np.ndarray, infectious: np.ndarray, recovered: np.ndarray
) -> np.ndarray:
    """Return how many nodes are S, E, I and R at each time, shape (T, 4), int64."""
    moments = len(times)
    change = np.zeros((moments + 1, 4), np.int64)
    for node in range(len(infected)):
        change[0, SUSCEPTIBLE] += 1
        for stage, when in (
            (EXPOSED, infected[node]),
            (INFECTIOUS, infectious[node]),
            (RECOVERED, recovered[node]),
        ):
            place = _place(times, when)
            change[place, stage] += 1
            change[place, stage - 1] -= 1
    for k in range(1, moments):
        change[k] += change[k - 1]
    return change[:moments]


@_compiled
def occupancy(
    times: np.ndarray,
    infected: np.ndarray,
    infectious: np.ndarray,
    recovered: np.ndarray,
    total: np.ndarray,
) -> None:
    """Add each node's state at each time to ``total``, shape (T, N, 4)."""
    for node in range(len(infected)):
        exposed = _place(times, infected[node])
        begun = _place(times, infectious[node])
        ended = _place(times, recovered[node])
        for k in range(len(times)):
            stage = SUSCEPTIBLE
            if k >= ended:
                stage = RECOVERED
            elif k >= begun:
                stage = INFECTIOUS
            elif k >= exposed:
                stage = EXPOSED
            total[k, node, stage] += 1


@_compiled
def with_reinfection(
    network: tuple[np.ndarray, np.ndarray, np.ndarray],
    rates: tuple[float, float],
    state: np.ndarray,
    times: np.ndarray,
    generator: np.random.Generator,
    total: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return one course of an epidemic in which the recovered are susceptible again (SIS).

    Args:
        network: CSR rows of what leaves each node: pointers (N + 1,), targets (E,), and the running
            sum of the weights within each row (E,).
        rates: beta, and delta of recovery.
        state: (N,) at the start: 0 susceptible, 2 infectious.
        times: (T,) at which infected nodes are counted.
        generator: source of randomness.
        total: (T, N), to which each node's being infected at each time is added; (0, 0) for none.

    Returns:
        infected: (T,) number of infected nodes.
        node, time, recovery, source of every infection, in order: the time is the first one for
        nodes that began infected (source -1), the recovery may lie beyond the last time.
    """
    pointers, targets, running = network
    beta, delta = rates
    count, moments = len(state), len(times)
    last = times[-1]
    recovery = np.full(count, -np.inf)
    keys = np.empty(count + 1)
    queue = np.empty(count + 1, np.int32)
    counted = np.zeros(moments, np.int64)
    room = 1024
    event_node, event_source = np.empty(room, np.int32), np.empty(room, np.int32)
    event_time, event_recovery = np.empty(room), np.empty(room)
    size = events = alive = moment = 0
    seed = 0
    while True:
        # The next infection: of the nodes that begin infected, then of those that a contact meets.
        now, node, origin = float(times[0]), -1, -1
        if seed < count:
            if state[seed] == INFECTIOUS:
                node = seed
            seed += 1
        elif size > 0:
            now, origin = float(keys[0]), int(queue[0])
            if now > last:
                break
            while moment < moments and times[moment] < now:
                counted[moment] = alive
                if total.shape[0] > 0:
                    for i in range(count):
                        if recovery[i] >= now:
                            total[moment, i] += 1
                moment += 1
            if now >= recovery[origin]:
                pop(keys, queue, size)
                size -= 1
                alive -= 1
                recovery[origin] = -np.inf
                continue
            begin, end = pointers[origin], pointers[origin + 1]
            strength = float(running[end - 1])
            following = now + generator.standard_exponential() / (beta * strength)
            replace_first(keys, queue, size, min(following, recovery[origin]), origin)
            chosen = _place(running[begin:end], generator.random() * strength)
            target = int(targets[begin + chosen])
            if recovery[target] == -np.inf:
                node = target
        else:
            break
        if node < 0:
            continue
        duration = generator.standard_exponential() / delta if delta > 0.0 else np.inf
        recovery[node] = now + duration
        strength = 0.0
        if pointers[node + 1] > pointers[node]:
            strength = beta * float(running[pointers[node + 1] - 1])
        contact = now + generator.standard_exponential() / strength if strength > 0.0 else np.inf
        push(keys, queue, size, min(contact, recovery[node]), int(node))
        size += 1
        alive += 1
        if events == len(event_node):
            event_time, event_node = _grown(event_time, event_node)
            event_recovery, event_source = _grown(event_recovery, event_source)
        event_node[events], event_source[events] = node, origin
        event_time[events], event_recovery[events] = now, recovery[node]
        events += 1
    while moment < moments:
        counted[moment] = alive
        if total.shape[0] > 0:
            for i in range(count):
                if recovery[i] > times[moment]:
                    total[moment, i] += 1
        moment += 1
    return (
        counted,
        event_node[:events],
        event_time[:events],
        event_recovery[:events],
        event_source[:events],
    )
