"""The table of integration methods.

Explicit Runge-Kutta methods for plain problems, a stabilised one for diffusion, an implicit one
for stiff reactions, symplectic ones for Hamiltonian systems.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

from graphtide.errors import InputError
from graphtide.ode.implicit import KennedyCarpenter4
from graphtide.ode.runge_kutta import RungeKutta
from graphtide.ode.stabilized import RungeKuttaChebyshev
from graphtide.ode.stepping import Method
from graphtide.ode.symplectic import LEAPFROG, YOSHIDA4
from graphtide.ode.tableaus import TABLEAUS, Tableau

__all__ = ["METHODS", "Structure", "make_method"]

Structure = Literal["plain", "diffusive", "stiff", "hamiltonian"]
Factory = Callable[[float, float], Method]


def _explicit(tableau: Tableau, relative_tolerance: float, absolute_tolerance: float) -> Method:
    del relative_tolerance, absolute_tolerance
    return RungeKutta(tableau)


METHODS: Mapping[str, Factory] = {
    **{name: partial(_explicit, tableau) for name, tableau in TABLEAUS.items()},
    "runge_kutta_chebyshev": lambda *_tolerances: RungeKuttaChebyshev(),
    "kennedy_carpenter4": KennedyCarpenter4,
    "leapfrog": lambda *_tolerances: LEAPFROG,
    "yoshida4": lambda *_tolerances: YOSHIDA4,
}
"""Makers of a method for one solve, by name, from the relative and absolute tolerance."""


def make_method(name: str, relative_tolerance: float, absolute_tolerance: float) -> Method:
    """Return a fresh instance of a method.

    Raises:
        InputError: no method has this name.
    """
    if name not in METHODS:
        raise InputError(f"method {name!r} is unknown; known are auto, {', '.join(METHODS)}")
    return METHODS[name](relative_tolerance, absolute_tolerance)
