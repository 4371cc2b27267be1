"""The noun: parameters, pieces, files, SymPy, structure."""

import copy
import json
import pickle
from pathlib import Path

import pytest

from graphtide.equation import Equation, Parameter
from graphtide.errors import InputError

HEAT = "dx/dt = k*sum_j A_ij*(x_j - x_i)"


def test_parameters_by_name() -> None:
    equation = Equation.parse("dx/dt = -k*x + b, k = 2", parameters={"b": Parameter(1.0, 0.1)})
    assert equation.parameters == {"k": Parameter(2.0), "b": Parameter(1.0, 0.1)}
    assert list(equation.parameters) == ["k", "b"]
    assert equation.with_parameters(k=3).parameter_values() == {"k": 3.0, "b": 1.0}
    assert equation.parameters["k"] == Parameter(2.0), "the first equation is unchanged"
    assert Equation.parse("dx/dt = k*x, k = 1", parameters={"k": 5}).parameter_values() == {"k": 5}


def test_unknown_and_missing_parameters() -> None:
    equation = Equation.parse("dx/dt = rate*x")
    with pytest.raises(InputError, match="no parameter 'rat'; did you mean 'rate'"):
        equation.with_parameters(rat=1.0)
    with pytest.raises(InputError, match="the parameter 'rate' has no value"):
        equation.parameter_values()
    with pytest.raises(InputError, match="nan, not finite"):
        equation.with_parameters(rate=float("nan"))


def test_equations_are_immutable_hashable_and_picklable() -> None:
    equation = Equation.parse(HEAT, parameters={"k": 2.0})
    with pytest.raises(AttributeError):
        equation.variables = ("y",)  # type: ignore[misc]
    with pytest.raises(TypeError):
        equation.parameters["k"] = Parameter(1.0)  # type: ignore[index]
    assert pickle.loads(pickle.dumps(equation)) == equation
    assert copy.deepcopy(equation) == equation
    assert len({equation, Equation.parse(HEAT, parameters={"k": 2.0})}) == 1


def test_from_terms_keeps_coefficients_and_errors() -> None:
    equation = Equation.from_terms(
        ["x", "y"],
        {
            "x": [(-1.25, "x^2", 0.01), (0.5, "sum_j A_ij*(x_j - x_i)", None)],
            "y": [(1e-3, "mean_j sin(y_j - x_i)", 1e-4), (2.0, "1", None), (1.0, "c2*x", None)],
        },
        parameters={"c2": 7.0},
    )
    assert equation.parameters == {
        "c1": Parameter(-1.25, 0.01),
        "c3": Parameter(0.5),
        "c4": Parameter(1e-3, 1e-4),
        "c5": Parameter(2.0),
        "c6": Parameter(1.0),
        "c2": Parameter(7.0),
    }
    assert equation.text(values=True) == (
        "dx/dt = -1.25*x^2 + 0.5*sum_j A_ij*(x_j - x_i), "
        "dy/dt = 0.001*mean_j A_ij*sin(y_j - x_i) + 2 + 7*x"
    )
    assert Equation.parse(equation.text()) == equation
    assert Equation.from_terms(["x"], {}).text() == "dx/dt = 0"
    with pytest.raises(InputError, match="'z', which is no variable"):
        Equation.from_terms(["x"], {"z": []})
    with pytest.raises(InputError, match="'x_j' has a meaning only"):
        Equation.from_terms(["x"], {"x": [(1.0, "x_j", None)]})


def test_values_in_place_are_rounded_on_demand() -> None:
    equation = Equation.parse("dx/dt = a*x + b", parameters={"a": -0.123456, "b": 2.0})
    assert equation.text(values=True, digits=3) == "dx/dt = -0.123*x + 2"
    assert equation.latex(values=True, digits=2) == r"\frac{dx_i}{dt} = -0.12 x_i + 2"
    assert equation.substituted({"a": 3.0}).text() == "dx/dt = 3*x + b, b = 2"


def test_parts() -> None:
    equation = Equation.parse("dx/dt = -x + b + sum_j A_ij*x_j - 2*mean_j x_j, dy/dt = x")
    law = Equation(("x", "y"), (equation.self_part("x"), equation.coupling("x")))
    assert law.text() == "dx/dt = -x + b, dy/dt = sum_j A_ij*x_j - 2*mean_j A_ij*x_j"
    assert equation.coupled
    assert not Equation.parse("dx/dt = x").coupled
    with pytest.raises(InputError, match="no variable 'z'; it has x, y"):
        equation.self_part("z")


def test_files(tmp_path: Path) -> None:
    equation = Equation.parse(f"{HEAT}, k = 0.1 ± 0.02")
    equation.write(tmp_path / "equation.json")
    assert Equation.read(tmp_path / "equation.json") == equation
    assert json.loads((tmp_path / "equation.json").read_text()) == {
        "format_version": 1,
        "variables": ["x"],
        "equations": {"x": "k*sum_j A_ij*(x_j - x_i)"},
        "parameters": {"k": {"value": 0.1, "standard_error": 0.02}},
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format_version 2"),
        ({"equations": []}, "no object 'equations'"),
        ({"variables": ["y"]}, "do not name the same variables"),
        ({"equations": {"x": 3}}, "is a text"),
        ({"equations": {"x": "open('f')"}}, "quotation marks"),
        ({"parameters": {"k": {"value": "1"}}}, "'1' where a number belongs"),
        ({"parameters": {"k": True}}, "True where a number belongs"),
        ({"parameters": 3}, "no object of names and values"),
        ({"parameters": {"q": {"value": 1}}}, "no parameter 'q'"),
    ],
)
def test_json_that_is_no_equation(change: dict[str, object], message: str) -> None:
    content = json.loads(Equation.parse(HEAT).to_json())
    with pytest.raises(InputError, match=message):
        Equation.from_json(json.dumps({**content, **change}))


def test_text_that_is_no_json() -> None:
    for text in ("", "{", "[" * 100_000, "3"):
        with pytest.raises(InputError, match="equation"):
            Equation.from_json(text)


def test_sympy() -> None:
    sympy = pytest.importorskip("sympy")
    equation = Equation.parse("dx/dt = -x + sum_j A_ij*hill(x_j, 2)")
    expression = equation.to_sympy()["x"]
    i, j = sympy.symbols("i j", integer=True)
    x, weight = sympy.IndexedBase("x", real=True), sympy.IndexedBase("A", real=True)
    count = sympy.Symbol("N", integer=True, positive=True)
    message = weight[i, j] * x[j] ** 2 / (1 + x[j] ** 2)
    assert expression == -x[i] + sympy.Sum(message, (j, 0, count - 1))


@pytest.mark.parametrize(
    ("text", "structure"),
    [
        (HEAT, "diffusive"),
        ("dx/dt = x*(1 - x) + 0.1*sum_j A_ij*(x_j - x_i)", "diffusive"),
        ("dx/dt = sum_j A_ij*tanh(a*(x_j - x_i))", "diffusive"),
        ("dx/dt = sum_j A_ij*(x_j - x_i)*abs(x_j - x_i)", "diffusive"),
        ("dx/dt = sum_j A_ij*(x_j - x_i), dy/dt = -y", "diffusive"),
        ("dx/dt = sum_j A_ij*(x_j - 0.9*x_i)", "plain"),
        ("dx/dt = sum_j A_ij*(x_j - x_i)^2", "plain"),
        ("dx/dt = sum_j A_ij*(x_j^2 - x_i^2)", "plain"),
        ("dx/dt = sum_j A_ij*omega_j*(x_j - x_i)", "plain"),
        ("dx/dt = -x + sum_j A_ij*x_j", "plain"),
        ("dx/dt = x*sum_j A_ij*(x_j - x_i)", "plain"),
        ("dx/dt = y + sum_j A_ij*(x_j - x_i), dy/dt = -x", "plain"),
        ("dx/dt = -x", "plain"),
        ("dx/dt = y, dy/dt = -sin(x)", "hamiltonian"),
        ("dx/dt = y, dy/dt = P_i + sum_j A_ij*sin(x_j - x_i)", "hamiltonian"),
        ("dx/dt = y, dy/dt = -x - 0.1*y", "plain"),
    ],
)
def test_structure(text: str, structure: str) -> None:
    assert Equation.parse(text).structure == structure
