"""Training of generators.

A budget in minutes becomes a number of steps, and then nothing depends on the clock any more: an
interrupted training goes on to the same weights.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.optim import AdamW

from graphtide.errors import InputError
from graphtide.files import write_text
from graphtide.molecules.generator import Generator
from graphtide.nn.averaging import AveragedModel
from graphtide.training.loop import Checkpoint, Training, train
from graphtide.training.memory import keep_freed_memory
from graphtide.training.schedule import cosine

__all__ = ["Examples", "Plan", "chosen_device", "held_out_split", "plan_steps", "train_generator"]

PIECES = 40
"""Stretches of training; after each the held-out loss is taken and the best weights are kept."""


class Examples(Protocol):
    """Molecules prepared for a generator."""

    @property
    def sizes(self) -> np.ndarray:
        """Size of each molecule, (K,): batches are made of like ones."""
        ...

    def batch(self, indices: np.ndarray, generator: np.random.Generator) -> tuple[Tensor, ...]:
        """Return the tensors of a batch, as the generator's ``forward`` takes them."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How a generator is trained.

    Args:
        steps: number of steps.
        batch: molecules a step.
        learning_rate: largest one, of AdamW; it rises over a twentieth of the steps and falls
            along a cosine to a fiftieth.
        averaging: decay of the exponential mean of the weights.
        weight_decay: of AdamW.
        seed: of the order of molecules and of all noise.
    """

    steps: int
    batch: int
    learning_rate: float
    averaging: float = 0.999
    weight_decay: float = 0.01
    seed: int = 0


def chosen_device(name: str) -> torch.device:
    """Return the device of a name such as cpu or cuda:1; auto takes a GPU where there is one.

    Raises:
        InputError: the name is no device that is here.
    """
    found = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return torch.device("cpu") if found is None else found
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"'{name}' names no device; cpu, cuda or auto were expected") from None
    if device.type != "cpu" and (found is None or device.type != found.type):
        raise InputError(f"there is no {device.type} device here; cpu or auto were expected")
    return device


def held_out_split(count: int, *, most: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return indices to train on and indices held out: a twentieth, ``most`` at most.

    Of fewer than 200 molecules none can be spared: all of them are both.
    """
    everything = np.arange(count)
    if count < 200:
        return everything, everything
    order = np.random.default_rng(seed).permutation(count)
    kept = min(most, count // 20)
    return np.sort(order[kept:]), np.sort(order[:kept])


def plan_steps(
    model: Generator,
    examples: Examples,
    *,
    minutes: float,
    batch: int,
    rate: float,
    kept: Path | None = None,
) -> int:
    """Return the number of steps that fit into some minutes on this machine, by trying some.

    The model is left as it was.

    Args:
        model: the generator.
        examples: its molecules.
        minutes: time for training.
        batch: molecules a step.
        rate: learning rate of the trial.
        kept: the training's checkpoint: the number is written beside it, and taken from there when
            an interrupted training goes on.

    Raises:
        InputError: the minutes are not positive.
    """
    if not minutes > 0:
        raise InputError(f"the minutes of training must be positive; they are {minutes:g}")
    note = None if kept is None else kept.with_name("steps.txt")
    if note is not None and note.is_file():
        return int(note.read_text(encoding="utf-8"))
    keep_freed_memory()
    trial = copy.deepcopy(model).train()
    optimiser = AdamW(trial.parameters(), lr=rate)
    generator = np.random.default_rng(0)
    by_size = np.argsort(examples.sizes, kind="stable")  # as batches are made in training
    states = torch.get_rng_state()
    taken: list[float] = []
    began = time.perf_counter()
    # Compilation and warm caches first, then as many steps as a few seconds hold.
    while len(taken) < 3 or (time.perf_counter() - began < min(6.0, 3.0 * minutes)):
        start = time.perf_counter()
        at = generator.integers(0, max(1, len(by_size) - batch + 1))
        chosen = by_size[(at + np.arange(batch)) % len(by_size)]
        optimiser.zero_grad()
        trial(*_on(trial, examples.batch(chosen, generator))).mean().backward()
        optimiser.step()
        taken.append(time.perf_counter() - start)
        if len(taken) >= 60:
            break
    torch.set_rng_state(states)
    typical = float(np.mean(taken[2:]))
    steps = max(PIECES, int(0.95 * 60.0 * minutes / typical))
    if note is not None:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_text(note, str(steps))
    return steps


def train_generator(
    model: Generator,
    examples: Examples,
    *,
    training: np.ndarray,
    held_out: np.ndarray,
    plan: Plan,
    checkpoint: Path | None = None,
    identity: Mapping[str, str | int | float | bool | None] | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Training:
    """Train a generator in place; it is left with the mean of its weights, at its best.

    Args:
        model: the generator.
        examples: its molecules.
        training: indices of the molecules to train on.
        held_out: indices of the molecules whose loss chooses the weights.
        plan: steps, batches, rates.
        checkpoint: file from which an interrupted training goes on.
        identity: what must be equal for a checkpoint to be taken up.
        progress: told the share done and the losses.

    Raises:
        ComputationError: the loss is not finite.
    """
    averaged = AveragedModel(model, plan.averaging)
    pieces = min(PIECES, plan.steps)
    bounds = np.linspace(0, plan.steps, pieces + 1).astype(int)
    sizes = examples.sizes

    def batches(piece: int, generator: np.random.Generator) -> Iterator[tuple[Tensor, ...]]:
        first, last = bounds[piece] * plan.batch, bounds[piece + 1] * plan.batch
        stream = training[_stream(first, last, len(training), plan.seed)]
        stream = stream[np.argsort(sizes[stream], kind="stable")]
        for place in generator.permutation(bounds[piece + 1] - bounds[piece]):
            chosen = stream[place * plan.batch : (place + 1) * plan.batch]
            yield examples.batch(chosen, generator)

    def loss(batch: tuple[Tensor, ...]) -> Tensor:
        averaged.train()
        averaged.update()
        return averaged(*_on(model, batch)).mean()

    def score() -> float:
        averaged.eval()
        generator = np.random.default_rng((plan.seed, 1))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            losses = [
                averaged(*_on(model, examples.batch(part, generator)))
                for part in np.array_split(held_out, -(-len(held_out) // plan.batch))
            ]
        return float(torch.cat(losses).mean())

    result = train(
        averaged,
        batches,
        loss,
        optimiser=AdamW(
            averaged.model.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay
        ),
        epochs=pieces,
        schedule=cosine(plan.steps, warmup=min(200, plan.steps // 20), last=0.02),
        clip=1.0,
        score=score,
        checkpoint=None
        if checkpoint is None
        else Checkpoint(checkpoint, identity={"steps": plan.steps, **(identity or {})}),
        progress=progress,
        seed=plan.seed,
    )
    with torch.no_grad():
        for weight, mean in zip(model.parameters(), averaged.means(), strict=True):
            weight.copy_(mean)
    model.eval()
    return result


def _stream(first: int, last: int, count: int, seed: int) -> np.ndarray:
    """Return places first..last of an endless stream of passes, each a permutation of its own."""
    parts = []
    for turn in range(first // count, (last - 1) // count + 1):
        order = np.random.default_rng((seed, 2, turn)).permutation(count)
        parts.append(order[max(0, first - turn * count) : last - turn * count])
    return np.concatenate(parts)


def _on(model: Generator, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(tensor.to(model.device, non_blocking=True) for tensor in batch)
