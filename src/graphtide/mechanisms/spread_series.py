"""From states of nodes read now and then to the law of spread, and runs of that law.

The rates come by :mod:`graphtide.mechanisms.series_rates`; runs begin in the states first read.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.series_rates import rates_from_series
from graphtide.mechanisms.spread import influential_nodes, law_equation, mean_field_states
from graphtide.mechanisms.spread_rates import SpreadRates
from graphtide.mechanisms.spread_result import (
    LAW_WORDS,
    Spread,
    SpreadCurves,
    unexplained_note,
)
from graphtide.spread.epidemic import simulate_epidemic
from graphtide.spread.laws import EPIDEMIC_LAWS
from graphtide.trajectory import Trajectory

if TYPE_CHECKING:
    from graphtide.equation import Equation

__all__ = ["SeriesSpread", "explain_series"]

_COARSE = 0.3
"""Chance of leaving a state between two readings above which readings lie far apart."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SeriesSpread(Spread):
    """What states of nodes tell.

    Attributes:
        states: as they were read.
    """

    states: Trajectory

    def source_figures(self) -> dict[str, object]:
        """Figures of the states: the number of readings, and infections between them."""
        return {
            "readings": len(self.states.times),
            "infections": self.rates.transmissions + self.rates.unexplained,
        }


def explain_series(
    states: Trajectory,
    graph: Graph,
    *,
    runs: int = 100,
    influential: int = 0,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
) -> SeriesSpread:
    """Return the law behind states of nodes.

    Args:
        states: as of :func:`rates_from_series`.
        graph: the network.
        runs: stochastic runs of the law found.
        influential: number of nodes to choose from which the law would reach the most; 0 for none.
        seed: of the runs and of the choice.
        progress: called with a share and a text.

    Raises:
        InputError: as :func:`rates_from_series`; more nodes are to be chosen than there are, or the
            law knows no recovery and reaches all from anywhere; or runs is not positive.
        ComputationError: the mean field could not be integrated.
    """
    began = time.perf_counter()
    tell = progress or (lambda _share, _text: None)
    if runs < 1:
        raise InputError(f"{runs} runs were asked for; at least 1 was expected")
    tell(0.0, "fitting the rates")
    rates = rates_from_series(states, graph)
    equation = law_equation(rates)
    influence = influential_nodes(graph, rates, influential, seed) if influential else None
    tell(0.4, "running the law")
    curves = _curves(states, graph, equation, rates, runs, seed)
    return SeriesSpread(
        states=states,
        graph=graph,
        rates=rates,
        equation=equation,
        curves=curves,
        influence=influence,
        notes=tuple(_notes(states, rates)),
        seconds=time.perf_counter() - began,
    )


def _curves(
    states: Trajectory,
    graph: Graph,
    equation: Equation,
    rates: SpreadRates,
    runs: int,
    seed: int,
) -> SpreadCurves:
    """Return nodes infected so far; with reinfection those infected at the time."""
    law = EPIDEMIC_LAWS[rates.law]
    start, times = states.states[0].copy(), states.times - states.times[0]
    result = simulate_epidemic(equation, graph, times, start, runs=runs, seed=seed)
    fields = mean_field_states(equation, graph, times, start)
    if len(states.variables) == 1:
        observed, field = states.states[:, :, 0].sum(axis=1), fields[:, :, 0].sum(axis=1)
    else:
        observed, field = (
            graph.node_count - values[:, :, 0].sum(axis=1) for values in (states.states, fields)
        )
    place = law.compartments.index("I" if law.reinfection else "S")
    count = result.counts[:, :, place]
    simulated = count if law.reinfection else graph.node_count - count
    return SpreadCurves(times, observed[None], simulated, field)


def _notes(states: Trajectory, rates: SpreadRates) -> list[str]:
    notes = [LAW_WORDS[rates.law]]
    if rates.unexplained:
        notes.append(unexplained_note(rates))
    gap = float(np.diff(states.times).max())
    for name, rate in (("infectious", rates.recovery), ("exposed", rates.incubation)):
        if rate is not None and -np.expm1(-rate.value * gap) > _COARSE:
            notes.append(
                f"The readings lie up to {gap:g} apart, a long time for an {name} node, of which "
                f"{100 * -np.expm1(-rate.value * gap):.0f} % change in it: what happens between "
                "two readings is not seen, and the rates are too low. Read more often."
            )
    return notes
