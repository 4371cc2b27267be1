"""The law that is analysed: a right-hand side on one graph, whether written down or learned.

    dx/dt = f(x, t; p) on the states x of all nodes, shape (N, D)

An `Equation` and the field of a run of ``dynamics fit`` become the same `Law`: its rates, products
with its Jacobian J = df/dx and J^T, J itself as a sparse matrix, roll-outs, parameters to vary, and
the members of an ensemble where the run has one, each a law itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.analysis.edges import WeightedGraph, block_jacobian, unfolded
from graphtide.dynamics.catalogue import random_start, resolve
from graphtide.dynamics.fields import LearnedField
from graphtide.dynamics.neural import MessagePassingField, set_output
from graphtide.dynamics.prediction import load_field
from graphtide.dynamics.simulate import with_default_attributes
from graphtide.dynamics.surroundings import Inputs
from graphtide.equation import Equation
from graphtide.equation.expression import Symbol
from graphtide.errors import ComputationError, InputError
from graphtide.graph import Graph
from graphtide.ode.solve import Event, solve
from graphtide.run import Run
from graphtide.trajectory import Trajectory

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from graphtide.equation.torch_backend import CompiledEquation
    from graphtide.vector_field import RightHandSide

__all__ = ["EDGE_WEIGHT", "Field", "Law"]

Field: TypeAlias = LearnedField | MessagePassingField
"""A learned field in the states themselves."""

EDGE_WEIGHT = "edge_weight"
"""Name of the parameter that every law has: a factor on all weights of the graph, 1 by default."""

_NUMBA_FROM = 50_000
"""Nodes plus edges from which numbers alone come from the compiled loop, as in `simulate`."""


@dataclass(frozen=True, eq=False)
class Law:
    """A right-hand side on one graph; made by `of`, `learned` or `read`.

    Args:
        source: the equation, or the learned field.
        graph: the network, N nodes.
        factor: on all weights of the graph; it is in `graph` already.
        observed: the states that a field was learned from, on the run's own network.
        outputs: output weights of the members of the ensemble, shape (M, P, D); None without one.
        inputs: known inputs of a field that sees some.
        forcing: u(t), shape (N, D), added to the rates; None for nothing.
        name: how the law is called in words.
    """

    source: Equation | Field
    graph: Graph
    factor: float = 1.0
    observed: Trajectory | None = None
    outputs: np.ndarray | None = None
    inputs: Inputs | None = None
    forcing: Callable[[Tensor], Tensor] | None = None
    name: str = field(default="")

    @staticmethod
    def of(equation: Equation, graph: Graph, *, seed: int = 0, name: str = "") -> Law:
        """Return the law of an equation on a graph.

        Args:
            equation: each of its parameters needs a value.
            graph: attributes of nodes that a law of the catalogue reads and it lacks are sampled.
            seed: of that sampling.
            name: in words; the equation's text where not given.

        Raises:
            InputError: a parameter has no value, or the graph lacks an attribute of nodes.
        """
        law = Law(equation, with_default_attributes(equation, graph, seed=seed), name=name)
        equation.compile().on(law.graph)
        return law

    @staticmethod
    def learned(run: Run, graph: Graph | None = None) -> Law:
        """Return the law of a run of ``dynamics fit``.

        Args:
            run: the run.
            graph: another network than the run's own.

        Raises:
            InputError: the run is of another kind, its model is latent (it has no field of the
                states), or its field sees inputs that are known on its own network only.
        """
        model = load_field(run)
        if not isinstance(model, LearnedField | MessagePassingField):
            raise InputError(
                f"{run.path} holds a latent model, whose states are hidden ones: it has no rate of "
                "change of the states to analyse; fit with --model closed_form or message_passing"
            )
        own = run.read_graph()
        network = own if graph is None else graph
        inputs = outputs = None
        if (run.path / "inputs.npz").is_file() and network.names == own.names:
            series = Trajectory.read(run.path / "inputs.npz").with_graph(network)
            inputs = Inputs.of(series)
        if (run.path / "intervals.safetensors").is_file():
            from graphtide.dynamics.intervals import Intervals

            members = Intervals.restore(run.read_tensors("intervals")).members
            outputs = members.get("output")
        observed = run.read_trajectory("observed")
        law = Law(
            model, network, observed=observed, outputs=outputs, inputs=inputs, name=str(run.path)
        )
        law._bound  # noqa: B018  (checks what the field sees)
        return law

    @staticmethod
    def read(
        source: str,
        graph: Graph | None = None,
        *,
        parameters: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> Law:
        """Return the law that a text names, as ``dynamics predict`` reads it.

        Args:
            source: folder of a run of ``dynamics fit`` or of one with an equation.json; an
                equation.json, a name of the catalogue, or the text of an equation.
            graph: the network; None takes the run's own.
            parameters: values of parameters (of an equation, or `EDGE_WEIGHT`).
            seed: of sampled attributes of nodes.

        Raises:
            InputError: it names none of these, an equation comes without a graph, or a parameter
                is unknown.
        """
        folder = Path(source) if "=" not in source else None
        run = Run.open(folder) if folder is not None and folder.is_dir() else None
        if run is not None and run.kind == "dynamics fit":
            law = Law.learned(run, graph)
        else:
            equation = resolve(source)
            values = dict(parameters or {})
            own = {k: v for k, v in values.items() if k in equation.parameters}
            parameters = {k: v for k, v in values.items() if k not in own}
            equation = equation.with_parameters(own)
            if graph is None:
                if run is None or not (run.path / "graph.npz").is_file():
                    raise InputError(
                        f"{source} is an equation: give --graph, the network it runs on"
                    )
                graph = run.read_graph()
            law = Law.of(equation, graph, seed=seed, name="" if "=" in source else source)
        return law.with_parameters(parameters) if parameters else law

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the D variables of a node."""
        return self.source.variables

    @property
    def diffusive(self) -> bool:
        """Whether the spectrum of the Jacobian is known to be real, so that RKC may be used."""
        equation = self.equation
        known = equation is not None and equation.structure == "diffusive"
        return known and not self.graph.directed

    @property
    def shape(self) -> tuple[int, int]:
        """N nodes and D variables."""
        return self.graph.node_count, len(self.variables)

    @property
    def equation(self) -> Equation | None:
        """The equation; None where the law was learned."""
        return self.source if isinstance(self.source, Equation) else None

    @property
    def description(self) -> str:
        """The law in words: its name, or its text."""
        equation = self.equation
        return self.name or (equation.text() if equation is not None else "a learned field")

    @cached_property
    def parameters(self) -> dict[str, float]:
        """Values of the parameters that can be varied, by name; `EDGE_WEIGHT` is always there."""
        equation = self.equation
        own = {} if equation is None else equation.parameter_values()
        return {EDGE_WEIGHT: self.factor, **own}

    def with_parameters(self, values: Mapping[str, float]) -> Law:
        """Return the law with other values of some parameters.

        Raises:
            InputError: a name is no parameter of the law.
        """
        law, own = self, dict(values)
        equation = self.equation
        if EDGE_WEIGHT in own and (equation is None or EDGE_WEIGHT not in equation.parameters):
            factor = float(own.pop(EDGE_WEIGHT))
            if not np.isfinite(factor) or self.factor == 0.0:
                raise InputError(f"{EDGE_WEIGHT} = {factor:g}: the weights cannot be set to that")
            law = replace(self, graph=_scaled(self.graph, factor / self.factor), factor=factor)
        if not own:
            return law
        if equation is None:
            raise InputError(
                f"a learned field has no parameter '{next(iter(own))}'; it has {EDGE_WEIGHT}, a "
                "factor on all edge weights"
            )
        unknown = [name for name in own if name not in equation.parameters]
        if unknown:
            known = ", ".join([*equation.parameters, EDGE_WEIGHT])
            raise InputError(f"the equation has no parameter '{unknown[0]}'; it has {known}")
        return replace(law, source=equation.with_parameters(own))

    def on(self, graph: Graph) -> Law:
        """Return the same law on another graph (known inputs are those of the old one, left out).

        Raises:
            InputError: the graph lacks an attribute of nodes that the law reads.
        """
        if isinstance(self.source, Equation):
            return replace(Law.of(self.source, graph, name=self.name), forcing=self.forcing)
        same = graph.names == self.graph.names
        law = replace(self, graph=graph, factor=1.0, inputs=self.inputs if same else None)
        law._bound  # noqa: B018
        return law

    def with_forcing(self, forcing: Callable[[Tensor], Tensor] | None) -> Law:
        """Return the law with u(t), shape (N, D), added to its rates; None takes it away."""
        return replace(self, forcing=forcing)

    @cached_property
    def members(self) -> tuple[Law, ...]:
        """The laws of the members of the ensemble; empty where there is none."""
        if self.outputs is None or not isinstance(self.source, MessagePassingField):
            return ()
        made = []
        for output in self.outputs:
            member = copy.deepcopy(self.source)
            set_output(member, torch.tensor(output))
            made.append(replace(self, source=member, outputs=None))
        return tuple(made)

    @property
    def low(self) -> np.ndarray | None:
        """Smallest states that a field was learned on, shape (D,); None for an equation."""
        return self._end("low")

    @property
    def high(self) -> np.ndarray | None:
        """Largest states that a field was learned on, shape (D,); None for an equation."""
        return self._end("high")

    def _end(self, name: str) -> np.ndarray | None:
        if isinstance(self.source, Equation):
            return None
        end: np.ndarray = getattr(self.source.visited, name).cpu().numpy()
        logarithmic = isinstance(self.source, LearnedField) and self.source.transform == "log"
        return np.exp(end) if logarithmic else end

    def outside(self, states: np.ndarray) -> float:
        """Return the share of states (..., N, D) that a field was not learned on; 0 if written."""
        return 0.0 if isinstance(self.source, Equation) else self.source.outside(states)

    def start(self, seed: int = 0) -> np.ndarray:
        """Return a sensible start, shape (N, D).

        The first states observed where the network is the run's own; the catalogue's random start
        of an equation; else uniform over the states that the field was learned on.
        """
        if isinstance(self.source, Equation):
            return random_start(self.source, self.graph, seed)
        seen = self.observed
        if (
            seen is not None
            and seen.names == self.graph.names
            and np.isfinite(seen.states[0]).all()
        ):
            return np.array(seen.states[0])
        low, high = self.low, self.high
        assert low is not None  # it was learned
        assert high is not None
        return np.random.default_rng(seed).uniform(low, high, self.shape)

    @cached_property
    def _compiled(self) -> CompiledEquation:
        assert isinstance(self.source, Equation)
        return self.source.compile()

    @cached_property
    def _bound(self) -> RightHandSide:
        if isinstance(self.source, Equation):
            return self._compiled.on(self.graph)
        if isinstance(self.source, MessagePassingField):
            return self.source.on(self.graph, self.inputs)
        return self.source.on(self.graph)

    @cached_property
    def _fast(self) -> RightHandSide:
        large = self.graph.node_count + self.graph.edge_count >= _NUMBA_FROM
        if isinstance(self.source, Equation) and large:
            from graphtide.equation.numba_backend import FusedEquation

            return FusedEquation(self.source, self.graph)
        return self._bound

    def rate(
        self,
        states: Tensor,
        time: Tensor | float = 0.0,
        *,
        parameters: Mapping[str, Tensor] | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Return d(states)/dt, differentiable by all arguments but the time, shape (..., N, D).

        Args:
            states: shape (..., N, D), float64.
            time: 0-dim.
            parameters: 0-dim tensors in place of some parameters' values.
            weights: tensor (E,) in place of the weights, in the order of `graph.adjacency`.

        Raises:
            InputError: a parameter is unknown.
        """
        moment = torch.as_tensor(time, dtype=states.dtype, device=states.device)
        if not parameters and weights is None:
            rates = self._bound(moment, states)
        else:
            rates = self._varied(moment, states, dict(parameters or {}), weights)
        return rates if self.forcing is None else rates + self.forcing(moment)

    def right_hand_side(self, time: Tensor, states: Tensor) -> Tensor:
        """Return d(states)/dt of time and states, as `graphtide.ode.solve` integrates it."""
        return self.rate(states, time)

    def numeric(self, time: Tensor, states: Tensor) -> Tensor:
        """Return d(states)/dt without gradients, from a compiled loop on large graphs."""
        with torch.no_grad():
            rates = self._fast(time, states)
        return rates if self.forcing is None else rates + self.forcing(time)

    def _varied(
        self,
        time: Tensor,
        states: Tensor,
        parameters: dict[str, Tensor],
        weights: Tensor | None,
    ) -> Tensor:
        equation = self.equation
        own = () if equation is None else tuple(equation.parameters)
        unknown = [name for name in parameters if name not in own and name != EDGE_WEIGHT]
        if unknown:
            raise InputError(f"the law has no parameter '{unknown[0]}'")
        if EDGE_WEIGHT in parameters and EDGE_WEIGHT not in own:
            plain = states.new_tensor(self.graph.adjacency.data) if weights is None else weights
            weights = plain * (parameters.pop(EDGE_WEIGHT) / self.factor)
        stand_in = None if weights is None else WeightedGraph(self.graph, weights)
        graph = self.graph if stand_in is None else stand_in.as_graph()
        if not isinstance(self.source, Equation):
            if isinstance(self.source, MessagePassingField):
                return self.source.on(graph, self.inputs)(time, states)
            return self.source.on(graph)(time, states)
        compiled = self._compiled
        given = compiled.node_values(self.graph, states)
        if stand_in is not None:
            degree = stand_in.in_degree(states)
            given[Symbol("degree", "k", "i")] = degree
            inverse = torch.where(degree == 0, torch.zeros_like(degree), 1.0 / degree)
            given[Symbol("degree", "1/k", "i")] = inverse
        wrapped = _Derivative(compiled)
        values = {f"compiled.values.{own.index(name)}": v for name, v in parameters.items()}
        result = torch.func.functional_call(wrapped, values, (time, states, graph, given))
        assert isinstance(result, Tensor)
        return result

    def jacobian_product(
        self, states: Tensor, vectors: Tensor, time: Tensor | float = 0.0
    ) -> Tensor:
        """Return J v without forming J, by the derivative of a reverse sweep along its cotangent.

        Args:
            states: shape (N, D), or that of `vectors`.
            vectors: shape (..., N, D); leading dimensions are a batch.
            time: 0-dim.
        """
        with torch.enable_grad():
            place = states.detach().expand(vectors.shape).clone().requires_grad_()
            rates = self.rate(place, time)
            cotangent = torch.zeros_like(rates, requires_grad=True)
            (swept,) = torch.autograd.grad(
                rates, place, cotangent, create_graph=True, materialize_grads=True
            )
            if not swept.requires_grad:
                return torch.zeros_like(vectors)
            (product,) = torch.autograd.grad(swept, cotangent, vectors, materialize_grads=True)
        return product

    def transposed_product(
        self, states: Tensor, vectors: Tensor, time: Tensor | float = 0.0
    ) -> Tensor:
        """Return J^T v by one reverse sweep; shapes as for `jacobian_product`."""
        with torch.enable_grad():
            place = states.detach().expand(vectors.shape).clone().requires_grad_()
            rates = self.rate(place, time)
            if not rates.requires_grad:
                return torch.zeros_like(vectors)
            (product,) = torch.autograd.grad(rates, place, vectors, materialize_grads=True)
        return product

    @cached_property
    def _unfolded(self) -> RightHandSide:
        graph = unfolded(self.graph)
        if isinstance(self.source, Equation):
            return self._unfolded_equation(graph)
        if isinstance(self.source, MessagePassingField):
            given = self.inputs
            if given is not None:
                copies = [given.values, given.values[:, self.graph.adjacency.indices]]
                given = replace(given, values=np.concatenate(copies, axis=1))
            return self.source.on(graph, given)
        return self.source.on(graph)

    def _unfolded_equation(self, graph: Graph) -> RightHandSide:
        compiled = self._compiled
        given = compiled.node_values(graph, torch.zeros((), dtype=torch.float64))
        of_nodes = compiled.node_values(self.graph, torch.zeros((), dtype=torch.float64))
        for symbol, value in of_nodes.items():  # a copy has the degree of its node
            given[symbol] = torch.cat([value, value[self._senders]])

        def rates(time: Tensor, states: Tensor) -> Tensor:
            return compiled.derivative(time, states, graph, given)

        return rates

    def jacobian_blocks(
        self, states: Tensor, time: Tensor | float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the rates, df_i/dx_i, (..., N, D, D), and df_i/dx_j of each edge, (..., E, D, D).

        One reverse sweep a variable (`graphtide.dynamics.analysis.edges`). The last dimension is
        the variable by which is derived; edges are those of `graph.adjacency`, row by row.

        Args:
            states: shape (..., N, D).
            time: 0-dim.
        """
        count = self.graph.node_count
        moment = torch.as_tensor(time, dtype=states.dtype, device=states.device)
        with torch.enable_grad():
            known = states.detach()
            sent = known.index_select(-2, self._senders.to(states.device))
            wide = torch.cat([known, sent], dim=-2).requires_grad_()
            rates = self._unfolded(moment, wide)[..., :count, :]
            rows = []
            for d in range(len(self.variables)):
                total = rates[..., d].sum()
                if not total.requires_grad:
                    rows.append(torch.zeros_like(wide))
                    continue
                (row,) = torch.autograd.grad(total, wide, retain_graph=True, materialize_grads=True)
                rows.append(row)
        blocks = torch.stack(rows, dim=-2)  # (..., N + E, D, D)
        known = rates.detach()
        if self.forcing is not None:
            known = known + self.forcing(moment)
        return known, blocks[..., :count, :, :], blocks[..., count:, :, :]

    @cached_property
    def _senders(self) -> Tensor:
        return torch.from_numpy(self.graph.adjacency.indices.astype(np.int64))

    def jacobian(self, states: np.ndarray | Tensor, time: float = 0.0) -> csr_array:
        """Return J as a sparse matrix (N D, N D), float64; state d of node i is number i D + d.

        Args:
            states: shape (N, D).
            time: at which it is taken.

        Raises:
            ComputationError: an entry is not finite.
        """
        _, own, sent = self.jacobian_blocks(torch.as_tensor(states, dtype=torch.float64), time)
        if not (torch.isfinite(own).all() and torch.isfinite(sent).all()):
            raise ComputationError("the Jacobian is not finite at these states")
        return block_jacobian(self.graph, own.cpu().numpy(), sent.cpu().numpy())

    def dense_jacobian(self, states: Tensor, time: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """Return the rates (..., N, D) and J (..., N D, N D), for small graphs."""
        rates, own, sent = self.jacobian_blocks(states, time)
        count, variables = self.shape
        lead, size = own.shape[:-3], count * variables
        if count == 1 and not len(self._senders):
            return rates, own.reshape(*lead, size, size)
        row = np.repeat(np.arange(count), np.diff(self.graph.adjacency.indptr))
        place = torch.from_numpy(row * count).to(own.device) + self._senders.to(own.device)
        full = own.new_zeros((*lead, count * count, variables, variables))
        full.index_add_(-3, place, sent)
        full.index_add_(-3, torch.arange(count, device=own.device) * (count + 1), own)
        square = full.reshape(*lead, count, count, variables, variables).transpose(-3, -2)
        return rates, square.reshape(*lead, size, size)

    def solve(
        self,
        start: np.ndarray,
        times: np.ndarray,
        *,
        method: str = "auto",
        relative_tolerance: float = 1e-6,
        absolute_tolerance: float = 1e-8,
        maximum_steps: int = 100_000,
        events: Sequence[Event] = (),
    ) -> np.ndarray:
        """Return the states (T, ..., N, D) from `start` (..., N, D) through `times` (T,).

        Fewer times are returned where a terminal event ends the solve.

        Raises:
            ComputationError: the integration failed, such as by running off to infinity.
        """
        with torch.no_grad():
            solution = solve(
                self.numeric,
                torch.tensor(np.asarray(start, dtype=np.float64)),
                np.asarray(times, dtype=np.float64),
                method=method,
                structure="diffusive" if self.diffusive else "plain",
                relative_tolerance=relative_tolerance,
                absolute_tolerance=absolute_tolerance,
                maximum_steps=maximum_steps,
                events=events,
            )
        return solution.states.numpy()


class _Derivative(torch.nn.Module):
    """The derivative of a compiled equation, as a module whose parameters can be replaced."""

    def __init__(self, compiled: CompiledEquation) -> None:
        super().__init__()
        self.compiled = compiled

    def forward(
        self, time: Tensor, states: Tensor, graph: Graph, given: dict[Symbol, Tensor]
    ) -> Tensor:
        return self.compiled.derivative(time, states, graph, given)


def _scaled(graph: Graph, factor: float) -> Graph:
    """Return a graph with all weights multiplied by a factor."""
    return Graph(
        graph.edge_index,
        graph.edge_weight * factor,
        names=graph.names,
        directed=graph.directed,
        node_attributes=graph.node_attributes,
        batch=graph.batch,
    )
