"""Simulate an equation on a graph: from a start to the states at given times.

dx_i/dt = F(x_i, t) + sum_j A_ij G(x_i, x_j), integrated by :func:`graphtide.ode.solve.solve`; its
right-hand side is a PyTorch field on small graphs and a fused loop over CSR rows on large ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch

from graphtide.dynamics.catalogue import entry_of, random_start
from graphtide.errors import InputError
from graphtide.trajectory import Trajectory
from graphtide.trajectory.times import checked_times

if TYPE_CHECKING:
    from graphtide.equation import Equation
    from graphtide.graph import Graph
    from graphtide.vector_field import RightHandSide

__all__ = ["BackEnd", "simulate", "with_default_attributes"]

BackEnd: TypeAlias = Literal["auto", "numba", "torch"]

# Below this many nodes plus edges a PyTorch call is done before the loop would be compiled.
_NUMBA_FROM = 50_000
_SYMPLECTIC = frozenset({"leapfrog", "yoshida4"})


def simulate(
    equation: Equation,
    graph: Graph,
    times: np.ndarray,
    start: np.ndarray | None = None,
    *,
    method: str = "auto",
    step: float | None = None,
    relative_tolerance: float = 1e-6,
    absolute_tolerance: float = 1e-8,
    noise: float = 0.0,
    seed: int = 0,
    back_end: BackEnd = "auto",
) -> Trajectory:
    """Return the states of an equation on a graph at given times.

    Args:
        equation: the law; each of its parameters needs a value.
        graph: the network, N nodes. Where a law of the catalogue reads a node attribute that the
            graph lacks, the catalogue's is sampled and added (the result's graph has it).
        times: (T,) increasing; the start belongs to the first.
        start: (N, D) or, for one variable, (N,); None for a random start (the catalogue's, or
            uniform on [0, 1]) from `seed`.
        method: name of a method of `ode.solve`; "auto" lets the equation's structure
            choose. leapfrog and yoshida4 take a Hamiltonian equation of two variables.
        step: fixed step of a method without error control.
        relative_tolerance: of the local error.
        absolute_tolerance: of the local error.
        noise: standard deviation of Gaussian noise on the readings, as a share of each variable's
            own standard deviation over nodes and times; the first reading has noise like the rest.
        seed: of the random start, of sampled attributes and of the noise.
        back_end: "torch"; "numba" (compiles for about a second); "auto" takes numba from 50,000
            nodes and edges on.

    Raises:
        InputError: times, start or noise are wrong, a parameter has no value, or the graph lacks a
            node attribute.
        ComputationError: the integration failed.

    Example:
        >>> from graphtide.equation import Equation
        >>> from graphtide.graph import Graph
        >>> heat = Equation.parse("dx/dt = sum_j A_ij*(x_j - x_i)")
        >>> path = Graph.from_source("path:2")
        >>> states = simulate(heat, path, np.array([0.0, 10.0]), np.array([1.0, 0.0])).states
        >>> states[-1, :, 0].round(6).tolist()
        [0.5, 0.5]
    """
    from graphtide.ode.solve import solve

    when = checked_times(times)
    if not 0.0 <= noise < np.inf:
        raise InputError(f"the noise is {noise}; a share of at least 0 was expected")
    graph = with_default_attributes(equation, graph, seed=seed)
    first = random_start(equation, graph, seed) if start is None else start
    states = torch.from_numpy(_checked_start(first, graph, equation))
    rhs = _right_hand_side(equation, graph, back_end, method)
    diffusive = equation.structure == "diffusive" and not graph.directed
    structure = "hamiltonian" if method in _SYMPLECTIC else "diffusive" if diffusive else "plain"
    with torch.no_grad():
        solution = solve(
            rhs,
            states,
            torch.from_numpy(when),
            method=method,
            structure=structure,
            step=step,
            relative_tolerance=relative_tolerance,
            absolute_tolerance=absolute_tolerance,
        )
    result = solution.states.numpy()  # (T, N, D)
    if noise > 0.0:
        generator = np.random.default_rng((seed, 1))
        spread = result.std(axis=(0, 1))
        result = result + noise * spread * generator.standard_normal(result.shape)
    return Trajectory(when, result, equation.variables, graph.names, graph)


def with_default_attributes(equation: Equation, graph: Graph, *, seed: int = 0) -> Graph:
    """Return the graph with the node attributes that a law of the catalogue reads and it lacks."""
    entry = entry_of(equation)
    if entry is None:
        return graph
    generator = np.random.default_rng((seed, 2))
    missing = {
        name: sampler(graph, generator)
        for name, sampler in entry.attributes.items()
        if name not in graph.node_attributes
    }
    return graph.with_node_attributes(**missing) if missing else graph


def _right_hand_side(
    equation: Equation, graph: Graph, back_end: BackEnd, method: str
) -> RightHandSide:
    """Return the right-hand side of a back end; a separable system for symplectic methods."""
    large = graph.node_count + graph.edge_count >= _NUMBA_FROM
    if back_end not in ("auto", "numba", "torch"):
        raise InputError(f"there is no back end '{back_end}'; choose auto, numba or torch")
    if back_end == "numba" or (back_end == "auto" and large):
        from graphtide.equation.numba_backend import FusedEquation

        rhs: RightHandSide = FusedEquation(equation, graph)
    else:
        rhs = equation.compile().on(graph)
    if method not in _SYMPLECTIC:
        return rhs
    if equation.structure != "hamiltonian":
        raise InputError(
            f"{method} takes two variables that each change by the other alone; "
            f"'{equation.text()}' is not of that form"
        )
    from graphtide.ode.symplectic import SeparableSystem

    def velocity(time: torch.Tensor, momentum: torch.Tensor) -> torch.Tensor:
        return rhs(time, torch.cat([torch.zeros_like(momentum), momentum], dim=-1))[..., :1]

    def force(time: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        return rhs(time, torch.cat([position, torch.zeros_like(position)], dim=-1))[..., 1:]

    return SeparableSystem(velocity, force)


def _checked_start(start: np.ndarray, graph: Graph, equation: Equation) -> np.ndarray:
    """Return a start as an own array of shape (N, D)."""
    wanted = (graph.node_count, len(equation.variables))
    states = np.array(start, dtype=np.float64)
    if states.ndim == 1 and wanted[1] == 1:
        states = states[:, None]
    if states.shape != wanted:
        raise InputError(
            f"the start has shape {states.shape}; {wanted} was expected: a row each node, a column "
            f"each of {', '.join(equation.variables)}"
        )
    if not np.isfinite(states).all():
        node = graph.names[int(np.argwhere(~np.isfinite(states))[0, 0])]
        raise InputError(f"the start of node '{node}' is not a finite number")
    return states
