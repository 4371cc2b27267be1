"""Torch's generators of random numbers: seeded for a while, kept and put back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

__all__ = ["own_randomness", "random_states", "set_random_states"]


@contextlib.contextmanager
def own_randomness(parameters: list[nn.Parameter], seed: int) -> Iterator[None]:
    """Seed torch's generators, and put back their states afterwards."""
    device = parameters[0].device
    others = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(others, device_type=device.type if others else "cuda"):
        torch.manual_seed(seed)
        yield


def random_states(model: nn.Module) -> dict[str, Tensor]:
    """Return the states of torch's generators, of the CPU and of the model's device."""
    device = next(model.parameters()).device
    states = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state(device)
    return states


def set_random_states(model: nn.Module, states: Mapping[str, Tensor]) -> None:
    """Put such states back; one of a kind of device that is not the model's is left aside."""
    device = next(model.parameters()).device
    torch.set_rng_state(states["cpu"])
    if device.type != "cpu" and device.type in states:
        torch.get_device_module(device).set_rng_state(states[device.type], device)
