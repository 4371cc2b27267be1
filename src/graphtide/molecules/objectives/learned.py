"""An objective that is a learned property, taken at its lower confidence bound.

    f(m) = mean(m) - z deviation(m)

so that an optimiser is not paid for going where the model knows nothing. The sign -1 asks for
small values: f(m) = -mean(m) - z deviation(m).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from graphtide.errors import InputError

__all__ = ["LearnedObjective", "Prediction", "PropertyModel"]


class Prediction(Protocol):
    """What a property model says of n molecules: shapes (n, targets), NaN where it says nothing."""

    @property
    def values(self) -> np.ndarray:
        """Predicted values."""
        ...

    @property
    def standard_deviations(self) -> np.ndarray:
        """Standard deviations of the predictions, in the targets' units."""
        ...


class PropertyModel(Protocol):
    """A trained predictor of properties."""

    @property
    def targets(self) -> Sequence[str]:
        """Names of the properties, in the order of the columns."""
        ...

    def predict(self, smiles: Sequence[str], /) -> Prediction:
        """Predict the properties of molecules."""
        ...


@dataclass(frozen=True)
class LearnedObjective:
    """The lower confidence bound of one property of a run of ``molecules learn``.

    Args:
        run: folder of the run.
        target: which of its properties; None where it has only one.
        z: standard deviations below the mean.
        sign: 1 to raise the property, -1 to lower it.

    Raises:
        InputError: the folder is no run of that kind, or has no such target.
    """

    run: Path
    target: str | None = None
    z: float = 1.0
    sign: int = 1

    batch_size = 64

    def __post_init__(self) -> None:
        if self.sign not in (1, -1):
            raise InputError(f"the sign of a learned property is 1 or -1, not {self.sign}")
        if not self.z >= 0:
            raise InputError(f"z, standard deviations below the mean, is {self.z}; 0 or more")
        self._column()

    @property
    def name(self) -> str:
        """Return "RUN:target", with the sign where it is negative."""
        text = str(self.run) if self.target is None else f"{self.run}:{self.target}"
        text = text if re.fullmatch(r"[\w./:-]+", text) else f'"{text}"'
        return text if self.sign == 1 else f"-1*{text}"

    def __call__(self, smiles: Sequence[str], /) -> np.ndarray:
        """Return the lower confidence bound of each molecule, float64 (n,)."""
        column = self._column()
        made = _model(self.run).predict(smiles)
        mean = np.asarray(made.values, dtype=np.float64)[:, column]
        deviation = np.asarray(made.standard_deviations, dtype=np.float64)[:, column]
        return self.sign * mean - self.z * deviation

    def _column(self) -> int:
        targets = list(_model(self.run).targets)
        if self.target is None and len(targets) == 1:
            return 0
        if self.target not in targets:
            said = "none was named" if self.target is None else f"'{self.target}' is none of them"
            raise InputError(f"{self.run} predicts {', '.join(targets)}; {said}")
        return targets.index(self.target)


def _model(path: Path) -> PropertyModel:
    config = path / "config.json"
    return _model_of(path, config.stat().st_mtime_ns if config.is_file() else 0)


@functools.lru_cache(maxsize=4)
def _model_of(path: Path, written: int) -> PropertyModel:  # noqa: ARG001 (a run made anew is read)
    from graphtide.run import Run

    run = Run.open(path, kind="molecules learn")
    from graphtide.molecules.prediction import (  # pyright: ignore[reportMissingImports]
        load_property_model,
    )

    return load_property_model(run)
