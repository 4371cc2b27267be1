"""Training of the latent model: whole roll-outs from the first states, as NDCN is trained.

The loss is the mean absolute (or squared) residual at the readings, in units of the variables'
sizes; Adam with a falling rate; the weights with the best validation error stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas
import torch
from torch import Tensor, nn

from graphtide.dynamics.latent import LatentDiffusionField
from graphtide.dynamics.neural_task import LOST, Task, Trained
from graphtide.dynamics.segments import LossKind
from graphtide.dynamics.weak_training import WeakForm
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.training.loop import Checkpoint, train
from graphtide.training.schedule import cosine

__all__ = ["train_latent"]

RATE, WEIGHT_DECAY = 1e-2, 1e-3
EVERY = 10
"""Epochs from one validation to the next."""


class _Learner(nn.Module):
    def __init__(self, field: LatentDiffusionField, hidden: Sequence[np.ndarray]) -> None:
        super().__init__()
        self.field = field
        low = field.visited.low
        self.hidden = nn.ParameterList([nn.Parameter(low.new_tensor(h)) for h in hidden])


def train_latent(
    field: LatentDiffusionField,
    graphs: Sequence[Graph],
    task: Task,
    *,
    epochs: int,
    kind: LossKind,
    seed: int,
    checkpoints: Path | None,
    progress: Callable[[float, str], None],
) -> Trained:
    """Train a latent model in place; nodes never seen have their starts as parameters.

    Args:
        field: the model.
        graphs: of each sample.
        task: readings and validation.
        epochs: passes over all trajectories.
        kind: "l1" or "square".
        seed: seed of torch's random numbers.
        checkpoints: folder of the checkpoint; None keeps none.
        progress: told the share done.

    Raises:
        InputError: the loss is another one.
        ComputationError: the loss is not finite.
    """
    if kind not in ("l1", "square"):
        raise InputError(f"a latent model is trained with the loss l1 or square, not '{kind}'")
    samples, like = task.problem.samples, field.visited.low
    size = like.new_tensor(task.problem.size)
    hidden = [np.asarray(s.start)[u] for s, u in zip(samples, task.unseen, strict=True)]
    learner = _Learner(field, hidden)
    readings = [like.new_tensor(s.observed) for s in samples]

    def start(k: int) -> Tensor:
        given = like.new_tensor(samples[k].start)
        if not len(task.unseen[k]):
            return given
        return given.index_copy(0, torch.as_tensor(task.unseen[k]), learner.hidden[k])

    def loss(k: int) -> Tensor:
        states = field.roll_out(graphs[k], samples[k].times, start(k))
        residual = ((states - readings[k]) / size)[~torch.isnan(readings[k])]
        return residual.abs().mean() if kind == "l1" else residual.square().mean()

    def score() -> float:
        wrong = total = 0.0
        for k, truth in enumerate(task.validation):
            states = field.roll_out(graphs[k], task.judged[k], start(k)).cpu().numpy()
            known = ~np.isnan(truth)
            wrong += float((np.abs(states - truth) / task.problem.size)[known].sum())
            total += float((np.abs(truth) / task.problem.size)[known].sum())
        return min(wrong / max(total, 1e-300), LOST) if np.isfinite(wrong) else LOST

    groups = [
        {"params": list(field.parameters()), "weight_decay": WEIGHT_DECAY},
        {"params": list(learner.hidden.parameters()), "lr": 0.02 * float(size.mean())},
    ]
    path = None if checkpoints is None else checkpoints / "latent.safetensors"
    identity = {"epochs": epochs, "kind": kind, "seed": seed, "without": str(field.without)}
    result = train(
        learner,
        lambda epoch, generator: range(len(samples)),  # noqa: ARG005
        loss,
        optimiser=torch.optim.Adam([g for g in groups if g["params"]], lr=RATE),
        epochs=epochs,
        schedule=cosine(epochs * len(samples) + 1, last=0.05),
        clip=1.0,
        score=score,
        score_every=EVERY,
        checkpoint=None if path is None else Checkpoint(path, 20.0, identity),
        progress=progress,
        seed=seed,
    )
    lines = [
        {"stage": "roll-outs", "validation_error": line.score, **asdict(line)}
        for line in result.history
    ]
    history = pandas.DataFrame(lines).drop(columns=["score", "steps", "seconds"])
    starts = [start(k).detach().cpu().numpy() for k in range(len(samples))]
    return Trained(history, starts, WeakForm(()), 0.0, result.interrupted)
