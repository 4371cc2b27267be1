"""Compiled loops for fits of one variable: roll-outs, their sensitivities and designs.

All take the functions of a family as tables of cubics (breakpoints and table of
`graphtide.weakform.piecewise.PiecewiseBasis`) and the network as CSR rows (pointers, columns,
entries). They are compiled at first use and kept on disk; import this module late, as it brings
Numba with it.
"""

from __future__ import annotations

import numba
import numpy as np

from graphtide.ode.tableaus import TABLEAUS

__all__ = ["LANES", "TABLEAU", "design", "roll_out", "sensitivities"]

LANES = 4
"""Tables for roll-outs have a multiple of this many functions: what one vector register holds."""

_METHOD = TABLEAUS["dormand_prince5"]
_ROWS = [[float(a) for a in row] for row in _METHOD.stages[1:]]
TABLEAU = (
    np.array([row + [0.0] * (7 - len(row)) for row in _ROWS]),
    np.array([float(e) for e in _METHOD.error]),
)
"""Rows of Dormand and Prince's stages, shape (6, 7), and the weights of its error, shape (7,)."""

_Table = tuple[np.ndarray, np.ndarray]
_Network = tuple[np.ndarray, np.ndarray, np.ndarray]

_strict = numba.njit(cache=True, nogil=True, error_model="numpy")
_quick = numba.njit(
    cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"}
)


@_strict
def _piece(breakpoints: np.ndarray, value: float) -> int:
    piece, above = 0, len(breakpoints)
    while piece < above:
        middle = (piece + above) // 2
        if breakpoints[middle] < value:
            piece = middle + 1
        else:
            above = middle
    return piece


@_quick
def _functions(basis: _Table, value: float, result: np.ndarray, row: int) -> None:
    """Write the functions at a value into one row of ``result``."""
    breakpoints, table = basis
    piece = _piece(breakpoints, value)
    step = value - breakpoints[max(piece - 1, 0)]
    for f in range(table.shape[2]):
        high = table[piece, 3, f] * step + table[piece, 2, f]
        result[row, f] = (high * step + table[piece, 1, f]) * step + table[piece, 0, f]


@_quick
def _slopes(basis: _Table, value: float, result: np.ndarray, row: int) -> None:
    """Write the functions' derivatives at a value into one row of ``result``."""
    breakpoints, table = basis
    piece = _piece(breakpoints, value)
    step = value - breakpoints[max(piece - 1, 0)]
    for f in range(table.shape[2]):
        high = 3.0 * table[piece, 3, f] * step + 2.0 * table[piece, 2, f]
        result[row, f] = high * step + table[piece, 1, f]


@_quick
def _rates(
    network: _Network,
    own: _Table,
    receiver: _Table,
    sender: _Table,
    state: np.ndarray,
    sent: np.ndarray,
    weight: np.ndarray,
    slopes: np.ndarray,
    stage: int,
) -> None:
    """Write F(x_i) + sum_r psi_r(x_i) sum_j A_ij chi_r(x_j) into ``slopes[stage]`` (N,)."""
    pointer, column, entry = network
    lanes = sender[1].shape[2]
    for i in range(len(state)):
        _functions(sender, state[i], weight, 0)
        for r in range(0, lanes, 4):
            for lane in range(4):
                sent[r // 4, i, lane] = weight[0, r + lane]
    for i in range(len(state)):
        _functions(own, state[i], weight, 0)
        total = weight[0, 0]
        _functions(receiver, state[i], weight, 0)
        for r in range(0, lanes, 4):
            block = sent[r // 4]
            a = b = c = d = 0.0
            for e in range(pointer[i], pointer[i + 1]):
                j, w = column[e], entry[e]
                a += w * block[j, 0]
                b += w * block[j, 1]
                c += w * block[j, 2]
                d += w * block[j, 3]
            total += weight[0, r] * a + weight[0, r + 1] * b
            total += weight[0, r + 2] * c + weight[0, r + 3] * d
        slopes[stage, i] = total


@_strict
def roll_out(
    network: _Network,
    own: _Table,
    receiver: _Table,
    sender: _Table,
    tableau: _Table,
    times: np.ndarray,
    control: tuple[float, float, float, float],
    states: np.ndarray,
    path: np.ndarray,
    sizes: np.ndarray,
    ends: np.ndarray,
) -> tuple[bool, int]:
    """Integrate; return whether it was lost, and the steps taken.

    ``control`` holds lowest and highest state, absolute and relative tolerance. ``states`` (T, N)
    begins with the start; ``path`` (M + 1, 2, N) receives the states and slopes at the ends of the
    steps, ``sizes`` (M,) their lengths, ``ends`` (T - 1,) how many had been taken at each time. M
    is the number of trials after which the roll-out counts as lost.
    """
    low, high, absolute, relative = control
    stages, error_weights = tableau
    count, lanes = states.shape[1], sender[1].shape[2]
    sent, weight = np.empty((lanes // 4, count, 4)), np.empty((1, lanes))
    slopes = np.empty((7, count))
    state, trial = states[0].copy(), np.empty(count)
    _rates(network, own, receiver, sender, state, sent, weight, slopes, 0)
    path[0, 0], path[0, 1] = state, slopes[0]
    span = times[-1] - times[0]
    size, trials, taken = 1e-3 * span, 0, 0
    for k in range(len(times) - 1):
        now, end = times[k], times[k + 1]
        while now < end - 1e-12 * (abs(end) + abs(times[k])):
            trials += 1
            if trials > len(sizes):
                return True, taken
            step = end - now
            if step > size:
                step /= np.ceil(step / size * (1 - 1e-9))
            for s in range(6):
                for i in range(count):
                    total = 0.0
                    for m in range(s + 1):
                        total += stages[s, m] * slopes[m, i]
                    trial[i] = state[i] + step * total
                _rates(network, own, receiver, sender, trial, sent, weight, slopes, s + 1)
            squares, inside = 0.0, True
            for i in range(count):
                total = 0.0
                for m in range(7):
                    total += error_weights[m] * slopes[m, i]
                scale = absolute + relative * max(abs(state[i]), abs(trial[i]))
                squares += (step * total / scale) ** 2
                inside = inside and low <= trial[i] <= high
            error = np.sqrt(squares / count)
            if not (inside and np.isfinite(error)):
                size = 0.2 * step
                if size < 1e-9 * span or error <= 1.0:
                    return True, taken
                continue
            factor = min(5.0, max(0.2, 0.9 * (error + 1e-16) ** -0.2))
            if error > 1.0:
                size = step * factor
                continue
            now += step
            state[:], slopes[0] = trial, slopes[6]
            sizes[taken] = step
            taken += 1
            path[taken, 0], path[taken, 1] = state, slopes[0]
            size = max(size, step * factor) if factor > 1.0 else step * factor
        states[k + 1] = state
        ends[k] = taken
    return False, taken


@_quick
def _applied(
    network: _Network,
    entry: np.ndarray,
    diagonal: np.ndarray,
    values: np.ndarray,
    result: np.ndarray,
) -> None:
    """Write J values into ``result``, both (N, P), for J with these entries."""
    pointer, column, _ = network
    width = values.shape[1]
    for i in range(values.shape[0]):
        for p in range(width):
            result[i, p] = diagonal[i] * values[i, p]
        for e in range(pointer[i], pointer[i + 1]):
            j, w = column[e], entry[e]
            for p in range(width):
                result[i, p] += w * values[j, p]


@_quick
def _linearised(
    network: _Network,
    bases: tuple[_Table, _Table, _Table],
    weights: np.ndarray,
    pair: np.ndarray,
    state: np.ndarray,
    sent: np.ndarray,
    sent_slope: np.ndarray,
    room: np.ndarray,
    diagonal: np.ndarray,
    entry: np.ndarray,
    terms: np.ndarray,
) -> float:
    """Write J's diagonal (N,) and entries (E,) and df/dc (N, P) at a state; return J's bound."""
    pointer, column, values = network
    own, receiver, sender = bases
    receivers, senders = pair.shape
    first = len(weights)
    received, received_slope, message, response, own_slope = 0, 1, 2, 3, 4
    for i in range(len(state)):
        _functions(sender, state[i], sent, i)
        _slopes(sender, state[i], sent_slope, i)
    largest = 0.0
    for i in range(len(state)):
        _functions(own, state[i], terms, i)
        _slopes(own, state[i], room, own_slope)
        _functions(receiver, state[i], room, received)
        _slopes(receiver, state[i], room, received_slope)
        slope = 0.0
        for f in range(first):
            slope += weights[f] * room[own_slope, f]
        room[message, :senders] = 0.0
        for e in range(pointer[i], pointer[i + 1]):
            j, w = column[e], values[e]
            for b in range(senders):
                room[message, b] += w * sent[j, b]
        for b in range(senders):
            total = 0.0
            for a in range(receivers):
                total += room[received, a] * pair[a, b]
                slope += room[received_slope, a] * pair[a, b] * room[message, b]
                terms[i, first + a * senders + b] = room[received, a] * room[message, b]
            room[response, b] = total
        bound = abs(slope)
        for e in range(pointer[i], pointer[i + 1]):
            j, total = column[e], 0.0
            for b in range(senders):
                total += room[response, b] * sent_slope[j, b]
            entry[e] = values[e] * total
            bound += abs(entry[e])
        diagonal[i] = slope
        largest = max(largest, bound)
    return largest


@_quick
def sensitivities(
    network: _Network,
    bases: tuple[_Table, _Table, _Table],
    weights: np.ndarray,
    pair: np.ndarray,
    path: np.ndarray,
    sizes: np.ndarray,
    ends: np.ndarray,
    parts: int,
    result: np.ndarray,
) -> None:
    """Write dx/dc (T, N, P) along a path; each of its steps is cut into ``parts``.

    A step holds J and df/dc at its middle (cubic Hermite interpolation of the path) and takes
    S + h v + h^2/2 J v + h^3/10 J^2 v with v = J S + df/dc: second order, stable wherever
    Dormand-Prince 5(4) is on the negative axis; the last term only where h J is large.
    """
    count, width = result.shape[1], result.shape[2]
    receivers, senders = pair.shape
    sent, sent_slope = np.empty((count, senders)), np.empty((count, senders))
    room = np.empty((5, max(len(weights), receivers, senders)))
    diagonal, entry = np.empty(count), np.empty(len(network[1]))
    terms, here, middle = np.empty((count, width)), np.zeros((count, width)), np.empty(count)
    one, two = np.empty((count, width)), np.empty((count, width))
    result[0] = 0.0
    number = 0
    for k in range(len(ends)):
        while number < ends[k]:
            length = sizes[number]
            step = length / parts
            for part in range(parts):
                at = (part + 0.5) / parts
                for i in range(count):
                    left, right = path[number, 0, i], path[number + 1, 0, i]
                    rise, fall = path[number, 1, i], path[number + 1, 1, i]
                    middle[i] = (1 - at) ** 2 * ((1 + 2 * at) * left + at * length * rise)
                    middle[i] += at**2 * ((3 - 2 * at) * right - (1 - at) * length * fall)
                bound = _linearised(
                    network, bases, weights, pair, middle, sent, sent_slope, room,
                    diagonal, entry, terms,
                )  # fmt: skip
                _applied(network, entry, diagonal, here, one)
                for i in range(count):
                    for p in range(width):
                        one[i, p] += terms[i, p]
                        here[i, p] += step * one[i, p]
                _applied(network, entry, diagonal, one, two)
                for i in range(count):
                    for p in range(width):
                        here[i, p] += 0.5 * step * step * two[i, p]
                if step * bound > 1.0:
                    _applied(network, entry, diagonal, two, one)
                    for i in range(count):
                        for p in range(width):
                            here[i, p] += 0.1 * step**3 * one[i, p]
            number += 1
        result[k + 1] = here


@_quick
def design(
    network: _Network,
    pick: np.ndarray,
    weights: np.ndarray,
    own: np.ndarray,
    received: np.ndarray,
    sent: np.ndarray,
    result: np.ndarray,
) -> None:
    """Write the integrals of a family's terms over one interval into ``result`` (n, P).

    ``own`` (Q, n, f) and ``received`` (Q, n, a) are the functions at the picked nodes and Q points
    in time of ``weights`` (Q,); ``sent`` (Q, N, b) at all nodes.
    """
    pointer, column, entry = network
    first, receivers, senders = own.shape[2], received.shape[2], sent.shape[2]
    message = np.empty(senders)
    for n in range(len(pick)):
        i = pick[n]
        result[n] = 0.0
        for q in range(len(weights)):
            for f in range(first):
                result[n, f] += weights[q] * own[q, n, f]
            message[:] = 0.0
            for e in range(pointer[i], pointer[i + 1]):
                j, w = column[e], entry[e]
                for b in range(senders):
                    message[b] += w * sent[q, j, b]
            for a in range(receivers):
                factor = weights[q] * received[q, n, a]
                for b in range(senders):
                    result[n, first + a * senders + b] += factor * message[b]
