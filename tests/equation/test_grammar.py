"""The grammar: what it reads, what it refuses and how, and that printing is its inverse."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphtide.equation import Equation, Parameter
from graphtide.equation.expression import (
    FUNCTIONS,
    Expression,
    Function,
    Number,
    Symbol,
    add,
    aggregate,
    evaluate,
    multiply,
    power,
    reciprocal,
)
from graphtide.equation.printing import expression_latex
from graphtide.errors import InputError

WORDS = ["x", "x_j", "A_ij", "sum_j", "mean_j", "2", ".5", "sin", "hill", "k", *"()+-*/^,"]

REFUSED = {
    "import": ("dx/dt = __import__('os')", "'__import__' is not a name"),
    "attribute": ("dx/dt = x.real", "character 10: attribute access"),
    "subscript": ("dx/dt = x[0]", "character 10: subscripts"),
    "lambda": ("dx/dt = (lambda: 0)()", "character 16: ':'"),
    "string": ("dx/dt = 'a'", "quotation marks"),
    "walrus": ("dx/dt = (y := 3)", "':'"),
    "comprehension": ("dx/dt = [x for x in y]", "subscripts"),
    "tower": ("dx/dt = 9**9**9", "'9^(9^9)' has no finite value"),
    "huge literal": ("dx/dt = 1e999*x", "too large"),
    "division by zero": ("dx/dt = x + 1/0", "'1/0' has no finite value"),
    "logarithm of a negative": ("dx/dt = x*log(-1)", "'log(-1)' has no finite value"),
    "deep brackets": (f"dx/dt = {'(' * 10_000}x{')' * 10_000}", "are nested in each other"),
    "deep powers": (f"dx/dt = {'x^' * 10_000}x", "are nested in each other"),
    "deep functions": (f"dx/dt = {'sin(' * 5_000}x{')' * 5_000}", "are nested in each other"),
    "too long": (f"dx/dt = {'x+' * 50_000}x", "characters; at most"),
    "never closed": ("dx/dt = 2*(x + 1", "character 11: the bracket is never closed"),
    "never opened": ("dx/dt = x + 1)", "character 14: the bracket ')' was never opened"),
    "empty brackets": ("dx/dt = ()", "not ')'"),
    "unknown function": ("dx/dt = sine(x)", "there is no function 'sine'; did you mean 'sin'?"),
    "strange function": ("dx/dt = qqqqqq(x)", "the functions are sin, cos"),
    "builtin": ("dx/dt = eval(x)", "there is no function 'eval'"),
    "call of a variable": ("dx/dt = x(2)", "there is no function 'x'"),
    "arguments": ("dx/dt = hill(x)", "'hill' takes 2 or 3 arguments, not 1"),
    "bare function": ("dx/dt = sin", "needs its argument in brackets"),
    "two equations": ("dx/dt = x, dx/dt = -x", "'x' has two equations (characters 1 and 12)"),
    "neighbour outside": ("dx/dt = x_j - x", "'x_j' has a meaning only inside"),
    "weight outside": ("dx/dt = A_ij*x", "A_ij has a meaning only inside"),
    "attribute outside": ("dx/dt = omega_j*x", "'omega_j' has a meaning only inside"),
    "nested sum": ("dx/dt = sum_j A_ij*sum_j A_ij*x_j", "'sum_j' stands inside another sum"),
    "sum without weight": ("dx/dt = sum_j x_j", "sum_j needs A_ij once as a factor"),
    "weight squared": ("dx/dt = sum_j A_ij*A_ij*x_j", "sum_j needs A_ij once as a factor"),
    "weight in a function": ("dx/dt = sum_j sin(A_ij*x_j)", "sum_j needs A_ij once"),
    "weight in one term": ("dx/dt = sum_j (A_ij*x_j - x_i)", "sum_j needs A_ij once"),
    "nothing": ("", "no equation in ''"),
    "no left side": ("-x + 1", "write it as 'dx/dt = ...'"),
    "no right side": ("dx/dt =", "the equation ends where"),
    "algebraic": ("dx/dt = 1, x = 3", "write the equation of 'x' as 'dx/dt = ...'"),
    "missing operator": ("dx/dt = 2 x", "an operator such as * is missing before 'x'"),
    "double operator": ("dx/dt = x + * 2", "not '*'"),
    "time as a variable": ("dt/dt = 1", "'t' cannot name a variable"),
    "fixed name": ("dexp/dt = 1", "'exp' cannot name a variable"),
    "null byte": ("dx/dt = x\x00", "is not part of an equation"),
    "two values": ("dx/dt = c*x, c = 1, c = 2", "the parameter 'c' is given two values"),
    "value of nothing": ("dx/dt = -x, c = 1", "the equation has no parameter 'c'"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses_with_one_clear_sentence(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Equation.parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@given(st.text(max_size=60))
def test_any_text_gives_an_equation_or_an_input_error(text: str) -> None:
    for candidate in (text, f"dx/dt = {text}"):
        try:
            equation = Equation.parse(candidate)
        except InputError:
            continue
        assert Equation.parse(equation.text()) == equation


@given(
    st.lists(
        st.sampled_from(
            [
                "x",
                "x_j",
                "A_ij",
                "sum_j",
                "mean_j",
                "(",
                ")",
                "+",
                "-",
                "*",
                "/",
                "^",
                ",",
                "2",
                ".5",
                "sin",
                "hill",
                "k",
            ]
        )
    )
)
def test_any_row_of_words_gives_an_equation_or_an_input_error(words: list[str]) -> None:
    try:
        equation = Equation.parse(f"dx/dt = {' '.join(words)}")
    except InputError:
        return
    assert Equation.parse(equation.text()) == equation


def _numbers() -> st.SearchStrategy[Expression]:
    plain = st.one_of(st.integers(-20, 20), st.floats(-1e6, 1e6).filter(lambda v: abs(v) > 1e-6))
    return plain.map(lambda value: Number(float(value)))


def _symbols(*, in_sum: bool) -> st.SearchStrategy[Expression]:
    own = [
        Symbol("variable", "x", "i"),
        Symbol("variable", "y", "i"),
        Symbol("attribute", "omega", "i"),
        Symbol("degree", "k", "i"),
        Symbol("time", "t"),
        Symbol("parameter", "k"),
        Symbol("parameter", "r_max"),
        Symbol("parameter", "lambda"),
        Symbol("parameter", "β"),
    ]
    other = [
        Symbol("variable", "x", "j"),
        Symbol("variable", "y", "j"),
        Symbol("attribute", "omega", "j"),
        Symbol("degree", "k", "j"),
    ]
    return st.sampled_from(own + other if in_sum else own)


def _trees(*, in_sum: bool) -> st.SearchStrategy[Expression]:
    leaves = st.one_of(_symbols(in_sum=in_sum), _numbers())
    if not in_sum:
        sums = st.builds(aggregate, st.sampled_from(["sum", "mean"]), _trees(in_sum=True))
        leaves = st.one_of(leaves, sums)

    def extend(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        one = st.sampled_from([name for name, counts in FUNCTIONS.items() if counts == (1,)])
        return st.one_of(
            st.lists(parts, min_size=1, max_size=4).map(lambda terms: add(*terms)),
            st.lists(parts, min_size=1, max_size=4).map(lambda factors: multiply(*factors)),
            st.builds(lambda a, b: multiply(a, reciprocal(b)), parts, parts),
            st.builds(power, parts, _symbols(in_sum=in_sum)),
            st.builds(power, parts, st.sampled_from([2.0, 3.0, -2.0, 0.5, -1.0]).map(Number)),
            st.builds(lambda name, part: Function(name, (part,)), one, parts),
            st.builds(lambda a, b, c: Function("hill", (a, b, c)), parts, parts, parts),
            st.builds(lambda a, b: Function("minimum", (a, b)), parts, parts),
        )

    # A tree must hold a symbol: numbers alone may have no finite value, which is refused.
    trees = st.recursive(leaves, extend, max_leaves=10)
    anchor = _symbols(in_sum=in_sum)
    return st.builds(lambda tree, symbol: add(tree, symbol), trees, anchor)


def _equation(first: Expression, second: Expression) -> Equation | None:
    """Return the equation unless a part made of numbers has no finite value."""
    equation = Equation(("x", "y"), (first, second))
    try:
        Equation.parse(equation.text())
    except InputError as error:
        if "has no finite value" in str(error):
            return None
        raise
    return equation


@settings(max_examples=150, deadline=None)
@given(_trees(in_sum=False), _trees(in_sum=False))
def test_text_and_json_read_back_to_the_same_equation(a: Expression, b: Expression) -> None:
    equation = _equation(a, b)
    if equation is None:
        return
    assert Equation.parse(equation.text()) == equation
    assert Equation.from_json(equation.to_json()) == equation
    text = equation.latex()
    assert text.count("{") == text.count("}")
    assert text.count("\\left") == text.count("\\right")


def test_a_power_of_one_is_one() -> None:
    assert Equation.parse("dx/dt = x + 1^-1").text() == "dx/dt = x + 1"
    assert Equation.parse("dx/dt = 1^x").text() == "dx/dt = 1"


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.floats(-1e300, 1e300)), st.floats(0, 9))
def test_parameters_keep_every_digit(values: dict[str, float], error: float) -> None:
    equation = Equation.parse("dx/dt = a + b*x + c*x^2").with_parameters(
        {name: Parameter(value, error) for name, value in values.items()}
    )
    assert Equation.parse(equation.text()) == equation
    assert Equation.from_json(equation.to_json()) == equation


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2^2", -4.0),
        ("2^3^2", 512.0),
        ("2**-1", 0.5),
        ("8/4/2", 1.0),
        ("2*3 - 4*-5", 26.0),
        ("1 - (2 - 3)", 2.0),
        ("1.5e1 + .5 + 2.", 17.5),
        ("--3", 3.0),
        ("cos(pi)", -1.0),
        ("hill(2, 2)", 0.8),
        ("hill(2, 1, 6)", 0.25),
        ("sigmoid(0) + heaviside(0) + heaviside(-3) + heaviside(4)", 2.0),
        ("minimum(1, 2) + maximum(1, 2) + abs(-3) + sign(-7)", 5.0),
        ("sqrt(9) + exp(0) + log(1) + log1p(0) + tanh(0) + sin(0) + tan(0)", 4.0),
        ("6 \u2212 2·2×1", 2.0),
    ],
)
def test_precedence_and_functions(text: str, value: float) -> None:
    expression = Equation.parse(f"dx/dt = {text}").expressions[0]
    assert evaluate(expression, lambda _: math.nan) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "dx/dt = -x + sum_j A_ij*(x_j - x_i)",
        "dx_i/dt = -x_i + sum_j A_ij*(x_j - x)",
        "dx/dt = - x + sum_j (x_j - x_i)*A_ij",
        "  dx/dt=-x+sum_j A_ij*x_j-A_ij*x_i*0 - sum_j A_ij*x_i ".replace("-A_ij*x_i*0", ""),
    ],
)
def test_spellings_of_one_law(text: str) -> None:
    expression = Equation.parse(text).expressions[0]
    rng = np.random.default_rng(0)
    weight, state = rng.random((4, 4)), rng.random(4)

    def value_of(symbol: object) -> np.ndarray:
        if isinstance(symbol, Symbol):
            return state[:, None] if symbol.node == "i" else state[None, :]
        return (weight * evaluate(symbol.message, value_of)).sum(1)[:, None]

    expected = -state + weight @ state - weight.sum(1) * state
    assert np.allclose(np.ravel(evaluate(expression, value_of)), expected, rtol=1e-13)


def test_a_sum_reaches_to_the_end_of_its_term() -> None:
    short = Equation.parse("dx/dt = sum_j A_ij*x_j + x")
    assert short == Equation.parse("dx/dt = (sum_j A_ij*x_j) + x")
    long = Equation.parse("dx/dt = sum_j A_ij*x_j*x")
    assert long == Equation.parse("dx/dt = sum_j A_ij*(x_j*x_i)")
    assert Equation.parse("dx/dt = mean_j x_j") == Equation.parse("dx/dt = mean_j A_ij*x_j")


def test_separators_of_equations() -> None:
    comma = Equation.parse("dx/dt = -y, dy/dt = minimum(x, y), a = 1".replace(", a = 1", ""))
    assert comma == Equation.parse("dx/dt = -y; dy/dt = minimum(x, y);")
    assert comma == Equation.parse("dx/dt =\n  -y\ndy/dt = minimum(x,\n y)\r\n")
    assert comma.variables == ("x", "y")


def test_names_in_any_script() -> None:
    equation = Equation.parse("dθ/dt = ω_i + λ*sum_j A_ij*sin(θ_j - θ_i), λ = 2 ± 0.5")
    assert equation.attributes == ("ω",)
    assert equation.parameters["λ"] == Parameter(2.0, 0.5)
    assert Equation.parse(equation.text()) == equation


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("dx/dt = -(a + x)", r"\frac{dx_i}{dt} = -\left(a + x_i\right)"),
        ("dx/dt = exp(-(a + x))", r"\frac{dx_i}{dt} = e^{-\left(a + x_i\right)}"),
        (
            "dx/dt = (1 - x)*sum_j A_ij*x_j",
            r"\frac{dx_i}{dt} = \left(1 - x_i\right) \sum_j A_{ij} x_j",
        ),
        (
            "dx/dt = -k*x + sum_j A_ij*(x_j - x_i)",
            r"\frac{dx_i}{dt} = -k x_i + \sum_j A_{ij} \left(x_j - x_i\right)",
        ),
        (
            "dx/dt = b + x*(1 - x/c) + sum_j A_ij*x_i*x_j/(d + e*x_i + h*x_j)",
            r"\frac{dx_i}{dt} = b + x_i \left(1 - \frac{x_i}{c}\right) + "
            r"\sum_j A_{ij} \frac{x_i x_j}{d + e x_i + h x_j}",
        ),
        (
            "dtheta/dt = omega_i + mean_j A_ij*sin(theta_j - theta_i)",
            r"\frac{d\theta_i}{dt} = \omega_i + "
            r"\frac{1}{k_i} \sum_j A_{ij} \sin\left(\theta_j - \theta_i\right)",
        ),
        (
            "dx/dt = 1e-05*x^2 - (x + 1)^f + hill(x, 2, r_max)",
            r"\frac{dx_i}{dt} = 1 \times 10^{-5} x_i^{2} - \left(x_i + 1\right)^{f} + "
            r"\frac{x_i^{2}}{r_{\mathrm{max}}^{2} + x_i^{2}}",
        ),
        (
            "dx/dt = y, dy/dt = -exp(-x)",
            r"\begin{aligned} \frac{dx_i}{dt} &= y_i \\ "
            r"\frac{dy_i}{dt} &= -e^{-x_i} \end{aligned}",
        ),
    ],
)
def test_latex(text: str, latex: str) -> None:
    assert Equation.parse(text).latex() == latex


def test_latex_of_a_bare_sum_is_the_degree() -> None:
    expression = Equation.parse("dx/dt = sum_j A_ij").expressions[0]
    assert expression_latex(expression) == r"\sum_j A_{ij}"
