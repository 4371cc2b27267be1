"""Terms read off the free curves of a law, their constants fitted in the weak form.

Genetic programming sees one curve at a time, as several families of functions, and gives the form;
a spline is rough where states are rare, so the constants inside are then fitted to the weak form's
rows themselves while the other functions of the law stay free splines. The best forms of each curve
become candidates: residual and price as in :mod:`~graphtide.mechanisms.inner`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import sympy

from graphtide.equation.grammar import parse_expression
from graphtide.equation.symbolic import expression_sympy
from graphtide.errors import InputError
from graphtide.mechanisms.candidates import Candidate
from graphtide.mechanisms.curves import Curve, Place, additive_curves
from graphtide.mechanisms.genetic import expression_of
from graphtide.mechanisms.inner import (
    LEAST_RESIDUAL,
    log_residual,
    orthogonal_basis,
    polished,
    weighted_rows,
)
from graphtide.mechanisms.rows import Sample
from graphtide.mechanisms.search import ELBOW
from graphtide.mechanisms.user_terms import term_of

__all__ = ["curve_terms"]

FAMILIES = (
    "add,mul,div,square,constant,variable",
    "add,mul,sin,constant,variable",
    "add,mul,exp,constant,variable",
    "add,mul,sin,exp,constant,variable",
    "add,mul,tanh,constant,variable",
)
LENGTHS = (4, 8, 14)
"""Most symbols of an expression: short ones are seen even where long ones fit a little better."""
MOST_PARTS = 3
MOST_CONSTANTS = 4
KEPT = 2
"""Forms of each curve that become candidates."""
EXACT_DIGITS = 17
SHOWN_DIGITS = 6
STATE = sympy.Symbol("s")


def curve_terms(samples: Sequence[Sample], *, seed: int = 0) -> list[Candidate]:
    """Return candidates that were read off the free curves of every variable's law.

    Args:
        samples: the data.
        seed: seed of the genetic programming.
    """
    found: dict[str, Candidate] = {}
    for d, curves in enumerate(additive_curves(samples)):
        for curve in curves:
            others = [c for other in curves if other is not curve for c in other.basis]
            for term in _terms_of(samples, d, curve, others, seed):
                found.setdefault(term.text, term)
    return list(found.values())


def _terms_of(
    samples: Sequence[Sample], d: int, curve: Curve, others: Sequence[Candidate], seed: int
) -> list[Candidate]:
    """Return the terms of the best forms of one curve."""
    variables = samples[0].observed.variables
    forms: dict[str, list[Candidate]] = {}
    for operations in FAMILIES:
        for length in LENGTHS:
            text = expression_of(
                curve.points[:, None], curve.values, ["s"], operations, length=length, seed=seed
            )
            terms = _candidates(text, curve, variables)
            if terms:
                forms.setdefault(" + ".join(t.text for t in terms), terms)
    free, target = weighted_rows(samples, d, [*others, *_constant(curve)])
    scored = []
    for terms in forms.values():
        # A form whose constants vanish or grow without bound in the fit is no term any more.
        with contextlib.suppress(InputError):
            scored.append(_fitted(samples, d, free, target, terms))
    scored.sort(key=lambda pair: pair[0])
    return [term for _, terms in scored[:KEPT] for term in terms]


def _constant(curve: Curve) -> list[Candidate]:
    """Return the term that a constant of the curve makes, as forms are given without theirs."""
    return [term_of("1" if curve.place == "own" else "k_i", (curve.variable,))]


def _fitted(
    samples: Sequence[Sample],
    d: int,
    free: np.ndarray,
    target: np.ndarray,
    terms: Sequence[Candidate],
) -> tuple[float, list[Candidate]]:
    """Return the price of a form and its terms, their constants fitted one term after another."""

    def columns(asked: Sequence[Candidate]) -> np.ndarray:
        return weighted_rows(samples, d, asked)[0]

    fitted = list(terms)
    for k, term in enumerate(terms):
        if term.inner:
            rest = [t for j, t in enumerate(fitted) if j != k]
            base = np.column_stack([free, columns(rest)]) if rest else free
            fitted[k] = polished(columns, target, orthogonal_basis(base), term)
    left = log_residual(np.column_stack([free, columns(fitted)]), target)
    constants = sum(len(term.inner) for term in fitted)
    price = max(left, LEAST_RESIDUAL) + ELBOW * (len(fitted) + 0.5 * constants)
    return price, [term.rounded() for term in fitted]


def _candidates(text: str, curve: Curve, variables: tuple[str, ...]) -> list[Candidate]:
    """Return the additive parts of an expression in s as terms; none where it is too long."""
    expression = expression_sympy(parse_expression(text, ("s",)))
    expression = sympy.expand(expression.replace(lambda e: isinstance(e, sympy.Indexed), _state))
    parts: list[Candidate] = []
    for part in sympy.Add.make_args(_normal(expression)):
        _, form = part.as_coeff_Mul()
        if STATE not in form.free_symbols:
            continue
        try:
            term = _candidate(form, curve, variables)
        except InputError:  # a form that the grammar of equations does not hold
            return []
        if len(term.inner) > MOST_CONSTANTS:
            return []
        if term.text not in [other.text for other in parts]:
            parts.append(term)
    return parts if len(parts) <= MOST_PARTS else []


def _state(_: sympy.Basic) -> sympy.Symbol:
    return STATE


def _normal(expression: sympy.Expr) -> sympy.Expr:
    """Return the expression with 1 as the constant of each denominator."""

    def divided(power: sympy.Expr) -> sympy.Expr:
        base, exponent = power.as_base_exp()
        constant, _ = base.as_independent(STATE, as_Add=True)
        if constant == 0:
            return power
        inner = sympy.Add(1, *(term / constant for term in sympy.Add.make_args(base - constant)))
        return constant**exponent * inner**exponent

    changed = expression.replace(
        lambda e: e.is_Pow and e.base.is_Add and e.exp.is_Integer and e.exp < 0, divided
    )
    return cast("sympy.Expr", changed)


def _candidate(form: sympy.Expr, curve: Curve, variables: tuple[str, ...]) -> Candidate:
    """Return a form of s as a term whose constants can be moved.

    A constant is moved on a logarithmic scale, so that it keeps its sign.
    """
    constants = sorted(form.atoms(sympy.Float), key=float)
    names = [sympy.Symbol(f"constant{k}") for k in range(len(constants))]
    pattern = form.subs(dict(zip(constants, names, strict=True)))

    def written(values: Sequence[float], digits: int) -> str:
        numbers = [sympy.Float(f"{value:.{digits}g}") for value in values]
        form = pattern.subs(dict(zip(names, numbers, strict=True)))
        return _text(form, curve.place, curve.variable)

    def remake(steps: tuple[float, ...], digits: int | None) -> Candidate:
        values = [float(c) * np.exp(u) for c, u in zip(constants, steps, strict=True)]
        exact = term_of(written(values, digits or EXACT_DIGITS), variables)
        shown = term_of(written(values, digits or SHOWN_DIGITS), variables)
        return replace(exact, text=shown.text, inner=steps, remake=remake)

    return remake((0.0,) * len(constants), None)


def _text(form: sympy.Expr, place: Place, variable: str) -> str:
    """Return a form of s in the grammar of equations, s being what the curve is a function of."""
    places = {"own": f"{variable}_i", "neighbour": f"{variable}_j"}
    state = places.get(place, f"({variable}_j - {variable}_i)")
    text = re.sub(r"\bs\b", state, sympy.sstr(form).replace("**", "^"))
    return text if place == "own" else f"sum_j A_ij*({text})"
