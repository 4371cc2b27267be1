"""Classes or values of nodes from some that are known: a network whose depth is time.

The depth is chosen on the validation nodes, with the first seed; then one network a seed is trained
beside a graph convolutional network in the same way of training, and label propagation. What is
written for each node is the mean over the seeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from graphtide.dynamics.classify.data import NodeTask
from graphtide.dynamics.classify.networks import (
    Convolution,
    DiffusionKind,
    DiffusionNetwork,
    Shape,
    with_self_loops,
)
from graphtide.dynamics.classify.propagation import propagate_labels
from graphtide.dynamics.classify.result import Classification
from graphtide.dynamics.classify.training import (
    Outcome,
    Rules,
    goodness,
    prepared_features,
    train_network,
)
from graphtide.errors import InputError
from graphtide.sparse import SparseMatrix

__all__ = ["Classification", "check", "classify"]

_DEPTHS = (2.0, 4.0, 8.0)
_GCN = Rules(passes=1, agreement=0.0)


def classify(
    task: NodeTask,
    *,
    seeds: int = 5,
    first_seed: int = 0,
    depth: float | None = None,
    diffusion: str = "diffusion",
    width: int = 32,
    dropout: float = 0.5,
    rules: Rules | None = None,
    folder: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
    device: str = "cpu",
) -> Classification:
    """Train networks that tell the class or the value of every node.

    Args:
        task: the nodes and what is known of them.
        seeds: how many networks are trained.
        first_seed: seeds are first_seed, first_seed + 1, ...
        depth: T; None chooses among 2, 4 and 8 on the validation nodes.
        diffusion: "diffusion" (fixed weights of edges) or "attention".
        width: channels that diffuse.
        dropout: share of features and hidden channels left out in training.
        rules: how networks are trained.
        folder: where trainings are kept, so that an interrupted call goes on; None keeps nothing.
        progress: told the share done.
        device: where networks run.

    Raises:
        InputError: an argument is out of its range.
        ComputationError: a training diverged.
        KeyboardInterrupt: it was interrupted; trainings are kept in `folder`.
    """
    check(seeds=seeds, depth=depth, diffusion=diffusion)
    words = bool((task.features.data >= 0).all())
    features = prepared_features(task, scale_rows=words).to(device=device)
    shape = Shape(
        task.features.shape[1],
        max(1, len(task.classes)),
        width=width,
        depth=_DEPTHS[0] if depth is None else depth,
        diffusion=cast("DiffusionKind", diffusion),
        dropout=dropout,
    )
    job = _Job(task, features, rules or Rules(), folder, device)
    scores: dict[float, float] = {}
    trials = _DEPTHS if depth is None else ()
    share = 1.0 / (len(trials) + 2 * seeds)
    for number, trial in enumerate(trials):
        step = _stretch(progress, share * number, share, f"depth {trial:g}")
        outcome = job.network(replace(shape, depth=trial), first_seed, step)
        scores[trial] = outcome.validation
    if trials:
        shape = replace(shape, depth=max(scores, key=lambda trial: scores[trial]))
    found, convolutions, seconds = [], [], []
    for number in range(seeds):
        done = share * (len(trials) + 2 * number)
        began = time.perf_counter()
        step = _stretch(progress, done, share, f"seed {first_seed + number}")
        found.append(job.network(shape, first_seed + number, step))
        seconds.append(time.perf_counter() - began)
        step = _stretch(progress, done + share, share, f"GCN, seed {first_seed + number}")
        convolutions.append(job.convolution(shape, first_seed + number, step).test)
    first = found[0].network
    assert isinstance(first, DiffusionNetwork)
    return Classification(
        task=task,
        said=np.mean([outcome.said for outcome in found], axis=0),
        test=np.array([outcome.test for outcome in found]),
        validation=np.array([outcome.validation for outcome in found]),
        baselines={
            "gcn": np.array(convolutions),
            "label_propagation": np.array([goodness(task, propagate_labels(task), task.test)]),
        },
        depth=shape.depth,
        depth_scores=scores,
        depth_curve=_depth_curve(task, found, features, shape),
        seconds=np.array(seconds),
        rates=_rates(first),
        network=first,
        features=features,
    )


def check(*, seeds: int, depth: float | None, diffusion: str) -> None:
    """Refuse arguments out of their range.

    Raises:
        InputError: as :func:`classify`.
    """
    if seeds < 1:
        raise InputError(f"seeds must be at least 1; it is {seeds}")
    if diffusion not in ("diffusion", "attention"):
        raise InputError(f"'{diffusion}' is no diffusion; known are diffusion and attention")
    if depth is not None and not depth > 0:
        raise InputError(f"depth must be positive; it is {depth:g}")


@dataclass(slots=True)
class _Job:
    """What all trainings of one call share."""

    task: NodeTask
    features: SparseMatrix
    rules: Rules
    folder: Path | None
    device: str

    def network(
        self, shape: Shape, seed: int, progress: Callable[[float, str], None] | None
    ) -> Outcome:
        graph = with_self_loops(self.task.graph)
        return train_network(
            self.task,
            lambda: DiffusionNetwork(graph, shape).to(self.device),
            self.features,
            self.rules,
            seed=seed,
            checkpoint=self._file(f"network_{shape.depth:g}_{seed}"),
            identity=self._identity(shape, seed),
            progress=progress,
        )

    def convolution(
        self, shape: Shape, seed: int, progress: Callable[[float, str], None] | None
    ) -> Outcome:
        graph = with_self_loops(self.task.graph)
        shape = replace(shape, width=16, dropout=0.5)  # as published
        return train_network(
            self.task,
            lambda: Convolution(graph, shape).to(self.device),
            self.features,
            _GCN,
            seed=seed,
            checkpoint=self._file(f"gcn_{seed}"),
            identity=self._identity(shape, seed),
            progress=progress,
        )

    def _file(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{name}.safetensors"

    def _identity(self, shape: Shape, seed: int) -> dict[str, str | int | float | bool | None]:
        return {
            "nodes": self.task.graph.node_count,
            "edges": self.task.graph.edge_count,
            "features": shape.features,
            "depth": shape.depth,
            "diffusion": shape.diffusion,
            "width": shape.width,
            "dropout": shape.dropout,
            "passes": self.rules.passes,
            "seed": seed,
        }


def _depth_curve(
    task: NodeTask, found: list[Outcome], features: SparseMatrix, shape: Shape
) -> np.ndarray:
    """Return depth and mean test accuracy of the trained networks read at other depths."""
    rows = []
    for depth in np.linspace(0.0, 2.0 * shape.depth, 9):
        values = []
        for outcome in found:
            network = outcome.network
            assert isinstance(network, DiffusionNetwork)
            with torch.no_grad():
                said = network(features, depth=float(depth)).cpu().double().numpy()
            if task.is_regression:
                known = task.target[task.train]
                said = said * (known.std() or 1.0) + known.mean()
            values.append(goodness(task, said, task.test))
        rows.append((depth, float(np.mean(values))))
    return np.array(rows)


def _rates(network: DiffusionNetwork) -> np.ndarray:
    named = dict(network.named_parameters())
    name = next(name for name in named if name.endswith("log_rate"))
    return named[name].detach().exp().cpu().numpy()


def _stretch(
    progress: Callable[[float, str], None] | None, start: float, length: float, name: str
) -> Callable[[float, str], None] | None:
    if progress is None:
        return None
    return lambda share, text: progress(start + length * share, f"{name}: {text}")
