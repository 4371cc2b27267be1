"""How far a trained classifier can be led astray by small changes of the features.

An attacker who knows the network moves the features of every node at once, each by at most a
radius r (Euclidean, in shares of the mean length of a node's features), so as to raise the loss on
the test nodes: projected gradient ascent,

    d <- P_r( d + a g / |g| ),    g = dL / dX, row by row,

from a random start within the ball. Changes of the same length in random directions stand beside
it. What an attack does is an upper bound on the accuracy that is left; it certifies nothing.

Source: Madry, Makelov, Schmidt, Tsipras, Vladu, Towards deep learning models resistant to
adversarial attacks, ICLR 2018 (projected gradient); Zuegner, Akbarnejad, Guennemann, KDD 2018
(attacks on features of graph networks).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from graphtide.dynamics.classify.reloading import Trained
from graphtide.errors import InputError

if TYPE_CHECKING:
    import pandas

__all__ = ["Attack", "attack"]

_RADII = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)
_STEPS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Attack:
    """What attacks of growing radius leave of a classifier.

    Args:
        radii: (K,), in shares of the mean length of a node's features.
        attacked: (K,) accuracy on the test nodes under the attack.
        random: (K,) accuracy under random changes of the same length.
        nodes: number of test nodes.
    """

    radii: np.ndarray
    attacked: np.ndarray
    random: np.ndarray
    nodes: int

    def metrics(self) -> dict[str, object]:
        """Return the figures, and what they say."""
        return {
            "findings": self.findings(),
            "radii": self.radii.tolist(),
            "accuracy_attacked": self.attacked.tolist(),
            "accuracy_random": self.random.tolist(),
            "test_nodes": self.nodes,
        }

    def findings(self) -> list[str]:
        """Return what was found, in sentences."""
        said = [f"Unchanged, {100 * self.attacked[0]:.1f} % of the test nodes are told rightly."]
        half = np.flatnonzero(self.attacked < 0.5 * self.attacked[0])
        shown = {len(self.radii) - 1, *(half[:1].tolist())} - {0}
        said += [
            f"If every node's features move by {100 * self.radii[k]:g} % of their mean length, an "
            f"attack leaves {100 * self.attacked[k]:.1f} %, a random change "
            f"{100 * self.random[k]:.1f} %."
            for k in sorted(shown)
        ]
        said.append("An attack bounds what is left from above; it certifies nothing.")
        return said

    def tables(self) -> dict[str, pandas.DataFrame]:
        """Return the accuracies by radius."""
        import pandas

        columns = {"radius": self.radii, "attacked": self.attacked, "random": self.random}
        return {"attack": pandas.DataFrame(columns)}


def attack(
    trained: Trained, *, radii: Sequence[float] = _RADII, steps: int = _STEPS, seed: int = 0
) -> Attack:
    """Attack a classifier with growing radii.

    Args:
        trained: the classifier.
        radii: growing from 0, in shares of the mean length of a node's features.
        steps: of gradient ascent, each a quarter of the radius long.
        seed: of the random start and the random changes.

    Raises:
        InputError: the task is a regression, or no test node has a label.
    """
    if not trained.classes:
        raise InputError("attacks are measured on classes; this run tells values")
    known = trained.test[trained.target[trained.test] >= 0]
    if not len(known):
        raise InputError("no test node has a label to measure attacks on")
    network, features = trained.network, trained.features
    nodes = torch.from_numpy(known).to(features.value.device)
    target = torch.from_numpy(trained.target[known].astype(np.int64)).to(nodes.device)
    with torch.no_grad():
        encoded = features @ network.encoder
        squares = features.with_values(features.value.square())
        ones = encoded.new_ones(features.shape[1], 1)
        length = (squares @ ones).sqrt().mean()
    generator = torch.Generator(encoded.device).manual_seed(seed)
    size = features.shape

    def accuracy(change: Tensor) -> float:
        with torch.no_grad():
            said = network.said_of(encoded + change @ network.encoder)[nodes]
        return float((said.argmax(dim=1) == target).double().mean())

    attacked, random = [], []
    change = encoded.new_zeros(size)
    for radius in radii:
        limit = float(radius) * length
        noise = torch.randn(size, generator=generator, device=encoded.device, dtype=encoded.dtype)
        noise = noise * (limit / noise.norm(dim=1, keepdim=True).clamp_min(1e-12))
        random.append(accuracy(noise))
        # A larger ball is entered where the attack on the smaller one ended.
        change = _projected(change + 0.1 * noise, limit)
        best, found = accuracy(change), change
        for _ in range(steps if radius > 0 else 0):
            start = (encoded + change @ network.encoder).detach().requires_grad_()
            loss = cross_entropy(network.said_of(start)[nodes], target)
            (slope,) = torch.autograd.grad(loss, start)
            raised = slope @ network.encoder.detach().t()
            raised = raised / raised.norm(dim=1, keepdim=True).clamp_min(1e-30)
            change = _projected(change + 0.25 * limit * raised, limit)
            left = accuracy(change)
            if left < best:
                best, found = left, change
        change = found
        attacked.append(best)
    return Attack(np.array(radii), np.array(attacked), np.array(random), len(known))


def _projected(change: Tensor, limit: Tensor) -> Tensor:
    """Return changes (N, F) with each row's length cut to the limit."""
    return change * (limit / change.norm(dim=1, keepdim=True).clamp_min(1e-30)).clamp_max(1.0)
