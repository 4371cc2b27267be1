"""equation.json: an equation as text in a JSON object of format 1, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from graphtide.equation.expression import Expression
from graphtide.equation.grammar import parse_expression
from graphtide.equation.parameter import Parameter
from graphtide.equation.printing import expression_text
from graphtide.errors import InputError

__all__ = ["json_of", "parts_of_json"]

_FORMAT_VERSION = 1


def json_of(
    variables: Sequence[str],
    expressions: Sequence[Expression],
    parameters: Mapping[str, Parameter],
) -> str:
    """Return an equation's parts as a JSON object."""
    content = {
        "format_version": _FORMAT_VERSION,
        "variables": list(variables),
        "equations": {
            name: expression_text(expression)
            for name, expression in zip(variables, expressions, strict=True)
        },
        "parameters": {
            name: {"value": p.value, "standard_error": p.standard_error}
            for name, p in parameters.items()
        },
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def parts_of_json(
    text: str, source: str
) -> tuple[tuple[str, ...], tuple[Expression, ...], dict[str, Parameter]]:
    """Return variables, expressions and parameters from the text of an equation.json.

    Raises:
        InputError: the text is no JSON object of this format.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{source} is not JSON") from None
    if not isinstance(content, dict) or not isinstance(content.get("equations"), dict):
        raise InputError(f"{source} has no object 'equations' of variables and expressions")
    version = content.get("format_version")
    if version != _FORMAT_VERSION:
        raise InputError(
            f"{source} has format_version {version}; this release reads {_FORMAT_VERSION}"
        )
    equations = content["equations"]
    variables = content.get("variables", list(equations))
    if not isinstance(variables, list) or set(map(str, variables)) != set(equations):
        raise InputError(f"{source}: 'variables' and 'equations' do not name the same variables")
    if not all(isinstance(value, str) for value in equations.values()):
        raise InputError(f"{source}: each of 'equations' is a text")
    names = tuple(map(str, variables))
    expressions = tuple(parse_expression(equations[name], names) for name in names)
    stored = content.get("parameters", {})
    if not isinstance(stored, dict):
        raise InputError(f"{source}: 'parameters' is no object of names and values")
    parameters = {k: _stored_parameter(k, v, source) for k, v in stored.items()}
    return names, expressions, parameters


def _stored_parameter(name: str, content: object, source: str) -> Parameter:
    pair = [content, None]
    if isinstance(content, dict):
        pair = [content.get("value"), content.get("standard_error")]
    return Parameter(*(_stored_number(name, number, source) for number in pair))


def _stored_number(name: str, number: object, source: str) -> float | None:
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise InputError(f"{source}: parameter '{name}' has {number!r} where a number belongs")
    return float(number)
