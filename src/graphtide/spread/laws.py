"""Epidemics as laws: the mean-field equation of each, and which rate drives which event.

A node is susceptible (S), exposed (E: infected, not yet infectious), infectious (I) or recovered
(R). Node j infects its susceptible neighbour i at rate beta A_ij; the other rates are those of
leaving a state. The equation of each law is its mean field by node (Youssef & Scoglio, J.
Theoretical Biology 283, 2011, 136): the exact one with the states of neighbours taken as
independent, which overestimates spread on sparse graphs and is right on dense ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from graphtide.equation import Equation
from graphtide.errors import InputError

if TYPE_CHECKING:
    from graphtide.graph import Graph

__all__ = ["EPIDEMIC_LAWS", "EpidemicLaw", "Rates", "law_of", "rates_of", "seeded_start"]


@dataclass(frozen=True, slots=True)
class EpidemicLaw:
    """An epidemic law.

    Attributes:
        name: si, sis, sir or seir.
        compartments: letters of the states that it knows.
        text: its mean-field equation.
        infection: the parameter that is the rate of infection along an edge of weight 1.
        incubation: the parameter that is the rate of becoming infectious, where there is an E.
        recovery: the parameter that is the rate of recovering; empty where nobody does.
        reinfection: whether the recovered are susceptible again.
    """

    name: str
    compartments: str
    text: str
    infection: str = "beta"
    incubation: str = ""
    recovery: str = ""
    reinfection: bool = False

    def equation(self, **rates: float) -> Equation:
        """Return the mean-field equation with these rates by name."""
        return Equation.parse(self.text, parameters=rates)


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates of an epidemic, per unit of time; no incubation is an infinite one.

    Raises:
        InputError: a rate is negative.
    """

    infection: float
    recovery: float = 0.0
    incubation: float = np.inf

    def __post_init__(self) -> None:
        """Refuse rates that are none."""
        for name in ("infection", "recovery", "incubation"):
            value = getattr(self, name)
            if not value >= 0.0:
                raise InputError(f"the rate of {name} is {value:g}; it must not be negative")


_LAWS = (
    EpidemicLaw("si", "SI", "dx/dt = beta*(1 - x)*sum_j A_ij*x_j"),
    EpidemicLaw(
        "sis",
        "SI",
        "dx/dt = -delta*x + beta*(1 - x)*sum_j A_ij*x_j",
        recovery="delta",
        reinfection=True,
    ),
    EpidemicLaw(
        "sir",
        "SIR",
        "dS/dt = -beta*S*sum_j A_ij*I_j, dI/dt = beta*S*sum_j A_ij*I_j - gamma*I, dR/dt = gamma*I",
        recovery="gamma",
    ),
    EpidemicLaw(
        "seir",
        "SEIR",
        "dS/dt = -beta*S*sum_j A_ij*I_j, dE/dt = beta*S*sum_j A_ij*I_j - sigma*E, "
        "dI/dt = sigma*E - gamma*I, dR/dt = gamma*I",
        incubation="sigma",
        recovery="gamma",
    ),
)

EPIDEMIC_LAWS: Mapping[str, EpidemicLaw] = MappingProxyType({law.name: law for law in _LAWS})
"""The laws by name."""


def law_of(equation: Equation) -> EpidemicLaw:
    """Return the epidemic law whose mean field an equation is.

    Raises:
        InputError: it is none of si, sis, sir and seir.
    """
    for law in EPIDEMIC_LAWS.values():
        known = Equation.parse(law.text)
        same = known.expressions == equation.expressions
        if same and known.variables == equation.variables:
            return law
    raise InputError(
        f"'{equation.text()}' is not the mean field of an epidemic that is known event by event; "
        f"those are {', '.join(EPIDEMIC_LAWS)}"
    )


def rates_of(equation: Equation) -> Rates:
    """Return the rates that the parameters of an epidemic's equation are.

    Raises:
        InputError: the equation is no epidemic law, or a rate has no value or a negative one.
    """
    law = law_of(equation)
    values = equation.parameter_values()
    for name, value in values.items():
        if value < 0.0:
            raise InputError(f"the rate {name} is {value:g}; it must not be negative")
    return Rates(
        infection=values[law.infection],
        recovery=values[law.recovery] if law.recovery else 0.0,
        incubation=values[law.incubation] if law.incubation else np.inf,
    )


def seeded_start(equation: Equation, graph: Graph, seeds: list[int] | np.ndarray) -> np.ndarray:
    """Return the start (N, D) in which these nodes are infectious and all others susceptible.

    Raises:
        InputError: the equation is no epidemic law, or a seed is no node.
    """
    law_of(equation)
    chosen = np.asarray(seeds, dtype=np.int64)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= graph.node_count):
        raise InputError(
            f"seeds {chosen.min()} to {chosen.max()}: the {graph.node_count} nodes are numbered "
            "from 0"
        )
    start = np.zeros((graph.node_count, len(equation.variables)))
    if len(equation.variables) == 1:
        start[chosen, 0] = 1.0
        return start
    start[:, 0] = 1.0
    start[chosen, 0] = 0.0
    start[chosen, equation.variables.index("I")] = 1.0
    return start
