"""Networks that tell the class or the value of a node; their depth is time.

    h(0) = X W                                                  features, encoded
    dh/dt = -L h diag(r) + b (h(0) - h)                         reaction and diffusion to depth T
    y = out(relu(mean over 0..T of h(t) + c))                   all depths have a say

with L = I - D^(-1/2) (A + I) D^(-1/2), or L = I - A(h) with attention on the edges. The rates r are
learned for each channel, and with them how deep it looks: r T is its depth. Steps of one unit by
Euler's method are the layers of a residual graph network; the mean over depth keeps near and far
apart from each other, where the last state alone would be smoothed away.

In training, features and whole nodes are left out at random (Feng et al.: random propagation); what
is left out at a node is filled in by diffusion from its neighbours, so several passes over the same
graph differ, and their agreement can be asked of nodes without labels.

Sources: Zang, Wang, Neural dynamics on complex networks, KDD 2020, section 6 (one snapshot);
Chamberlain et al., GRAND, ICML 2021; Feng, Zhang, Dong, Han, Luan, Xu, Yang, Kharlamov, Tang, Graph
random neural networks, NeurIPS 2020; Kipf, Welling, ICLR 2017 (GCN, the baseline).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from graphtide.graph import Graph
from graphtide.nn.message_passing import AttentionDiffusion, Diffusion, ReactionDiffusion
from graphtide.ode.solve import solve
from graphtide.sparse import SparseMatrix

__all__ = ["Convolution", "DiffusionKind", "DiffusionNetwork", "Shape", "with_self_loops"]

DiffusionKind = Literal["diffusion", "attention"]


@dataclass(frozen=True, slots=True)
class Shape:
    """Lengths and shares of a network.

    Args:
        features: F.
        outputs: C, classes, or 1 for regression.
        width: H, channels that diffuse.
        depth: T, in units of the diffusion's time.
        diffusion: fixed weights of the edges, or attention.
        source: b at the start of training; 0 for no source.
        dropout: share of features, and of hidden channels, left out in training.
        node_dropout: share of nodes whose features are left out in training.
        step: of Euler's method.
    """

    features: int
    outputs: int
    width: int = 32
    depth: float = 4.0
    diffusion: DiffusionKind = "diffusion"
    source: float = 0.0
    dropout: float = 0.5
    node_dropout: float = 0.5
    step: float = 1.0


class DiffusionNetwork(nn.Module):
    """Reaction and diffusion of encoded features over a depth, see the header.

    Shapes:
        features (N, F) sparse -> (N, C).

    Args:
        graph: N nodes, with self-loops (see `with_self_loops`).
        shape: lengths.
    """

    def __init__(self, graph: Graph, shape: Shape) -> None:
        super().__init__()
        self.graph, self.shape = graph, shape
        self.encoder = _glorot(shape.features, shape.width)
        if shape.diffusion == "attention":
            diffusion: nn.Module = AttentionDiffusion(shape.width)
        else:
            diffusion = Diffusion(shape.width, "symmetric_laplacian")
        self.field = diffusion
        if shape.source:
            self.field = ReactionDiffusion(diffusion, shape.width, strength=shape.source)
        self.bias = nn.Parameter(torch.zeros(shape.width))
        self.out = nn.Linear(shape.width, shape.outputs)

    def forward(self, features: SparseMatrix, depth: float | None = None) -> Tensor:
        """Return logits or values, (N, C).

        Args:
            features: (N, F).
            depth: another depth than the shape's, to see what it changes.
        """
        hidden = torch.relu(self.states(features, depth).mean(dim=0) + self.bias)
        return self.out(dropout(hidden, self.shape.dropout, self.training))

    def states(self, features: SparseMatrix, depth: float | None = None) -> Tensor:
        """Return the states at depths 0, step, ..., T, (K, N, H)."""
        start = _left_out(features, self.shape, training=self.training) @ self.encoder  # (N, H)
        return self.from_encoded(start, depth)

    def said_of(self, start: Tensor) -> Tensor:
        """Return logits or values (N, C) of encoded features (N, H), as `forward` does of raw ones.

        Nothing is left out: for trained networks.
        """
        return self.out(torch.relu(self.from_encoded(start).mean(dim=0) + self.bias))

    def from_encoded(self, start: Tensor, depth: float | None = None) -> Tensor:
        """Return the states at depths 0, step, ..., T of encoded features (N, H), (K, N, H)."""
        shape = self.shape
        stop = shape.depth if depth is None else depth
        if stop == 0:
            return start.unsqueeze(0)
        knots = np.linspace(0.0, stop, 1 + max(1, round(stop / shape.step)))

        def rhs(time: Tensor, state: Tensor) -> Tensor:
            if shape.source:
                return self.field(time, state, self.graph, start)
            return self.field(time, state, self.graph)

        return solve(
            rhs, start, knots, method="euler", parameters=(start, *self.field.parameters())
        ).states


class Convolution(nn.Module):
    """The graph convolutional network of two layers, A' relu(A' X W) V.

    A' = D^(-1/2) (A + I) D^(-1/2); dropout on features and hidden channels.

    Shapes:
        features (N, F) sparse -> (N, C).

    Args:
        graph: N nodes, with self-loops.
        shape: lengths; depth and diffusion play no part.
    """

    def __init__(self, graph: Graph, shape: Shape) -> None:
        super().__init__()
        self.graph, self.shape = graph, shape
        self.first = _glorot(shape.features, shape.width)
        self.bias = nn.Parameter(torch.zeros(shape.width))
        self.second = nn.Linear(shape.width, shape.outputs)

    def forward(self, features: SparseMatrix) -> Tensor:
        """Return logits or values, (N, C)."""
        laplacian = self.graph.operator("symmetric_laplacian", like=self.bias)
        share = self.shape.dropout
        value = dropout(features.value, share, self.training)
        encoded = features.with_values(value) @ self.first
        hidden = torch.relu(encoded - laplacian @ encoded + self.bias)
        said = self.second(dropout(hidden, share, self.training))
        return said - laplacian @ said


def with_self_loops(graph: Graph) -> Graph:
    """Return the undirected graph with a loop of weight one at each node (and no other loops).

    An edge of a directed graph counts in both directions.
    """
    matrix = graph.adjacency
    matrix = matrix.maximum(matrix.T).tolil()
    matrix.setdiag(1.0)
    table = matrix.tocoo()
    return Graph(np.stack([table.col, table.row]).astype(np.int64), table.data, names=graph.names)


def _left_out(features: SparseMatrix, shape: Shape, *, training: bool) -> SparseMatrix:
    """Return the features with single entries and whole nodes left out, scaled to the same mean."""
    if not training:
        return features
    value = dropout(features.value, shape.dropout)
    keep = dropout(torch.ones(features.shape[0], dtype=value.dtype, device=value.device),
                   shape.node_dropout)  # fmt: skip
    return features.with_values(value * keep[features.row])


def _glorot(rows: int, columns: int) -> nn.Parameter:
    weight = torch.empty(rows, columns)
    nn.init.xavier_uniform_(weight)
    return nn.Parameter(weight)
