"""Candidate terms that a user writes: one term a line in the grammar of equations.

    # terms.txt
    x^2/(1 + x^2)
    sum_j A_ij*sin(x_j - x_i)
    omega_i*x

A term is of the node's own (F), or one sum or mean over neighbours (G), perhaps with factors of the
node's own. It may read node attributes (`omega_i`), the degree `k_i` and time `t`. Its coefficient
is what the search finds, so a name that is no variable, such as `a*x`, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from graphtide.equation.expression import (
    ONE,
    Aggregate,
    Expression,
    Product,
    Symbol,
    evaluate,
    multiply,
    symbols,
    walk,
)
from graphtide.equation.grammar import parse_expression
from graphtide.equation.plan import at_node, depends_on, parted
from graphtide.equation.printing import expression_text
from graphtide.errors import InputError
from graphtide.files import read_text
from graphtide.mechanisms.candidates import Candidate, Series, States

__all__ = ["read_terms", "term_of"]

MOST_TERMS = 200


def read_terms(path: str | Path, variables: Sequence[str]) -> list[Candidate]:
    """Return the terms of a file; blank lines and what follows # are passed over.

    Args:
        path: one term a line.
        variables: names that terms may read: the states' variables, then known inputs.

    Raises:
        InputError: the file is missing, holds no term or too many, or a line is no term; the
            message names file and line.
    """
    found: dict[str, int] = {}
    result = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            term = term_of(text, variables)
        except InputError as error:
            message = re.sub(r"^equation, ", "", str(error))
            raise InputError(f"{path}, line {number}: {message}") from None
        if term.text in found:
            raise InputError(
                f"{path}, line {number}: the term '{term.text}' stands already in line "
                f"{found[term.text]}"
            )
        found[term.text] = number
        result.append(term)
    if not result:
        raise InputError(f"{path} holds no term; one a line was expected, such as x^2/(1 + x^2)")
    if len(result) > MOST_TERMS:
        raise InputError(f"{path} holds {len(result)} terms; at most {MOST_TERMS} are searched")
    return result


def term_of(text: str, variables: Sequence[str]) -> Candidate:
    """Return the candidate that a text states.

    Example:
        >>> term_of("x_i*sum_j A_ij*x_j", ("x",)).coupling
        'sum'

    Raises:
        InputError: the text is no expression, reads an unknown name, is a number other than 1, or
            holds more than one sum over neighbours.
    """
    expression = parse_expression(text, tuple(variables))
    unknown = [s.name for s in symbols(expression) if s.kind == "parameter"]
    if unknown:
        raise InputError(
            f"'{unknown[0]}' is no variable of the states ({', '.join(variables)}); coefficients "
            "are found by the search, so a term holds none"
        )
    sums = [part for part in walk(expression) if isinstance(part, Aggregate)]
    written = expression_text(expression)
    complexity = sum(1 for _ in walk(expression))
    fixed = [s.name for s in symbols(expression) if s.kind in ("attribute", "degree")]
    reads = tuple(dict.fromkeys(fixed))
    if not sums:
        if not symbols(expression) and expression != ONE:
            raise InputError(f"'{text}' is a plain number; write 1 for a constant")
        return Candidate(written, complexity, own=_function(expression), reads=reads)
    factors = expression.factors if isinstance(expression, Product) else (expression,)
    outer = [factor for factor in factors if isinstance(factor, Aggregate)]
    if len(sums) != 1 or len(outer) != 1:
        raise InputError(
            f"'{text}' is not one sum over neighbours with factors of the node's own; write other "
            "terms on lines of their own"
        )
    (total,) = outer
    own = multiply(*(factor for factor in factors if factor is not total))
    pairs = [(multiply(own, a), g) for a, g in parted(total.message, part_sums=True)]
    if all("i" not in depends_on(g) for _, g in pairs):
        separable = tuple((_function(a), _function(at_node(g))) for a, g in pairs)
        return Candidate(written, complexity, total.kind, separable=separable, reads=reads)
    whole = _pair_function(multiply(own, total.message))
    return Candidate(written, complexity, total.kind, pair=whole, reads=reads)


def _function(expression: Expression) -> Callable[[States], Series]:
    """Return an expression of one node's states as a function of whole series."""

    def value(states: States) -> Series:
        found = evaluate(expression, lambda symbol: _series(symbol, states))
        shape = next(iter(states.values())).shape
        return np.array(np.broadcast_to(found, shape), dtype=float)

    return value


def _pair_function(expression: Expression) -> Callable[[States, States], Series]:
    """Return an expression of both ends of an edge as a function of their series."""

    def value(here: States, there: States) -> Series:
        def look_up(symbol: Symbol | Aggregate) -> Series:
            other = isinstance(symbol, Symbol) and symbol.node == "j"
            return _series(symbol, there if other else here)

        shape = next(iter(here.values())).shape
        return np.array(np.broadcast_to(evaluate(expression, look_up), shape), dtype=float)

    return value


def _series(symbol: Symbol | Aggregate, states: States) -> Series:
    assert isinstance(symbol, Symbol)  # sums are taken apart before
    if symbol.kind in ("attribute", "degree"):
        return states[f"{symbol.name}_i"]
    return states[symbol.name]
