"""The law put to the test: run dx/dt = f(x), look at random ages, and compare with the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from graphtide.mechanisms.distributions.goodness import Empirical

if TYPE_CHECKING:
    from graphtide.equation import Equation

__all__ = ["simulated_cross_section", "simulated_distance"]

_AGES = 2_000


def simulated_cross_section(
    equation: Equation,
    trajectory: Callable[[np.ndarray], np.ndarray],
    *,
    rate: float = 1.0,
    oldest: float = 0.0,
    count: int = _AGES,
    seed: int = 0,
) -> np.ndarray:
    """Return sizes (count,), increasing, of units that follow an equation and are seen at random.

    Every unit follows the same law and differs only in its age, so one integration passes through
    all of them. Ages T have hazard `rate`; one age is drawn in each of `count` strata of equal
    probability, which leaves the law of T and takes most of the chance out of its sample.

    Args:
        equation: the law of one variable.
        trajectory: x at ages of hazard 1, from which the youngest unit's size is taken: at age 0
            itself f may be 0 or infinite.
        rate: hazard of the ages in the equation's own time.
        oldest: ages of hazard 1 below this are not seen (truncation).
        count: number of units.
        seed: of the ages.

    Raises:
        ComputationError: the integration failed.
    """
    import torch

    from graphtide.graph import Graph
    from graphtide.ode.solve import solve

    generator = np.random.default_rng((seed, 14))
    shares = (np.arange(count) + generator.random(count)) / count
    ages = oldest - np.log1p(-shares)  # increasing, hazard 1
    first = trajectory(ages[:1])
    rhs = equation.compile().on(Graph.from_source("single"))
    with torch.no_grad():
        solution = solve(
            rhs,
            torch.from_numpy(np.asarray(first, dtype=np.float64).reshape(1, 1).copy()),
            torch.from_numpy(ages / rate),
            method="dormand_prince5",
            relative_tolerance=1e-7,
            absolute_tolerance=1e-9 * float(np.abs(first).max() + 1e-9),
        )
    return solution.states.numpy()[:, 0, 0]


def simulated_distance(empirical: Empirical, sizes: np.ndarray) -> float:
    """Return the Kolmogorov-Smirnov distance between a simulated cross-section and the data.

    Cells are compared at their ends, as the simulated sizes are exact.
    """
    reached = np.searchsorted(sizes, empirical.upper, side="left") / len(sizes)
    if empirical.upper[0] == empirical.lower[0]:
        passed = np.searchsorted(sizes, empirical.upper, side="right") / len(sizes)
        gaps = np.minimum(
            np.abs(reached - empirical.before), np.abs(passed - empirical.after)
        )  # a step of the data against a step of the simulation
        return float(gaps.max())
    return float(np.abs(reached - empirical.after).max())
