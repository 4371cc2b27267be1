"""Graph layers whose depth is time: diffusion, attention diffusion, reaction and diffusion.

    diffusion             dh/dt = -L h diag(r)
    attention diffusion   dh/dt = (A(h) - I) h diag(r),   A(h) row-stochastic on the edges
    reaction-diffusion    dh/dt = diffusion(h) + R(h)

Diffusion evens out the states of neighbours: the Dirichlet energy

    E(h) = 1/2 sum_ij A_ij |h_i - h_j|^2

falls towards zero, which is oversmoothing. A reaction R resists it: a source that draws each node
back to what it is given, R = b (s - h), ends at (r L + b)^(-1) b s, the personalised PageRank of
APPNP; Allen-Cahn's R = b h (1 - h^2) and Fisher's R = b h (1 - h) have states of their own.

Everything is a sparse product or lives on the edges in the order of the rows; no (N, N) matrix is
formed.

Sources: Chamberlain, Rowbottom, Gorinova, Webb, Rossi, Bronstein, GRAND, ICML 2021, equations
(5)-(8); Gasteiger, Bojchevski, Guennemann, APPNP, ICLR 2019; Thorpe, Nguyen, Xia, Strohmer,
Bertozzi, Osher, Wang, GRAND++, ICLR 2022 (a source against oversmoothing); Choi, Hong, Park, Cho,
GREAD, ICML 2023 (reaction terms).
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.sparse import SparseMatrix

__all__ = [
    "AttentionDiffusion",
    "Diffusion",
    "DiffusionKind",
    "ReactionDiffusion",
    "ReactionKind",
    "dirichlet_energy",
]

DiffusionKind = Literal["laplacian", "symmetric_laplacian", "random_walk_laplacian"]
ReactionKind = Literal["source", "allen_cahn", "fisher"]


class Diffusion(nn.Module):
    """dh/dt = -L h diag(r) with a learned rate r > 0 for each of D channels.

    Shapes:
        states (..., N, D) and a graph of N nodes -> (..., N, D).

    Args:
        channels: D.
        kind: which Laplacian L of the graph.
        rate: r at the start of training, in 1 / unit of depth.

    Raises:
        InputError: an argument is out of its range.
    """

    def __init__(
        self, channels: int, kind: DiffusionKind = "random_walk_laplacian", *, rate: float = 1.0
    ) -> None:
        super().__init__()
        if kind not in get_args(DiffusionKind):
            known = ", ".join(get_args(DiffusionKind))
            raise InputError(f"'{kind}' is no kind of diffusion; known are {known}")
        self.kind: DiffusionKind = kind
        self.log_rate = _log_rates(channels, rate, "rate")

    def forward(self, time: Tensor, states: Tensor, graph: Graph) -> Tensor:
        """Return dh/dt of the shape of the states.

        Raises:
            InputError: the states do not fit the graph or the channels.
        """
        del time
        _check_states(states, graph, self.log_rate)
        return -(graph.operator(self.kind, like=states) @ states) * self.log_rate.exp()


class AttentionDiffusion(nn.Module):
    """dh/dt = (A(h) - I) h diag(r): each node moves towards an attended mean of its neighbours.

    A is the mean over heads of A_ij w_ij / sum_k A_ik w_ik with w_ij = exp(q_i . k_j / sqrt(K)),
    q = Q h, k = K h, over the edges from j to i. An edge of weight two counts as two edges. A node
    that nothing reaches stays as it is.

    Shapes:
        states (..., N, D) and a graph of N nodes -> (..., N, D).

    Args:
        channels: D.
        heads: number of attentions that are averaged.
        size: K, length of a query and of a key.
        rate: r at the start of training, in 1 / unit of depth.

    Raises:
        InputError: an argument is out of its range.
    """

    def __init__(self, channels: int, *, heads: int = 1, size: int = 8, rate: float = 1.0) -> None:
        super().__init__()
        if heads < 1 or size < 1:
            raise InputError(f"heads and size must be at least 1; they are {heads} and {size}")
        self.heads, self.size = heads, size
        self.log_rate = _log_rates(channels, rate, "rate")
        self.query = nn.Linear(channels, heads * size, bias=False)
        self.key = nn.Linear(channels, heads * size, bias=False)

    def forward(self, time: Tensor, states: Tensor, graph: Graph) -> Tensor:
        """Return dh/dt of the shape of the states.

        Raises:
            InputError: the states do not fit the graph or the channels, or an edge weight is not
                positive.
        """
        del time
        _check_states(states, graph, self.log_rate)
        matrix = graph.operator("adjacency", like=states)
        attention = self.attention(states, graph)  # (..., E)
        reached = matrix.sum_rows(attention.unsqueeze(-1))  # (..., N, 1): one, or zero
        if states.ndim == 2:
            mean = matrix.with_values(attention) @ states
        else:
            mean = matrix.sum_rows(attention.unsqueeze(-1) * states[..., matrix.column, :])
        return (mean - reached * states) * self.log_rate.exp()

    def attention(self, states: Tensor, graph: Graph) -> Tensor:
        """Return A(h) on the edges, (..., E), in the order of the graph's adjacency matrix."""
        matrix = graph.operator("adjacency", like=states)
        if graph.edge_count and graph.edge_weight.min() <= 0:
            raise InputError("attention diffusion needs edge weights that are positive")
        heads = (self.heads, self.size)
        queries = self.query(states).unflatten(-1, heads)[..., matrix.row, :, :]  # (..., E, H, K)
        keys = self.key(states).unflatten(-1, heads)[..., matrix.column, :, :]
        scores = (queries * keys).sum(-1) / math.sqrt(self.size)  # (..., E, H)
        weights = matrix.value.unsqueeze(-1) * torch.exp(scores - _row_maxima(matrix, scores))
        totals = matrix.sum_rows(weights)[..., matrix.row, :]
        return (weights / totals).mean(-1)


class ReactionDiffusion(nn.Module):
    """dh/dt = diffusion(h) + R(h) with a learned strength b > 0 for each of D channels.

    Shapes:
        states (..., N, D), a graph of N nodes and, for the source, what the nodes are drawn to
        (..., N, D) -> (..., N, D).

    Args:
        diffusion: a `Diffusion` or an `AttentionDiffusion` of as many channels.
        channels: D.
        reaction: "source" for b (s - h), "allen_cahn" for b h (1 - h^2), "fisher" for b h (1 - h).
        strength: b at the start of training, in 1 / unit of depth.

    Raises:
        InputError: an argument is out of its range.
    """

    def __init__(
        self,
        diffusion: nn.Module,
        channels: int,
        reaction: ReactionKind = "source",
        *,
        strength: float = 1.0,
    ) -> None:
        super().__init__()
        if reaction not in get_args(ReactionKind):
            known = ", ".join(get_args(ReactionKind))
            raise InputError(f"'{reaction}' is no kind of reaction; known are {known}")
        self.diffusion = diffusion
        self.reaction: ReactionKind = reaction
        self.log_strength = _log_rates(channels, strength, "strength")

    def forward(
        self, time: Tensor, states: Tensor, graph: Graph, source: Tensor | None = None
    ) -> Tensor:
        """Return dh/dt of the shape of the states.

        Args:
            time: depth, 0-dim float64.
            states: (..., N, D).
            graph: N nodes.
            source: s of the reaction "source", (..., N, D); often the states that went in.

        Raises:
            InputError: the states do not fit the graph or the channels, the source is missing,
                of another shape, or given to a reaction that has none.
        """
        spread = self.diffusion(time, states, graph)
        if (source is None) == (self.reaction == "source"):
            wanted = "needs" if self.reaction == "source" else "takes no"
            raise InputError(f"reaction '{self.reaction}' {wanted} source")
        if source is not None and source.shape[-2:] != states.shape[-2:]:
            raise InputError(
                f"the source has shape {tuple(source.shape)}, the states "
                f"{tuple(states.shape)}; both must be the same"
            )
        if source is not None:
            change = source - states
        elif self.reaction == "allen_cahn":
            change = states * (1.0 - states.square())
        else:
            change = states * (1.0 - states)
        return spread + change * self.log_strength.exp()


def dirichlet_energy(states: Tensor, graph: Graph) -> Tensor:
    """Return E(h) = 1/2 sum_ij A_ij |h_i - h_j|^2 for states (..., N, D), shape (...).

    Raises:
        InputError: the states have another number of nodes than the graph.
    """
    if states.ndim < 2 or states.shape[-2] != graph.node_count:
        raise InputError(
            f"states have shape {tuple(states.shape)}; (..., {graph.node_count}, D) was expected"
        )
    matrix = graph.operator("adjacency", like=states)
    apart = states[..., matrix.row, :] - states[..., matrix.column, :]  # (..., E, D)
    return 0.5 * (matrix.value.unsqueeze(-1) * apart.square()).sum((-2, -1))


def _row_maxima(matrix: SparseMatrix, scores: Tensor) -> Tensor:
    """Return the largest score of its row for each edge, (..., E, H), without gradient."""
    scores = scores.detach()
    rows = scores.new_full((*scores.shape[:-2], matrix.shape[0], scores.shape[-1]), -math.inf)
    index = matrix.row[:, None].expand_as(scores)
    return rows.scatter_reduce(-2, index, scores, "amax").gather(-2, index)


def _log_rates(channels: int, rate: float, name: str) -> nn.Parameter:
    if channels < 1:
        raise InputError(f"channels must be at least 1; they are {channels}")
    if not 0 < rate < math.inf:
        raise InputError(f"{name} must be positive; it is {rate:g}")
    return nn.Parameter(torch.full((channels,), math.log(rate)))


def _check_states(states: Tensor, graph: Graph, rates: Tensor) -> None:
    wanted = (graph.node_count, len(rates))
    if states.ndim < 2 or tuple(states.shape[-2:]) != wanted:
        raise InputError(
            f"states have shape {tuple(states.shape)}; (..., {wanted[0]}, {wanted[1]}) was "
            "expected: nodes, channels"
        )
