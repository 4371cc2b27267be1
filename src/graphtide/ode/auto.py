"""The choice of a method by what is known of a problem and what one cheap measurement tells.

Rule of `method="auto"`, with R the relative tolerance and E the evaluations that a method would
take:

    separable Hamiltonian   yoshida4
    stiff                   kennedy_carpenter4
    plain                   dormand_prince5, for R < 1e-8 dormand_prince8
    diffusive               runge_kutta_chebyshev where E_rkc < E_explicit, else as plain, with
        E_explicit = rho T 6 / 3.3     (stability on the negative axis; rho measured, T the time
        span) E_rkc = n s,   n = 4 R^(-1/3),   s = 1 + sqrt(1.54 rho T / n + 1)

Only a diffusive problem is measured, by the power method on the right-hand side (about ten
evaluations; a plain solve may take no more than that as a whole). The constant 4 is what heat from
random starts on Barabasi-Albert graphs takes at tolerances from 1e-3 to 1e-6, to within a third.

Source of the stability bounds: Hairer, Wanner, Solving Ordinary Differential Equations II (1996),
IV.2.
"""

import math

import torch
from torch import Tensor

from graphtide.errors import InputError
from graphtide.ode.stabilized import spectral_radius, stage_count
from graphtide.ode.stepping import RightHandSide, clock
from graphtide.ode.symplectic import SeparableSystem

__all__ = ["STRUCTURES", "choose_method"]

STRUCTURES = ("plain", "diffusive", "stiff", "hamiltonian")

_FINE = 1e-8  # below this relative tolerance order 8 costs fewer evaluations than order 5
_STEPS = 4.0  # of Runge-Kutta-Chebyshev, times the cube root of the tolerance
_EXPLICIT = 6.0 / 3.3  # evaluations a step over the stability bound of Dormand-Prince 5


def choose_method(
    structure: str,
    rhs: RightHandSide,
    state: Tensor,
    span: tuple[float, float],
    relative_tolerance: float,
) -> str:
    """Return the name of the method for a problem, by the rule above.

    Args:
        structure: one of `STRUCTURES`; a `SeparableSystem` is Hamiltonian without being told.
        rhs: the right-hand side.
        state: the start, any shape.
        span: first and last time; the second may be the lesser.
        relative_tolerance: of the solve.

    Raises:
        InputError: the structure is unknown.
    """
    if structure not in STRUCTURES:
        raise InputError(f"structure {structure!r} is unknown; known are {', '.join(STRUCTURES)}")
    if structure == "hamiltonian" or isinstance(rhs, SeparableSystem):
        return "yoshida4"
    if structure == "stiff":
        return "kennedy_carpenter4"
    if structure == "diffusive":
        with torch.no_grad():
            start = state.detach()
            slope = rhs(clock(span[0], start), start)
            radius, _, _ = spectral_radius(rhs, span[0], start, slope, tolerance=0.1)
        if stabilised_cost(radius * abs(span[1] - span[0]), relative_tolerance) < 1.0:
            return "runge_kutta_chebyshev"
    return "dormand_prince8" if relative_tolerance < _FINE else "dormand_prince5"


def stabilised_cost(reach: float, relative_tolerance: float) -> float:
    """Return E_rkc / E_explicit for `reach` = rho T.

    Example:
        >>> stabilised_cost(1e5, 1e-4) < 0.1 < 1.0 < stabilised_cost(100.0, 1e-6)
        True
    """
    if reach == 0.0 or not math.isfinite(reach):
        return math.inf
    steps = _STEPS * max(relative_tolerance, 1e-15) ** (-1.0 / 3.0)
    return steps * stage_count(reach / steps) / (_EXPLICIT * reach)
