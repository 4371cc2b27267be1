"""Networks g(x, c) whose Lipschitz constant in x stays below a bound, for residual flows.

Each weight matrix W on the way from x is used as W min(1, k / s) with s >= |W|_2, so that with
1-Lipschitz activations a network of L matrices has |g(x) - g(y)| <= k^L |x - y|.

s comes from power iteration of the whole matrix G = W W^T, squared m times, so that 2^m powers cost
m products and no start has to be chosen:

    |W|_2 <= s = (tr G^(2^m))^(1 / 2^(m+1)) <= n^(1 / 2^(m+1)) |W|_2

s is a bound from above whatever the matrix (a Schatten norm), where iterating a vector gives one
from below; it is too large by at most 1.7 % for n = 64 and m = 7, and it is smooth.

A bounded matrix spreads x over many units, each of which then sees little of it and would stay
linear; so activations are a(r u) / r, 1-Lipschitz for any r, with a learned r that begins at
sqrt(H / D).

Sources: Behrmann, Grathwohl, Chen, Duvenaud, Jacobsen, Invertible Residual Networks, ICML 2019,
section 2.1; Chen, Behrmann, Duvenaud, Jacobsen, Residual Flows, NeurIPS 2019, section 3.3
(LipSwish, with a learned r); Golub, Van Loan, Matrix Computations (2013), section 8.2.1 (power
iteration).
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.flows.fields import activation_and_slope

__all__ = ["BoundLipschitz", "LipschitzActivation", "LipschitzNetwork", "spectral_bound"]

LipschitzActivation = Literal["elu", "lipswish", "softplus", "tanh"]
"""Activations whose slope is at most 1; lipswish is u sigmoid(u) / 1.1."""

_SQUARINGS = 7
_STEEPEST_SWISH = 1.1  # more than the greatest slope of u sigmoid(u), 1.0998


def spectral_bound(weight: Tensor, squarings: int = _SQUARINGS) -> Tensor:
    """Return s (0-dim) with |W|_2 <= s <= n^(1 / 2^(m+1)) |W|_2, differentiable.

    Args:
        weight: W of any two dimensions, the lesser of which is n.
        squarings: m, each a product of two n x n matrices.
    """
    wide = weight if weight.shape[0] <= weight.shape[1] else weight.T
    precision = torch.finfo(weight.dtype)
    scale = wide.detach().abs().amax().clamp_min(precision.tiny)
    wide = wide / scale
    power = wide @ wide.T  # G^(2^k) = power * exp(2^k logarithm) all along
    logarithm, share = weight.new_zeros(()), 1.0
    for _ in range(squarings):
        size = power.detach().abs().amax().clamp_min(precision.tiny)
        power = power / size
        power = power @ power
        logarithm = logarithm + share * size.log()
        share *= 0.5
    trace = power.diagonal().sum().clamp_min(precision.tiny)
    bound = scale * (0.5 * (logarithm + share * trace.log())).exp()
    return bound * (1.0 + 4.0 * (4 + len(wide)) * precision.eps)  # the round-off of the products


class LipschitzNetwork(nn.Module):
    """A perceptron g(x, c) with Lipschitz constant at most `lipschitz` in x.

    Args:
        dimension: D, length of x and of g.
        condition_dimension: C; the condition enters the first layer and is not bounded.
        hidden: widths of the hidden layers.
        activation: 1-Lipschitz.
        lipschitz: bound, between 0 and 1.

    Raises:
        InputError: the bound is not between 0 and 1, or the activation is not 1-Lipschitz.
    """

    def __init__(
        self,
        dimension: int,
        condition_dimension: int = 0,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: LipschitzActivation = "lipswish",
        lipschitz: float = 0.9,
    ) -> None:
        super().__init__()
        if not 0.0 < lipschitz < 1.0:
            raise InputError(
                f"a residual flow is invertible for a Lipschitz constant between 0 and 1; "
                f"{lipschitz:g} is not"
            )
        if activation not in get_args(LipschitzActivation):
            raise InputError(f"activation {activation!r} is not known to be 1-Lipschitz")
        if not hidden or min(hidden) < 1:
            raise InputError("at least one hidden layer of at least one unit is wanted")
        self.dimension, self.condition_dimension = dimension, condition_dimension
        self.lipschitz = lipschitz
        self.activation: LipschitzActivation = activation
        widths = [dimension, *hidden, dimension]
        self.layers = nn.ModuleList(
            nn.Linear(before, after) for before, after in itertools.pairwise(widths)
        )
        self.log_sharpness = nn.Parameter(
            torch.tensor([0.5 * math.log(width / dimension) for width in hidden])
        )
        self.given: nn.Linear | None = None
        if condition_dimension:
            self.given = nn.Linear(condition_dimension, hidden[0], bias=False)

    def bound_weights(self) -> list[Tensor]:
        """Return the weights as they are used: (H, D), ..., (D, H), each of norm at most k."""
        share = self.lipschitz ** (1.0 / len(self.layers))
        weights = [layer.weight for layer in self._linear()]
        return [weight * (share / spectral_bound(weight).clamp_min(share)) for weight in weights]

    def _linear(self) -> list[nn.Linear]:
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def bind(self, condition: Tensor | None) -> "BoundLipschitz":
        """Return the network with its weights made, at a condition (B, C)."""
        biases: list[Tensor] = [layer.bias for layer in self._linear()]
        if condition is not None and self.given is not None:
            biases[0] = biases[0] + self.given(condition)
        sharpness = list(self.log_sharpness.exp().unbind())
        return BoundLipschitz(self.bound_weights(), biases, sharpness, self.activation)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return g (B, D)."""
        return self.bind(condition).value(x)[0]


@dataclass(frozen=True, slots=True)
class BoundLipschitz:
    """A `LipschitzNetwork` for one pass: weights as used, biases (H,) or (B, H), sharpness r."""

    weights: list[Tensor]
    biases: list[Tensor]
    sharpness: list[Tensor]
    activation: LipschitzActivation

    def value(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return g (B, D) and the slopes of the activations, one (B, H) a hidden layer."""
        slopes: list[Tensor] = []
        layers = zip(self.weights[:-1], self.biases[:-1], self.sharpness, strict=True)
        for weight, bias, sharpness in layers:
            x, slope = self._bent(sharpness * (functional.linear(x, weight) + bias))
            x = x / sharpness
            slopes.append(slope)
        return functional.linear(x, self.weights[-1], self.biases[-1]), slopes

    def _bent(self, u: Tensor) -> tuple[Tensor, Tensor]:
        if self.activation != "lipswish":
            return activation_and_slope(self.activation)(u)
        value, slope = activation_and_slope("silu")(u)
        return value / _STEEPEST_SWISH, slope / _STEEPEST_SWISH

    def jacobian(self, slopes: Sequence[Tensor]) -> Tensor:
        """Return dg/dx of shape (B, D, D) with [b, i, j] = dg_i/dx_j."""
        moved = self.weights[0].T * slopes[0][:, None]  # (B, D, H)
        for weight, slope in zip(self.weights[1:], slopes[1:], strict=False):
            moved = functional.linear(moved, weight) * slope[:, None]
        return functional.linear(moved, self.weights[-1]).mT

    def product(self, slopes: Sequence[Tensor], vectors: Tensor) -> Tensor:
        """Return dg/dx times vectors (B, D)."""
        for weight, slope in zip(self.weights[:-1], slopes, strict=True):
            vectors = functional.linear(vectors, weight) * slope
        return functional.linear(vectors, self.weights[-1])

    def transposed_product(self, slopes: Sequence[Tensor], vectors: Tensor) -> Tensor:
        """Return the transpose of dg/dx times vectors (B, D)."""
        for weight, slope in zip(self.weights[:0:-1], reversed(slopes), strict=True):
            vectors = torch.mm(vectors, weight) * slope
        return torch.mm(vectors, self.weights[0])
