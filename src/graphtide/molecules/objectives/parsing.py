"""From a text such as ``0.7*qed + 0.3*similarity:CCO`` to an objective.

    set     = sum ("," sum)*                        several: a Pareto set
    sum     = term ("+" term)*                      weights as they are written
    term    = (number "*")* power ("*" power)*      a product
    power   = atom ("^" number)?
    atom    = name | "(" sum ")" | "geometric(" power ("," power)* ")" | "pareto(" set ")"

A name is one of the objectives by name, ``similarity:SMILES``, a run's folder with perhaps
``:target``, or ``module:function``; double quotes around it allow any character. A SMILES ends at
a blank, a comma, ``^`` or a bracket that it did not open, so that a star within it is its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from graphtide.errors import InputError
from graphtide.molecules.objectives.base import Objective
from graphtide.molecules.objectives.combinations import GeometricMean, Pareto, Product, WeightedSum
from graphtide.molecules.objectives.function import FunctionObjective
from graphtide.molecules.objectives.learned import LearnedObjective
from graphtide.molecules.objectives.properties import PenalisedLogP, Qed, Similarity
from graphtide.molecules.objectives.tasks import DESCRIPTIONS, GoalDirectedTask

__all__ = ["known_objectives", "parse_objective"]

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.:/])")
_WORD = re.compile(r'"([^"]*)"|([^\s,+*^()"]+)')
_DEPTH = 30


def known_objectives() -> dict[str, Objective]:
    """Return the objectives that a name alone stands for."""
    made = (Qed(), PenalisedLogP(), PenalisedLogP(normalised=True))
    tasks: dict[str, Objective] = {name: GoalDirectedTask(name) for name in DESCRIPTIONS}
    return tasks | {one.name: one for one in made}


def parse_objective(text: str, *, z: float = 1.0) -> Objective:
    """Make the objective that a text names; see the head of this module for the grammar.

    Args:
        text: such as "qed", "0.7*qed + 0.3*similarity:CCO", "geometric(qed, similarity:CCO)",
            "qed, plogp" (kept apart as a `Pareto` set), "runs/solubility", "my_module:score".
        z: standard deviations below its mean at which a learned property is taken.

    Raises:
        InputError: the text does not follow the grammar, or names what is not known.
    """
    return _Reader(" ".join(text.split()), z).whole()


class _Reader:
    """Reads one text from left to right."""

    def __init__(self, text: str, z: float) -> None:
        self.text = text
        self.z = z
        self.place = 0
        self.depth = 0

    def whole(self) -> Objective:
        if not self.text.strip():
            raise InputError("an empty objective; a name such as qed was expected")
        made = self.set_of()
        if self.ahead():
            raise self.wrong("an operator +, *, ^ or a comma")
        return made

    def set_of(self) -> Objective:
        parts = [self.sum()]
        while self.take(","):
            parts.append(self.sum())
        return parts[0] if len(parts) == 1 else Pareto(tuple(parts))

    def sum(self) -> Objective:
        weighted = [self.term()]
        while self.take("+"):
            weighted.append(self.term())
        if len(weighted) == 1 and weighted[0][0] == 1.0:
            return weighted[0][1]
        return WeightedSum(tuple(f for _, f in weighted), tuple(w for w, _ in weighted))

    def term(self) -> tuple[float, Objective]:
        weight = 1.0
        while (number := self.number()) is not None:
            weight *= number
            if not self.take("*"):
                raise self.wrong("a star between the weight and what it weighs")
        powers = [self.power()]
        while self.take("*"):
            powers.append(self.power())
        if len(powers) == 1 and powers[0][1] == 1.0:
            only = powers[0][0]
            if isinstance(only, LearnedObjective) and weight < 0:
                # The bound of what is to be lowered lies on its other side.
                return -weight, replace(only, sign=-only.sign)
            return weight, only
        return weight, Product(tuple(f for f, _ in powers), tuple(p for _, p in powers))

    def power(self) -> tuple[Objective, float]:
        part = self.atom()
        if not self.take("^"):
            return part, 1.0
        number = self.number()
        if number is None:
            raise self.wrong("a number after ^")
        return part, number

    def atom(self) -> Objective:
        if self.take("("):
            return self.nested(self.sum)
        for word, reader in (("geometric", self.geometric), ("pareto", self.set_of)):
            found = re.compile(rf"{word}\s*\(").match(self.text, self.skip())
            if found:
                self.place = found.end()
                return self.nested(reader)
        if self.text.startswith(Similarity.prefix, self.skip()):
            self.place += len(Similarity.prefix)
            return Similarity(self.smiles())
        found = _WORD.match(self.text, self.place)
        if found is None:
            raise self.wrong("the name of an objective")
        self.place = found.end()
        quoted, plain = found.groups()
        return self.named(plain if quoted is None else quoted)

    def geometric(self) -> Objective:
        powers = [self.power()]
        while self.take(","):
            powers.append(self.power())
        return GeometricMean(tuple(f for f, _ in powers), tuple(p for _, p in powers))

    def nested(self, reader: Callable[[], Objective]) -> Objective:
        self.depth += 1
        if self.depth > _DEPTH:
            raise InputError(f"objective: brackets within more than {_DEPTH} brackets")
        made = reader()
        if not self.take(")"):
            raise self.wrong("a closing bracket")
        self.depth -= 1
        return made

    def smiles(self) -> str:
        start, opened = self.place, 0
        while self.place < len(self.text):
            sign = self.text[self.place]
            opened += (sign == "(") - (sign == ")")
            if opened < 0 or sign in ",^" or sign.isspace():
                break
            self.place += 1
        if self.place == start:
            raise self.wrong("a SMILES after similarity:")
        return self.text[start : self.place]

    def named(self, name: str) -> Objective:
        known = known_objectives()
        if name in known:
            return known[name]
        folder, colon, target = name.rpartition(":")
        if Path(name).is_dir():
            return LearnedObjective(Path(name), z=self.z)
        if colon and Path(folder).is_dir():
            return LearnedObjective(Path(folder), target, z=self.z)
        if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", name):
            return FunctionObjective(name)
        raise InputError(
            f"objective '{name}' is not known: {', '.join(known)}, similarity:SMILES, the folder "
            "of a run of `molecules learn`, or module:function"
        )

    def number(self) -> float | None:
        found = _NUMBER.match(self.text, self.skip())
        if found is None:
            return None
        self.place = found.end()
        return float(found.group())

    def take(self, sign: str) -> bool:
        if self.ahead() != sign:
            return False
        self.place += 1
        return True

    def ahead(self) -> str:
        return self.text[self.skip() : self.place + 1]

    def skip(self) -> int:
        while self.place < len(self.text) and self.text[self.place].isspace():
            self.place += 1
        return self.place

    def wrong(self, wanted: str) -> InputError:
        rest = self.text[self.place :].strip()[:30]
        found = f"'{rest}'" if rest else "the end"
        return InputError(f"objective, character {self.place + 1}: {found} where {wanted} belongs")
