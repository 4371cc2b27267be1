"""Options of sampling that only some of the generators have."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from graphtide.errors import InputError
from graphtide.molecules.construction import Construction
from graphtide.molecules.flow import Flow
from graphtide.molecules.flow_matching import FlowMatching, Sampling
from graphtide.molecules.generator import Generator, Sample

__all__ = ["SamplingOptions"]


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """What not every kind of generator takes; None leaves the generator's own.

    Args:
        temperature: below 1 the likely becomes likelier.
        stochasticity: of flow matching.
        distortion: of flow matching.
        guidance: of flow matching.
        correct: whether flow matching and the flow correct what is not valid.
    """

    temperature: float | None = None
    stochasticity: float | None = None
    distortion: float | None = None
    guidance: float | None = None
    correct: bool = True

    def sampler(self, model: Generator) -> Callable[..., Sample]:
        """Return the generator's ``sample`` with these options set.

        Raises:
            InputError: an option is given that the generator does not have.
        """
        if isinstance(model, FlowMatching):
            given = {
                name: getattr(self, name)
                for name in ("temperature", "stochasticity", "distortion", "guidance")
                if getattr(self, name) is not None
            }
            return functools.partial(model.sample, sampling=Sampling(correct=self.correct, **given))
        self._refuse(model, "stochasticity", "distortion", "guidance")
        temperature = 1.0 if self.temperature is None else self.temperature
        if isinstance(model, Flow):
            model.correct = self.correct
            return functools.partial(model.sample, temperature=temperature)
        assert isinstance(model, Construction)  # the kinds are these three
        return functools.partial(model.sample, temperature=temperature)

    def _refuse(self, model: Generator, *names: str) -> None:
        given = [name for name in names if getattr(self, name) is not None]
        if given:
            raise InputError(f"a {model.kind} model takes no {' or '.join(given)}")
