"""The differentiable back end: an equation as a PyTorch vector field.

Messages that part into factors of node i and node j become sparse products, all of them one product
with several columns; the others are worked out edge by edge, what depends on one node alone before
the gather. States may have any leading batch dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphtide.equation.expression import (
    MINUS_ONE,
    Expression,
    Function,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
    is_reciprocal,
    replace,
    symbols,
)
from graphtide.equation.inputs import node_attribute
from graphtide.equation.plan import at_node, depends_on, plan_of
from graphtide.errors import InputError

if TYPE_CHECKING:
    from graphtide.equation.equation import Equation
    from graphtide.graph import Graph

__all__ = ["CompiledEquation", "EquationOnGraph"]


class CompiledEquation(nn.Module):
    """The vector field of an equation; its parameters are those of the equation, float64 scalars.

    Attributes:
        equation: the equation as it was compiled; :meth:`current` has today's parameter values.
        variables: names of the D variables.
    """

    def __init__(self, equation: Equation, *, trainable: bool = False) -> None:
        super().__init__()
        self.equation = equation
        self.variables = equation.variables
        values = equation.parameter_values()
        self._names = tuple(values)
        self.values = nn.ParameterList(
            nn.Parameter(torch.tensor(value, dtype=torch.float64), requires_grad=trainable)
            for value in values.values()
        )
        plan = plan_of(equation.expressions, part_sums=True)
        self._count = len(plan.messages)
        features: dict[Expression, int] = {}
        self._product_sums: list[int] = []
        self._edge_sums: list[int] = []
        edge_messages: list[Expression] = []
        columns: list[int] = []
        for number, message in enumerate(plan.messages):
            if "i" in depends_on(message):
                self._edge_sums.append(number)
                edge_messages.append(_with_gathered(message, features))
            else:
                self._product_sums.append(number)
                columns.append(features.setdefault(at_node(message), len(features)))
        self._columns = columns
        self._features = _Tape(list(features))
        self._edges = _Tape(edge_messages)
        self._outputs = _Tape(plan.outputs)
        self._attributes = tuple(
            dict.fromkeys(self._features.attributes + self._outputs.attributes)
        )

    def forward(self, time: Tensor, states: Tensor, graph: Graph) -> Tensor:
        """Return d(states)/dt, shape (..., N, D), for states of shape (..., N, D)."""
        return self.on(graph)(time, states)

    def on(self, graph: Graph) -> EquationOnGraph:
        """Return the right-hand side (time, states) -> d(states)/dt on one graph.

        Raises:
            InputError: the equation reads a node attribute that the graph does not have.
        """
        return EquationOnGraph(self, graph)

    def current(self) -> Equation:
        """Return the equation with the parameters' values of now (after training)."""
        values = {k: float(v.detach()) for k, v in zip(self._names, self.values, strict=True)}
        return self.equation.with_parameters(values)

    def derivative(self, time: Tensor, states: Tensor, graph: Graph, given: NodeValues) -> Tensor:
        """Return d(states)/dt with the graph's operators and node values already prepared."""
        known: dict[Symbol, Tensor] = {Symbol("time", "t"): time}
        for name, value in zip(self._names, self.values, strict=True):
            known[Symbol("parameter", name)] = value
        for position, name in enumerate(self.variables):
            known[Symbol("variable", name, "i")] = states[..., position]
        known.update(given)
        shape = states.shape[:-1]  # (..., N)
        if self._count:
            matrix = graph.operator("adjacency", like=states)
            features = [v.expand(shape) for v in self._features.run(known, states)]
            if self._columns:
                stacked = torch.stack([features[c] for c in self._columns], dim=-1)  # (..., N, R)
                total = matrix @ stacked
                for column, number in enumerate(self._product_sums):
                    known[Symbol("sum", str(number), "i")] = total[..., column]
            if self._edge_sums:
                gathered = dict(known)
                for symbol in self._edges.inputs:
                    if symbol.kind == "sum":
                        index = matrix.row if symbol.node == "i" else matrix.column
                        gathered[symbol] = features[int(symbol.name)].index_select(-1, index)
                edge_shape = (*shape[:-1], matrix.value.shape[0])  # (..., E)
                messages = [
                    v.expand(edge_shape) * matrix.value for v in self._edges.run(gathered, states)
                ]
                total = matrix.sum_rows(torch.stack(messages, dim=-1))
                for column, number in enumerate(self._edge_sums):
                    known[Symbol("sum", str(number), "i")] = total[..., column]
        outputs = [v.expand(shape) for v in self._outputs.run(known, states)]
        return torch.stack(outputs, dim=-1).to(states.dtype)

    def node_values(self, graph: Graph, like: Tensor) -> NodeValues:
        """Return degree, its inverse and node attributes as tensors of shape (N,)."""
        given: NodeValues = {}
        degree = torch.tensor(graph.degree, dtype=like.dtype, device=like.device)
        given[Symbol("degree", "k", "i")] = degree
        inverse = torch.where(degree == 0, torch.zeros_like(degree), 1 / degree)
        given[Symbol("degree", "1/k", "i")] = inverse
        for name in self._attributes:
            column = torch.from_numpy(node_attribute(graph, name))
            given[Symbol("attribute", name, "i")] = column.to(like)
        return given


NodeValues = dict[Symbol, Tensor]


class EquationOnGraph(nn.Module):
    """A compiled equation on one graph: (time, states (..., N, D)) -> d(states)/dt."""

    def __init__(self, field: CompiledEquation, graph: Graph) -> None:
        super().__init__()
        self.field = field
        self.graph = graph
        for name in field._attributes:
            node_attribute(graph, name)
        self._given: tuple[torch.dtype, torch.device, NodeValues] | None = None

    def forward(self, time: Tensor, states: Tensor) -> Tensor:
        """Return d(states)/dt.

        Raises:
            InputError: the states' last two dimensions are not (N, D).
        """
        wanted = (self.graph.node_count, len(self.field.variables))
        if states.shape[-2:] != wanted:
            raise InputError(f"states have shape {tuple(states.shape)}; wanted (..., {wanted})")
        kind = (states.dtype, states.device)
        if self._given is None or self._given[:2] != kind:
            self._given = (*kind, self.field.node_values(self.graph, states))
        return self.field.derivative(time, states, self.graph, self._given[2])


def _with_gathered(message: Expression, features: dict[Expression, int]) -> Expression:
    """Return a message in which each largest part of one node alone is a gathered feature.

    Symbol("sum", f, node) then stands for feature f, read at node i or j of the edge.
    """

    def change(part: Expression) -> Expression | None:
        nodes = depends_on(part)
        if len(nodes) != 1:
            return None
        number = features.setdefault(at_node(part), len(features))
        return Symbol("sum", str(number), "i" if "i" in nodes else "j")

    return replace(message, change)


Value = Tensor | float


class _Tape:
    """Expressions as a row of tensor operations; equal parts are worked out once."""

    def __init__(self, outputs: Sequence[Expression]) -> None:
        self._slots: dict[Expression, int] = {}
        self._steps: list[tuple[int, Callable[..., Value], tuple[int, ...]]] = []
        self._outputs = [self._slot(expression) for expression in outputs]
        self._numbers = [(s, e.value) for e, s in self._slots.items() if isinstance(e, Number)]
        self.inputs = [e for e in self._slots if isinstance(e, Symbol)]
        names = (s.name for e in outputs for s in symbols(e) if s.kind == "attribute")
        self.attributes = tuple(dict.fromkeys(names))

    def run(self, known: dict[Symbol, Tensor], like: Tensor) -> list[Tensor]:
        """Return the outputs as tensors (0-dim where no state is read)."""
        values: list[Value] = [0.0] * len(self._slots)
        for slot, number in self._numbers:
            values[slot] = number
        for symbol in self.inputs:
            values[self._slots[symbol]] = known[symbol]
        for slot, operation, arguments in self._steps:
            values[slot] = operation(*(values[a] for a in arguments))
        found = (values[slot] for slot in self._outputs)
        return [v if isinstance(v, Tensor) else like.new_tensor(v) for v in found]

    def _slot(self, expression: Expression) -> int:
        if expression in self._slots:
            return self._slots[expression]
        match expression:
            case Number() | Symbol():
                return self._new(expression)
            case Product(factors):
                upper = [f for f in factors if not is_reciprocal(f)]
                lower = [f.base for f in factors if isinstance(f, Power) and is_reciprocal(f)]
                operation = _product(len(upper))
                return self._step(expression, operation, [*upper, *lower])
            case Power(base, exponent) if exponent == MINUS_ONE:
                return self._step(expression, lambda x: 1.0 / x, [base])
            case Sum(terms):
                return self._step(expression, _sum, list(terms))
            case Power(base, exponent):
                return self._step(expression, _power, [base, exponent])
            case Function(name, arguments):
                return self._step(expression, _FUNCTIONS[name], list(arguments))
        raise InputError("an aggregate was left in the plan of an equation")

    def _new(self, expression: Expression) -> int:
        self._slots[expression] = len(self._slots)
        return self._slots[expression]

    def _step(
        self, expression: Expression, operation: Callable[..., Value], parts: list[Expression]
    ) -> int:
        arguments = tuple(self._slot(part) for part in parts)
        slot = self._new(expression)
        self._steps.append((slot, operation, arguments))
        return slot


def _product(upper: int) -> Callable[..., Value]:
    """Return the product of the first `upper` arguments over the rest."""

    def product(*factors: Value) -> Value:
        value: Value = 1.0
        for position, factor in enumerate(factors):
            if position >= upper:
                value = value / factor
            else:
                value = factor if position == 0 else value * factor
        return value

    return product


def _sum(*terms: Value) -> Value:
    value = terms[0]
    for term in terms[1:]:
        value = value + term
    return value


def _power(base: Value, exponent: Value) -> Value:
    return base**exponent


def _pair(operation: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Value, Value], Tensor]:
    """Return an operation of two tensors that takes a number for one of them."""

    def paired(a: Value, b: Value) -> Tensor:
        like = a if isinstance(a, Tensor) else b
        if not isinstance(like, Tensor):
            raise InputError("numbers alone were left in the plan of an equation")
        return operation(torch.as_tensor(a).to(like), torch.as_tensor(b).to(like))

    return paired


def _hill(x: Value, exponent: Value, half: Value) -> Value:
    raised = x**exponent
    return raised / (half**exponent + raised)


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "tanh": torch.tanh,
    "exp": torch.exp,
    "log": torch.log,
    "log1p": torch.log1p,
    "sqrt": torch.sqrt,
    "abs": torch.abs,
    "sign": torch.sign,
    "sigmoid": torch.sigmoid,
    "heaviside": lambda x: 0.5 * (1.0 + torch.sign(x)),
    "erfcx": torch.special.erfcx,
    "hill": _hill,
    "minimum": _pair(torch.minimum),
    "maximum": _pair(torch.maximum),
}
