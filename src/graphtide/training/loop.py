"""The training loop of the house: every model that learns by steps is trained here.

    for each epoch: for each batch: one step of the optimiser on the batch's loss;
                    then the held-out score; the best weights are kept

It stops early where the score has not improved for some epochs, writes checkpoints (model,
optimiser, random states, position in the data) from which it goes on bit for bit, and ends an
interruption (Ctrl-C) between two steps: with a checkpoint written, and the best weights in place.

Early stopping: Prechelt, Early stopping - but when?, Neural Networks: Tricks of the Trade, 1998.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Generic, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from graphtide.errors import ComputationError, InputError
from graphtide.training.checkpoint import read_checkpoint, write_checkpoint
from graphtide.training.devices import make_devices
from graphtide.training.memory import keep_freed_memory
from graphtide.training.randomness import own_randomness, random_states, set_random_states
from graphtide.training.schedule import Schedule, constant

__all__ = ["Checkpoint", "Epoch", "Training", "train"]

Batch = TypeVar("Batch")
Batches = Callable[[int, np.random.Generator], Iterable[Batch]]
"""Maps an epoch and its own generator to the batches; equal for equal states of the generator."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where and how often a training is kept.

    Args:
        path: the file; a training finds it there and goes on from it.
        seconds: least time between two writings; 0 writes after every step.
        identity: what must be equal for a checkpoint to be taken up (settings, hashes of data).
    """

    path: Path
    seconds: float = 30.0
    identity: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the history.

    Args:
        epoch: its number, from 0.
        steps: steps taken until its end.
        loss: mean loss of its batches.
        score: held-out score after it; NaN where none was worked out.
        learning_rate: of the first group at its last step.
        seconds: time of training until its end, over all resumptions.
    """

    epoch: int
    steps: int
    loss: float
    score: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Training:
    """What `train` returns; the model holds the best weights.

    Args:
        history: one line an epoch.
        best_epoch: the epoch whose weights the model holds.
        best_score: its score (its loss, where no score was given).
        interrupted: whether an interruption ended it before it was done.
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    best_score: float
    interrupted: bool


def train(
    model: nn.Module,
    batches: Batches[Batch],
    loss: Callable[[Batch], Tensor],
    *,
    optimiser: Optimizer,
    epochs: int,
    schedule: Schedule = constant,
    clip: float | None = None,
    score: Callable[[], float] | None = None,
    score_every: int = 1,
    keep_best: bool = True,
    patience: int | None = None,
    seconds: float | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[float, str], None] | None = None,
    seed: int = 0,
    devices: int = 1,
    accelerator: str = "auto",
) -> Training:
    """Train a model and leave its best weights in it, or its last.

    All randomness is the epochs' generators (from the seed and the epoch's number) and torch's own
    (seeded here, put back afterwards), so that equal calls give equal weights.

    Args:
        model: its parameters and buffers are trained and kept, in place.
        batches: the batches of an epoch, of any type.
        loss: mean loss of a batch, 0-dim, computed with the model.
        optimiser: over the model's parameters; L-BFGS may evaluate the loss several times a step.
        epochs: number of passes through the batches.
        schedule: factor of the learning rate at each step.
        clip: largest norm of the gradient (of all parameters together); None leaves it.
        score: held-out score of the model as it stands, lower is better, called without gradient;
            None scores by the mean loss.
        score_every: epochs from one score to the next (the last one is always scored).
        keep_best: leave the weights of the best score; False leaves the last, where a schedule's
            end is what is wanted.
        patience: scores without improvement after which it stops; None never stops early.
        seconds: time of training after which no epoch is begun; such a training depends on the
            machine's speed.
        checkpoint: where to keep it; None keeps nothing.
        progress: told the share done and the figures after each epoch.
        seed: of the order of batches and of torch's random numbers.
        devices: devices that share each step's batches (needs the extra `devices` above one).
        accelerator: kind of the devices, where there are several.

    Raises:
        InputError: a number is out of its range, or the checkpoint is of another training.
        ComputationError: the loss or the score is not finite; the model holds the best weights.
    """
    if epochs < 1 or score_every < 1 or (patience is not None and patience < 1):
        raise InputError("epochs, score_every and patience must be at least 1")
    if clip is not None and not clip > 0:
        raise InputError(f"clip must be positive; it is {clip:g}")
    loop = _Loop(
        model, batches, loss, optimiser, epochs, schedule, clip, score, score_every, keep_best,
        patience, seconds, checkpoint, progress, seed,
    )  # fmt: skip
    return loop.run(devices, accelerator)


@dataclass(slots=True)
class _State:
    """What changes through a training, beside weights and the optimiser."""

    epoch: int = 0
    batch: int = 0  # batches of this epoch that are done
    steps: int = 0
    losses: list[Tensor] = field(default_factory=list)  # of this epoch
    history: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = -1
    best_score: float = math.inf
    stale: int = 0  # scores since the best
    seconds: float = 0.0
    done: bool = False


@dataclass(slots=True)
class _Loop(Generic[Batch]):
    model: nn.Module
    batches: Batches[Batch]
    loss: Callable[[Batch], Tensor]
    optimiser: Optimizer
    epochs: int
    schedule: Schedule
    clip: float | None
    score: Callable[[], float] | None
    score_every: int
    keep_best: bool
    patience: int | None
    limit: float | None
    checkpoint: Checkpoint | None
    progress: Callable[[float, str], None] | None
    seed: int
    state: _State = field(default_factory=_State)
    rates: list[float] = field(default_factory=list)

    def run(self, count: int, accelerator: str) -> Training:
        keep_freed_memory()
        devices = make_devices(count, accelerator)
        devices.place(self.model)
        self.rates = [float(group["lr"]) for group in self.optimiser.param_groups]
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        interrupted = False
        with own_randomness(parameters, self.seed), _interruption() as asked:
            began = time.monotonic()
            if self.checkpoint is not None and self.checkpoint.path.exists():
                self._restore(self.checkpoint)
            state = self.state
            elapsed, written = state.seconds, began
            while not state.done and not interrupted:
                generator = np.random.default_rng((self.seed, state.epoch))
                all_batches = iter(self.batches(state.epoch, generator))
                skipped = itertools.islice(all_batches, state.batch * devices.count, None)
                for batch in _share_of(skipped, devices.rank, devices.count):
                    self._step(batch, parameters, devices.average)
                    state.seconds = elapsed + time.monotonic() - began
                    interrupted = devices.agree(asked.is_set())
                    now = time.monotonic()
                    kept = self.checkpoint
                    due = kept is not None and (interrupted or now - written >= kept.seconds)
                    if due and devices.rank == 0:
                        self._keep()
                        written = now
                    if interrupted:
                        break
                else:
                    self._end_epoch()
                    interrupted = devices.agree(asked.is_set()) and not state.done
                    over = self.limit is not None and state.seconds >= self.limit
                    state.done = devices.agree(state.done or over)
                    if devices.rank == 0 and (state.done or interrupted) and self.checkpoint:
                        self._keep()
        if state.best:
            self.model.load_state_dict(state.best)
        return Training(tuple(state.history), state.best_epoch, state.best_score, interrupted)

    def _step(
        self,
        batch: Batch,
        parameters: list[nn.Parameter],
        average: Callable[[Tensor, Iterable[nn.Parameter]], Tensor],
    ) -> None:
        """Take one step on one batch (on several devices: one batch each)."""
        state = self.state
        factor = self.schedule(state.steps)
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

        def closure() -> Tensor:
            self.optimiser.zero_grad()
            value = self.loss(batch)
            value.backward()
            value = average(value, parameters)
            if self.clip is not None:
                nn.utils.clip_grad_norm_(parameters, self.clip)
            return value

        self.model.train()
        value = self.optimiser.step(cast("Callable[[], float]", closure))
        state.losses.append(torch.as_tensor(value).detach())
        state.batch += 1
        state.steps += 1

    def _end_epoch(self) -> None:
        """Score the weights, keep the best ones, and decide whether to go on."""
        state = self.state
        if not state.losses:
            raise InputError(f"epoch {state.epoch} has no batches (for every device one at least)")
        loss = float(torch.stack(state.losses).mean())
        last = state.epoch + 1 == self.epochs
        scored = self.score is None or last or (state.epoch + 1) % self.score_every == 0
        score = loss
        if self.score is not None:
            self.model.eval()
            with torch.no_grad():
                score = float(self.score()) if scored and math.isfinite(loss) else math.nan
        if not math.isfinite(loss) or (scored and not math.isfinite(score)):
            if state.best:
                self.model.load_state_dict(state.best)
            what = "loss" if not math.isfinite(loss) else "held-out score"
            raise ComputationError(
                f"the {what} is not a finite number in epoch {state.epoch} (step {state.steps}); "
                "a smaller learning rate or clipped gradients may help"
            )
        rate = float(self.optimiser.param_groups[0]["lr"])
        state.history.append(Epoch(state.epoch, state.steps, loss, score, rate, state.seconds))
        if scored:
            state.stale += 1
            if score < state.best_score:
                if self.keep_best:
                    state.best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
                state.best_epoch, state.best_score, state.stale = state.epoch, score, 0
        state.epoch, state.batch, state.losses = state.epoch + 1, 0, []
        state.done = last or (self.patience is not None and state.stale >= self.patience)
        if self.progress is not None:
            text = f"epoch {state.epoch} of {self.epochs}, loss {loss:.4g}"
            if self.score is not None and scored:
                text += f", held out {score:.4g} (best {state.best_score:.4g})"
            self.progress(state.epoch / self.epochs, text)

    def _keep(self) -> None:
        """Write the checkpoint."""
        kept, state = self.checkpoint, self.state
        assert kept is not None
        write_checkpoint(
            kept.path,
            {
                "identity": dict(kept.identity),
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "random": random_states(self.model),
                "position": [state.epoch, state.batch, state.steps],
                "losses": state.losses,
                "history": [asdict(line) for line in state.history],
                "best": state.best,
                "best_epoch": state.best_epoch,
                "best_score": state.best_score,
                "stale": state.stale,
                "seconds": state.seconds,
                "done": state.done,
            },
        )

    def _restore(self, kept: Checkpoint) -> None:
        """Take up a checkpoint."""
        found = read_checkpoint(kept.path)
        if found.get("identity") != dict(kept.identity):
            raise InputError(f"{kept.path} is the checkpoint of another training: remove it first")
        device = next(self.model.parameters()).device
        try:
            self.model.load_state_dict(cast("dict[str, Tensor]", found["model"]))
            self.optimiser.load_state_dict(cast("dict", found["optimiser"]))
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{kept.path} is the checkpoint of another model: {error}") from None
        set_random_states(self.model, cast("dict[str, Tensor]", found["random"]))
        position = cast("list[int]", found["position"])
        lines = cast("list[dict[str, float]]", found["history"])
        best = cast("dict[str, Tensor]", found["best"])
        self.state = _State(
            *position,
            losses=[loss.to(device) for loss in cast("list[Tensor]", found["losses"])],
            history=[Epoch(**line) for line in lines],  # pyright: ignore[reportArgumentType]
            best={name: tensor.to(device) for name, tensor in best.items()},
            best_epoch=cast("int", found["best_epoch"]),
            best_score=cast("float", found["best_score"]),
            stale=cast("int", found["stale"]),
            seconds=cast("float", found["seconds"]),
            done=cast("bool", found["done"]),
        )


def _share_of(batches: Iterable[Batch], rank: int, count: int) -> Iterator[Batch]:
    """Yield this device's batch of each full round; batches left over at the end are dropped."""
    # zip over one iterator, count times: full rounds of count batches.
    for round_of_batches in zip(*[iter(batches)] * count, strict=False):
        yield round_of_batches[rank]


@contextlib.contextmanager
def _interruption() -> Iterator[threading.Event]:
    """Yield a flag that Ctrl-C sets, so that no step is cut in two; a second Ctrl-C ends at once.

    Outside of the main thread Python delivers no signals, and nothing is changed.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        del number, frame
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
