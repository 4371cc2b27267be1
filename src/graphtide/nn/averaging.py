"""The running mean of a model's weights: steadier than the last step, for nothing.

    m <- m + (1 - d) (w - m),   d = min(decay, (1 + s) / (10 + s))

after s steps. Sources: Polyak, Juditsky, SIAM Journal on Control and Optimization 30 (1992);
Tarvainen, Valpola, Mean teachers, NeurIPS 2017 (exponential weights).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from graphtide.errors import InputError

__all__ = ["AveragedModel"]


class AveragedModel(nn.Module):
    """A model and the running mean of its weights; both are saved with it.

    In training mode it calls the model, else the mean.

    Args:
        model: its parameters are trained.
        decay: d, in [0, 1).

    Raises:
        InputError: the decay is out of its range.
    """

    steps: Tensor

    def __init__(self, model: nn.Module, decay: float = 0.99) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise InputError(f"decay must lie in [0, 1); it is {decay:g}")
        self.model = model
        self.decay = decay
        for k, weight in enumerate(model.parameters()):
            self.register_buffer(f"mean_{k}", weight.detach().clone())
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, *arguments: object) -> Tensor:
        """Return what the model (in training) or the mean gives for the arguments."""
        if self.training:
            return self.model(*arguments)
        names = [name for name, _ in self.model.named_parameters()]
        return functional_call(self.model, dict(zip(names, self.means(), strict=True)), arguments)

    def means(self) -> list[Tensor]:
        """Return the mean of each parameter of the model, in their order."""
        return [self.get_buffer(f"mean_{k}") for k, _ in enumerate(self.model.parameters())]

    @torch.no_grad()
    def update(self) -> None:
        """Move the mean towards the weights as they are now."""
        decay = torch.clamp((1.0 + self.steps) / (10.0 + self.steps), max=self.decay)
        for mean, weight in zip(self.means(), self.model.parameters(), strict=True):
            mean.lerp_(weight, (1.0 - decay).to(weight.dtype))
        self.steps += 1
