"""The library of candidate terms that a search chooses from.

One variable: its powers, usual functions of it, and pair terms from diffusion to saturating gain,
as sums or as means over neighbours. Several variables: all monomials to degree 3, sine and tanh of
each, and pair terms both as sums and as means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from graphtide.mechanisms.candidates import Candidate, Series, States, TermSet

__all__ = ["library"]


def library(
    variables: Sequence[str], coupling: Literal["sum", "mean"], terms: TermSet = "all"
) -> list[Candidate]:
    """Return the candidates for these variables.

    One variable: 14 own terms and 22 pair terms, sums or means as asked. Several variables: all
    monomials to degree 3, sine and tanh of each, and every pair form both as a sum and as a mean.
    The polynomial terms are those of either without a function or a quotient; "none" gives none.
    """
    if terms == "none":
        return []
    if len(variables) == 1:
        candidates = _one_variable(variables[0], coupling)
    else:
        candidates = _several_variables(tuple(variables))
    if terms == "polynomial":
        return [c for c in candidates if c.polynomial]
    return candidates


def _sigmoid(x: Series) -> Series:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _hill(x: Series, exponent: float, half: float = 1.0) -> Series:
    power = x**exponent
    return power / (half**exponent + power)


_OWN_FORMS: tuple[tuple[str, int, Callable[[Series], Series]], ...] = (
    ("{x}", 1, lambda x: x),
    ("{x}^2", 2, lambda x: x**2),
    ("{x}^3", 3, lambda x: x * x * x),
    ("{x}^4", 4, lambda x: (x * x) ** 2),
    ("sin({x})", 2, np.sin),
    ("cos({x})", 2, np.cos),
    ("sin(2*{x})", 3, lambda x: np.sin(2 * x)),
    ("exp(-abs({x}))", 4, lambda x: np.exp(-np.abs(x))),
    ("{x}/(1 + abs({x}))", 2, lambda x: x / (1 + np.abs(x))),
    ("hill({x}, 2)", 2, lambda x: _hill(x, 2)),
    ("tanh({x})", 2, np.tanh),
    ("sigmoid({x})", 2, _sigmoid),
    ("log1p(abs({x}))", 2, lambda x: np.log1p(np.abs(x))),
)

_NEIGHBOUR_FORMS: tuple[tuple[str, int, Callable[[Series], Series]], ...] = (
    ("{j}", 1, lambda x: x),
    ("{j}^2", 2, lambda x: x**2),
    ("{j}^3", 3, lambda x: x * x * x),
    ("sin({j})", 2, np.sin),
    ("cos({j})", 2, np.cos),
    ("{j}/(1 + abs({j}))", 2, lambda x: x / (1 + np.abs(x))),
    ("hill({j}, 2)", 2, lambda x: _hill(x, 2)),
    ("tanh({j})", 2, np.tanh),
    ("sigmoid({j})", 2, _sigmoid),
)

_DIFFERENCE_FORMS: tuple[tuple[str, int, Callable[[Series], Series]], ...] = (
    ("({j} - {i})^3", 4, lambda d: d * d * d),
    ("tanh({j} - {i})", 4, np.tanh),
    ("exp({j} - {i})", 4, lambda d: np.exp(np.clip(d, -30.0, 30.0))),
    ("tan({j} - {i})", 4, np.tan),
)


def _one_variable(x: str, coupling: Literal["sum", "mean"]) -> list[Candidate]:
    names = {"x": x, "i": f"{x}_i", "j": f"{x}_j"}

    def this(states: States) -> Series:
        return states[x]

    def one(states: States) -> Series:
        return np.ones_like(states[x])

    def pair_term(text: str, complexity: int, *parts: object) -> Candidate:
        body = text.format(**names)
        return Candidate(
            f"{coupling}_j A_ij*({body})",
            complexity + 2,
            coupling,
            separable=parts,  # pyright: ignore[reportArgumentType]
        )

    terms = [Candidate("1", 1, own=one)]
    for text, complexity, function in _OWN_FORMS:
        terms.append(Candidate(text.format(**names), complexity, own=_of_variable(x, function)))
    if coupling == "sum":
        terms.append(Candidate("k_i", 3, "sum", separable=((one, one),)))
    terms += [
        pair_term("{j} - {i}", 3, (one, this), (lambda s: -s[x], one)),
        pair_term("{i}*{j}", 3, (this, this)),
        pair_term("{i}*{j}^2", 4, (this, lambda s: s[x] ** 2)),
        pair_term("{i}^2*{j}", 4, (lambda s: s[x] ** 2, this)),
        pair_term(
            "sin({j} - {i})",
            4,
            (lambda s: np.cos(s[x]), lambda s: np.sin(s[x])),
            (lambda s: -np.sin(s[x]), lambda s: np.cos(s[x])),
        ),
        pair_term("{i}*{j}/(1 + abs({j}))", 5, (this, lambda s: s[x] / (1 + np.abs(s[x])))),
        pair_term("{i}*hill({j}, 2)", 5, (this, lambda s: _hill(s[x], 2))),
    ]
    for text, complexity, function in _NEIGHBOUR_FORMS:
        terms.append(pair_term(text, complexity, (one, _of_variable(x, function))))
    for text, complexity, function in _DIFFERENCE_FORMS:
        body = text.format(**names)
        terms.append(
            Candidate(
                f"{coupling}_j A_ij*{_bracketed(body)}",
                complexity + 2,
                coupling,
                pair=_of_difference(x, function),
            )
        )
    terms.append(
        Candidate(
            f"{coupling}_j A_ij*({x}_i*{x}_j/(1 + abs({x}_i) + abs({x}_j)))",
            8,
            coupling,
            pair=lambda here, there: here[x] * there[x] / (1 + np.abs(here[x]) + np.abs(there[x])),
        )
    )
    return terms


def _bracketed(body: str) -> str:
    return f"({body})"


def _of_variable(x: str, function: Callable[[Series], Series]) -> Callable[[States], Series]:
    return lambda states: function(states[x])


def _of_difference(
    x: str, function: Callable[[Series], Series]
) -> Callable[[States, States], Series]:
    return lambda here, there: function(there[x] - here[x])


def _several_variables(variables: tuple[str, ...]) -> list[Candidate]:
    first = variables[0]

    def one(states: States) -> Series:
        return np.ones_like(states[first])

    terms = [Candidate("1", 1, own=one)]
    for exponents in _monomials(len(variables), 3):
        text = "*".join(
            name if power == 1 else f"{name}^{power}"
            for name, power in zip(variables, exponents, strict=True)
            if power
        )
        terms.append(Candidate(text, sum(exponents), own=_monomial(variables, exponents)))
    for x in variables:
        terms.append(Candidate(f"sin({x})", 2, own=_of_variable(x, np.sin)))
        terms.append(Candidate(f"tanh({x})", 2, own=_of_variable(x, np.tanh)))
    couplings: tuple[Literal["sum", "mean"], ...] = ("sum", "mean")
    for coupling in couplings:
        for x in variables:
            this = _of_variable(x, lambda value: value)
            minus = _of_variable(x, np.negative)
            sine, cosine = _of_variable(x, np.sin), _of_variable(x, np.cos)
            minus_sine = _of_variable(x, lambda value: -np.sin(value))
            forms = (
                (f"{x}_j - {x}_i", 3, ((one, this), (minus, one))),
                (f"{x}_j", 1, ((one, this),)),
                (f"sin({x}_j - {x}_i)", 4, ((cosine, sine), (minus_sine, cosine))),
            )
            for body, complexity, parts in forms:
                terms.append(
                    Candidate(
                        f"{coupling}_j A_ij*({body})", complexity + 2, coupling, separable=parts
                    )
                )
            for y in variables:
                other = _of_variable(y, lambda value: value)
                terms.append(
                    Candidate(
                        f"{coupling}_j A_ij*({x}_i*{y}_j)",
                        5,
                        coupling,
                        separable=((this, other),),
                    )
                )
    return terms


def _monomials(count: int, degree: int) -> list[tuple[int, ...]]:
    """Return all exponents of total degree 1 to ``degree``, lower degrees first."""
    grid = np.indices((degree + 1,) * count).reshape(count, -1).T
    kept = [tuple(int(e) for e in row) for row in grid if 1 <= row.sum() <= degree]
    return sorted(kept, key=lambda exponents: (sum(exponents), tuple(-e for e in exponents)))


def _monomial(variables: tuple[str, ...], exponents: tuple[int, ...]) -> Callable[[States], Series]:
    def product(states: States) -> Series:
        result: Series = np.ones_like(states[variables[0]])
        for name, power in zip(variables, exponents, strict=True):
            for _ in range(power):
                result = result * states[name]
        return result

    return product
