"""Train a network to forecast: absolute errors, early stopping on held-out windows, resumable.

The loss is Huber's with a small bend, nearly the absolute error: large jumps of few nodes do not
rule it. A running mean of the weights is what forecasts. Training on the training windows finds the
number of epochs; the final fit starts anew on all windows before the split with that number.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import huber_loss

from graphtide.dynamics.forecast.networks import DirectNetwork, GraphOdeRnn, Inputs, Sizes
from graphtide.dynamics.forecast.recurrent_baselines import RecurrentGraphNetwork
from graphtide.dynamics.forecast.season import Season
from graphtide.dynamics.forecast.windows import Windows, batches, phases
from graphtide.graph import Graph
from graphtide.nn.averaging import AveragedModel
from graphtide.training.loop import Checkpoint, Epoch, Training, train
from graphtide.training.schedule import cosine

__all__ = ["LEARNED", "LearnedForecaster", "Settings"]

Builder = Callable[[Graph, Sizes], nn.Module]

_HARMONICS = 2
_BEND = 0.1
"""Of Huber's loss, in standard deviations of the readings."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a network is trained.

    Args:
        width: length of hidden states.
        embedding: length of a node's place.
        dropout: share of hidden units left out in training.
        epochs: passes through the windows, at most.
        batch: windows a step.
        learning_rate: the largest, after the warm-up.
        weight_decay: of the matrices, decoupled (AdamW).
        patience: epochs without improvement on the validation windows after which it stops.
        least_steps: where an epoch has few steps, there are more epochs (up to 100), for so many.
        members: networks of different seeds whose forecasts are averaged.
    """

    width: int = 64
    embedding: int = 8
    dropout: float = 0.1
    epochs: int = 15
    batch: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    patience: int = 8
    least_steps: int = 600
    members: int = 1


LEARNED: dict[str, tuple[Builder, Settings]] = {
    "graph_ode_rnn": (GraphOdeRnn, Settings(width=24, epochs=12)),
    "direct_network": (
        DirectNetwork,
        Settings(
            width=128, embedding=4, dropout=0.2, epochs=8, batch=16, weight_decay=0.05, members=3
        ),
    ),
    "rnn_gnn": (RecurrentGraphNetwork.of("rnn"), Settings(width=32, epochs=10)),
    "gru_gnn": (RecurrentGraphNetwork.of("gru"), Settings(width=32, epochs=10)),
    "lstm_gnn": (RecurrentGraphNetwork.of("lstm"), Settings(width=32, epochs=10)),
}
"""Networks by name; the last three are baselines."""


@dataclass(slots=True, eq=False)
class LearnedForecaster:
    """A network as a forecaster, see `baselines.Forecaster`.

    Args:
        name: a name of `LEARNED`.
        graph: N nodes.
        seed: of weights, batches and dropout.
        settings: how it is trained; the network's own where not given.
        folder: where its training is kept; None keeps nothing.
        progress: told the share done.
        device: where it runs.
    """

    name: str
    graph: Graph
    seed: int = 0
    settings: Settings | None = None
    folder: Path | None = None
    progress: Callable[[float, str], None] | None = None
    device: str = "cpu"
    epochs: int | None = field(default=None, init=False)
    histories: dict[str, tuple[Epoch, ...]] = field(default_factory=dict, init=False)
    season: Season | None = field(default=None, init=False)
    network: AveragedModel | None = field(default=None, init=False)

    def fit(self, windows: Windows, train: np.ndarray, validation: np.ndarray | None) -> None:
        """Train; without validation windows, for the number of epochs found before.

        Raises:
            ComputationError: the loss is not finite.
            KeyboardInterrupt: it was interrupted.
        """
        settings = self._settings()
        steps = math.ceil(len(train) / settings.batch)
        most = max(settings.epochs, min(100, math.ceil(settings.least_steps / steps)))
        epochs = most if validation is not None or self.epochs is None else self.epochs
        self.season = Season.of(windows, int(train[-1]) + windows.horizon)
        network = self.build(windows)
        total = epochs * steps
        stage = "first" if validation is not None else "final"

        def order(_epoch: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
            return batches(generator.permutation(train), settings.batch)

        def loss(numbers: np.ndarray) -> Tensor:
            network.train()
            network.update()
            return self._loss(network, windows, numbers)

        def score() -> float:
            assert validation is not None  # only asked for where there is one
            network.eval()
            losses = [self._loss(network, windows, some) for some in batches(validation, 128)]
            return float(torch.stack(losses).mean())

        trained = _run(
            network, order, loss, score if validation is not None else None,
            settings=settings, epochs=epochs, total=total, seed=self.seed,
            checkpoint=self._checkpoint(stage, windows, train, epochs), progress=self.progress,
        )  # fmt: skip
        self.histories[stage] = trained.history
        if trained.interrupted:
            raise KeyboardInterrupt  # the checkpoint is written: the same call goes on from it
        if validation is not None:
            self.epochs = trained.best_epoch + 1
        network.eval()

    def build(self, windows: Windows) -> AveragedModel:
        """Return the untrained network for these windows, and keep it as this one's own."""
        builder, settings = LEARNED[self.name]
        settings = self.settings or settings
        sizes = Sizes(
            windows.history,
            windows.horizon,
            windows.filled.shape[2],
            2 * _HARMONICS if windows.period is not None else 0,
            self.season is not None,
            width=settings.width,
            embedding=settings.embedding,
            dropout=settings.dropout,
            regions=min(20, self.graph.node_count),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = builder(self.graph, sizes)
        self.network = AveragedModel(model).to(self.device)
        return self.network

    @torch.no_grad()
    def predict(self, windows: Windows, numbers: np.ndarray) -> np.ndarray:
        """Return forecasts, (B, h, N, D)."""
        parts = []
        for some in batches(numbers, 128):
            said = self.said(self.inputs(windows, some)).cpu().numpy()
            parts.append(said * windows.deviation + windows.mean)
        return np.concatenate(parts).astype(np.float64)

    def said(self, inputs: Inputs) -> Tensor:
        """Return standardised forecasts of what the mean of the weights sees, (B, h, N, D)."""
        assert self.network is not None  # fit or build comes first
        self.network.eval()
        return self.network(inputs)

    def _settings(self) -> Settings:
        return self.settings or LEARNED[self.name][1]

    def inputs(self, windows: Windows, numbers: np.ndarray) -> Inputs:
        """Return what the network sees of windows."""
        scale, mean = windows.deviation, windows.mean
        span = numbers[:, None] + np.arange(-windows.history, 0)
        alike = None
        if self.season is not None:
            said = self.season.alike(numbers, windows.horizon, history=windows.history)
            alike = self._tensor((said - mean) / scale)
        angle = 2 * np.pi * phases(windows, numbers)[:, None] * np.arange(1, _HARMONICS + 1)
        phase = np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
        if windows.period is None:
            phase = phase[:, :0]
        return Inputs(
            self._tensor((windows.histories(numbers) - mean) / scale),
            self._tensor(windows.mask[span].astype(np.float64)),
            self._tensor(phase),
            alike,
        )

    def _loss(self, network: nn.Module, windows: Windows, numbers: np.ndarray) -> Tensor:
        targets = (windows.targets(numbers) - windows.mean) / windows.deviation
        there = self._tensor((~np.isnan(targets)).astype(np.float64))
        said = network(self.inputs(windows, numbers))
        missed = huber_loss(
            said, self._tensor(np.nan_to_num(targets)), reduction="none", delta=_BEND
        )
        return (missed * there).sum() / (_BEND * torch.clamp(there.sum(), min=1.0))

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(device=self.device, dtype=torch.get_default_dtype())

    def _checkpoint(
        self, stage: str, windows: Windows, train: np.ndarray, epochs: int
    ) -> Checkpoint | None:
        if self.folder is None:
            return None
        data = hashlib.sha256(np.ascontiguousarray(windows.filled).tobytes())
        for array in (train, self.graph.edge_index, self.graph.edge_weight):
            data.update(np.ascontiguousarray(array).tobytes())
        identity = {
            "network": self.name,
            "data": data.hexdigest(),
            "history": windows.history,
            "horizon": windows.horizon,
            "period": windows.period,
            "epochs": epochs,
            "seed": self.seed,
            **asdict(self._settings()),
        }
        name = f"{self.name}_{self.seed}_{stage}.safetensors"
        return Checkpoint(self.folder / name, identity=identity)


def _run(
    network: AveragedModel,
    order: Callable[[int, np.random.Generator], Iterator[np.ndarray]],
    loss: Callable[[np.ndarray], Tensor],
    score: Callable[[], float] | None,
    *,
    settings: Settings,
    epochs: int,
    total: int,
    seed: int,
    checkpoint: Checkpoint | None,
    progress: Callable[[float, str], None] | None,
) -> Training:
    """Train; without a score the last weights are kept."""
    weights = [w for w in network.model.parameters() if w.requires_grad]
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]
    return train(
        network,
        order,
        loss,
        optimiser=torch.optim.AdamW(groups, lr=settings.learning_rate),
        epochs=epochs,
        schedule=cosine(total, warmup=min(total // 7, 100)),
        clip=1.0,
        score=score or (lambda: -float(network.steps)),
        patience=settings.patience if score is not None else None,
        checkpoint=checkpoint,
        progress=progress,
        seed=seed,
    )
