"""A named parameter of an equation: its value and standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphtide.errors import InputError

__all__ = ["Parameter"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter's value and standard error; None where they are not known."""

    value: float | None = None
    standard_error: float | None = None

    def __post_init__(self) -> None:
        for number in (self.value, self.standard_error):
            if number is not None and not math.isfinite(number):
                raise InputError(f"a parameter's value or standard error is {number}, not finite")
