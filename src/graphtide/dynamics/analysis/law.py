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

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.analysis.linearisation import Linearised
from graphtide.dynamics.analysis.rates import EDGE_WEIGHT
from graphtide.dynamics.catalogue import random_start, resolve
from graphtide.dynamics.fields import LearnedField
from graphtide.dynamics.neural import MessagePassingField, set_output
from graphtide.dynamics.prediction import load_field
from graphtide.dynamics.simulate import with_default_attributes
from graphtide.dynamics.surroundings import Inputs
from graphtide.equation import Equation
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.ode.solve import Event, solve
from graphtide.run import Run
from graphtide.trajectory import Trajectory

__all__ = ["EDGE_WEIGHT", "Law"]


@dataclass(frozen=True, eq=False)
class Law(Linearised):
    """A right-hand side on one graph; made by `of`, `learned` or `read`.

    Args:
        source: the equation, or the learned field.
        graph: the network, N nodes.
        factor: on all weights of the graph; it is in `graph` already.
        inputs: known inputs of a field that sees some.
        forcing: u(t), shape (N, D), added to the rates; None for nothing.
        observed: the states that a field was learned from, on the run's own network.
        outputs: output weights of the members of the ensemble, shape (M, P, D); None without one.
        name: how the law is called in words.
    """

    observed: Trajectory | None = None
    outputs: np.ndarray | None = None
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
    def diffusive(self) -> bool:
        """Whether the spectrum of the Jacobian is known to be real, so that RKC may be used."""
        equation = self.equation
        known = equation is not None and equation.structure == "diffusive"
        return known and not self.graph.directed

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
