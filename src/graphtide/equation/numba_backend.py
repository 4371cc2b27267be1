"""The fast back end for numbers: one fused loop over the rows of the CSR adjacency, by Numba.

For every row i: what depends on node i alone once; then over its edges all sums together,
s_r += A_ij g_r(x_i, x_j); then the right-hand sides. What is costly and depends on node j alone (a
sine, a power, a quotient) is worked out beforehand, once a node. Blocks of rows hold about equal
numbers of edges, so that hubs do not leave one core waiting. The source of the loop is written from
the expression tree (names of its own, numbers by `repr`), never from a user's text.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphtide.equation.expression import (
    ONE,
    Expression,
    Function,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
    add,
    children,
    is_reciprocal,
    multiply,
    power,
    rebuild,
    reciprocal,
    replace,
    symbols,
    walk,
)
from graphtide.equation.inputs import node_attribute
from graphtide.equation.plan import Plan, at_node, depends_on, fold_constants, plan_of
from graphtide.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from graphtide.equation.equation import Equation
    from graphtide.graph import Graph

__all__ = ["FusedEquation"]

_LARGEST_UNROLLED_POWER = 12
_PARALLEL_FROM = 30_000  # edges plus nodes; below, starting threads costs more than it gives
_BLOCKS = 256
_CHEAP_FUNCTIONS = frozenset({"abs", "sign", "minimum", "maximum"})
# Reassociation lets sums over neighbours use vector registers; NaN and infinity keep their meaning.
_FASTMATH = {"reassoc", "contract", "arcp", "nsz"}


class FusedEquation:
    """The right-hand side of an equation on a graph, compiled for numbers in float64.

    The first call compiles (about a second); equations that differ only in parameter values share
    the compiled loop, unless the value is an exponent.

    Raises:
        InputError: a parameter has no value, or the graph lacks a node attribute.
    """

    def __init__(self, equation: Equation, graph: Graph) -> None:
        law = _specialised(equation)
        values = law.parameter_values()
        adjacency = graph.adjacency
        self.variables = equation.variables
        self.node_count = graph.node_count
        # Unsigned indices spare the loop the test for negative ones: nearly half of its time.
        pointers = adjacency.indptr.astype(np.uint64)
        self._rows = (pointers[:-1].copy(), pointers[1:].copy())
        self._columns = adjacency.indices.astype(np.uint32)
        self._weights = np.ascontiguousarray(adjacency.data, dtype=np.float64)
        weighted = bool(np.any(self._weights != 1.0))
        parallel = graph.node_count + len(self._columns) >= _PARALLEL_FROM
        blocks = _balanced_blocks(adjacency.indptr, _BLOCKS if parallel else 1)
        self._blocks = (blocks[:-1].astype(np.uint64), blocks[1:].astype(np.uint64))
        degree = np.asarray(graph.degree, dtype=np.float64)
        with np.errstate(divide="ignore"):
            inverse = np.where(degree == 0, 0.0, 1.0 / degree)
        given = [degree, inverse, *(node_attribute(graph, name) for name in law.attributes)]
        self._given = np.ascontiguousarray(np.stack(given, axis=-1))  # (N, 2 + attributes)
        self._parameters = np.array(list(values.values()), dtype=np.float64)
        signature = _Signature(
            law.variables,
            tuple(_lowered(e) for e in law.expressions),
            tuple(values),
            law.attributes,
        )
        self._kernel, scratch = _kernel(signature, weighted, parallel)
        self._scratch = np.empty((graph.node_count, scratch))

    def evaluate(self, time: float, states: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Write d(states)/dt into `out` and return it; both are C-ordered float64 (N, D)."""
        self._kernel(
            *self._rows,
            self._columns,
            self._weights,
            *self._blocks,
            self._given,
            self._parameters,
            time,
            states,
            self._scratch,
            out,
        )
        return out

    def __call__(self, time: Tensor | float, states: Tensor) -> Tensor:
        """Return d(states)/dt for float64 states of shape (..., N, D) on the CPU; no gradients.

        Raises:
            InputError: the states have another shape, type or device, or ask for gradients.
        """
        import torch

        wanted = (self.node_count, len(self.variables))
        if tuple(states.shape[-2:]) != wanted:
            raise InputError(f"states have shape {tuple(states.shape)}; wanted (..., {wanted})")
        if states.dtype != torch.float64 or states.device.type != "cpu" or states.requires_grad:
            raise InputError("the numba back end takes float64 states on the CPU without gradients")
        held = states.contiguous()
        result = torch.empty_like(held)
        inputs = held.numpy().reshape(-1, *wanted)
        outputs = result.numpy().reshape(-1, *wanted)
        for batch in range(len(inputs)):
            self.evaluate(float(time), inputs[batch], outputs[batch])
        return result


@dataclass(frozen=True, slots=True)
class _Signature:
    """All that a compiled loop depends on, besides its arguments."""

    variables: tuple[str, ...]
    expressions: tuple[Expression, ...]
    parameters: tuple[str, ...]
    attributes: tuple[str, ...]


def _specialised(equation: Equation) -> Equation:
    """Return the equation with the values of parameters that stand in exponents written in."""
    values = equation.parameter_values()
    names: set[str] = set()
    for expression in equation.expressions:
        for part in walk(expression):
            exponent: Expression | None = None
            if isinstance(part, Power):
                exponent = part.exponent
            elif isinstance(part, Function) and part.name == "hill":
                exponent = part.arguments[1]
            if exponent is not None:
                names |= {s.name for s in symbols(exponent) if s.kind == "parameter"}
    return equation.substituted({name: values[name] for name in names})


def _lowered(expression: Expression) -> Expression:
    """Return an expression in which Hill functions and the like are sums, products and powers."""
    parts = tuple(_lowered(part) for part in children(expression))
    if not parts:
        return expression
    if isinstance(expression, Function):
        match expression.name:
            case "hill":
                raised = power(parts[0], parts[1])
                half = fold_constants(power(parts[2], parts[1]))
                return multiply(raised, reciprocal(add(half, raised)))
            case "sigmoid":
                return reciprocal(add(ONE, Function("exp", (multiply(Number(-1.0), parts[0]),))))
            case "heaviside":
                return multiply(Number(0.5), add(ONE, Function("sign", parts)))
            case "sqrt":
                return Power(parts[0], Number(0.5))
    return rebuild(expression, parts)


def _balanced_blocks(pointers: np.ndarray, count: int) -> np.ndarray:
    """Return row numbers that cut the rows into at most `count` blocks of about equal work."""
    work = pointers + 4 * np.arange(len(pointers))
    cuts = np.searchsorted(work, np.linspace(0, work[-1], count + 1))
    cuts[-1] = len(pointers) - 1
    return np.unique(np.concatenate([[0], cuts])).astype(np.int64)


@functools.lru_cache(maxsize=64)
def _kernel(
    signature: _Signature, weighted: bool, parallel: bool
) -> tuple[Callable[..., None], int]:
    """Return the compiled loop of a system, and the number of scratch columns it wants."""
    import numba

    source, scratch = _Source(signature, weighted).text()
    namespace: dict[str, Callable[..., None]] = {}
    known: dict[str, object] = {"np": np, "prange": numba.prange}
    if "erfcx(" in source:
        known["erfcx"] = numba.njit(error_model="numpy")(_erfcx)
    exec(compile(source, "<fused loop>", "exec"), known, namespace)
    compiled = numba.njit(parallel=parallel, fastmath=_FASTMATH, error_model="numpy", nogil=True)(
        namespace["loop"]
    )
    return compiled, scratch


def _erfcx(x: float) -> float:
    """Return e^(x^2) erfc(x); its asymptotic series where erfc(x) nears the smallest number."""
    if x < 25.0:
        return np.exp(x * x) * math.erfc(x)
    square = 1.0 / (x * x)
    series = 1.0 - square * (0.5 - square * (0.75 - square * (1.875 - square * 6.5625)))
    return series / (x * math.sqrt(math.pi))


class _Source:
    """Writes the loop: statements once a call, once a node beforehand, once a row, once an edge."""

    def __init__(self, signature: _Signature, weighted: bool) -> None:
        self._signature = signature
        self._weighted = weighted
        self._plan: Plan = plan_of(signature.expressions, part_sums=False)
        self._lines: dict[str, list[str]] = {"call": [], "node": [], "row": [], "edge": []}
        self._names: dict[tuple[str, Expression], str] = {}
        self._scratch: dict[Expression, int] = {}

    def text(self) -> tuple[str, int]:
        """Return the source and the number of scratch columns."""
        messages = [self._name(self._hoisted(message), "edge") for message in self._plan.messages]
        for expression, column in self._scratch.items():
            self._lines["node"].append(f"scratch[n, {column}] = {self._name(expression, 'node')}")
        outputs = [self._after(expression) for expression in self._plan.outputs]
        body: list[str] = ["def loop(starts, ends, columns, weights, first, last, given,"]
        body += ["         parameters, time, states, scratch, out):"]
        body += [f"    {line}" for line in self._lines["call"]]
        if self._scratch:
            body += ["    for n in prange(states.shape[0]):"]
            body += [f"        {line}" for line in self._lines["node"]]
        body += ["    for b in prange(len(first)):"]
        body += ["        for n in range(first[b], last[b]):"]
        body += [f"            {line}" for line in self._lines["row"]]
        if messages:
            body += [f"            s{r} = 0.0" for r in range(len(messages))]
            body += ["            for e in range(starts[n], ends[n]):"]
            body += ["                m = columns[e]"]
            body += [f"                {line}" for line in self._lines["edge"]]
            factor = "weights[e] * " if self._weighted else ""
            body += [f"                s{r} += {factor}{name}" for r, name in enumerate(messages)]
        body += [f"            {line}" for line in self._lines["after"]]
        body += [f"            out[n, {d}] = {name}" for d, name in enumerate(outputs)]
        return "\n".join(body) + "\n", len(self._scratch)

    def _after(self, expression: Expression) -> str:
        self._lines.setdefault("after", [])
        return self._name(expression, "after")

    def _hoisted(self, message: Expression) -> Expression:
        """Return a message with each costly part of node j alone as a scratch column."""

        def change(part: Expression) -> Expression | None:
            if depends_on(part) != {"j"} or not _costly(part):
                return None
            number = self._scratch.setdefault(at_node(part), len(self._scratch))
            return Symbol("sum", f"scratch {number}", "j")

        return replace(message, change)

    def _place(self, expression: Expression, stage: str) -> str:
        """Return where a value is worked out: as early as what it reads allows."""
        if stage in ("edge", "after"):
            nodes = depends_on(expression)
            if not nodes:
                return "call"
            sums = any(s.kind == "sum" for s in symbols(expression))
            if nodes == {"i"} and not sums:
                return "row"
            return stage
        return "call" if not depends_on(expression) else stage

    def _name(self, expression: Expression, stage: str) -> str:
        """Return the name of an expression's value, its statement written where it belongs."""
        if isinstance(expression, Number):
            return f"({expression.value!r})"
        stage = self._place(expression, stage)
        key = (stage, expression)
        if key not in self._names:
            code = self._code(expression, stage)
            name = f"v{len(self._names)}"
            self._lines.setdefault(stage, []).append(f"{name} = {code}")
            self._names[key] = name
        return self._names[key]

    def _code(self, expression: Expression, stage: str) -> str:
        match expression:
            case Symbol():
                return self._symbol(expression)
            case Sum(terms):
                return " + ".join(self._name(term, stage) for term in terms)
            case Product():
                return self._product(expression, stage)
            case Power(base, exponent):
                return self._power(base, exponent, stage)
            case Function(name, arguments):
                inner = ", ".join(self._name(argument, stage) for argument in arguments)
                return f"erfcx({inner})" if name == "erfcx" else f"np.{name}({inner})"
        raise InputError("an aggregate or a number was left in the plan of an equation")

    def _product(self, product: Product, stage: str) -> str:
        """Return the code of a product; factors that are known earlier are multiplied earlier."""
        upper = [f for f in product.factors if not is_reciprocal(f)]
        lower = [f.base for f in product.factors if isinstance(f, Power) and is_reciprocal(f)]
        early = [f for f in upper if self._place(f, stage) != stage]
        late = [f for f in upper if self._place(f, stage) == stage]
        if len(early) > 1 and late:
            upper = [multiply(*early), *late]
        text = " * ".join(self._name(f, stage) for f in upper) or "1.0"
        if lower:
            text = f"({text}) / ({' * '.join(self._name(f, stage) for f in lower)})"
        return text

    def _power(self, base: Expression, exponent: Expression, stage: str) -> str:
        name = self._name(base, stage)
        if isinstance(exponent, Number):
            size = abs(exponent.value)
            if exponent.value == 0.5:
                return f"np.sqrt({name})"
            if size.is_integer() and 0 < size <= _LARGEST_UNROLLED_POWER:
                raised = name if size == 1 else self._integer_power(base, int(size), stage)
                return raised if exponent.value > 0 else f"1.0 / ({raised})"
        return f"{name} ** {self._name(exponent, stage)}"

    def _integer_power(self, base: Expression, exponent: int, stage: str) -> str:
        """Return the code of a power by squaring."""
        half = self._name(power(base, Number(float(exponent // 2))), stage)
        text = f"{half} * {half}"
        return f"{text} * {self._name(base, stage)}" if exponent % 2 else text

    def _symbol(self, symbol: Symbol) -> str:
        node = "m" if symbol.node == "j" else "n"
        signature = self._signature
        match symbol.kind:
            case "variable":
                return f"states[{node}, {signature.variables.index(symbol.name)}]"
            case "degree":
                return f"given[{node}, {0 if symbol.name == 'k' else 1}]"
            case "attribute":
                return f"given[{node}, {2 + signature.attributes.index(symbol.name)}]"
            case "parameter":
                return f"parameters[{signature.parameters.index(symbol.name)}]"
            case "time":
                return "time"
            case "constant":
                return repr(np.pi)
            case "sum":
                scratch = symbol.name.removeprefix("scratch ")
                return f"scratch[m, {scratch}]" if scratch != symbol.name else f"s{symbol.name}"
        raise InputError("A_ij was left in the plan of an equation")


def _costly(expression: Expression) -> bool:
    """Tell whether an expression holds a function, a quotient or a power that is no product."""
    for part in walk(expression):
        if isinstance(part, Function) and part.name not in _CHEAP_FUNCTIONS:
            return True
        if isinstance(part, Power):
            exponent = part.exponent.value if isinstance(part.exponent, Number) else 0.5
            if not exponent.is_integer() or not 0 < exponent <= _LARGEST_UNROLLED_POWER:
                return True
    return False
