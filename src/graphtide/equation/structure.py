"""What an equation's form says of its dynamics: diffusive, Hamiltonian, or neither.

Diffusive: the message is an odd function of x_j - x_i alone, as in heat conduction; with a
symmetric A and one variable a node, the Jacobian is symmetric, so its spectrum is real.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from graphtide.equation.expression import (
    Aggregate,
    Expression,
    Product,
    Sum,
    Symbol,
    evaluate,
    symbols,
    walk,
)

__all__ = ["structure_of"]

_SAMPLES = 32


def structure_of(
    variables: tuple[str, ...], expressions: tuple[Expression, ...]
) -> Literal["plain", "diffusive", "hamiltonian"]:
    """Return the structure of a system of right-hand sides."""
    if len(variables) == 2:
        position, momentum = variables
        first = {s.name for s in symbols(expressions[0]) if s.kind == "variable"}
        second = {s.name for s in symbols(expressions[1]) if s.kind == "variable"}
        if first == {momentum} and second == {position}:
            return "hamiltonian"
    pairs = list(zip(variables, expressions, strict=True))
    coupled = any(isinstance(part, Aggregate) for e in expressions for part in walk(e))
    if coupled and all(_is_diffusive(name, expression) for name, expression in pairs):
        return "diffusive"
    return "plain"


def _is_diffusive(variable: str, expression: Expression) -> bool:
    """Tell whether a variable reads itself alone and is coupled by odd functions of differences."""
    read = {s.name for s in symbols(expression) if s.kind == "variable"}
    if not read <= {variable}:
        return False
    terms = expression.terms if isinstance(expression, Sum) else (expression,)
    for term in terms:
        factors = term.factors if isinstance(term, Product) else (term,)
        outer = [factor for factor in factors if not isinstance(factor, Aggregate)]
        inner = [factor for factor in factors if isinstance(factor, Aggregate)]
        if any(isinstance(part, Aggregate) for factor in outer for part in walk(factor)):
            return False
        if not inner:
            continue
        if len(inner) > 1 or any(s.node for factor in outer for s in symbols(factor)):
            return False
        if not _is_odd_in_difference(inner[0].message):
            return False
    return True


def _is_odd_in_difference(message: Expression) -> bool:
    """Tell whether G(a, b) = G(a + s, b + s) = -G(b, a), tried at fixed points off any symmetry."""
    if any(s.node and s.kind != "variable" for s in symbols(message)):
        return False
    if not any(s.node == "j" for s in symbols(message)):
        return False
    generator = np.random.default_rng(20)
    own, other, shift = generator.uniform(0.1, 2.0, (3, _SAMPLES))
    constants: dict[str, float] = {}

    def value(own_state: np.ndarray, other_state: np.ndarray) -> np.ndarray:
        def value_of(symbol: Symbol | Aggregate) -> np.ndarray | float:
            if isinstance(symbol, Symbol) and symbol.kind == "variable":
                return own_state if symbol.node == "i" else other_state
            name = symbol.name if isinstance(symbol, Symbol) else ""
            return constants.setdefault(name, generator.uniform(0.3, 1.7))

        return np.asarray(evaluate(message, value_of))

    here = value(own, other)
    tolerance = 1e-9 * (1.0 + np.abs(here))
    moved = np.abs(value(own + shift, other + shift) - here)
    swapped = np.abs(value(other, own) + here)
    return bool(np.all(moved < tolerance) and np.all(swapped < tolerance))
