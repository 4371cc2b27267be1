"""Train a network on a node task: known targets, agreement of random passes, early stopping.

    loss = mean over passes of fit(y on the training nodes)
           + w mean over passes and all nodes of |p - q|^2,   q ~ (mean of p)^(1 / T)

q is sharpened towards the class that the passes agree on, and held fixed; for values it is their
mean. No label but those of the training nodes enters the loss; those of the validation nodes stop
the training.

Source: Feng et al., Graph random neural networks, NeurIPS 2020, equations (4)-(6).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from graphtide.dynamics.classify.data import NodeTask
from graphtide.sparse import SparseMatrix
from graphtide.training.loop import Checkpoint, Training, train

__all__ = ["Outcome", "Rules", "prepared_features", "train_network"]


@dataclass(frozen=True, slots=True)
class Rules:
    """How a network is trained.

    Args:
        passes: random passes a step, S.
        agreement: w, weight of their agreement; 0 asks for none.
        temperature: T of the sharpening.
        learning_rate: of Adam.
        weight_decay: of Adam, on all weights.
        epochs: steps, at most.
        patience: scores without improvement after which it stops.
    """

    passes: int = 2
    agreement: float = 1.0
    temperature: float = 0.5
    learning_rate: float = 0.01
    weight_decay: float = 5e-4
    epochs: int = 1000
    patience: int = 50


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a trained network says.

    Args:
        said: class probabilities (N, C), or values (N, 1).
        validation: accuracy (R^2 for values) on the validation nodes.
        test: the same on the test nodes.
        training: the history.
        network: the network with its best weights.
    """

    said: np.ndarray
    validation: float
    test: float
    training: Training
    network: nn.Module


def prepared_features(task: NodeTask, *, scale_rows: bool) -> SparseMatrix:
    """Return the features as a sparse matrix for networks.

    Args:
        task: the task.
        scale_rows: divide rows by their sum of absolute values (counts of words); otherwise
            columns are standardised over all nodes (measurements).
    """
    from scipy.sparse import csr_array, diags_array

    features = task.features.astype(np.float64)
    if scale_rows:
        total = np.asarray(abs(features).sum(axis=1)).ravel()
        inverse = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
        scaled = csr_array(diags_array(inverse) @ features)
    else:
        dense = features.toarray()
        spread = dense.std(axis=0)
        scaled = csr_array((dense - dense.mean(axis=0)) / np.where(spread > 0, spread, 1.0))
    return SparseMatrix.from_scipy(scaled, dtype=torch.get_default_dtype())


def train_network(
    task: NodeTask,
    build: Callable[[], nn.Module],
    features: SparseMatrix,
    rules: Rules,
    *,
    seed: int,
    checkpoint: Path | None = None,
    identity: dict[str, str | int | float | bool | None] | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Outcome:
    """Train the network that `build` makes, from a seed.

    Raises:
        ComputationError: the loss is not finite.
        KeyboardInterrupt: it was interrupted; the checkpoint is written.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build()
    place = next(network.parameters())
    target, shift, scale = _target(task, place)
    train_nodes = torch.from_numpy(task.train).to(place.device)
    held_out = torch.from_numpy(task.validation).to(place.device)
    passes = rules.passes if rules.agreement else 1

    def fit(said: Tensor, nodes: Tensor) -> Tensor:
        if task.is_regression:
            return mse_loss(said[nodes, 0], target[nodes])
        return cross_entropy(said[nodes], target[nodes])

    def loss(_batch: None) -> Tensor:
        outputs = [network(features) for _ in range(passes)]
        value = torch.stack([fit(said, train_nodes) for said in outputs]).mean()
        if rules.agreement and passes > 1:
            value = value + rules.agreement * _disagreement(outputs, rules, task.is_regression)
        return value

    def score() -> float:
        said = network(features)
        value = fit(said, held_out)
        if not task.is_regression:
            missed = (said[held_out].argmax(dim=1) != target[held_out]).to(value.dtype).mean()
            value = missed + 0.02 * value  # among equal accuracies the smaller loss
        return float(value)

    trained = train(
        network,
        lambda _epoch, _generator: [None],
        loss,
        optimiser=torch.optim.Adam(
            network.parameters(), lr=rules.learning_rate, weight_decay=rules.weight_decay
        ),
        epochs=rules.epochs,
        score=score,
        score_every=2,
        patience=rules.patience,
        checkpoint=None if checkpoint is None else Checkpoint(checkpoint, identity=identity or {}),
        progress=progress,
        seed=seed,
    )
    if trained.interrupted:
        raise KeyboardInterrupt
    network.eval()
    with torch.no_grad():
        logits = network(features)
    said = logits if task.is_regression else torch.softmax(logits, dim=1)
    values = said.cpu().double().numpy() * scale + shift
    return Outcome(
        values,
        goodness(task, values, task.validation),
        goodness(task, values, task.test),
        trained,
        network,
    )


def goodness(task: NodeTask, said: np.ndarray, nodes: np.ndarray) -> float:
    """Return the accuracy on some nodes, or R^2 for values."""
    truth = task.target[nodes]
    if not task.is_regression:
        return float((said[nodes].argmax(axis=1) == truth).mean())
    spread = float(np.square(truth - truth.mean()).sum())
    missed = float(np.square(truth - said[nodes, 0]).sum())
    return 1.0 - missed / spread if spread > 0 else float("nan")


def _target(task: NodeTask, like: Tensor) -> tuple[Tensor, float, float]:
    """Return targets for the loss, and shift and scale that undo their standardisation."""
    if not task.is_regression:
        return torch.from_numpy(task.target).to(like.device), 0.0, 1.0
    known = task.target[task.train]
    shift, scale = float(known.mean()), float(known.std()) or 1.0
    values = np.nan_to_num((task.target - shift) / scale)
    return torch.from_numpy(values).to(like), shift, scale


def _disagreement(outputs: list[Tensor], rules: Rules, regression: bool) -> Tensor:
    said = outputs if regression else [torch.softmax(output, dim=1) for output in outputs]
    stacked = torch.stack(said)  # (S, N, C)
    aim = stacked.mean(dim=0).detach()
    if not regression:
        aim = aim.pow(1.0 / rules.temperature)
        aim = aim / aim.sum(dim=1, keepdim=True)
    return (stacked - aim).square().sum(dim=-1).mean()
