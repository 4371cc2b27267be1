"""Trajectories made ready for learning: checked, split into roles, smoothed, and judged afterwards.

Shared by the closed form (`fit`) and the neural models (`neural_fit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from graphtide.dynamics.fields import OPERATORS, Coupling, Transform
from graphtide.dynamics.holdout import (
    Holdout,
    last_value,
    linear_interpolation,
    linear_trend,
    relative_error,
)
from graphtide.dynamics.problem import Sample
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.trajectory import Trajectory
from graphtide.weakform.intervals import filled
from graphtide.weakform.smoothing import smooth

__all__ = ["check_trajectories", "errors_by_role", "roles_of", "samples_of", "transformed"]

NOISE_SHARE = 2e-3
"""Noise below this share of a variable's mean size counts as none."""


def samples_of(
    training: Sequence[Trajectory],
    graphs: Sequence[Graph],
    exact_start: bool,
    coupling: Coupling,
    *,
    transform: Transform = "none",
) -> tuple[list[Sample], np.ndarray]:
    """Return the samples and the noise of each variable (zero where there is none to speak of)."""
    readings = [transformed(t.states, transform) for t in training]
    pooled = np.concatenate([r.reshape(-1, r.shape[2]) for r in readings])
    size = np.nanmean(np.abs(pooled), axis=0)
    rough = np.mean(
        [_roughness(t.times, r) for t, r in zip(training, readings, strict=True)], axis=0
    )
    noisy = bool((rough > NOISE_SHARE * size).any())
    noise = np.zeros(len(size))
    samples = []
    for t, r, g in zip(training, readings, graphs, strict=True):
        states = filled(t.times, r)
        if noisy:
            edges = [0, *_jumps(states, rough), len(t.times)]
            for begin, end in pairwise(edges):
                if end - begin >= 8:
                    smoothed = smooth(t.times[begin:end], r[begin:end])
                    noise = np.maximum(noise, smoothed.noise_sd)
                    first = begin + 1 if exact_start and begin == 0 else begin
                    smooth_states = filled(t.times[begin:end], smoothed.states)
                    states[first:end] = smooth_states[first - begin :]
        samples.append(Sample(g.matrix(OPERATORS[coupling]), t.times, states, r, states[0]))
    return samples, noise


def _jumps(states: np.ndarray, noise: np.ndarray) -> list[int]:
    """Return the first times after changes that the times do not resolve; smoothing stops there.

    Such a change takes a state from one time to the next through more than a quarter of its
    variable's range and more than eight times the noise.
    """
    least = np.maximum(0.25 * np.ptp(states, axis=(0, 1)), 8.0 * noise) + 1e-300
    jump = (np.abs(np.diff(states, axis=0)) / least).max(axis=(1, 2)) > 1.0
    return [int(place) + 1 for place in np.flatnonzero(jump)]


def _roughness(times: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return the spread of readings about the cubic through their neighbours, shape (D,).

    For readings with independent noise this is its standard deviation; for smooth series it is the
    (much smaller) error of interpolation. The median over times keeps fast beginnings out of it.
    """
    count = len(times)
    if count < 6:
        return np.zeros(states.shape[2])
    spread = []
    for k in range(2, count - 2):
        place = np.array([k - 2, k - 1, k + 1, k + 2])
        others = times[place]
        weight = np.array(
            [
                np.prod((times[k] - np.delete(others, m)) / (others[m] - np.delete(others, m)))
                for m in range(4)
            ]
        )
        left = states[k] - np.einsum("m,mnd->nd", weight, states[place])
        if np.isnan(left).all(axis=0).any():
            continue
        spread.append(np.sqrt(np.nanmean(left**2, axis=0) / (1.0 + (weight**2).sum())))
    return np.median(np.array(spread), axis=0) if spread else np.zeros(states.shape[2])


def transformed(states: np.ndarray, transform: Transform) -> np.ndarray:
    """Return a copy of the states, or their logarithms."""
    return np.log(states) if transform == "log" else np.array(states)


def roles_of(holdout: Holdout | np.ndarray, trajectory: Trajectory, seed: int) -> np.ndarray:
    """Return the role of each time of a trajectory, shape (T,), of `Role`.

    Raises:
        InputError: the roles given do not fit, or too few times are left to learn from.
    """
    count = len(trajectory.times)
    if isinstance(holdout, Holdout):
        return holdout.roles(count, seed=seed)
    roles = np.asarray(holdout, dtype="<U11")
    if roles.shape != (count,) or not set(roles) <= {"train", "interpolate", "extrapolate"}:
        raise InputError(
            f"roles must be {count} words train, interpolate or extrapolate, one for each time"
        )
    if roles[0] != "train" or (roles == "train").sum() < 4:
        raise InputError("the first time and three more at least must be of role train")
    return roles


def check_trajectories(
    observed: Sequence[Trajectory], graphs: Sequence[Graph], *, unseen_allowed: bool = False
) -> None:
    """Raise unless trajectories and graphs go together.

    Raises:
        InputError: there is none, or as many graphs as trajectories are missing, variables or nodes
            differ, or (unless allowed) a node has no reading.
    """
    if not observed:
        raise InputError("no trajectory was given")
    if len(graphs) != len(observed):
        raise InputError(f"{len(observed)} trajectories came with {len(graphs)} graphs")
    for number, (t, g) in enumerate(zip(observed, graphs, strict=True)):
        where = f"trajectory {number + 1}: " if len(observed) > 1 else ""
        if t.variables != observed[0].variables:
            raise InputError(f"{where}its variables are {t.variables}, not {observed[0].variables}")
        if t.names != g.names:
            raise InputError(
                f"{where}its {len(t.names)} nodes are not the graph's {g.node_count} in the same "
                "order; Trajectory.with_graph brings them into it"
            )
        unseen = np.flatnonzero(~np.all(t.mask.any(axis=0), axis=-1))
        if unseen.size and not unseen_allowed:
            raise InputError(
                f"{where}node '{t.names[unseen[0]]}' has no reading ({unseen.size} such nodes of "
                f"{len(t.names)}); a field needs the states of all nodes, because their neighbours "
                "feel them: leave these nodes out of the graph, or fit a neural model"
            )


def errors_by_role(
    observed: Sequence[Trajectory],
    predicted: Sequence[Trajectory],
    roles: Sequence[np.ndarray],
) -> dict[str, object]:
    """Return the relative errors by role, of the field and of the plain methods."""
    truth: dict[str, list[np.ndarray]] = {}
    guess: dict[str, list[np.ndarray]] = {}
    for t, p, r in zip(observed, predicted, roles, strict=True):
        train = r == "train"
        methods = {
            "relative_error_train": ("train", p.states),
            "relative_error_interpolation": ("interpolate", p.states),
            "relative_error_extrapolation": ("extrapolate", p.states),
        }
        plain = {
            "linear_interpolation_relative_error_interpolation": (
                "interpolate",
                linear_interpolation,
            ),
            "last_value_relative_error_extrapolation": ("extrapolate", last_value),
            "linear_trend_relative_error_extrapolation": ("extrapolate", linear_trend),
        }
        for name, (role, states) in methods.items():
            truth.setdefault(name, []).append(t.states[r == role].ravel())
            guess.setdefault(name, []).append(states[r == role].ravel())
        for name, (role, method) in plain.items():
            states = method(t.times[train], t.states[train], t.times[r == role])
            truth.setdefault(name, []).append(t.states[r == role].ravel())
            guess.setdefault(name, []).append(states.ravel())
    errors: dict[str, object] = {}
    for name, parts in truth.items():
        error = relative_error(np.concatenate(guess[name]), np.concatenate(parts))
        errors[name] = None if np.isnan(error) else error
    return errors
