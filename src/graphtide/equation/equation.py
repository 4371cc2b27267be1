"""The Equation: dx_i/dt = F(x_i, t) + sum_j A_ij G(x_i, x_j), read, printed, kept and compiled.

One expression a variable, named parameters with values and standard errors. An equation is
immutable; what changes it returns another.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from graphtide.equation.expression import (
    Aggregate,
    Expression,
    Number,
    Sum,
    Symbol,
    add,
    multiply,
    replace,
    symbols,
    walk,
)
from graphtide.equation.grammar import check_name, parse_expression, parse_system
from graphtide.equation.parameter import Parameter
from graphtide.equation.printing import (
    expression_latex,
    expression_text,
    name_latex,
    number_text,
)
from graphtide.equation.storage import json_of, parts_of_json
from graphtide.equation.structure import structure_of
from graphtide.equation.symbolic import expression_sympy
from graphtide.errors import InputError
from graphtide.files import read_text, write_text

if TYPE_CHECKING:
    import sympy

    from graphtide.equation.torch_backend import CompiledEquation

__all__ = ["Equation", "Parameter", "Structure"]

Structure: TypeAlias = Literal["plain", "diffusive", "hamiltonian"]


@dataclass(frozen=True, slots=True)
class Equation:
    """The law dx_d/dt of each variable d, for every node i of a graph.

    Attributes:
        variables: names of the D variables, in the order of the states' last dimension.
        expressions: right-hand side of each variable, an expression tree.
        parameters: value and standard error of each parameter, in order of appearance.

    Example:
        >>> equation = Equation.parse("dx/dt = k*sum_j A_ij*(x_j - x_i)", parameters={"k": 0.5})
        >>> print(equation)
        dx/dt = k*sum_j A_ij*(x_j - x_i), k = 0.5
        >>> Equation.parse(equation.text()) == equation
        True
    """

    variables: tuple[str, ...]
    expressions: tuple[Expression, ...]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.variables or len(self.variables) != len(self.expressions):
            raise InputError("an equation needs one expression for each of its variables")
        for name in self.variables:
            check_name(name, "variable")
        names = [
            symbol.name
            for expression in self.expressions
            for symbol in symbols(expression)
            if symbol.kind == "parameter"
        ]
        known = {name: Parameter() for name in names}
        for name, parameter in self.parameters.items():
            _check_parameter(name, known)
            known[name] = parameter
        object.__setattr__(self, "parameters", MappingProxyType(known))

    def __hash__(self) -> int:
        return hash((self.variables, self.expressions, tuple(self.parameters.items())))

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Equation, (self.variables, self.expressions, dict(self.parameters))

    @classmethod
    def parse(
        cls, text: str, *, parameters: Mapping[str, float | Parameter] | None = None
    ) -> Equation:
        """Read an equation from text (:mod:`graphtide.equation.grammar` has the grammar).

        Args:
            text: such as `dx/dt = -x + k*sum_j A_ij*(x_j - x_i), k = 0.5`; several variables and
                parameter values are separated by commas, semicolons or line ends.
            parameters: values by name; they go before those that the text states.

        Raises:
            InputError: the text is not an equation, or a parameter does not occur in it.
        """
        system = parse_system(text)
        stated = {name: Parameter(*pair) for name, pair in system.parameters.items()}
        given = {name: _as_parameter(value) for name, value in (parameters or {}).items()}
        return cls(tuple(system.equations), tuple(system.equations.values()), {**stated, **given})

    @classmethod
    def from_terms(
        cls,
        variables: Sequence[str],
        terms: Mapping[str, Sequence[tuple[float, str, float | None]]],
        *,
        parameters: Mapping[str, float | Parameter] | None = None,
    ) -> Equation:
        """Build an equation from weighted terms, as discovery finds them.

        Each coefficient becomes a parameter c1, c2, ... with its value and standard error.

        Args:
            variables: names of the variables.
            terms: for each variable its (coefficient, term, standard error), terms such as `x^2` or
                `sum_j A_ij*(x_j - x_i)`; no term means dx/dt = 0.
            parameters: values of parameters that occur in the terms themselves.

        Raises:
            InputError: a term is not an expression, or a variable is not known.
        """
        names = tuple(variables)
        unknown = [name for name in terms if name not in names]
        if unknown:
            raise InputError(f"terms are given for '{unknown[0]}', which is no variable of {names}")
        parsed = {
            name: [parse_expression(text, names) for _, text, _ in terms.get(name, ())]
            for name in names
        }
        taken = {s.name for parts in parsed.values() for part in parts for s in symbols(part)}
        values = {name: _as_parameter(value) for name, value in (parameters or {}).items()}
        expressions = []
        number = 0
        for name in names:
            weighted = []
            for part, (value, _, error) in zip(parsed[name], terms.get(name, ()), strict=True):
                number += 1
                while f"c{number}" in taken:
                    number += 1
                values[f"c{number}"] = Parameter(
                    float(value), None if error is None else float(error)
                )
                weighted.append(multiply(Symbol("parameter", f"c{number}"), part))
            expressions.append(add(*weighted))
        used = {s.name for expression in expressions for s in symbols(expression)}
        return cls(names, tuple(expressions), {k: v for k, v in values.items() if k in used})

    @classmethod
    def from_json(cls, text: str, *, source: str = "equation") -> Equation:
        """Read an equation from the text of an equation.json.

        Raises:
            InputError: the text is no JSON object of this format.
        """
        return cls(*parts_of_json(text, source))

    @classmethod
    def read(cls, path: str | Path) -> Equation:
        """Read an equation.json.

        Raises:
            InputError: the file is missing or is no equation.
        """
        return cls.from_json(read_text(path), source=str(path))

    def write(self, path: str | Path) -> None:
        """Write an equation.json."""
        write_text(path, self.to_json() + "\n")

    def to_json(self) -> str:
        """Return the equation as a JSON object of format 1."""
        return json_of(self.variables, self.expressions, self.parameters)

    def text(self, *, values: bool = False, digits: int | None = None) -> str:
        """Return the equation as text that :meth:`parse` reads back.

        Args:
            values: put the parameters' values in their places (the law as a reader wants it)
                instead of listing them after the equations.
            digits: round the values that are put in place to so many significant digits.
        """
        shown = self._with_values(digits) if values else self
        parts = [
            f"d{name}/dt = {expression_text(expression)}"
            for name, expression in zip(shown.variables, shown.expressions, strict=True)
        ]
        for name, parameter in shown.parameters.items():
            if parameter.value is not None:
                error = parameter.standard_error
                margin = "" if error is None else f" ± {number_text(float(error))}"
                parts.append(f"{name} = {number_text(float(parameter.value))}{margin}")
        return ", ".join(parts)

    def __str__(self) -> str:
        """Return the text, parameters and their values at its end."""
        return self.text()

    def latex(self, *, values: bool = False, digits: int | None = None) -> str:
        """Return the equation as LaTeX, one line a variable (an `aligned` block if several).

        Args:
            values: put the parameters' values in their places.
            digits: round those values to so many significant digits.
        """
        sides = self._latex_sides(values=values, digits=digits)
        if len(sides) == 1:
            return " = ".join(sides[0])
        body = " \\\\ ".join(f"{left} &= {right}" for left, right in sides)
        return f"\\begin{{aligned}} {body} \\end{{aligned}}"

    def latex_lines(self, *, values: bool = False, digits: int | None = None) -> list[str]:
        """Return the equation of each variable as LaTeX by itself; arguments as for `latex`."""
        return [" = ".join(sides) for sides in self._latex_sides(values=values, digits=digits)]

    def _latex_sides(self, *, values: bool, digits: int | None) -> list[tuple[str, str]]:
        shown = self._with_values(digits) if values else self
        return [
            (f"\\frac{{d{name_latex(name, 'i')}}}{{dt}}", expression_latex(expression))
            for name, expression in zip(shown.variables, shown.expressions, strict=True)
        ]

    def to_sympy(self) -> dict[str, sympy.Expr]:
        """Return the right-hand sides in SymPy: states x[i], x[j], weights A[i, j], sums over j."""
        return {
            name: expression_sympy(expression)
            for name, expression in zip(self.variables, self.expressions, strict=True)
        }

    def with_parameters(
        self,
        values: Mapping[str, float | Parameter] | None = None,
        /,
        **named: float | Parameter,
    ) -> Equation:
        """Return the equation with other values of some parameters.

        Raises:
            InputError: a name is no parameter of the equation.
        """
        changed = {k: _as_parameter(v) for k, v in {**(values or {}), **named}.items()}
        return Equation(self.variables, self.expressions, {**self.parameters, **changed})

    def parameter_values(self) -> dict[str, float]:
        """Return the value of every parameter.

        Raises:
            InputError: a parameter has no value.
        """
        values: dict[str, float] = {}
        for name, parameter in self.parameters.items():
            if parameter.value is None:
                raise InputError(
                    f"the parameter '{name}' has no value; give one, as in '{name} = 1'"
                )
            values[name] = float(parameter.value)
        return values

    def substituted(self, values: Mapping[str, float]) -> Equation:
        """Return the equation with numbers written in place of parameters."""
        for name in values:
            _check_parameter(name, self.parameters)

        def change(part: Expression) -> Expression | None:
            if isinstance(part, Symbol) and part.kind == "parameter" and part.name in values:
                return Number(float(values[part.name]))
            return None

        kept = {name: p for name, p in self.parameters.items() if name not in values}
        expressions = tuple(replace(expression, change) for expression in self.expressions)
        remaining = {s.name for expression in expressions for s in symbols(expression)}
        return Equation(
            self.variables, expressions, {k: p for k, p in kept.items() if k in remaining}
        )

    def expression(self, variable: str) -> Expression:
        """Return the right-hand side of a variable.

        Raises:
            InputError: the equation has no such variable.
        """
        if variable not in self.variables:
            raise InputError(
                f"the equation has no variable '{variable}'; it has {', '.join(self.variables)}"
            )
        return self.expressions[self.variables.index(variable)]

    def self_part(self, variable: str) -> Expression:
        """Return F: the terms of a variable's right-hand side that hold no sum over neighbours."""
        return add(*(t for t in self._terms(variable) if not _has_aggregate(t)))

    def coupling(self, variable: str) -> Expression:
        """Return the terms of a variable's right-hand side that hold a sum over neighbours."""
        return add(*(t for t in self._terms(variable) if _has_aggregate(t)))

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the node attributes that the equation reads (omega for `omega_i`)."""
        found = (s for e in self.expressions for s in symbols(e) if s.kind == "attribute")
        return tuple(dict.fromkeys(symbol.name for symbol in found))

    @property
    def coupled(self) -> bool:
        """Whether a sum over neighbours occurs at all."""
        return any(_has_aggregate(expression) for expression in self.expressions)

    @property
    def structure(self) -> Structure:
        """What the right-hand sides show of the problem, for the choice of a numerical method.

        diffusive: each variable is coupled by an odd function of its own x_j - x_i, and no variable
        reads another; on an undirected graph the Jacobian's spectrum is then real. hamiltonian: of
        two variables each changes by the other alone. plain: neither.
        """
        return structure_of(self.variables, self.expressions)

    def compile(self, *, trainable: bool = False) -> CompiledEquation:
        """Return the differentiable PyTorch vector field of the equation.

        Args:
            trainable: let the parameters receive gradients.

        Raises:
            InputError: a parameter has no value.
        """
        from graphtide.equation.torch_backend import CompiledEquation

        return CompiledEquation(self, trainable=trainable)

    def _terms(self, variable: str) -> tuple[Expression, ...]:
        expression = self.expression(variable)
        return expression.terms if isinstance(expression, Sum) else (expression,)

    def _with_values(self, digits: int | None) -> Equation:
        known = {k: float(p.value) for k, p in self.parameters.items() if p.value is not None}
        if digits is not None:
            known = {k: float(f"{value:.{digits}g}") for k, value in known.items()}
        return self.substituted(known)


def _has_aggregate(expression: Expression) -> bool:
    return any(isinstance(part, Aggregate) for part in walk(expression))


def _as_parameter(value: float | Parameter) -> Parameter:
    return value if isinstance(value, Parameter) else Parameter(float(value))


def _check_parameter(name: str, known: Mapping[str, Parameter]) -> None:
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"it has {', '.join(known) or 'none'}"
        raise InputError(f"the equation has no parameter '{name}'; {hint}")
