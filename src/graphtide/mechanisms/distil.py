"""Distilling: the symbols of a law read out of a learned field.

A field gives dx_i/dt at any state, so no derivative of data and no weak form is needed: the field
is sampled on the states that it visits, and its rates are the left-hand sides of a search over the
same library, on the same Gram matrices, as in discovery. Where the members of an ensemble disagree
the field does not know, and rows weigh by

    1 / (s + f),   s the members' spread of the rate, f a share of the rate's size,

so what was hardly seen does not decide. The search ends at the fewest terms that leave no more
unexplained than the members differ, or at fewer where their law, rolled out from the field's own
start, meets the readings as well as the field does: what is finer is the field's error. Members
often agree on an error that they share, and further terms would imitate it. A coefficient's
standard error joins the spread of the coefficients fitted to each member with that between nodes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from graphtide.equation import Equation
from graphtide.errors import ComputationError, InputError
from graphtide.graph import Graph
from graphtide.mechanisms.bootstrap import roll_out
from graphtide.mechanisms.candidates import Candidate, TermSet, evaluate
from graphtide.mechanisms.discovery import Discovery, FoundTerm, Law
from graphtide.mechanisms.inner import refine
from graphtide.mechanisms.lawsearch import best_library, checked_terms, weak_fit
from graphtide.mechanisms.notes import reader_notes
from graphtide.mechanisms.rows import Sample, grams
from graphtide.mechanisms.search import Support, chosen_size, identities, rivals, simplest
from graphtide.trajectory import Trajectory
from graphtide.vector_field import VectorField
from graphtide.weakform.smoothing import Smoothed
from graphtide.weakform.test_functions import bumps

__all__ = ["FieldSample", "distil", "field_sample"]

FEWEST_STATES = 20
DOUBT = 4.0
"""Mean square that may be left, in those of the members' differences from the field."""
AS_WELL = 1.1
"""A law meets the readings as well as the field whose distance from them is at most this of it."""
FLOOR = 1e-3
"""f as a share of a variable's root mean square rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSample(Sample):
    """A sample whose left-hand sides are the rates of a field at the states of a trajectory.

    Attributes:
        rates: shape (M, N, D).
        weight: by which rows are multiplied, shape (M, N, D).
        members: rates of each member of the ensemble, shape (E, M, N, D).
        readings: what the field is to meet, shape (M, N, D); NaN where nothing was read.
    """

    rates: np.ndarray
    weight: np.ndarray
    members: np.ndarray
    readings: np.ndarray

    def own_left(self, d: int) -> np.ndarray:
        """Return the weighted rates of variable d, shape (M, nodes)."""
        return self.rates[:, :, d] * self.weight[:, :, d]

    def own_rows(self, candidates: Sequence[Candidate]) -> np.ndarray:
        """Return the weighted candidates, shape (M, nodes, P).

        The weights of all variables are alike here: those of the least known one.
        """
        columns = evaluate(candidates, self.states(), self.graph)
        return np.moveaxis(columns, 0, -1) * self.weight[:, :, :1]

    def of_member(self, place: int) -> FieldSample:
        """Return the sample of one member's rates."""
        return replace(self, rates=self.members[place])

    def distance(self, states: np.ndarray) -> np.ndarray:
        """Return the sum of squares between states (M, N, D) and the readings, shape (D,)."""
        return np.nansum((states - self.readings) ** 2, axis=(0, 1))


def field_sample(
    field: VectorField,
    trajectory: Trajectory,
    graph: Graph,
    members: Sequence[VectorField] = (),
    readings: np.ndarray | None = None,
) -> FieldSample:
    """Sample a field, and its ensemble, on the states of a trajectory.

    Args:
        field: the learned field.
        trajectory: the field's own roll-out.
        graph: its network.
        members: the ensemble's fields.
        readings: what was read at the same times, best only what was kept from learning, shape
            (M, N, D), NaN elsewhere; None where there are none.

    Raises:
        InputError: there are fewer than 20 times, a state is missing, the field has other
            variables, or the readings another shape.
    """
    if len(trajectory.times) < FEWEST_STATES:
        raise InputError(
            f"{len(trajectory.times)} times are too few to find a law; at least {FEWEST_STATES} "
            "are needed"
        )
    if trajectory.variables != field.variables:
        raise InputError(
            f"the states are {', '.join(trajectory.variables)}, the field's variables are "
            f"{', '.join(field.variables)}"
        )
    if np.isnan(trajectory.states).any():
        raise InputError("a state of the trajectory is missing: a field is sampled at whole states")
    states = np.array(trajectory.states)
    if readings is None:
        readings = np.full(states.shape, np.nan)
    if readings.shape != states.shape:
        raise InputError(
            f"the readings have the shape {readings.shape}, the states {states.shape}: one reading "
            "is needed for each state (NaN where nothing was read)"
        )
    rates = _rates(field, trajectory.times, states, graph)
    every = np.array([_rates(m, trajectory.times, states, graph) for m in members])
    spread = every.std(axis=0) if len(every) > 1 else np.zeros_like(rates)
    size = np.sqrt(np.mean(rates**2, axis=(0, 1)))
    if not (np.isfinite(rates).all() and (size > 0).any()):
        raise InputError("nothing moves in the learned field, so no law can be read out of it")
    floor = FLOOR * np.where(size > 0, size, size.max())
    relative = (np.where(np.isfinite(spread), spread, np.inf) + floor) / floor
    weight = np.repeat(1.0 / relative.max(axis=-1, keepdims=True), states.shape[2], axis=-1)
    count = len(trajectory.times)
    smoothed = Smoothed(
        trajectory.times, states, np.zeros(states.shape[2]), np.full(states.shape[2], float(count))
    )
    tests = bumps(trajectory.times[0], trajectory.times[-1], count)
    nodes = np.arange(states.shape[1])
    return FieldSample(
        graph, trajectory, smoothed, states, tests, nodes,
        rates=rates, weight=weight, members=every, readings=readings,
    )  # fmt: skip


def distil(
    samples: Sequence[FieldSample],
    *,
    terms: TermSet | str = "all",
    progress: Callable[[float, str], None] | None = None,
) -> Discovery:
    """Find the law that a learned field holds.

    Args:
        samples: the field on the states of one or several trajectories.
        terms: "all" candidates, or "polynomial" ones only.
        progress: called with the share done and what is being done.

    Raises:
        InputError: there is no sample, or ``terms`` is neither.
        ComputationError: the coefficients of the chosen terms cannot be told apart, or no
            candidate explains the field.
    """
    began = time.perf_counter()
    report = progress or (lambda _share, _text: None)
    if not samples:
        raise InputError("no sample of a field was given")
    asked = checked_terms(terms, ())
    variables = samples[0].observed.variables
    report(0.1, "searching")
    candidates, node_grams, supports = best_library(samples, asked, ())
    doubts = [_doubt(samples, d) for d in range(len(variables))]
    sizes = []
    for found, doubt in zip(supports, doubts, strict=True):
        good = [k for k, s in enumerate(found) if np.exp(s.log_residual) <= DOUBT * doubt]
        sizes.append(min([chosen_size(found), *good]))
    report(0.3, "rolling out")
    sizes = _as_well_as_the_field(samples, candidates, supports, sizes)
    for d, size in enumerate(sizes):
        supports[d][size] = simplest(candidates, node_grams[d], supports[d][size])
    chosen = [
        [candidates[p] for p in found[size].terms]
        for found, size in zip(supports, sizes, strict=True)
    ]
    left = np.exp(supports[0][sizes[0]].log_residual)
    if terms == "all" and len(variables) == 1 and left > DOUBT * doubts[0]:
        report(0.5, "fitting inner parameters")
        places = [s.terms for s in supports[0]]
        chosen[0] = refine(samples, 0, candidates, places, places[sizes[0]])
    if not any(chosen):
        raise ComputationError("no candidate of the library explains the learned field")
    report(0.8, "fitting coefficients to each member")
    laws = []
    for d, variable in enumerate(variables):
        fit = weak_fit(samples, d, chosen[d])
        again = np.array(
            [
                weak_fit([s.of_member(e) for s in samples], d, chosen[d]).coefficients
                for e in range(len(samples[0].members))
            ]
        )
        spread = again.std(axis=0, ddof=1) if len(again) > 1 else np.zeros_like(fit.coefficients)
        found = tuple(
            FoundTerm(term.text, float(value), float(np.hypot(error, wide)), None)
            for term, value, error, wide in zip(
                chosen[d], fit.coefficients, fit.standard_errors, spread, strict=True
            )
        )
        near = tuple(rivals(*node_grams[d].total(), supports[d][sizes[d]]))
        laws.append(Law(variable, found, tuple(supports[d]), sizes[d], fit.log_residual, near))
    equation = Equation.from_terms(
        variables,
        {
            law.variable: [(t.coefficient, t.text, t.standard_error) for t in law.terms]
            for law in laws
        },
    )
    report(0.9, "rolling out")
    result = Discovery(
        equation=equation,
        laws=tuple(laws),
        candidates=tuple(candidates),
        samples=tuple(samples),
        predicted=roll_out(equation, samples[0]),
        identities=tuple(identities(grams(samples, candidates)[0].total()[0])),
        bias_corrected=True,
        seconds=time.perf_counter() - began,
        notes=(),
    )
    return result.with_notes(
        [
            "Read out of a learned field on the states that it visits: the law is that of the "
            "field, which may differ from the data's; standard errors are those of its ensemble.",
            *reader_notes(result),
        ]
    )


def _as_well_as_the_field(
    samples: Sequence[FieldSample],
    candidates: Sequence[Candidate],
    supports: Sequence[Sequence[Support]],
    sizes: Sequence[int],
) -> list[int]:
    """Return the fewest terms, variable by variable, with which a law meets the readings as well.

    ``sizes`` are kept where no smaller law does, and where there are no readings.
    """
    of_field = sum(sample.distance(sample.observed.states) for sample in samples)
    result = list(sizes)
    if not np.any(of_field):
        return result
    for d, most in enumerate(sizes):
        for size in range(most):
            tried = [*result[:d], size, *result[d + 1 :]]
            chosen = [
                [candidates[p] for p in found[k].terms]
                for found, k in zip(supports, tried, strict=True)
            ]
            states = _states(samples, chosen)
            if states is None:
                continue
            apart = sum(sample.distance(x) for sample, x in zip(samples, states, strict=True))
            if np.all(apart <= AS_WELL**2 * of_field):
                result[d] = size
                break
    return result


def _states(
    samples: Sequence[FieldSample], chosen: Sequence[Sequence[Candidate]]
) -> list[np.ndarray] | None:
    """Return the roll-outs of a law with these terms; None where it runs off or is not unique."""
    variables = samples[0].observed.variables
    try:
        equation = Equation.from_terms(
            variables,
            {
                variable: [
                    (float(value), term.text, None)
                    for term, value in zip(
                        terms, weak_fit(samples, d, terms).coefficients, strict=True
                    )
                ]
                for d, (variable, terms) in enumerate(zip(variables, chosen, strict=True))
            },
        )
    except ComputationError:
        return None
    states = [roll_out(equation, sample) for sample in samples]
    return None if any(x is None for x in states) else states  # pyright: ignore[reportReturnType]


def _doubt(samples: Sequence[FieldSample], d: int) -> float:
    """Return the mean square difference of the members from the field, as a share of the rates'.

    By node, as the Gram matrices weigh nodes; 0 without members.
    """
    shares = []
    for sample in samples:
        if len(sample.members) < 2:
            return 0.0
        weight = sample.weight[:, :, d]
        apart = (weight * (sample.members[..., d] - sample.rates[..., d])) ** 2  # (E, M, N)
        moving = (sample.left(d) ** 2).sum(axis=0)
        floor = 0.01 * np.median(moving[moving > 0]) if (moving > 0).any() else 1.0
        scaled = np.maximum(moving, floor)
        shares.append(
            float((apart.mean(axis=0).sum(axis=0) / scaled).sum() / (moving / scaled).sum())
        )
    return float(np.mean(shares))


def _rates(field: VectorField, times: np.ndarray, states: np.ndarray, graph: Graph) -> np.ndarray:
    """Return the rates of a field at states (M, N, D), time by time."""
    rhs = field.on(graph)
    with torch.no_grad():
        return np.stack(
            [
                rhs(torch.tensor(float(t), dtype=torch.float64), torch.tensor(x)).numpy()
                for t, x in zip(times, states, strict=True)
            ]
        )
