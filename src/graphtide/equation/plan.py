"""How the sums over neighbours of an equation are best taken: shared by both back ends.

A message G(x_i, x_j) is written as sum_r a_r(x_i) g_r(x_i, x_j): what depends on node i alone
leaves the sum, so that a_r is worked out once a node and equal g_r are summed once, however many
terms use them. Sines and cosines of a difference are parted by the addition theorems:
sin(x_j - x_i) = sin x_j cos x_i - cos x_j sin x_i, one sparse product each and no sine per edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from graphtide.equation.expression import (
    ONE,
    Aggregate,
    Expression,
    Function,
    Number,
    Product,
    Sum,
    Symbol,
    add,
    children,
    evaluate,
    multiply,
    negate,
    rebuild,
    replace,
    symbols,
    walk,
)

__all__ = ["Plan", "at_node", "depends_on", "fold_constants", "parted", "plan_of"]

DEGREE = Symbol("degree", "k", "i")
INVERSE_DEGREE = Symbol("degree", "1/k", "i")


@dataclass(frozen=True, slots=True)
class Plan:
    """Right-hand sides in which each neighbour sum is a symbol.

    Attributes:
        messages: g_r of the sums sum_j A_ij g_r(x_i, x_j), all different, none free of x_j.
        outputs: the right-hand side of each variable; Symbol("sum", "r", "i") stands for sum r and
            Symbol("degree", "1/k", "i") for 1/k_i, 0 where k_i = 0.
    """

    messages: tuple[Expression, ...]
    outputs: tuple[Expression, ...]


def plan_of(expressions: Iterable[Expression], *, part_sums: bool) -> Plan:
    """Return the plan of a system of right-hand sides.

    Args:
        expressions: one a variable.
        part_sums: part sums such as x_j - x_i into one sparse product a term. A loop that is fused
            over edges gains nothing by it, except where a function is saved.
    """
    messages: dict[Expression, int] = {}

    def change(part: Expression) -> Expression | None:
        if not isinstance(part, Aggregate):
            return None
        terms = []
        for own, inner in parted(part.message, part_sums):
            if inner == ONE:
                terms.append(multiply(own, DEGREE))
                continue
            number = messages.setdefault(inner, len(messages))
            terms.append(multiply(own, Symbol("sum", str(number), "i")))
        total = add(*terms)
        return total if part.kind == "sum" else multiply(total, INVERSE_DEGREE)

    outputs = tuple(replace(fold_constants(expression), change) for expression in expressions)
    return Plan(tuple(messages), outputs)


def depends_on(expression: Expression) -> frozenset[str]:
    """Return which of the nodes i and j an expression reads."""
    return frozenset(symbol.node for symbol in symbols(expression) if symbol.node)


def at_node(expression: Expression) -> Expression:
    """Return an expression of neighbour j as the same expression of node i."""

    def change(part: Expression) -> Expression | None:
        if isinstance(part, Symbol) and part.node == "j":
            return Symbol(part.kind, part.name, "i")
        return None

    return replace(expression, change)


def fold_constants(expression: Expression) -> Expression:
    """Return the expression with each part made of numbers alone put as one number."""
    if isinstance(expression, Number):
        return expression
    constant = all(symbol.kind == "constant" for symbol in symbols(expression))
    if constant and not any(isinstance(part, Aggregate) for part in walk(expression)):
        return Number(float(evaluate(expression, lambda _: math.nan)))
    parts = tuple(fold_constants(part) for part in children(expression))
    return rebuild(expression, parts) if parts else expression


def parted(message: Expression, part_sums: bool) -> list[tuple[Expression, Expression]]:
    """Return pairs (own, inner) whose products add up to the message; own does not read j."""
    if "j" not in depends_on(message):
        return [(message, ONE)]
    if isinstance(message, Function) and message.name in ("sin", "cos"):
        expanded = _addition_theorem(message)
        return [(ONE, message)] if expanded is None else parted(expanded, part_sums)
    if isinstance(message, Sum):
        pairs = [pair for term in message.terms for pair in parted(term, part_sums)]
        separable = all("i" not in depends_on(inner) for _, inner in pairs)
        saves = any(isinstance(part, Function) for part in walk(message))
        return pairs if separable and (part_sums or saves) else [(ONE, message)]
    if isinstance(message, Product):
        own = multiply(*(f for f in message.factors if "j" not in depends_on(f)))
        rest = [f for f in message.factors if "j" in depends_on(f)]
        mixed = [f for f in rest if "i" in depends_on(f)]
        if len(mixed) == 1:
            others = multiply(*(f for f in rest if f is not mixed[0]))
            pairs = parted(mixed[0], part_sums)
            if pairs != [(ONE, mixed[0])]:
                return [(multiply(own, a), multiply(others, g)) for a, g in pairs]
        return [(own, multiply(*rest))]
    return [(ONE, message)]


def _addition_theorem(function: Function) -> Expression | None:
    """Return sin or cos of (a part of node i) + (a part of node j) as products, else None."""
    parts = _additive_parts(function.arguments[0])
    if parts is None:
        return None
    own, other = parts
    if not depends_on(own):
        return None

    def sin(part: Expression) -> Expression:
        return Function("sin", (part,))

    def cos(part: Expression) -> Expression:
        return Function("cos", (part,))

    if function.name == "sin":
        return add(multiply(cos(own), sin(other)), multiply(sin(own), cos(other)))
    return add(multiply(cos(own), cos(other)), negate(multiply(sin(own), sin(other))))


def _additive_parts(expression: Expression) -> tuple[Expression, Expression] | None:
    """Return (what does not read j, what does not read i), whose sum is the expression."""
    if isinstance(expression, Product):
        sums = [factor for factor in expression.factors if isinstance(factor, Sum)]
        if len(sums) != 1 or any(depends_on(f) for f in expression.factors if f is not sums[0]):
            return None
        scale = multiply(*(f for f in expression.factors if f is not sums[0]))
        inner = _additive_parts(sums[0])
        return None if inner is None else (multiply(scale, inner[0]), multiply(scale, inner[1]))
    if not isinstance(expression, Sum):
        return None
    reads = [depends_on(term) for term in expression.terms]
    if any(len(nodes) == 2 for nodes in reads):
        return None
    chosen: list[Callable[[frozenset[str]], bool]] = [lambda n: "j" not in n, lambda n: "j" in n]
    pairs = list(zip(expression.terms, reads, strict=True))
    own, other = (add(*(term for term, nodes in pairs if test(nodes))) for test in chosen)
    return own, other
