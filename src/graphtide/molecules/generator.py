"""What the three generators of molecules share: how they are called, kept and read again."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.molecules.chemistry import AtomType
from graphtide.run import Run

__all__ = ["Generator", "Progress", "Sample", "load_generator", "save_generator"]

_KINDS = {
    "construction": ("construction", "Construction"),
    "flow": ("flow", "Flow"),
    "flow_matching": ("flow_matching", "FlowMatching"),
}
"""Module and class of each kind of generator."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Molecules that a generator made.

    Args:
        smiles: canonical SMILES, as many as were asked for; "" where no valid, connected molecule
            came out.
        valid_before_correction: bool (number,): valid and connected as drawn, before anything was
            corrected.
        seconds: time it took.
    """

    smiles: tuple[str, ...]
    valid_before_correction: np.ndarray
    seconds: float


class Generator(nn.Module, ABC):
    """A model of P(G) over molecules.

    ``forward`` takes what its examples prepare for a batch of molecules and returns the loss of
    each, (B,); it is trained by :func:`graphtide.molecules.learning.train_generator`.

    Args:
        vocabulary: types of atoms it can make.
    """

    kind: ClassVar[str]

    def __init__(self, vocabulary: tuple[AtomType, ...]) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    @abstractmethod
    def settings(self) -> dict[str, object]:
        """Return what JSON can hold and :meth:`from_settings` makes the same network from."""

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Mapping[str, object]) -> Self:
        """Make the network anew, with weights not yet trained."""

    @abstractmethod
    def sample(
        self,
        number: int,
        *,
        seed: int = 0,
        steps: int | None = None,
        scaffold: str | None = None,
        condition: Mapping[str, float] | None = None,
        progress: Progress | None = None,
    ) -> Sample:
        """Make molecules.

        Args:
            number: how many.
            seed: one seed gives one sample.
            steps: steps of the sampler, where the model has any.
            scaffold: SMILES of a fragment that each molecule must hold.
            condition: properties that the molecules should have, by name.
            progress: told the share done.

        Raises:
            InputError: the model cannot do what is asked for, or the scaffold is no molecule.
        """

    @property
    def device(self) -> torch.device:
        """The device of its weights."""
        return next(self.parameters()).device

    @property
    def weight_count(self) -> int:
        """Number of its weights."""
        return sum(weight.numel() for weight in self.parameters())


def save_generator(run: Run, model: Generator) -> None:
    """Write the model into a run: model.json and model.safetensors."""
    run.write_tensors("model", {k: v.cpu().numpy() for k, v in model.state_dict().items()})
    types = [str(kind) for kind in model.vocabulary]
    settings = {"model": model.kind, "vocabulary": types, **model.settings()}
    run.write_json("model.json", settings)


def load_generator(run: Run) -> Generator:
    """Read the model of a run of ``molecules fit``.

    Raises:
        InputError: a file is missing or damaged, or the model is of an unknown kind.
    """
    settings = run.read_json("model.json")
    if not isinstance(settings, dict):
        raise InputError(f"{run.path / 'model.json'} describes no model")
    kind = _class_of(str(settings.get("model")))
    model = kind.from_settings(settings)
    tensors: dict[str, Tensor] = {k: torch.tensor(v) for k, v in run.read_tensors("model").items()}
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(
            f"{run.path}: model.safetensors does not fit model.json: {error}"
        ) from None
    return model.eval()


def _class_of(kind: str) -> type[Generator]:
    place = _KINDS.get(kind)
    if place is None:
        raise InputError(f"'{kind}' is no kind of generator; known are {', '.join(_KINDS)}")
    module, name = place
    return getattr(importlib.import_module(f"graphtide.molecules.{module}"), name)
