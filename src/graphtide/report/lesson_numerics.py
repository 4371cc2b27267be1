"""The page of ``lesson numerics``: what methods cost, what they keep, and a law that is learned."""

from __future__ import annotations

import numpy as np
import pandas

from graphtide.report.content import Figure, Page, Section, number
from graphtide.report.figures import INK, canvas, formula, svg_of
from graphtide.report.lesson_figures import (
    COLOURS,
    METHOD_NAMES,
    NETWORKS,
    by_name,
    convergence,
    count_axis,
    groups,
    legend,
    network_table,
    numbers,
    slopes,
    where,
)
from graphtide.report.provenance import provenance
from graphtide.run import Run

__all__ = ["lesson_numerics_page"]

_NAMES = ("plain", "residual", "differential", "Hamiltonian")
_LABELS = ("evaluations of the right-hand side", "relative error")
_ERROR = 1e-4
_IN_WORDS = {
    "euler": "Euler's method",
    "rk4": "the classical Runge-Kutta method",
    "dormand_prince5": "Dormand and Prince's explicit method",
    "runge_kutta_chebyshev": "the stabilised Chebyshev method",
    "kennedy_carpenter4": "Kennedy and Carpenter's implicit method",
}
_STIFF = (r"dy/dt = -1000\,(y - g(t)) + g'(t), \quad g(t) = (\cos t,\ \sin t)",)
_PENDULUM = (r"dq/dt = p, \quad dp/dt = -\sin q, \qquad H = p^2/2 - \cos q",)
_LEARNED = (
    r"\mathrm{plain:}\quad x \leftarrow g(x) \qquad \mathrm{residual:}\quad x \leftarrow x + f(x)",
    r"\mathrm{differential:}\quad dx/dt = f(x) \qquad "
    r"\mathrm{Hamiltonian:}\quad dq/dt = v(p),\ \ dp/dt = f(q)",
)


def lesson_numerics_page(run: Run) -> Page:
    """Return the page of the lesson."""
    work, drifts, networks = (run.read_table(name) for name in ("work", "drifts", "networks"))
    kept = by_name(networks, "energy_error")
    relaxation, swing = (where(work, "system", name) for name in ("stiff", "pendulum"))
    best, worst = (choose(kept, key=lambda name: kept[name]) for choose in (min, max))
    stiff = _cheapest(relaxation)
    cheap, dear = (choose(stiff, key=lambda name: stiff[name]) for choose in (min, max))
    lead = (
        f"On a stiff system {_IN_WORDS[cheap]} reaches an error of {_ERROR:g} with "
        f"{stiff[cheap]:,.0f} evaluations, {_IN_WORDS[dear]} needs {stiff[dear]:,.0f}. On a "
        "pendulum the methods that keep areas keep the energy too. And what a network learns of "
        f"the pendulum depends on the same choice: run for long, the {best} network is off the "
        f"true energy by {number(kept[best], 2)} at most, the {worst} one by "
        f"{number(kept[worst], 2)}."
    )
    sections = (
        _stiff(relaxation, stiff),
        _pendulum(run, swing, drifts),
        _learned(run, networks),
        _halved(run.read_table("halving")),
    )
    return Page("What a numerical method costs and keeps", lead, sections, provenance(run))


def _cheapest(work: pandas.DataFrame) -> dict[str, float]:
    """Return the fewest evaluations of each method that reaches the error."""
    found = {}
    for method, rows in groups(work, "method"):
        evaluations = numbers(rows, "evaluations")[numbers(rows, "error") <= _ERROR]
        if evaluations.size:
            found[method] = float(evaluations.min())
    return found


def _stiff(work: pandas.DataFrame, cheapest: dict[str, float]) -> Section:
    figure, (axis,) = canvas(width=8.0, height=3.6)
    convergence(axis, work, "evaluations", "error", _LABELS)
    legend(axis, "right")
    listed = ", ".join(f"{METHOD_NAMES[name]} {n:,.0f}" for name, n in cheapest.items())
    caption = (
        f"Work and precision: each mark is one run. Fewest evaluations for an error of {_ERROR:g}: "
        f"{listed}."
    )
    return Section(
        "A stiff system",
        (
            "The solution is a slow cosine and sine, but whatever leaves it is pulled back a "
            "thousand times faster. An explicit method must take steps below that fast time or its "
            "error grows without bound, however smooth the solution is: its marks start far to the "
            "right. An implicit method is free of this; a stabilised explicit one pays only the "
            "square root.",
        ),
        (Figure(svg_of(figure), caption, caption, work, "work_stiff"),),
        law=formula(_STIFF),
    )


def _pendulum(run: Run, work: pandas.DataFrame, drifts: pandas.DataFrame) -> Section:
    figure, (axis,) = canvas(width=8.0, height=3.6)
    convergence(axis, work, "evaluations", "error", _LABELS)
    legend(axis, "right")
    cheapest = _cheapest(work)
    best = min(cheapest, key=lambda name: cheapest[name])
    first = (
        "Error after 20 units of time. Measured orders of the methods of fixed step: "
        f"{slopes(where(work, 'setting', 'steps'), 'evaluations', 'error')}. The fewest "
        f"evaluations for an error of {_ERROR:g}: {METHOD_NAMES[best]} {cheapest[best]:,.0f}."
    )
    arrays = run.read_tensors("arrays")
    times = arrays["drift_times"]
    drawn, (other,) = canvas(width=8.0, height=3.4)
    frame = {"time": times}
    for index, method in enumerate(map(str, drifts["method"])):
        change = np.abs(arrays[f"drift_{method}"])
        frame[method] = change
        other.semilogy(
            times[1:], change[1:], color=COLOURS[index], linewidth=0.9, label=METHOD_NAMES[method]
        )
    other.set_xlabel("time")
    other.set_ylabel("error of the energy")
    other.set_ylim(bottom=1e-6)
    legend(other, "right")
    cost = by_name(drifts, "evaluations", "method")
    said = ", ".join(
        f"{METHOD_NAMES[name]} {number(largest, 2)} ({cost[name]:,.0f} evaluations)"
        for name, largest in by_name(drifts, "largest", "method").items()
    )
    caption = f"Energy of one swing run for {times[-1]:g} units of time. Largest error: {said}."
    return Section(
        "A Hamiltonian system",
        (
            "A pendulum without friction keeps its energy H. For one good answer after a short "
            "time a high order pays. Over a long time something else counts: leapfrog and "
            "Yoshida's method map areas to equal areas, as the pendulum does, so their energy "
            "swings about the true one; that of the others drifts.",
        ),
        (
            Figure(svg_of(figure), first, first, work, "work_pendulum"),
            Figure(svg_of(drawn), caption, caption, pandas.DataFrame(frame), "energy_drift"),
        ),
        law=formula(_PENDULUM),
    )


def _learned(run: Run, networks: pandas.DataFrame) -> Section:
    arrays = run.read_tensors("arrays")
    times = arrays["roll_times"]
    figure, axes = canvas(1, 4, width=10.0, height=2.9)
    truth = arrays["roll_truth"]
    round_once = np.argsort(np.arctan2(truth[:, 1], truth[:, 0]))
    orbit_drawn = truth[np.append(round_once, round_once[0])]
    frames = []
    for axis, name in zip(axes, _NAMES, strict=True):
        path = arrays[f"roll_{name}"]
        axis.plot(orbit_drawn[:, 0], orbit_drawn[:, 1], color="#cbd2d9", linewidth=4)
        axis.plot(path[:, 0], path[:, 1], ".", color=NETWORKS[name], markersize=1.6)
        axis.set_title(name)
        axis.set_xlabel("angle q")
        axis.set_xlim(-1.9, 1.9)
        axis.set_ylim(-1.9, 1.9)
        axis.set_aspect("equal")
        frames.append(
            pandas.DataFrame(
                {
                    "network": name,
                    "time": times,
                    "q": path[:, 0],
                    "p": path[:, 1],
                    "energy_error": arrays[f"energy_{name}"],
                }
            )
        )
    axes[0].set_ylabel("momentum p")
    errors, once = by_name(networks, "energy_error"), by_name(networks, "error")
    apart = max(once.values()) / min(once.values())
    listed = ", ".join(f"{name} {number(errors[name], 2)}" for name in _NAMES)
    data = pandas.concat(frames).round(6)
    orbit = (
        f"States of what was learned, run for {len(times) - 1} steps of {times[1]:g} from one "
        "start, over the true orbit (grey)."
    )
    drawn, (other,) = canvas(width=8.0, height=3.2)
    for name in _NAMES:
        other.plot(times, arrays[f"energy_{name}"], color=NETWORKS[name], label=name, linewidth=1.1)
    other.axhline(0, color=INK, linewidth=0.6)
    other.set_xlabel("time")
    other.set_ylabel("energy less that of the start")
    legend(other, "right")
    caption = f"Energy along the same runs. Largest error: {listed}."
    table = network_table(
        networks,
        "The networks after training; the error is that of one step from states not seen",
        {
            "error": "error of one step",
            "energy_error": "largest error of the energy",
            "parameters": "numbers learned",
            "seconds": "seconds of training",
        },
    )
    return Section(
        "The pendulum, learned in four ways",
        (
            f"Each network learns from the same 300 pairs of states {times[1]:g} apart, and is "
            "then run on its own output. The errors of one step lie within a factor of "
            f"{apart:.1f} of each other, the largest errors of the energy within one of "
            f"{max(errors.values()) / min(errors.values()):.0f}. The Hamiltonian network can only "
            "move positions by momenta and momenta by positions, and leapfrog keeps areas whatever "
            "was learned: for small steps its energy can swing, but not drift.",
        ),
        (
            table,
            Figure(svg_of(figure), orbit, orbit, data, "orbits"),
            Figure(svg_of(drawn), caption, caption, data, "learned_energy"),
        ),
        law=formula(_LEARNED),
    )


def _halved(frame: pandas.DataFrame) -> Section:
    figure, (left, right) = canvas(1, 2, width=9.0, height=3.4)
    labels = ("steps in each 0.4 of time", "distance to the limit")
    convergence(left, frame, "steps", "difference", labels)
    convergence(right, frame, "steps", "error", (labels[0], "error against the pendulum"))
    for axis in (left, right):
        count_axis(axis, numbers(frame, "steps"))
    right.set_yscale("linear")
    right.set_ylim(bottom=0)
    legend(left, "lower left")
    trained = numbers(where(frame, "method", "rk4"), "error")
    caption = (
        "The learned differential network under other methods and smaller steps. Left: distance to "
        f"the limit of its own equation; measured orders: "
        f"{slopes(frame, 'steps', 'difference')}. Right: error of one step "
        "against the true pendulum."
    )
    return Section(
        "What happens when a trained network's step is halved",
        (
            "It was trained with one Runge-Kutta step of order 4 and errs by "
            f"{number(float(trained[0]), 3)}. With two steps of half the size it errs by "
            f"{number(float(trained[1]), 3)}: what is left is what the network has not learned, "
            "and no method can better that.",
        ),
        (Figure(svg_of(figure), caption, caption, frame, "halved_steps"),),
    )
