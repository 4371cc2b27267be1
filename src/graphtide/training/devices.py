"""Where a training runs: here, or on several devices at once that average their gradients.

One device needs nothing but PyTorch. Several are started by Lightning Fabric (the extra
`devices`): every device holds the whole model, takes its share of the batches, and the mean of the
gradients makes one step that is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from graphtide.errors import InputError

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # pyright: ignore[reportMissingImports]

__all__ = ["Devices", "make_devices"]


class Devices(Protocol):
    """The processes of one training."""

    rank: int
    count: int

    def place(self, model: nn.Module) -> None:
        """Move a model to this process's device."""
        ...

    def average(self, loss: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
        """Average gradients (in place) over all processes; return the mean loss."""
        ...

    def agree(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        ...


class _OneDevice:
    rank = 0
    count = 1

    def place(self, model: nn.Module) -> None:
        pass  # it stays where the caller has put it

    def average(self, loss: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
        del parameters
        return loss

    def agree(self, flag: bool) -> bool:
        return flag


class _SeveralDevices:
    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.rank, self.count = fabric.global_rank, fabric.world_size

    def place(self, model: nn.Module) -> None:
        model.to(self.fabric.device)
        for tensor in model.state_dict().values():
            # All begin with the weights of the first.
            tensor.copy_(self.fabric.broadcast(tensor, src=0))

    def average(self, loss: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = self._mean(parameter.grad)
        return self._mean(loss.detach())

    def agree(self, flag: bool) -> bool:
        value = torch.tensor(float(flag), device=self.fabric.device)
        return bool(self._mean(value) > 0)

    def _mean(self, tensor: Tensor) -> Tensor:
        mean = self.fabric.all_reduce(tensor, reduce_op="mean")
        assert isinstance(mean, Tensor)
        return mean


def make_devices(count: int, accelerator: str = "auto") -> Devices:
    """Return the processes of a training; more than one are started here.

    Args:
        count: number of devices.
        accelerator: Lightning Fabric's name of the kind of device ("auto", "cpu", "cuda", ...);
            plays no part for one device, where the model stays where it is.

    Raises:
        InputError: the count is below one, or several are wanted without the extra `devices`.
    """
    if count < 1:
        raise InputError(f"devices must be at least 1; it is {count}")
    if count == 1:
        return _OneDevice()
    try:
        from lightning_fabric import Fabric  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise InputError(
            f"{count} devices need Lightning Fabric: pip install 'graphtide[devices]'"
        ) from None
    fabric = Fabric(accelerator=accelerator, devices=count, strategy="ddp")
    fabric.launch()
    return _SeveralDevices(fabric)
