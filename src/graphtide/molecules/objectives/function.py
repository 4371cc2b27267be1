"""An objective that is a function of the user's own, named ``module:function``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphtide.errors import InputError

__all__ = ["FunctionObjective"]


@dataclass(frozen=True)
class FunctionObjective:
    """A function that takes one SMILES and returns a number, higher is better.

    What the function raises is passed on; None and NaN mean that it has no value.

    Args:
        name: "module:function", the module as an import statement would name it; it may also lie
            in the folder of work.

    Raises:
        InputError: there is no such module or function, or the module fails on import.
    """

    name: str

    def __post_init__(self) -> None:
        self._function()

    def __call__(self, smiles: Sequence[str], /) -> np.ndarray:
        """Return the function's value for each molecule, float64 (n,)."""
        function = self._function()
        values = np.full(len(smiles), np.nan)
        for row, text in enumerate(smiles):
            value = function(text)
            values[row] = np.nan if value is None else float(value)
        return values

    def _function(self) -> Callable[[str], float | None]:
        module, _, function = self.name.partition(":")
        here = str(Path.cwd())
        sys.path.append(here)
        try:
            found = getattr(importlib.import_module(module), function, None)
        except ModuleNotFoundError as error:
            raise InputError(f"'{self.name}': {error}") from None
        except Exception as error:
            raise InputError(f"'{self.name}': the module fails on import: {error}") from error
        finally:
            sys.path.remove(here)
        if not callable(found):
            raise InputError(f"'{self.name}': the module {module} has no function '{function}'")
        return found  # pyright: ignore[reportReturnType]
