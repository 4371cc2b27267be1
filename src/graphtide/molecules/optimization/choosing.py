"""Methods by name, with the trained generators that they need."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graphtide.errors import InputError
from graphtide.molecules.flow import Flow
from graphtide.molecules.flow_matching import FlowMatching
from graphtide.molecules.generator import Generator, load_generator
from graphtide.molecules.objectives import Filters
from graphtide.molecules.optimization.auto import Auto
from graphtide.molecules.optimization.genetic import GraphGenetic, Proposer
from graphtide.molecules.optimization.guided import GuidedFlowMatching, Redraws
from graphtide.molecules.optimization.latent import LatentClimb, LatentSteps
from graphtide.molecules.optimization.local import LocalClimb
from graphtide.molecules.optimization.method import Method
from graphtide.molecules.optimization.told import RidgeSurrogate
from graphtide.run import Run

__all__ = ["METHODS", "MethodChoice"]

METHODS = ("auto", "local", "genetic", "latent", "guided")
"""Names of the methods."""


@dataclass(frozen=True, slots=True)
class MethodChoice:
    """A method by name, which other processes can make too.

    Args:
        name: one of ``METHODS``.
        generators: folders of runs of ``molecules fit``: a flow for ``latent``, flow matching for
            ``guided``; ``genetic`` takes some of its children from one, and ``auto`` uses all.
        condition: whether flow matching that was trained with the property of that name is told to
            reach for high values of it; "" tells it nothing.

    Raises:
        InputError: the name is unknown, or the generators are not what the method needs.
    """

    name: str = "auto"
    generators: tuple[Path, ...] = ()
    condition: str = ""

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise InputError(f"'{self.name}' is no method; known are {', '.join(METHODS)}")
        kinds = [_loaded(path) for path in self.generators]
        for path, model in zip(self.generators, kinds, strict=True):
            if not isinstance(model, Flow | FlowMatching):
                raise InputError(
                    f"{path} is a generator of the kind {model.kind}; flow and flow_matching can "
                    "start from a molecule"
                )
        for name, kind in (("latent", Flow), ("guided", FlowMatching)):
            if self.name == name and not any(isinstance(model, kind) for model in kinds):
                raise InputError(
                    f"the method {name} needs --generator RUN, made by `graphtide molecules fit "
                    f"--model {kind.kind}`"
                )
        if self.name == "local" and kinds:
            raise InputError("the method local takes no generator")

    def make(
        self,
        start: Sequence[str],
        *,
        filters: Filters,
        seed: int = 0,
        surrogate: RidgeSurrogate | None = None,
    ) -> Method:
        """Make the method.

        ``auto`` on one molecule puts edits and the generators together; on several, the genetic
        algorithm besides.

        Args:
            start: SMILES to begin from.
            filters: that it keeps to.
            seed: of all randomness.
            surrogate: for the edits to begin with.

        Raises:
            InputError: as of the methods.
        """
        made: list[Method] = []
        if self.name in ("auto", "local"):
            made.append(LocalClimb(start, filters=filters, seed=seed, surrogate=surrogate))
        if self.name == "genetic" or (self.name == "auto" and len(start) > 1):
            proposer = self._proposer(filters) if self.name == "genetic" else None
            made.append(GraphGenetic(start, filters=filters, seed=seed, proposer=proposer))
        for path in self.generators:
            model = _loaded(path)
            if isinstance(model, Flow) and self.name in ("auto", "latent"):
                made.append(LatentClimb(start, model, filters=filters, seed=seed))
            elif isinstance(model, FlowMatching) and self.name in ("auto", "guided"):
                wish = self._wish(model)
                made.append(
                    GuidedFlowMatching(start, model, filters=filters, seed=seed, condition=wish)
                )
        return made[0] if len(made) == 1 else Auto(made, seed=seed)

    def _proposer(self, filters: Filters) -> Proposer | None:
        for path in self.generators:
            model = _loaded(path)
            if isinstance(model, Flow):
                return LatentSteps(model)
            if isinstance(model, FlowMatching):
                wish = self._wish(model)
                return Redraws(model, most_atoms=filters.most_atoms, condition=wish)
        return None

    def _wish(self, model: FlowMatching) -> dict[str, float] | None:
        """Return the property two standard deviations above the mean of training."""
        if self.condition not in model.names:
            return None
        mean, spread = model.scaling[model.names.index(self.condition)].tolist()
        return {self.condition: mean + 2 * spread}


@functools.lru_cache(maxsize=4)
def _loaded(path: Path) -> Generator:
    return load_generator(Run.open(path, kind="molecules fit"))
