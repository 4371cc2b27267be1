"""The table of integration methods, and the choice among them by what is known of a problem.

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
from graphtide.ode.stepping import Method, RightHandSide
from graphtide.ode.symplectic import LEAPFROG, YOSHIDA4, SeparableSystem
from graphtide.ode.tableaus import TABLEAUS, Tableau

__all__ = ["METHODS", "Structure", "choose_method", "make_method"]

Structure = Literal["plain", "diffusive", "stiff", "hamiltonian"]
Factory = Callable[[float, float], Method]

_CHOICE: Mapping[str, str] = {
    "plain": "dormand_prince5",
    "diffusive": "runge_kutta_chebyshev",
    "stiff": "kennedy_carpenter4",
    "hamiltonian": "yoshida4",
}
_FINE = 1e-8  # below this relative tolerance order 8 costs fewer evaluations than order 5


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


def choose_method(structure: str, rhs: RightHandSide, relative_tolerance: float) -> str:
    """Return the name of the method for a problem of known `structure`.

    A `SeparableSystem` is Hamiltonian without being told. Plain problems take Dormand-Prince of
    order 5, or of order 8 for relative tolerances below 1e-8.

    Raises:
        InputError: the structure is unknown.
    """
    if structure not in _CHOICE:
        known = ", ".join(_CHOICE)
        raise InputError(f"structure {structure!r} is unknown; known are {known}")
    if isinstance(rhs, SeparableSystem):
        return _CHOICE["hamiltonian"]
    if structure == "plain" and relative_tolerance < _FINE:
        return "dormand_prince8"
    return _CHOICE[structure]


def make_method(name: str, relative_tolerance: float, absolute_tolerance: float) -> Method:
    """Return a fresh instance of a method.

    Raises:
        InputError: no method has this name.
    """
    if name not in METHODS:
        raise InputError(f"method {name!r} is unknown; known are auto, {', '.join(METHODS)}")
    return METHODS[name](relative_tolerance, absolute_tolerance)
