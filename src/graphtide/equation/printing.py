r"""Equations out: as text that parses back to the same tree, and as LaTeX.

Text: `-x + sum_j A_ij*(x_j - x_i)`; LaTeX: `-x_i + \sum_j A_{ij} \left(x_j - x_i\right)`.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphtide.equation.expression import (
    MINUS_ONE,
    ONE,
    Aggregate,
    Expression,
    Function,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
    is_reciprocal,
)

__all__ = ["expression_latex", "expression_text", "name_latex", "number_text"]

_GREEK = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "ε": "epsilon",
    "ζ": "zeta",
    "η": "eta",
    "θ": "theta",
    "κ": "kappa",
    "λ": "lambda",
    "μ": "mu",
    "ν": "nu",
    "ξ": "xi",
    "ρ": "rho",
    "σ": "sigma",
    "τ": "tau",
    "φ": "phi",
    "χ": "chi",
    "ψ": "psi",
    "ω": "omega",
    "Γ": "Gamma",
    "Δ": "Delta",
    "Θ": "Theta",
    "Λ": "Lambda",
    "Ξ": "Xi",
    "Π": "Pi",
    "Σ": "Sigma",
    "Φ": "Phi",
    "Ψ": "Psi",
    "Ω": "Omega",
}
_LATEX_FUNCTIONS = {"sin": "\\sin", "cos": "\\cos", "tan": "\\tan", "tanh": "\\tanh", "log": "\\ln"}


def number_text(value: float) -> str:
    """Return the shortest text that reads back as the same float64; integers without a point."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(float(value))


def expression_text(expression: Expression, *, in_sum: bool = False) -> str:
    """Return the text of an expression; inside a sum a node's own state is x_i, outside x."""
    match expression:
        case Number(value):
            return number_text(value)
        case Symbol():
            return _symbol_text(expression, in_sum)
        case Sum(terms):
            text = expression_text(terms[0], in_sum=in_sum)
            for term in terms[1:]:
                part = expression_text(term, in_sum=in_sum)
                text += f" - {part[1:]}" if part.startswith("-") else f" + {part}"
            return text
        case Product(factors):
            return _product_text(factors, in_sum)
        case Power(base, exponent):
            if exponent == MINUS_ONE:
                return _product_text((expression,), in_sum)
            upper = expression_text(exponent, in_sum=in_sum)
            if not isinstance(exponent, Symbol | Number):
                upper = f"({upper})"
            return f"{_base_text(base, in_sum)}^{upper}"
        case Function(name, arguments):
            if name == "hill" and arguments[2] == ONE:
                arguments = arguments[:2]
            inner = ", ".join(expression_text(argument, in_sum=in_sum) for argument in arguments)
            return f"{name}({inner})"
        case Aggregate(kind, message):
            return _aggregate_text(kind, message)


def _symbol_text(symbol: Symbol, in_sum: bool) -> str:
    if symbol.kind == "variable" and symbol.node == "i" and not in_sum:
        return symbol.name
    return f"{symbol.name}_{symbol.node}" if symbol.node else symbol.name


def _product_text(factors: tuple[Expression, ...], in_sum: bool) -> str:
    upper = [factor for factor in factors if not is_reciprocal(factor)]
    lower = [f.base for f in factors if isinstance(f, Power) and f.exponent == MINUS_ONE]
    sign = ""
    if upper and upper[0] == MINUS_ONE:
        sign, upper = "-", upper[1:]
    parts = [
        _factor_text(factor, in_sum, last=not lower and k == len(upper) - 1)
        for k, factor in enumerate(upper)
    ]
    text = "*".join(parts) if parts else "1"
    for base in lower:
        part = expression_text(base, in_sum=in_sum)
        plain = isinstance(base, Symbol | Function | Number) or (
            isinstance(base, Power) and not is_reciprocal(base)
        )
        text += f"/{part}" if plain and not part.startswith("-") else f"/({part})"
    return sign + text


def _factor_text(factor: Expression, in_sum: bool, *, last: bool) -> str:
    text = expression_text(factor, in_sum=in_sum)
    if isinstance(factor, Sum) or (isinstance(factor, Aggregate) and not last):
        return f"({text})"
    return text


def _base_text(base: Expression, in_sum: bool) -> str:
    text = expression_text(base, in_sum=in_sum)
    plain = isinstance(base, Symbol | Function | Number) and not text.startswith("-")
    return text if plain else f"({text})"


def _aggregate_text(kind: str, message: Expression) -> str:
    head = f"{kind}_j A_ij"
    if message == ONE:
        return head
    text = expression_text(message, in_sum=True)
    if isinstance(message, Sum) or text.startswith("-"):
        return f"{head}*({text})"
    first = message.factors[0] if isinstance(message, Product) else message
    return head + text[1:] if is_reciprocal(first) else f"{head}*{text}"


def name_latex(name: str, node: str = "") -> str:
    r"""Return a name as LaTeX, its node as a subscript: theta, i gives `\theta_i`."""
    stem, *subscripts = [part for part in name.split("_") if part] or [name]
    digits = stem[len(stem.rstrip("0123456789")) :]
    if digits and digits != stem:
        stem, subscripts = stem[: -len(digits)], [digits, *subscripts]
    stem = _GREEK.get(stem, stem)
    if stem in _GREEK.values():
        stem = f"\\{stem}"
    elif len(stem) > 1:
        stem = f"\\mathrm{{{stem}}}"
    marks = [s if len(s) == 1 or s.isdigit() else f"\\mathrm{{{s}}}" for s in subscripts]
    marks += [node] if node else []
    if not marks:
        return stem
    return f"{stem}_{marks[0]}" if len("".join(marks)) == 1 else f"{stem}_{{{','.join(marks)}}}"


def expression_latex(expression: Expression) -> str:
    """Return an expression as LaTeX; states carry their node, x_i or x_j."""
    match expression:
        case Number(value):
            mantissa, _, exponent = number_text(value).partition("e")
            if not exponent:
                return mantissa
            return f"{mantissa} \\times 10^{{{int(exponent)}}}"
        case Symbol(kind, name, node):
            return "\\pi" if kind == "constant" else name_latex(name, node)
        case Sum(terms):
            text = expression_latex(terms[0])
            for term in terms[1:]:
                part = expression_latex(term)
                text += f" - {part[1:].lstrip()}" if part.startswith("-") else f" + {part}"
            return text
        case Product(factors):
            return _product_latex(factors)
        case Power(base, exponent):
            if exponent == MINUS_ONE:
                return _product_latex((expression,))
            return f"{_base_latex(base)}^{{{expression_latex(exponent)}}}"
        case Function(name, arguments):
            return _function_latex(name, arguments)
        case Aggregate(kind, message):
            head = "\\sum_j A_{ij}" if kind == "sum" else "\\frac{1}{k_i} \\sum_j A_{ij}"
            if message == ONE:
                return head
            text = expression_latex(message)
            bare = not isinstance(message, Sum) and not text.startswith("-")
            return f"{head} {text if bare else _bracketed(text)}"


def _product_latex(factors: tuple[Expression, ...]) -> str:
    upper: list[Expression] = [
        f for f in factors if not is_reciprocal(f) and not isinstance(f, Aggregate)
    ]
    sums = [factor for factor in factors if isinstance(factor, Aggregate)]
    lower = [f.base for f in factors if isinstance(f, Power) and f.exponent == MINUS_ONE]
    sign = ""
    if upper and isinstance(upper[0], Number) and upper[0].value < 0:
        sign, upper = "-", [Number(-upper[0].value), *upper[1:]]
        upper = upper[1:] if upper[0] == ONE else upper
    text = _joined_latex(upper)
    if len(upper) == 1 and isinstance(upper[0], Sum) and not lower and (sign or sums):
        text = _bracketed(text)
    if lower:
        text = f"\\frac{{{text or '1'}}}{{{_joined_latex(lower)}}}"
    tail = [expression_latex(s) if s is sums[-1] else _bracketed(expression_latex(s)) for s in sums]
    return sign + " ".join(filter(None, [text, *tail]))


def _joined_latex(factors: Sequence[Expression]) -> str:
    if len(factors) == 1:
        return expression_latex(factors[0])
    text = ""
    for factor in factors:
        part = expression_latex(factor)
        if isinstance(factor, Sum | Aggregate) or part.startswith("-"):
            part = _bracketed(part)
        joint = " \\cdot " if part[0].isdigit() else " "
        text = f"{text}{joint}{part}" if text else part
    return text


def _base_latex(base: Expression) -> str:
    text = expression_latex(base)
    plain = isinstance(base, Symbol) or (isinstance(base, Number) and text.isdigit())
    return text if plain else _bracketed(text)


def _function_latex(name: str, arguments: tuple[Expression, ...]) -> str:
    inner = ", ".join(map(expression_latex, arguments))
    match name:
        case "exp":
            return f"e^{{{inner}}}"
        case "sqrt":
            return f"\\sqrt{{{inner}}}"
        case "abs":
            return f"\\left|{inner}\\right|"
        case "hill":
            x, exponent, half = arguments
            upper = expression_latex(Power(x, exponent))
            lower = "1" if half == ONE else expression_latex(Power(half, exponent))
            return f"\\frac{{{upper}}}{{{lower} + {upper}}}"
        case "minimum" | "maximum":
            return f"\\{name[:3]}{_bracketed(inner)}"
    head = _LATEX_FUNCTIONS.get(name, f"\\operatorname{{{name}}}")
    return head + _bracketed(inner)


def _bracketed(text: str) -> str:
    return f"\\left({text}\\right)"
