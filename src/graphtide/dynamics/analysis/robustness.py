"""Robustness of a law: growth of pushes, sensitivity of the outcome, the worst case in a ball."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas

from graphtide.dynamics.analysis.fixed_points import FixedPoint, analysed, distance, newton
from graphtide.dynamics.analysis.growth import Growth, transient_growth
from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.linear import scale_of_rates
from graphtide.dynamics.analysis.part import Progress, untold
from graphtide.dynamics.analysis.search import long_run
from graphtide.dynamics.analysis.sensitivity import (
    Sensitivity,
    steady_sensitivity,
    timed_sensitivity,
)
from graphtide.dynamics.analysis.worst_case import WorstCase, worst_case
from graphtide.errors import ComputationError

__all__ = ["Robustness", "robustness"]

SHARE = 0.05
"""Size of the pushes, as a share of the states' root mean square."""


@dataclass(frozen=True, slots=True, eq=False)
class Robustness:
    """What was found.

    Args:
        law: the law.
        point: the fixed point that is looked at; None where the start leads to none that is stable.
        growth: of small pushes, at the fixed point.
        sensitivity: of the mean state.
        worst: the worst push of the start.
    """

    law: Law
    point: FixedPoint | None
    growth: Growth | None
    sensitivity: Sensitivity
    worst: WorstCase

    def metrics(self) -> dict[str, object]:
        """Return the figures of the part."""
        result: dict[str, object] = {"findings": self._findings()}
        if self.growth is not None:
            result |= {
                "largest_gain": self.growth.largest,
                "time_of_largest_gain": self.growth.when,
                "logarithmic_norm": self.growth.abscissa,
            }
        strongest = np.argsort(-np.abs(self.sensitivity.nodes[:, 0]))[:5]
        return result | {
            "outcome": self.sensitivity.outcome,
            "outcome_is": "after a time" if self.sensitivity.through_time else "at rest",
            "most_sensitive_nodes": [self.law.graph.names[k] for k in strongest],
            "parameter_sensitivities": self.sensitivity.parameters,
            "worst_push_size": self.worst.radius,
            "worst_push_displacement": self.worst.displacement,
            "random_push_displacement": float(self.worst.random.mean()),
            "displacement_after": self.worst.span,
        }

    def tables(self) -> dict[str, pandas.DataFrame]:
        """Return node_sensitivity, edge_sensitivity, parameter_sensitivity, transient_growth."""
        law, known = self.law, self.sensitivity
        names = np.array(law.graph.names, dtype=object)
        nodes: dict[str, object] = {"node": names}
        for d, name in enumerate(law.variables):
            nodes[f"sensitivity_{name}"] = known.nodes[:, d]
            nodes[f"worst_push_{name}"] = self.worst.push[:, d]
        adjacency = law.graph.adjacency.tocoo()
        tables = {
            "node_sensitivity": pandas.DataFrame(nodes),
            "edge_sensitivity": pandas.DataFrame(
                {
                    "source": names[adjacency.col],
                    "target": names[adjacency.row],
                    "weight": adjacency.data,
                    "sensitivity": known.edges,
                }
            ),
            "parameter_sensitivity": pandas.DataFrame(
                {
                    "parameter": list(known.parameters),
                    "value": [law.parameters[name] for name in known.parameters],
                    "sensitivity": list(known.parameters.values()),
                }
            ),
        }
        if self.growth is not None:
            times, rate = self.growth.times, self.growth.abscissa
            tables["transient_growth"] = pandas.DataFrame(
                {
                    "time": times,
                    "gain": self.growth.gain,
                    "bound": np.exp(np.minimum(rate * times, 700.0)),
                }
            )
        return tables

    def _findings(self) -> list[str]:
        said = []
        if self.growth is None:
            said.append(
                "The start leads to no isolated stable fixed point, so growth is not measured at "
                "one and the outcome is the mean state after a time."
            )
        elif self.growth.largest > 1.01:
            said.append(
                f"A small push can grow {self.growth.largest:.3g}-fold (after "
                f"{self.growth.when:.3g}) before it dies out, though every mode decays."
            )
        else:
            said.append("No small push grows before it dies out (gain at most 1).")
        size = np.abs(self.sensitivity.nodes[:, 0])
        pushed = " at the start." if self.sensitivity.through_time else " being pushed steadily."
        if float(np.ptp(size)) <= 0.01 * float(size.max()):
            said.append(f"The mean state depends on all nodes alike{pushed}")
        else:
            name = self.law.graph.names[int(np.argmax(size))]
            said.append(f"The mean state depends most on node '{name}'{pushed}")
        typical = float(self.worst.random.mean())
        ratio = self.worst.displacement / typical if typical > 0 else float("inf")
        said.append(
            f"The worst push of {100 * SHARE:g} % of the state moves it by "
            f"{self.worst.displacement:.3g} after {self.worst.span:.3g}, {ratio:.3g} times a "
            "random push of that size."
        )
        return said


def robustness(law: Law, *, seed: int = 0, progress: Progress | None = None) -> Robustness:
    """Analyse the robustness of a law at the fixed point its start leads to, or through time.

    Args:
        law: the law.
        seed: of the start and of random pushes.
        progress: told the share done.

    Raises:
        ComputationError: the law cannot be followed from its start.
    """
    told = progress or untold
    told(0.0, "following the start")
    start = law.start(seed)
    end = long_run(law, start[None])[0][0]
    at = end if np.isfinite(end).all() else start
    rate = scale_of_rates(law.jacobian(at))
    place = newton(law, end) if np.isfinite(end).all() else None
    point = None
    if place is not None and distance(law, place[0], end) < 0.1:
        told(0.2, "eigenvalues")
        found = analysed(law, *place, count=4)
        point = found if found.stable else None
    growth = None
    if point is not None:
        told(0.4, "growth of small pushes")
        jacobian = law.jacobian(point.states)
        span = 3.0 / abs(point.leading.real)
        growth = transient_growth(jacobian, span)
        sensitivity = steady_sensitivity(law, point.states)
        origin = point.states
        horizon = max(growth.when, 0.3 / rate)
    else:
        told(0.4, "sensitivity through time")
        horizon, origin = 2.0 / rate, start
        sensitivity = timed_sensitivity(law, start, horizon)
    told(0.8, "the worst push")
    size = float(np.linalg.norm(origin)) or float(np.linalg.norm(start)) or 1.0
    if not np.isfinite(size):
        raise ComputationError("the states are not finite")
    worst = worst_case(law, origin, radius=SHARE * size, span=horizon, seed=seed)
    return Robustness(law, point, growth, sensitivity, worst)
