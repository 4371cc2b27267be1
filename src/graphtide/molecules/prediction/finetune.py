"""Fine-tuning: the pretrained encoder and a head, trained together on measured values.

    y = W_2 dropout(relu(W_1 [fingerprint, scaled descriptors]))

for all targets at once; a missing label adds nothing to the loss. The encoder's rate is a fraction
of the head's, so that what it has learned is bent, not lost; the weights are the running mean at
the end of a cosine. Nothing is chosen on held-out molecules, so their residuals stay honest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from graphtide.molecules.prediction.descriptors import DescriptorScale
from graphtide.molecules.prediction.features import MolecularBatch
from graphtide.molecules.prediction.inputs import Inputs
from graphtide.molecules.prediction.network import Encoder, EncoderSize
from graphtide.molecules.prediction.pretrained import load_encoder
from graphtide.nn.averaging import AveragedModel
from graphtide.training.loop import Checkpoint, train
from graphtide.training.schedule import cosine

__all__ = ["FineTuned", "TuningPlan", "fine_tune", "seconds_per_epoch"]

_HIDDEN = 256
_EVALUATED = 128


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """How a network is fine-tuned.

    Args:
        epochs: passes through the molecules.
        batch: molecules a step.
        head_rate: largest learning rate of the head.
        encoder_rate: that of the encoder.
        dropout: share of the head's inputs, and of what atoms read, set to 0 in training.
        weight_decay: of AdamW.
        seed: of weights, order and dropout.
    """

    epochs: int = 25
    batch: int = 32
    head_rate: float = 1e-3
    encoder_rate: float = 3e-4
    dropout: float = 0.1
    weight_decay: float = 0.01
    seed: int = 0


class _Network(nn.Module):
    def __init__(self, encoder: Encoder, descriptors: int, targets: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(encoder.size.fingerprint + descriptors, _HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(_HIDDEN, targets),
        )

    def forward(self, batch: MolecularBatch, descriptors: Tensor) -> Tensor:
        """Return standardised targets (logits of classes), (M, T)."""
        return self.head(torch.cat([self.encoder(batch), descriptors], dim=1))


@dataclass(slots=True, eq=False)
class FineTuned:
    """A network with the scales of what goes in and comes out.

    Args:
        network: encoder and head.
        scale: of the descriptors.
        columns: the descriptors that ``scale`` keeps.
        centre: float64 (T,).
        spread: float64 (T,).
        classes: whether each target is a class, bool (T,).
    """

    network: nn.Module
    scale: DescriptorScale
    columns: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    classes: np.ndarray

    @property
    def encoder_size(self) -> EncoderSize:
        """Sizes of the encoder."""
        assert isinstance(self.network, _Network)
        return self.network.encoder.size

    @torch.no_grad()
    def predict(self, inputs: Inputs, *, steps: int | None = None) -> np.ndarray:
        """Return predictions, (M, T): values, or probabilities of class 1.

        Args:
            inputs: M molecules.
            steps: Euler steps of the message passing; None takes those of the training.
        """
        network = self.network
        assert isinstance(network, _Network)
        network.eval()
        descriptors = torch.from_numpy(self.scale.apply(inputs.descriptors[:, self.columns]))
        trained = network.encoder.depth
        if steps is not None:
            network.encoder.depth = trained.refined(steps=steps)
        try:
            parts = [
                network(
                    MolecularBatch.of(inputs.features[k : k + _EVALUATED]),
                    descriptors[k : k + _EVALUATED],
                )
                for k in range(0, len(inputs), _EVALUATED)
            ]
        finally:
            network.encoder.depth = trained
        found = torch.cat(parts).double() if parts else torch.empty(0, len(self.centre)).double()
        chances = torch.sigmoid(found).numpy()
        return np.where(self.classes, chances, found.numpy() * self.spread + self.centre)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return what is needed to make it again."""
        weights = {f"weights.{k}": v.numpy() for k, v in self.network.state_dict().items()}
        return {
            **weights,
            "descriptor_centre": self.scale.centre,
            "descriptor_spread": self.scale.spread,
            "columns": self.columns,
            "centre": self.centre,
            "spread": self.spread,
            "classes": self.classes,
        }

    @staticmethod
    def of(tensors: dict[str, np.ndarray], names: tuple[str, ...], size: EncoderSize) -> FineTuned:
        """Make it from :meth:`tensors`, the names of all descriptors and the encoder's size."""
        columns = tensors["columns"]
        scale = DescriptorScale(
            tuple(names[int(k)] for k in columns),
            tensors["descriptor_centre"],
            tensors["descriptor_spread"],
        )
        network = _Network(Encoder(size), len(columns), len(tensors["centre"]), 0.0)
        network.load_state_dict(
            {
                key.removeprefix("weights."): torch.from_numpy(value.copy())
                for key, value in tensors.items()
                if key.startswith("weights.")
            }
        )
        rest = (tensors[name] for name in ("centre", "spread", "classes"))
        return FineTuned(network, scale, columns, *rest)


def fine_tune(
    inputs: Inputs,
    values: np.ndarray,
    classes: np.ndarray,
    plan: TuningPlan,
    *,
    encoder: Callable[..., Encoder] = load_encoder,
    checkpoint: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> tuple[FineTuned, bool]:
    """Train a network; return it, and whether an interruption ended the training.

    Args:
        inputs: M molecules.
        values: float64 (M, T), NaN where missing; classes are 0 and 1.
        classes: whether each target is a class, bool (T,).
        plan: how long, at which rates.
        encoder: gives the encoder to begin with; called with ``dropout``.
        checkpoint: file from which an interrupted training goes on.
        progress: told the share done.
    """
    scale, columns = DescriptorScale.fit(inputs.descriptors, inputs.names)
    descriptors = torch.from_numpy(scale.apply(inputs.descriptors[:, columns]))
    centre = np.where(classes, 0.0, np.nanmean(values, axis=0))
    spread = np.where(classes, 1.0, np.nanstd(values, axis=0))
    spread = np.where(spread > 0, spread, 1.0)
    known = torch.from_numpy(np.isfinite(values))
    wanted = torch.from_numpy(np.nan_to_num((values - centre) / spread).astype(np.float32))
    is_class = torch.from_numpy(classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        network = _Network(
            encoder(dropout=plan.dropout), len(columns), values.shape[1], plan.dropout
        )
    batch = min(plan.batch, max(8, len(inputs) // 8))
    steps = max(1, len(inputs) // batch)
    model = AveragedModel(network, 0.99 if steps * plan.epochs < 1000 else 0.995)

    def batches(epoch: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
        del epoch
        order = generator.permutation(len(inputs))
        for k in range(steps):
            yield order[k * batch : (k + 1) * batch]

    def loss(chosen: np.ndarray) -> Tensor:
        model.train()
        model.update()
        graphs = MolecularBatch.of([inputs.features[int(k)] for k in chosen])
        found = model(graphs, descriptors[chosen])
        errors = torch.where(
            is_class,
            nn.functional.binary_cross_entropy_with_logits(
                found, wanted[chosen].clamp(0.0, 1.0), reduction="none"
            ),
            (found - wanted[chosen]).square(),
        )
        there = known[chosen]
        return (errors * there).sum() / there.sum().clamp(min=1)

    training = train(
        model,
        batches,
        loss,
        optimiser=torch.optim.AdamW(
            [
                {"params": network.encoder.parameters(), "lr": plan.encoder_rate},
                {"params": network.head.parameters(), "lr": plan.head_rate},
            ],
            weight_decay=plan.weight_decay,
        ),
        epochs=plan.epochs,
        schedule=cosine(
            steps * plan.epochs, warmup=min(steps, steps * plan.epochs // 10), last=0.02
        ),
        clip=1.0,
        keep_best=False,
        checkpoint=None if checkpoint is None else Checkpoint(checkpoint),
        progress=progress,
        seed=plan.seed,
    )
    with torch.no_grad():
        for weight, mean in zip(network.parameters(), model.means(), strict=True):
            weight.copy_(mean)
    network.eval()
    made = FineTuned(network, scale, columns, centre, spread, np.asarray(classes, dtype=bool))
    return made, training.interrupted


def seconds_per_epoch(inputs: Inputs, targets: int, plan: TuningPlan) -> float:
    """Return the time that one epoch takes on this machine, by trying a few steps."""
    scale, columns = DescriptorScale.fit(inputs.descriptors, inputs.names)
    network = _Network(load_encoder(dropout=plan.dropout), len(columns), targets, plan.dropout)
    descriptors = torch.from_numpy(scale.apply(inputs.descriptors[:, columns]))
    order = np.random.default_rng(0).permutation(len(inputs))
    taken = []
    for k in range(5):
        chosen = order[(k * plan.batch + np.arange(plan.batch)) % len(order)]
        began = time.perf_counter()
        graphs = MolecularBatch.of([inputs.features[int(i)] for i in chosen])
        network(graphs, descriptors[chosen]).square().mean().backward()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken)) * 1.15 * len(inputs) / plan.batch
