# LEAD: read src/graphtide/equation/NOTE_FROM_LEAD.txt first, then delete this line and that file.
"""The grammar of equations: text in, expression trees out, nothing ever evaluated as code.

    system     = statement { ("," | ";" | newline) statement }
    statement  = "d" variable "/dt =" expression  |  parameter "=" number [ "+-" number ]
    expression = term { ("+" | "-") term }
    term       = unary { ("*" | "/") unary }
    unary      = { "-" | "+" } power
    power      = atom [ ("^" | "**") unary ]
    atom       = number | name | function "(" expression { "," expression } ")" | "(" expression ")"
               | ("sum_j" | "mean_j") term

A sum reaches over the whole term that follows it and holds A_ij once as a factor; in it, x_j is the
neighbour's state and x or x_i the node's own. `t` is time, `k_i` the weighted in-degree, `pi` the
number; a name that ends in `_i` (or `_j`) and is no variable is a node attribute; any other name
is a parameter.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass, field
from typing import Literal

from graphtide.equation.expression import (
    FUNCTIONS,
    ONE,
    ZERO,
    Aggregate,
    Expression,
    Function,
    Number,
    Product,
    Sum,
    Symbol,
    add,
    aggregate,
    evaluate,
    multiply,
    negate,
    power,
    reciprocal,
    symbols,
    walk,
)
from graphtide.errors import InputError

__all__ = ["RESERVED", "ParsedSystem", "check_name", "parse_expression", "parse_system"]

RESERVED = frozenset({"t", "pi", "A", "A_ij", "k_i", "k_j", "sum_j", "mean_j", *FUNCTIONS})

_MAXIMUM_LENGTH = 50_000
_MAXIMUM_DEPTH = 60
_TOKEN = re.compile(
    r"(?P<blank>\s+)"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<operator>\*\*|\+-|±|[-+*/^(),;=])"
)
_SPELLINGS = str.maketrans({"\u2212": "-", "·": "*", "×": "*", "⋅": "*"})
_FORBIDDEN = {
    ".": "attribute access is not part of an equation",
    "[": "subscripts are not part of an equation; write x_i or x_j",
    "'": "quotation marks are not part of an equation",
    '"': "quotation marks are not part of an equation",
    ":": "':' is not part of an equation",
    "{": "use round brackets",
}


@dataclass(frozen=True, slots=True)
class ParsedSystem:
    """What a text says: a right-hand side for each variable, and parameter values and errors."""

    equations: dict[str, Expression]
    parameters: dict[str, tuple[float, float | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: Literal["number", "name", "operator", "end"]
    text: str
    position: int  # 1 for the first character


def parse_system(text: str) -> ParsedSystem:
    """Return the equations and parameter values that a text states.

    Raises:
        InputError: the text is no system of equations; the message names the character.
    """
    tokens = _tokens(text)
    variables: dict[str, int] = {}
    for position in range(len(tokens)):
        if _is_head(tokens, position):
            name = _variable_of(tokens[position])
            if name in variables:
                raise InputError(
                    f"the variable '{name}' has two equations (characters {variables[name]} and "
                    f"{tokens[position].position}); each variable has one"
                )
            variables[name] = tokens[position].position
    if not variables:
        raise InputError(f"no equation in '{_shorten(text)}'; write it as 'dx/dt = ...'")
    return _Parser(tokens, tuple(variables)).system()


def parse_expression(text: str, variables: tuple[str, ...]) -> Expression:
    """Return the expression that a text states, in the given variables.

    Raises:
        InputError: the text is no expression; the message names the character.
    """
    for name in variables:
        check_name(name, "variable")
    parser = _Parser(_tokens(text), variables)
    expression = parser.whole_expression()
    check_constants(expression)
    return expression


def check_name(name: str, role: str) -> None:
    """Raise InputError unless a name may be given to a variable or a parameter."""
    if re.fullmatch(r"[^\W\d_]\w*", name) is None:
        raise InputError(
            f"'{name}' cannot name a {role}; a name is a letter and then letters, digits or '_'"
        )
    if name in RESERVED:
        raise InputError(f"'{name}' cannot name a {role}; the name has a fixed meaning")
    if name == "k" and role == "variable":
        raise InputError("'k' cannot name a variable; k_i is the in-degree of a node")
    if name.endswith(("_i", "_j")):
        raise InputError(f"'{name}' cannot name a {role}; the endings _i and _j mean nodes")


def check_constants(expression: Expression) -> None:
    """Raise InputError where a part made of numbers alone has no finite value (1/0, 9^9^9)."""
    from graphtide.equation.printing import expression_text

    for part in walk(expression):
        if isinstance(part, Aggregate) or any(s.kind != "constant" for s in symbols(part)):
            continue
        if any(isinstance(inner, Aggregate) for inner in walk(part)):
            continue
        if not math.isfinite(float(evaluate(part, lambda _: math.nan))):
            raise InputError(
                f"'{_shorten(expression_text(part))}' has no finite value in double precision"
            )


def _tokens(text: str) -> list[_Token]:
    """Split a text into tokens, with an end token after the last."""
    if len(text) > _MAXIMUM_LENGTH:
        raise InputError(
            f"the equation has {len(text)} characters; at most {_MAXIMUM_LENGTH} are read"
        )
    text = text.translate(_SPELLINGS)
    tokens: list[_Token] = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            character = text[position]
            reason = _FORBIDDEN.get(character, f"{character!r} is not part of an equation")
            raise InputError(f"equation, character {position + 1}: {reason}")
        word = found.group()
        if found.lastgroup == "name":
            if word.startswith("_"):
                raise InputError(
                    f"equation, character {position + 1}: '{_shorten(word)}' is not a name that "
                    "an equation may use; names begin with a letter"
                )
            tokens.append(_Token("name", word, position + 1))
        elif found.lastgroup == "number":
            tokens.append(_Token("number", word, position + 1))
        elif found.lastgroup == "operator":
            tokens.append(_Token("operator", word, position + 1))
        position = found.end()
    tokens.append(_Token("end", "", len(text) + 1))
    return tokens


def _is_head(tokens: list[_Token], position: int) -> bool:
    """Tell whether `dx/dt =` begins at a token."""
    if position + 4 > len(tokens) or tokens[position].kind != "name":
        return False
    head = tokens[position].text
    words = [token.text for token in tokens[position + 1 : position + 4]]
    return len(head) > 1 and head[0] == "d" and words == ["/", "dt", "="]


def _is_assignment(tokens: list[_Token], position: int) -> bool:
    """Tell whether `k =` begins at a token."""
    return tokens[position].kind == "name" and tokens[position + 1].text == "="


def _variable_of(token: _Token) -> str:
    """Return the variable of a head such as `dx` or `dx_i`."""
    name = token.text[1:].removesuffix("_i")
    check_name(name, "variable")
    return name


def _shorten(text: str, length: int = 40) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 3]}..."


class _Parser:
    """Recursive descent over the tokens; each method reads one rule of the grammar."""

    def __init__(self, tokens: list[_Token], variables: tuple[str, ...]) -> None:
        self._tokens = tokens
        self._variables = variables
        self._position = 0
        self._depth = 0
        self._in_sum = False
        self._open: list[_Token] = []

    def system(self) -> ParsedSystem:
        system = ParsedSystem({})
        while self._token.kind != "end":
            if _is_head(self._tokens, self._position):
                variable = _variable_of(self._token)
                self._position += 4
                expression = self._expression()
                check_constants(expression)
                system.equations[variable] = expression
            elif _is_assignment(self._tokens, self._position):
                self._assignment(system)
            else:
                raise self._error("an equation 'dx/dt = ...' or a value 'k = 2' was expected here")
            separated = self._skip(",") or self._skip(";")
            begins = _is_head(self._tokens, self._position) or _is_assignment(
                self._tokens, self._position
            )
            if not separated and not begins and self._token.kind != "end":
                raise self._unexpected()
        return system

    def whole_expression(self) -> Expression:
        expression = self._expression()
        if self._token.kind != "end":
            raise self._unexpected()
        return expression

    @property
    def _token(self) -> _Token:
        return self._tokens[self._position]

    def _assignment(self, system: ParsedSystem) -> None:
        token = self._token
        if token.text in self._variables:
            raise self._error(f"write the equation of '{token.text}' as 'd{token.text}/dt = ...'")
        check_name(token.text, "parameter")
        if token.text in system.parameters:
            raise self._error(f"the parameter '{token.text}' is given two values")
        self._position += 2
        value = self._signed_number()
        error = self._signed_number() if self._skip("±") or self._skip("+-") else None
        system.parameters[token.text] = (value, error)

    def _signed_number(self) -> float:
        sign = 1.0
        while self._token.text in ("+", "-"):
            sign = -sign if self._token.text == "-" else sign
            self._position += 1
        if self._token.kind != "number":
            raise self._error("a number was expected here")
        return sign * self._number().value

    def _expression(self) -> Expression:
        self._depth += 1
        if self._depth > _MAXIMUM_DEPTH:
            raise self._error(f"more than {_MAXIMUM_DEPTH} expressions are nested in each other")
        terms = [self._term()]
        while self._token.text in ("+", "-"):
            minus = self._token.text == "-"
            self._position += 1
            term = self._term()
            terms.append(negate(term) if minus else term)
        self._depth -= 1
        return add(*terms)

    def _term(self) -> Expression:
        factors = [self._unary()]
        while self._token.text in ("*", "/"):
            over = self._token.text == "/"
            self._position += 1
            factor = self._unary()
            factors.append(reciprocal(factor) if over else factor)
        return multiply(*factors)

    def _unary(self) -> Expression:
        minus = False
        while self._token.text in ("+", "-"):
            minus ^= self._token.text == "-"
            self._position += 1
        expression = self._power()
        return negate(expression) if minus else expression

    def _power(self) -> Expression:
        base = self._atom()
        if self._token.text not in ("^", "**"):
            return base
        self._depth += 1
        if self._depth > _MAXIMUM_DEPTH:
            raise self._error(f"more than {_MAXIMUM_DEPTH} powers are nested in each other")
        self._position += 1
        exponent = self._unary()
        self._depth -= 1
        return power(base, exponent)

    def _atom(self) -> Expression:
        token = self._token
        if token.kind == "number":
            return self._number()
        if token.text == "(":
            self._enter()
            expression = self._expression()
            self._leave()
            return expression
        if token.kind == "name":
            self._position += 1
            if token.text in ("sum_j", "mean_j"):
                return self._aggregate(token)
            if self._token.text == "(":
                return self._function(token)
            return self._symbol(token)
        if token.kind == "end":
            if self._open:
                raise self._error("the bracket is never closed", self._open[-1])
            raise InputError("the equation ends where a number, a name or a bracket was expected")
        if token.text == ")" and not self._open:
            raise self._error("the bracket ')' was never opened")
        raise self._error(f"a number, a name or a bracket was expected, not '{token.text}'")

    def _number(self) -> Number:
        token = self._token
        value = float(token.text)
        if not math.isfinite(value):
            raise self._error(f"'{_shorten(token.text)}' is too large for double precision")
        self._position += 1
        return Number(value)

    def _function(self, token: _Token) -> Expression:
        name = token.text
        if name not in FUNCTIONS:
            known = [*FUNCTIONS, *self._variables]
            raise self._error(
                f"there is no function '{_shorten(name)}'{_nearest(name, known)}", token
            )
        self._enter()
        arguments = [self._expression()]
        while self._skip(","):
            arguments.append(self._expression())
        self._leave()
        wanted = FUNCTIONS[name]
        if len(arguments) not in wanted:
            count = " or ".join(map(str, wanted))
            raise self._error(
                f"'{name}' takes {count} argument{'s' if wanted != (1,) else ''}, "
                f"not {len(arguments)}",
                token,
            )
        if name == "hill" and len(arguments) == 2:
            arguments.append(ONE)
        return Function(name, tuple(arguments))

    def _symbol(self, token: _Token) -> Expression:
        name = token.text
        if name == "t":
            return Symbol("time", "t")
        if name == "pi":
            return Symbol("constant", "pi")
        if name == "A_ij":
            if not self._in_sum:
                raise self._error("A_ij has a meaning only inside sum_j or mean_j", token)
            return Symbol("edge", "A")
        if name in FUNCTIONS:
            raise self._error(f"the function '{name}' needs its argument in brackets", token)
        if name in self._variables:
            return Symbol("variable", name, "i")
        stem, ending = name[:-2], name[-2:]
        if ending in ("_i", "_j"):
            if ending == "_j" and not self._in_sum:
                raise self._error(f"'{name}' has a meaning only inside sum_j or mean_j", token)
            node = "i" if ending == "_i" else "j"
            if stem in self._variables:
                return Symbol("variable", stem, node)
            if stem == "k":
                return Symbol("degree", "k", node)
            check_name(stem, "node attribute")
            return Symbol("attribute", stem, node)
        check_name(name, "parameter")
        return Symbol("parameter", name)

    def _aggregate(self, token: _Token) -> Expression:
        if self._in_sum:
            raise self._error(
                f"'{token.text}' stands inside another sum; only one sum is read", token
            )
        self._depth += 1
        self._in_sum = True
        body = self._term()
        self._in_sum = False
        self._depth -= 1
        message = _without_edge(body)
        if token.text == "mean_j":
            has_edge = any(s.kind == "edge" for s in symbols(body))
            message = message if has_edge else body
            if message is not None:
                return aggregate("mean", message)
        elif message is not None:
            return aggregate("sum", message)
        raise self._error(
            f"{token.text} needs A_ij once as a factor, as in '{token.text} A_ij*(x_j - x_i)'",
            token,
        )

    def _enter(self) -> None:
        self._open.append(self._token)
        self._position += 1

    def _leave(self) -> None:
        opening = self._open[-1]
        if self._token.kind == "end":
            raise self._error("the bracket is never closed", opening)
        if self._token.text != ")":
            raise self._unexpected()
        self._open.pop()
        self._position += 1

    def _skip(self, operator: str) -> bool:
        if self._token.text != operator:
            return False
        self._position += 1
        return True

    def _unexpected(self) -> InputError:
        token = self._token
        if token.text == ")":
            return self._error("the bracket ')' was never opened")
        if token.kind in ("name", "number") or token.text == "(":
            return self._error(f"an operator such as * is missing before '{_shorten(token.text)}'")
        return self._error(f"'{token.text}' was not expected here")

    def _error(self, reason: str, token: _Token | None = None) -> InputError:
        token = token or self._token
        return InputError(f"equation, character {token.position}: {reason}")


def _nearest(name: str, known: list[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if found:
        return f"; did you mean '{found[0]}'?"
    return f"; the functions are {', '.join(FUNCTIONS)}"


def _without_edge(body: Expression) -> Expression | None:
    """Return the message G of a body A_ij * G, or None where A_ij is not a factor, once."""
    if isinstance(body, Symbol) and body.kind == "edge":
        return ONE
    if isinstance(body, Sum):
        messages = [_without_edge(term) for term in body.terms]
        whole = [message for message in messages if message is not None]
        return add(*whole) if len(whole) == len(messages) else None
    if isinstance(body, Product):
        having = [k for k, f in enumerate(body.factors) if _has_edge(f)]
        if len(having) != 1:
            return None
        message = _without_edge(body.factors[having[0]])
        if message is None:
            return None
        rest = (f for k, f in enumerate(body.factors) if k != having[0])
        return multiply(message, *rest)
    return ZERO if body == ZERO else None


def _has_edge(expression: Expression) -> bool:
    return any(symbol.kind == "edge" for symbol in symbols(expression))
