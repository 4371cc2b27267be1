"""Expression trees: what stands on the right of an equation of network dynamics.

F(x_i, t) + sum_j A_ij G(x_i, x_j) is a tree of numbers, symbols, sums, products, powers, functions
and neighbour aggregates. The constructors keep one normal form (flat sums and products, one numeric
coefficient in front, reciprocals last), so that a tree printed as text parses back to itself.
Nothing is evaluated while a tree is built, whatever its size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

__all__ = [
    "FUNCTIONS",
    "MINUS_ONE",
    "ONE",
    "ZERO",
    "Aggregate",
    "Expression",
    "Function",
    "Number",
    "Power",
    "Product",
    "Sum",
    "Symbol",
    "add",
    "aggregate",
    "children",
    "evaluate",
    "is_reciprocal",
    "multiply",
    "negate",
    "power",
    "rebuild",
    "reciprocal",
    "replace",
    "symbols",
    "walk",
]

SymbolKind: TypeAlias = Literal[
    "variable", "attribute", "degree", "time", "constant", "parameter", "edge", "sum"
]
NodeIndex: TypeAlias = Literal["", "i", "j"]
AggregateKind: TypeAlias = Literal["sum", "mean"]

# Name of each function -> the numbers of arguments that it takes.
FUNCTIONS: dict[str, tuple[int, ...]] = {
    "sin": (1,),
    "cos": (1,),
    "tan": (1,),
    "tanh": (1,),
    "exp": (1,),
    "log": (1,),
    "log1p": (1,),
    "sqrt": (1,),
    "abs": (1,),
    "sign": (1,),
    "sigmoid": (1,),
    "heaviside": (1,),
    "erfcx": (1,),
    "hill": (2, 3),
    "minimum": (2,),
    "maximum": (2,),
}


@dataclass(frozen=True, slots=True)
class Number:
    """A real number."""

    value: float


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name: a state variable or attribute of node i or j, t, pi, k_i, A_ij, or a parameter."""

    kind: SymbolKind
    name: str
    node: NodeIndex = ""


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of at least two terms."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """The product of at least two factors: a number first if any, reciprocals last."""

    factors: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Power:
    """A base to an exponent; a quotient is a product with a power of -1."""

    base: Expression
    exponent: Expression


@dataclass(frozen=True, slots=True)
class Function:
    """A function of :data:`FUNCTIONS` with its arguments."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """sum_j A_ij * message, or its mean: divided by k_i = sum_j A_ij, and 0 where k_i = 0."""

    kind: AggregateKind
    message: Expression


Expression: TypeAlias = Number | Symbol | Sum | Product | Power | Function | Aggregate

ZERO = Number(0.0)
ONE = Number(1.0)
MINUS_ONE = Number(-1.0)


def add(*terms: Expression) -> Expression:
    """Return the flat sum of terms, zeros left out."""
    flat: list[Expression] = []
    for term in terms:
        flat.extend(term.terms if isinstance(term, Sum) else (term,))
    flat = [term for term in flat if term != ZERO]
    if not flat:
        return ZERO
    return flat[0] if len(flat) == 1 else Sum(tuple(flat))


def multiply(*factors: Expression) -> Expression:
    """Return the flat product of factors: numbers gathered into one in front, reciprocals last."""
    coefficient = 1.0
    upper: list[Expression] = []
    lower: list[Expression] = []
    for factor in factors:
        for part in factor.factors if isinstance(factor, Product) else (factor,):
            if isinstance(part, Number):
                coefficient *= part.value
            elif is_reciprocal(part):
                lower.append(part)
            else:
                upper.append(part)
    if coefficient == 0.0:
        return ZERO
    flat = upper + lower
    if coefficient != 1.0 or not flat:
        flat.insert(0, Number(coefficient))
    return flat[0] if len(flat) == 1 else Product(tuple(flat))


def negate(expression: Expression) -> Expression:
    """Return -expression."""
    return multiply(MINUS_ONE, expression)


def power(base: Expression, exponent: Expression) -> Expression:
    """Return base^exponent; the exponents 0 and 1 vanish, and a base of 1 is 1."""
    if ONE in (exponent, base):
        return base
    return ONE if exponent == ZERO else Power(base, exponent)


def reciprocal(expression: Expression) -> Expression:
    """Return 1/expression."""
    return power(expression, MINUS_ONE)


def aggregate(kind: AggregateKind, message: Expression) -> Expression:
    """Return the aggregate of a message over neighbours; a message 0 gives 0."""
    return ZERO if message == ZERO else Aggregate(kind, message)


def is_reciprocal(expression: Expression) -> bool:
    """Tell whether an expression is 1/something."""
    return isinstance(expression, Power) and expression.exponent == MINUS_ONE


def children(expression: Expression) -> tuple[Expression, ...]:
    """Return the direct parts of an expression."""
    match expression:
        case Sum(terms):
            return terms
        case Product(factors):
            return factors
        case Power(base, exponent):
            return (base, exponent)
        case Function(_, arguments):
            return arguments
        case Aggregate(_, message):
            return (message,)
    return ()


def rebuild(expression: Expression, parts: tuple[Expression, ...]) -> Expression:
    """Return the same kind of expression with other direct parts, in normal form."""
    match expression:
        case Sum():
            return add(*parts)
        case Product():
            return multiply(*parts)
        case Power():
            return power(*parts)
        case Function(name, _):
            return Function(name, parts)
        case Aggregate(kind, _):
            return aggregate(kind, parts[0])
    return expression


def replace(
    expression: Expression, change: Callable[[Expression], Expression | None]
) -> Expression:
    """Return the expression with each part for which `change` gives another put in its place.

    Parts are visited from the root down; where `change` returns None, their own parts are visited.
    """
    changed = change(expression)
    if changed is not None:
        return changed
    parts = children(expression)
    if not parts:
        return expression
    return rebuild(expression, tuple(replace(part, change) for part in parts))


def walk(expression: Expression) -> Iterator[Expression]:
    """Yield an expression and all its parts, root first, left to right."""
    stack = [expression]
    while stack:
        part = stack.pop()
        yield part
        stack.extend(reversed(children(part)))


def symbols(expression: Expression) -> list[Symbol]:
    """Return the different symbols of an expression in order of appearance."""
    return list(dict.fromkeys(part for part in walk(expression) if isinstance(part, Symbol)))


def evaluate(
    expression: Expression, value_of: Callable[[Symbol | Aggregate], np.ndarray | float]
) -> np.ndarray | float:
    """Return the value of an expression by NumPy, in IEEE arithmetic (no exception on overflow).

    Args:
        expression: the tree.
        value_of: the value of each symbol (pi is known) and of each aggregate, arrays that
            broadcast.
    """
    with np.errstate(all="ignore"):
        return _evaluate(expression, value_of)


def _evaluate(
    expression: Expression, value_of: Callable[[Symbol | Aggregate], np.ndarray | float]
) -> np.ndarray | float:
    match expression:
        case Number(value):
            return np.float64(value)
        case Symbol("constant", _, _):
            return np.float64(math.pi)
        case Symbol() | Aggregate():
            return value_of(expression)
        case Sum(terms):
            return sum((_evaluate(term, value_of) for term in terms), start=np.float64(0.0))
        case Product(factors):
            product: np.ndarray | float = np.float64(1.0)
            for factor in factors:
                product = product * _evaluate(factor, value_of)
            return product
        case Power(base, exponent):
            # float_power keeps integers from being raised as integers and 0^-1 from raising.
            return np.float_power(_evaluate(base, value_of), _evaluate(exponent, value_of))
        case Function(name, arguments):
            return _NUMPY[name](*(_evaluate(argument, value_of) for argument in arguments))


def _hill(
    x: np.ndarray | float, exponent: np.ndarray | float, half: np.ndarray | float = 1.0
) -> np.ndarray:
    raised = np.float_power(x, exponent)
    return raised / (np.float_power(half, exponent) + raised)


def _erfcx(x: np.ndarray | float) -> np.ndarray:
    from scipy.special import erfcx

    return np.asarray(erfcx(x))


_NUMPY: dict[str, Callable[..., np.ndarray | float]] = {
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sign": np.sign,
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "heaviside": lambda x: 0.5 * (1.0 + np.sign(x)),
    "erfcx": _erfcx,
    "hill": _hill,
    "minimum": np.minimum,
    "maximum": np.maximum,
}
