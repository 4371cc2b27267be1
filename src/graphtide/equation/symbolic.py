"""Expression trees as SymPy expressions: states x[i] and x[j], weights A[i, j], sums over j."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from graphtide.equation.expression import (
    Aggregate,
    Expression,
    Function,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
)

if TYPE_CHECKING:
    import sympy

__all__ = ["expression_sympy"]


def expression_sympy(expression: Expression) -> sympy.Expr:
    """Return an expression in SymPy: states x[i], weights A[i, j], sums over j from 0 to N - 1."""
    import sympy

    nodes = {name: sympy.Symbol(name, integer=True) for name in ("i", "j")}
    count = sympy.Symbol("N", integer=True, positive=True)

    def at(name: str, *indices: str) -> sympy.Expr:
        base = sympy.IndexedBase(name, real=True)
        return cast("sympy.Expr", sympy.Indexed(base, *(nodes[k] for k in indices)))

    def convert(part: Expression) -> sympy.Expr:
        match part:
            case Number(value):
                return sympy.Integer(int(value)) if value.is_integer() else sympy.Float(value)
            case Symbol("constant", _, _):
                return sympy.pi
            case Symbol(_, name, node):
                if not node:
                    return sympy.Symbol(name, real=True)
                return at(name, node)
            case Sum(terms):
                return sympy.Add(*map(convert, terms))
            case Product(factors):
                return sympy.Mul(*map(convert, factors))
            case Power(base, exponent):
                return sympy.Pow(convert(base), convert(exponent))
            case Function(name, arguments):
                return _sympy_function(name, [convert(argument) for argument in arguments])
            case Aggregate(kind, message):
                weight = at("A", "i", "j")
                limits = (nodes["j"], 0, count - 1)
                total = cast("sympy.Expr", sympy.Sum(weight * convert(message), limits))
                return total if kind == "sum" else total / at("k", "i")

    return convert(expression)


def _sympy_function(name: str, arguments: list[sympy.Expr]) -> sympy.Expr:
    import sympy

    match name:
        case "log1p":
            return sympy.log(1 + arguments[0])
        case "sigmoid":
            return 1 / (1 + sympy.exp(-arguments[0]))
        case "erfcx":
            return sympy.exp(arguments[0] ** 2) * sympy.erfc(arguments[0])
        case "hill":
            x, exponent, half = arguments
            return x**exponent / (half**exponent + x**exponent)
        case "abs":
            return sympy.Abs(arguments[0])
        case "heaviside":
            return sympy.Heaviside(arguments[0])
        case "minimum":
            return sympy.Min(*arguments)
        case "maximum":
            return sympy.Max(*arguments)
    return getattr(sympy, name)(*arguments)
