"""The linearisation of a law: products with its Jacobian J = df/dx and J^T, and J itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.analysis.edges import block_jacobian, unfolded
from graphtide.dynamics.analysis.rates import Rates
from graphtide.dynamics.neural import MessagePassingField
from graphtide.equation import Equation
from graphtide.errors import ComputationError
from graphtide.graph import Graph

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from graphtide.vector_field import RightHandSide

__all__ = ["Linearised"]


@dataclass(frozen=True, eq=False)
class Linearised(Rates):
    """A right-hand side on one graph with its derivatives by the states; see `Rates`."""

    def jacobian_product(
        self, states: Tensor, vectors: Tensor, time: Tensor | float = 0.0
    ) -> Tensor:
        """Return J v without forming J, by the derivative of a reverse sweep along its cotangent.

        Args:
            states: shape (N, D), or that of `vectors`.
            vectors: shape (..., N, D); leading dimensions are a batch.
            time: 0-dim.
        """
        with torch.enable_grad():
            place = states.detach().expand(vectors.shape).clone().requires_grad_()
            rates = self.rate(place, time)
            cotangent = torch.zeros_like(rates, requires_grad=True)
            (swept,) = torch.autograd.grad(
                rates, place, cotangent, create_graph=True, materialize_grads=True
            )
            if not swept.requires_grad:
                return torch.zeros_like(vectors)
            (product,) = torch.autograd.grad(swept, cotangent, vectors, materialize_grads=True)
        return product

    def transposed_product(
        self, states: Tensor, vectors: Tensor, time: Tensor | float = 0.0
    ) -> Tensor:
        """Return J^T v by one reverse sweep; shapes as for `jacobian_product`."""
        with torch.enable_grad():
            place = states.detach().expand(vectors.shape).clone().requires_grad_()
            rates = self.rate(place, time)
            if not rates.requires_grad:
                return torch.zeros_like(vectors)
            (product,) = torch.autograd.grad(rates, place, vectors, materialize_grads=True)
        return product

    @cached_property
    def _unfolded(self) -> RightHandSide:
        graph = unfolded(self.graph)
        if isinstance(self.source, Equation):
            return self._unfolded_equation(graph)
        if isinstance(self.source, MessagePassingField):
            given = self.inputs
            if given is not None:
                copies = [given.values, given.values[:, self.graph.adjacency.indices]]
                given = replace(given, values=np.concatenate(copies, axis=1))
            return self.source.on(graph, given)
        return self.source.on(graph)

    def _unfolded_equation(self, graph: Graph) -> RightHandSide:
        compiled = self._compiled
        given = compiled.node_values(graph, torch.zeros((), dtype=torch.float64))
        of_nodes = compiled.node_values(self.graph, torch.zeros((), dtype=torch.float64))
        for symbol, value in of_nodes.items():  # a copy has the degree of its node
            given[symbol] = torch.cat([value, value[self._senders]])

        def rates(time: Tensor, states: Tensor) -> Tensor:
            return compiled.derivative(time, states, graph, given)

        return rates

    def jacobian_blocks(
        self, states: Tensor, time: Tensor | float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the rates, df_i/dx_i, (..., N, D, D), and df_i/dx_j of each edge, (..., E, D, D).

        One reverse sweep a variable (`graphtide.dynamics.analysis.edges`). The last dimension is
        the variable by which is derived; edges are those of `graph.adjacency`, row by row.

        Args:
            states: shape (..., N, D).
            time: 0-dim.
        """
        count = self.graph.node_count
        moment = torch.as_tensor(time, dtype=states.dtype, device=states.device)
        with torch.enable_grad():
            known = states.detach()
            sent = known.index_select(-2, self._senders.to(states.device))
            wide = torch.cat([known, sent], dim=-2).requires_grad_()
            rates = self._unfolded(moment, wide)[..., :count, :]
            rows = []
            for d in range(len(self.variables)):
                total = rates[..., d].sum()
                if not total.requires_grad:
                    rows.append(torch.zeros_like(wide))
                    continue
                (row,) = torch.autograd.grad(total, wide, retain_graph=True, materialize_grads=True)
                rows.append(row)
        blocks = torch.stack(rows, dim=-2)  # (..., N + E, D, D)
        known = rates.detach()
        if self.forcing is not None:
            known = known + self.forcing(moment)
        return known, blocks[..., :count, :, :], blocks[..., count:, :, :]

    @cached_property
    def _senders(self) -> Tensor:
        return torch.from_numpy(self.graph.adjacency.indices.astype(np.int64))

    def jacobian(self, states: np.ndarray | Tensor, time: float = 0.0) -> csr_array:
        """Return J as a sparse matrix (N D, N D), float64; state d of node i is number i D + d.

        Args:
            states: shape (N, D).
            time: at which it is taken.

        Raises:
            ComputationError: an entry is not finite.
        """
        _, own, sent = self.jacobian_blocks(torch.as_tensor(states, dtype=torch.float64), time)
        if not (torch.isfinite(own).all() and torch.isfinite(sent).all()):
            raise ComputationError("the Jacobian is not finite at these states")
        return block_jacobian(self.graph, own.cpu().numpy(), sent.cpu().numpy())

    def dense_jacobian(self, states: Tensor, time: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """Return the rates (..., N, D) and J (..., N D, N D), for small graphs."""
        rates, own, sent = self.jacobian_blocks(states, time)
        count, variables = self.shape
        lead, size = own.shape[:-3], count * variables
        if count == 1 and not len(self._senders):
            return rates, own.reshape(*lead, size, size)
        row = np.repeat(np.arange(count), np.diff(self.graph.adjacency.indptr))
        place = torch.from_numpy(row * count).to(own.device) + self._senders.to(own.device)
        full = own.new_zeros((*lead, count * count, variables, variables))
        full.index_add_(-3, place, sent)
        full.index_add_(-3, torch.arange(count, device=own.device) * (count + 1), own)
        square = full.reshape(*lead, count, count, variables, variables).transpose(-3, -2)
        return rates, square.reshape(*lead, size, size)
