"""The conditioner of the flow: what earlier choices say about the next one.

A causal transformer reads the nodes in their order. Token t holds node t - 1 and has seen nodes
0..t-1, so it is the context in which node t is chosen; attention from node to node knows the order
of their bond, the length of the path between them and the valence the earlier one has left. The
type of a node is a linear map of its context. Bonds are pointers: a query made of context, type and
the bonds chosen so far meets a key of each earlier node,

    logit(j, o) = q_o . (k_j + e[valence left at j] + e[distance to j]) + b_o[...]

and one more logit stands for "none". Every token is worked out once for all its pairs (small
products before large ones), and once for all its samples' later steps (keys and values are kept).

Source: Vaswani et al., Attention is all you need, NeurIPS 2017, section 3; attention biased by
shortest paths and bonds: Ying et al., Graphormer, NeurIPS 2021, section 3.1; pointers: Vinyals,
Fortunato, Jaitly, Pointer networks, NeurIPS 2015, equation (3).
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

__all__ = ["Conditioner", "Memory"]

_LEFT, _APART, _TOTAL = 5, 10, 16  # how many values of these counts are told apart
_RELATIONS = 1 + 4 * _APART * _LEFT


class Memory:
    """Keys and values of the tokens read so far.

    Args:
        network: whose layers they are of.
        batch: B.
        most: largest number of tokens.
    """

    def __init__(self, network: Conditioner, batch: int, most: int) -> None:
        weight = network.type_logits.weight
        heads, layers = network.heads, len(network.layers)
        shape = (layers, 2, most, batch, heads, weight.shape[1] // heads)
        self._tokens = weight.new_empty(shape)
        self.count = 0

    def keep(self, first: int) -> None:
        """Go on with the first molecules only."""
        self._tokens = self._tokens[:, :, :, :first]

    def extended(self, place: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add keys and values (B, H, width / H) to a layer; return its (t, B, H, width / H)."""
        held = self._tokens[place]
        held[0, self.count], held[1, self.count] = keys, values
        return held[0, : self.count + 1], held[1, : self.count + 1]


class _Layer(nn.Module):
    """Attention and a perceptron, each added to what it reads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.read = nn.Linear(width, 3 * width)
        self.write = nn.Linear(width, width)
        self.widen = nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, width)

    def forward(self, x: Tensor, bias: Tensor, memory: Memory | None, place: int) -> Tensor:
        """Return the new tokens (B, T, width).

        Args:
            x: new tokens (B, T, width); with a memory T is 1.
            bias: of the attention, (B, H, all tokens, T).
            memory: earlier tokens; the new ones are added.
            place: number of this layer.
        """
        mixed = self.read(self.first_norm(x)).unflatten(2, (3, self.heads, -1))
        seen = (
            self._among(mixed, bias) if memory is None else self._back(mixed, bias, memory, place)
        )
        x = x + self.write(seen.reshape(x.shape))
        return x + self.narrow(functional.relu(self.widen(self.second_norm(x))))

    def _among(self, mixed: Tensor, bias: Tensor) -> Tensor:
        """Return what tokens see of each other, (B, T, H, width / H)."""
        queries, keys, values = mixed.permute(2, 0, 3, 1, 4).unbind(0)  # (B, H, T, width / H)
        # All tokens before new ones: a softmax over short rows is slow, one over columns is not.
        weights = (keys @ queries.transpose(2, 3) * self.scale + bias).softmax(2)
        return (weights.transpose(2, 3) @ values).transpose(1, 2)

    def _back(self, mixed: Tensor, bias: Tensor, memory: Memory, place: int) -> Tensor:
        """Return what one new token sees of all, (B, H, width / H)."""
        query, key, value = mixed[:, 0].unbind(1)  # (B, H, width / H)
        keys, values = memory.extended(place, key, value)  # (t, B, H, width / H)
        # Many products of a row with a small matrix are slower than products and sums.
        scores = (keys * (self.scale * query)).sum(3) + bias[..., 0].permute(2, 0, 1)  # (t, B, H)
        return (scores.softmax(0)[..., None] * values).sum(0)


class Conditioner(nn.Module):
    """Logits of types and bonds, given what came before.

    Args:
        types: V, number of types of atoms.
        most: largest number of nodes.
        width: of the tokens.
        layers: number of layers of the transformer.
        heads: of each layer; divides the width.
    """

    def __init__(self, types: int, most: int, *, width: int, layers: int, heads: int) -> None:
        super().__init__()
        key_width = -(-width // 2)
        self.heads, self.types, self.most = heads, types, most
        self.type_embedding = nn.Embedding(types + 1, width)  # the last one: no node yet
        self.left_embedding = nn.Embedding(_LEFT, width)
        self.total_embedding = nn.Embedding(_TOTAL, width)
        self.more_embedding = nn.Embedding(most + 1, width)
        self.relation_bias = nn.Embedding(_RELATIONS, layers * heads)
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.type_logits = nn.Linear(width, types)
        self.keys = nn.Linear(width, key_width)
        self.chosen = nn.Linear(width, width)
        self.chosen_order = nn.Embedding(4, width)
        self.query_context = nn.Linear(width, width)
        self.query_type = nn.Embedding(types, width)
        self.query_own = nn.Embedding(_LEFT, width)
        self.query_slot = nn.Embedding(2, width)
        self.queries = nn.Linear(width, 3 * key_width + 1)
        self.key_left = nn.Embedding(_LEFT, key_width)
        self.key_apart = nn.Embedding(2 * _APART, key_width)
        self.order_left = nn.Embedding(_LEFT, 3)
        self.order_apart = nn.Embedding(2 * _APART, 3)
        for part in self.modules():
            if isinstance(part, nn.Embedding):
                nn.init.normal_(part.weight, std=0.02)
        for table in (self.relation_bias, self.order_left, self.order_apart):
            nn.init.zeros_(table.weight)

    def tokens(self, types: Tensor, left: Tensor, total: Tensor, more: Tensor) -> Tensor:
        """Return tokens (..., width) before attention.

        Args:
            types: of the node before, V where there is none, (...).
            left: valence left over at it, (...).
            total: valence left over in all, (...).
            more: nodes still to come, (...).
        """
        return (
            self.type_embedding(types)
            + self.left_embedding(left.clamp(0, _LEFT - 1))
            + self.total_embedding(total.clamp(0, _TOTAL - 1))
            + self.more_embedding(more)
        )

    def contexts(
        self,
        tokens: Tensor,
        orders: Tensor,
        apart: Tensor,
        left: Tensor,
        memory: Memory | None = None,
    ) -> Tensor:
        """Return contexts (B, T, width) of the nodes to come after each token.

        Args:
            tokens: the new ones, (B, T, width); with a memory T is 1.
            orders: of the bond between a token's node and node j, (B, T, J).
            apart: length of the path between them, (B, T, J).
            left: valence left over at node j, (B, T, J).
            memory: earlier tokens. Without one, token t sees tokens up to itself; J is then T - 1
                at least.
        """
        count = tokens.shape[1]
        relation = apart.long().clamp_max(_APART - 1) * _LEFT + left.clamp(0, _LEFT - 1)
        relation = 1 + orders * (_APART * _LEFT) + relation
        others = count if memory is None else orders.shape[2] + 1
        relation = functional.pad(relation, (1, 0))[:, :, :others]  # nothing to say of the start
        bias = self.relation_bias(relation)  # (B, T, others, layers * H)
        bias = bias.permute(3, 0, 2, 1).unflatten(0, (len(self.layers), self.heads))
        if memory is None:
            future = torch.ones(count, count, dtype=torch.bool, device=tokens.device).tril(-1)
            bias = bias.masked_fill(future, float("-inf"))
        bias = bias.transpose(1, 2)  # (layers, B, H, others, T)
        x = tokens
        for place, layer in enumerate(self.layers):
            x = layer(x, bias[place], memory, place)
        if memory is not None:
            memory.count += 1
        return self.norm(x)

    def bond_logits(
        self,
        query: Tensor,
        keys: Tensor,
        apart: Tensor,
        left: Tensor,
        ring: Tensor,
        molecule: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of partner and order (A, J, 3), and of "none" (A,).

        Args:
            query: as :meth:`query` returns, (A, width).
            keys: of the earlier nodes, (B, J, key width).
            apart: distance to them, (A, J).
            left: valence left over at them, (A, J).
            ring: whether the bond would close a ring: a row's first one does not, bool (A,).
            molecule: which keys each query meets, never falling, (A,); None where B is A, each its
                own.
        """
        given = self.queries(functional.relu(query))
        none, asked = given[:, 0], given[:, 1:]
        far = apart.long().clamp_max(_APART - 1)
        far = far + _APART * ring[:, None].long()
        free = left.clamp(0, _LEFT - 1)
        if molecule is None:
            logits = asked.unflatten(1, (3, -1)) @ keys.transpose(1, 2)  # (A, 3, J)
        else:  # the queries of a molecule side by side, so that keys are not copied for each
            first = torch.searchsorted(molecule, torch.arange(len(keys), device=keys.device))
            rank = torch.arange(len(molecule), device=keys.device) - first[molecule]
            most = int(rank.max()) + 1 if len(rank) else 1
            place = molecule * most + rank
            table = asked.new_zeros(len(keys) * most, asked.shape[1]).index_copy(0, place, asked)
            table = table.view(len(keys), most * 3, -1) @ keys.transpose(1, 2)
            logits = table.view(len(keys) * most, 3, -1).index_select(0, place)
        asked = asked.unflatten(1, (3, -1))
        by_left = asked @ self.key_left.weight.T + self.order_left.weight.T  # (A, 3, LEFT)
        by_apart = asked @ self.key_apart.weight.T + self.order_apart.weight.T
        logits = logits + by_left.gather(2, free[:, None].expand(-1, 3, -1))
        logits = logits + by_apart.gather(2, far[:, None].expand(-1, 3, -1))
        return logits.transpose(1, 2), none

    def query(
        self, context: Tensor, types: Tensor, own: Tensor, ring: Tensor, chosen: Tensor
    ) -> Tensor:
        """Return what a bond is asked for with, (A, width).

        Args:
            context: of the newest node, (A, width).
            types: its type, (A,).
            own: valence it has left, (A,).
            ring: whether it has a bond already, bool (A,).
            chosen: sum over its bonds of what they say, (A, width).
        """
        return (
            context
            + self.query_type(types)
            + self.query_own(own.clamp(0, _LEFT - 1))
            + self.query_slot(ring.long())
            + chosen
        )
