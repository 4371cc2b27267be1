"""A learned closed-form field as a PyTorch module: differentiable, for any graph.

dx_i/dt = F(x_i) + sum_j A_ij G(x_i, x_j), F = sum_k f_k phi_k(x_i), G = sum_ab C_ab psi_a(x_i)
chi_b(x_j): functions of nodes and one sparse product. With mean coupling the sum is divided by the
in-degree k_i = sum_j A_ij. Outside the range that was seen F and G go on
as straight lines (trigonometric functions as themselves), so that a roll-out stays safe there. With
the logarithmic transform the same holds of u = log x, and dx/dt = x du/dt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from graphtide.dynamics.families import Coefficients, Family
from graphtide.dynamics.visited import Visited
from graphtide.errors import InputError
from graphtide.graph import Graph, OperatorKind
from graphtide.vector_field import RightHandSide
from graphtide.weakform.piecewise import PiecewiseBasis
from graphtide.weakform.splines import FourierBasis, ProductBasis

__all__ = ["OPERATORS", "Coupling", "LearnedField", "Transform"]

Coupling = Literal["sum", "mean"]
OPERATORS: Mapping[Coupling, OperatorKind] = {"sum": "adjacency", "mean": "mean_adjacency"}
"""The graph's matrix by which messages are gathered."""
Transform = Literal["none", "log"]
FORMAT_VERSION = 1


class LearnedField(nn.Module):
    """A closed-form vector field with its coefficients as parameters.

    Args:
        family: its three bases.
        coefficients: shape (P, D), float64.
        variables: D names.
        coupling: "sum" over neighbours, or their "mean".
        transform: "log" if the bases are functions of log x.
        low: smallest value seen of each variable (after the transform), shape (D,).
        high: largest value seen.
        pairs: cells of pairs of neighbouring states that were seen (`dynamics.visited`), (D, C, C).
    """

    def __init__(
        self,
        family: Family,
        coefficients: Coefficients,
        *,
        variables: tuple[str, ...],
        coupling: Coupling = "sum",
        transform: Transform = "none",
        low: np.ndarray,
        high: np.ndarray,
        pairs: np.ndarray,
    ) -> None:
        super().__init__()
        own, pair = family.split(coefficients)
        self._variables = variables
        self.coupling: Coupling = coupling
        self.family, self.transform = family, transform
        self.own = nn.Parameter(torch.tensor(own))  # (f, D)
        self.pair = nn.Parameter(torch.tensor(pair))  # (a, b, D)
        self.self_basis = _Basis(family.self_basis)
        self.receiver_basis = _Basis(family.receiver_basis)
        self.sender_basis = _Basis(family.sender_basis)
        self.visited = Visited(low, high, pairs)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the D variables of a node."""
        return self._variables

    def forward(self, time: Tensor, states: Tensor, graph: Graph) -> Tensor:
        """Return d(states)/dt, shape (..., N, D); the time plays no part."""
        return self.on(graph)(time, states)

    def on(self, graph: Graph) -> RightHandSide:
        """Return the right-hand side on one graph."""
        operator = graph.operator(OPERATORS[self.coupling], like=self.own)

        def right_hand_side(time: Tensor, states: Tensor) -> Tensor:  # noqa: ARG001
            values = states.log() if self.transform == "log" else states
            message = operator @ self.sender_basis(values)  # (..., N, b)
            receiver = self.receiver_basis(values)  # (..., N, a)
            weight = torch.einsum("...a,abd->...bd", receiver, self.pair)
            rate = self.self_basis(values) @ self.own
            rate = rate + (weight * message[..., None]).sum(dim=-2)
            return states * rate if self.transform == "log" else rate

        return right_hand_side

    def self_values(self, states: Tensor) -> Tensor:
        """Return F at states (M, D), shape (M, D) (of log x under the transform)."""
        return self.self_basis(states) @ self.own

    def pair_values(self, receiving: Tensor, sending: Tensor) -> Tensor:
        """Return G at pairs of states (M, D), shape (M, D) (of log x under the transform)."""
        receiver, sender = self.receiver_basis(receiving), self.sender_basis(sending)
        return torch.einsum("ma,mb,abd->md", receiver, sender, self.pair)

    @property
    def low(self) -> Tensor:
        """Smallest value seen of each variable (after the transform), shape (D,)."""
        return self.visited.low

    @property
    def high(self) -> Tensor:
        """Largest value seen of each variable (after the transform), shape (D,)."""
        return self.visited.high

    def outside(self, states: np.ndarray) -> float:
        """Return the share of states (..., D) outside the range that was seen."""
        return self.visited.outside(self._transformed(states))

    def distance(self, states: Tensor) -> Tensor:
        """Return how far the farthest of states (..., D) is from the range seen, in its widths.

        Negative inside; 0-dim.
        """
        return self.visited.distance(states.log() if self.transform == "log" else states)

    def unseen_pairs(self, states: np.ndarray, graph: Graph) -> float:
        """Return the share of edges and times of states (T, N, D) whose pair was never seen."""
        return self.visited.unseen_pairs(self._transformed(states), graph)

    def _transformed(self, states: np.ndarray) -> np.ndarray:
        if self.transform == "none":
            return states
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(states)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return everything numeric by name, to be saved beside `description`."""
        result = {
            "own": self.own.detach().cpu().numpy(),
            "pair": self.pair.detach().cpu().numpy(),
            "low": self.low.cpu().numpy(),
            "high": self.high.cpu().numpy(),
            "pairs": self.visited.pairs.cpu().numpy(),
        }
        for part, basis in self._bases().items():
            result[f"{part}.index"] = basis.index
            for d, factor in enumerate(basis.factors):
                if isinstance(factor, PiecewiseBasis):
                    result[f"{part}.{d}.breakpoints"] = factor.breakpoints
                    result[f"{part}.{d}.table"] = factor.table
                    result[f"{part}.{d}.roughness"] = factor.roughness
        return result

    def description(self) -> dict[str, object]:
        """Return what is not numeric, as JSON holds it."""
        factors = {
            part: [
                {"kind": "piecewise"}
                if isinstance(factor, PiecewiseBasis)
                else {
                    "kind": "fourier",
                    "frequency": factor.frequency,
                    "harmonics": factor.harmonics,
                }
                for factor in basis.factors
            ]
            for part, basis in self._bases().items()
        }
        return {
            "format_version": FORMAT_VERSION,
            "family": self.family.name,
            "complexity": self.family.complexity,
            "variables": list(self.variables),
            "coupling": self.coupling,
            "transform": self.transform,
            "bases": factors,
        }

    @staticmethod
    def restore(
        description: Mapping[str, object], tensors: Mapping[str, np.ndarray]
    ) -> LearnedField:
        """Return the field that `description` and `tensors` were taken from.

        Raises:
            InputError: they are of another version, or a part is missing.
        """
        if description.get("format_version") != FORMAT_VERSION:
            version = description.get("format_version")
            raise InputError(f"model.json has format_version {version}; {FORMAT_VERSION} is known")
        try:
            factors = cast("dict[str, list[dict[str, float]]]", description["bases"])
            bases = [
                ProductBasis(
                    tuple(
                        _restored(factor, tensors, f"{part}.{d}")
                        for d, factor in enumerate(factors[part])
                    ),
                    tensors[f"{part}.index"],
                )
                for part in ("self", "receiver", "sender")
            ]
            variables = tuple(map(str, cast("list[str]", description["variables"])))
            own, pair = tensors["own"], tensors["pair"]
            family = Family(
                str(description["family"]), *bases, complexity=int(str(description["complexity"]))
            )
            return LearnedField(
                family,
                np.concatenate([own, pair.reshape(-1, len(variables))]),
                variables=variables,
                coupling=cast("Coupling", description["coupling"]),
                transform=cast("Transform", description["transform"]),
                low=tensors["low"],
                high=tensors["high"],
                pairs=tensors["pairs"],
            )
        except KeyError as error:
            raise InputError(f"the saved field lacks {error}") from None

    def _bases(self) -> dict[str, ProductBasis]:
        family = self.family
        return {
            "self": family.self_basis,
            "receiver": family.receiver_basis,
            "sender": family.sender_basis,
        }


class _Basis(nn.Module):
    """A ProductBasis in PyTorch: states (..., D) to functions (..., n)."""

    def __init__(self, basis: ProductBasis) -> None:
        super().__init__()
        self.factors = nn.ModuleList([_Factor(factor) for factor in basis.factors])
        # The constant is kept as one more function, the last of each factor.
        sizes = np.array([factor.size for factor in basis.factors])
        index = np.where(basis.index < 0, sizes, basis.index)
        self.index: Tensor
        self.register_buffer("index", torch.tensor(index))

    def forward(self, states: Tensor) -> Tensor:
        result: Tensor | None = None
        for d, factor in enumerate(self.factors):
            part = factor(states[..., d])[..., self.index[:, d]]
            result = part if result is None else result * part
        return torch.ones_like(states[..., :1]) if result is None else result


class _Factor(nn.Module):
    """Functions of one variable in PyTorch, with the constant 1 behind them."""

    def __init__(self, factor: PiecewiseBasis | FourierBasis) -> None:
        super().__init__()
        self.piecewise = isinstance(factor, PiecewiseBasis)
        numbers = (
            (factor.breakpoints, factor.origins, factor.table)
            if isinstance(factor, PiecewiseBasis)
            else (factor.rates, np.zeros(0), np.zeros(0))
        )
        self.points: Tensor
        self.origins: Tensor
        self.table: Tensor
        for name, value in zip(("points", "origins", "table"), numbers, strict=True):
            self.register_buffer(name, torch.tensor(value))

    def forward(self, values: Tensor) -> Tensor:
        one = torch.ones_like(values)[..., None]
        if not self.piecewise:
            phase = values[..., None] * self.points
            return torch.cat([phase.sin(), phase.cos(), one], dim=-1)
        piece = torch.searchsorted(self.points, values.detach().contiguous())
        step = (values - self.origins[piece])[..., None]
        table = self.table[piece]  # (..., 4, n)
        high = table[..., 3, :] * step + table[..., 2, :]
        return torch.cat([(high * step + table[..., 1, :]) * step + table[..., 0, :], one], dim=-1)


def _restored(
    factor: Mapping[str, float], tensors: Mapping[str, np.ndarray], prefix: str
) -> PiecewiseBasis | FourierBasis:
    if factor["kind"] == "fourier":
        return FourierBasis(float(factor["frequency"]), int(factor["harmonics"]))
    return PiecewiseBasis(
        tensors[f"{prefix}.breakpoints"],
        tensors[f"{prefix}.table"],
        tensors[f"{prefix}.roughness"],
    )
