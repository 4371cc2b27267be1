"""Velocity fields dx/dt = f(t, x, c) of flows, with what a density needs of their Jacobian.

For layers u_1 = W_1 x + b(t, c), u_l = W_l a(u_(l-1)) + b_l, f = W_(L+1) a(u_L) + b_(L+1) the trace
of the Jacobian J = W_(L+1) D_L W_L ... D_1 W_1, with D_l = diag(a'(u_l)), needs no product for each
dimension where there are at most two hidden layers:

    L = 1:  tr J = sum_k a'(u_1)_k M_k,                M_k  = (W_1 W_2)_kk
    L = 2:  tr J = sum_kj a'(u_2)_k M_kj a'(u_1)_j,    M_kj = (W_2)_kj (W_1 W_3)_jk

(the trace is cyclic). It costs one more layer, whatever the dimension.

Sources: d log p / dt = -tr J: Chen, Rubanova, Bettencourt, Duvenaud, NeurIPS 2018, theorem 1; the
trace by Hutchinson's estimate: Grathwohl et al., FFJORD, ICLR 2019, equation (7).
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from graphtide.errors import InputError

__all__ = [
    "Activation",
    "AutogradField",
    "BoundField",
    "MultilayerField",
    "activation_and_slope",
    "bind",
]

Activation = Literal["elu", "silu", "softplus", "tanh"]


class BoundField(Protocol):
    """A field at one condition: everything that does not change along a solve is done once."""

    @property
    def exact_dimension(self) -> int:
        """Largest dimension up to which the exact divergence costs less than an estimate saves."""
        ...

    @property
    def tensors(self) -> list[Tensor]:
        """What the values depend on and may need a gradient."""
        ...

    def velocity(self, time: Tensor, x: Tensor) -> Tensor:
        """Return f of shape (B, D)."""
        ...

    def divergence(self, time: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return f (B, D) and tr J (B,)."""
        ...

    def jacobian(self, time: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return f (B, D) and J (B, D, D) with J[b, i, j] = df_i/dx_j."""
        ...

    def product(self, time: Tensor, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return f (B, D) and a product of the Jacobian with `noise` (B, D): J n, or J^T n."""
        ...


def bind(field: nn.Module, condition: Tensor | None) -> BoundField:
    """Return `field` at a condition (B, C); derivatives are by autograd where it has no own."""
    if isinstance(field, MultilayerField):
        return field.bind(condition)
    return AutogradField(field, condition)


class MultilayerField(nn.Module):
    """A multilayer perceptron f(t, x, c) with its Jacobian in closed form.

    Time enters as cos(k pi t), sin(k pi t), k = 1..frequencies, beside x in the first layer.

    Args:
        dimension: D.
        condition_dimension: C.
        hidden: widths of the hidden layers, at least one.
        activation: of the hidden layers; smooth ones let methods of high order keep it.
        frequencies: number of frequencies of time; 0 makes the field autonomous.

    Raises:
        InputError: there is no hidden layer, or the activation is unknown.
    """

    def __init__(
        self,
        dimension: int,
        condition_dimension: int = 0,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: Activation = "tanh",
        frequencies: int = 3,
    ) -> None:
        super().__init__()
        if not hidden or min(hidden) < 1 or frequencies < 0:
            raise InputError("hidden layers of at least one unit and frequencies >= 0 are wanted")
        if activation not in _ACTIVATIONS:
            known = ", ".join(sorted(_ACTIVATIONS))
            raise InputError(f"activation {activation!r} is unknown; known are {known}")
        self.dimension, self.condition_dimension = dimension, condition_dimension
        self.activation, self.frequencies = activation, frequencies
        widths = [dimension + condition_dimension + 2 * frequencies, *hidden, dimension]
        self.layers = nn.ModuleList(
            nn.Linear(before, after) for before, after in itertools.pairwise(widths)
        )
        first, last = self.layers[0], self.layers[-1]
        assert isinstance(first, nn.Linear)
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            # Standardised points give arguments of unit variance; a uniform weight has b^2 / 3.
            bound = math.sqrt(3.0 / dimension)
            first.weight[:, :dimension].uniform_(-bound, bound)
            last.weight.mul_(0.1)  # a flow begins near the identity
            last.bias.zero_()

    def forward(self, time: Tensor, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return f of shape (B, D)."""
        return self.bind(condition).velocity(time, x)

    def bind(self, condition: Tensor | None) -> "_BoundMultilayer":
        """Return the field at a condition (B, C)."""
        layers = [layer for layer in self.layers if isinstance(layer, nn.Linear)]
        weights: list[Tensor] = [layer.weight for layer in layers]
        biases: list[Tensor] = [layer.bias for layer in layers]
        sizes = [self.dimension, self.condition_dimension, 2 * self.frequencies]
        space, given, clocks = weights[0].split(sizes, dim=1)
        first = biases[0]  # (H,), or (B, H) with a condition
        if condition is not None:
            first = torch.addmm(first, condition, given.T)
        waves = math.pi * torch.arange(
            1, self.frequencies + 1, dtype=torch.float64, device=space.device
        )
        # No tensor of the bound field may come from another one: their gradients are asked for
        # side by side. So the weights are views here, and the factor comes from their origins.
        return _BoundMultilayer(
            _ACTIVATIONS[self.activation],
            [space.clone(), *(weight.view_as(weight) for weight in weights[1:])],
            [first, *biases[1:]],
            clocks.clone(),
            waves,
            _trace_factor(space, weights),
        )


def _trace_factor(space: Tensor, weights: Sequence[Tensor]) -> Tensor | None:
    """Return M of the header: (1, H) or (H, H'); None for more than two hidden layers."""
    if len(weights) == 2:
        return (space * weights[1].T).sum(1)[None]
    if len(weights) == 3:
        return weights[1] * (space @ weights[2]).T
    return None


@dataclass(frozen=True, slots=True)
class _BoundMultilayer:
    activation: Callable[[Tensor], tuple[Tensor, Tensor]]
    weights: list[Tensor]  # W_1 without the columns of condition and time
    biases: list[Tensor]
    clocks: Tensor  # (H, 2 frequencies)
    waves: Tensor  # k pi
    factor: Tensor | None

    @property
    def exact_dimension(self) -> int:
        return 1 << 30 if self.factor is not None else 16

    @property
    def tensors(self) -> list[Tensor]:
        factor = [] if self.factor is None else [self.factor]
        return [*self.weights, *self.biases, self.clocks, *factor]

    def velocity(self, time: Tensor, x: Tensor) -> Tensor:
        hidden = x
        for weight, bias in zip(self.weights[:-1], self._biases(time)[:-1], strict=True):
            hidden = self.activation(functional.linear(hidden, weight) + bias)[0]
        return functional.linear(hidden, self.weights[-1], self.biases[-1])

    def divergence(self, time: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        value, slopes = self._slopes(time, x)
        if self.factor is not None:
            last = slopes[-1]
            if len(slopes) == 1:
                return value, functional.linear(last, self.factor)[:, 0]
            return value, (functional.linear(slopes[0], self.factor) * last).sum(-1)
        moved = self._moved(slopes[:-1])  # (B, D, H)
        moved = (functional.linear(moved, self.weights[-2]) * self.weights[-1]).sum(1)
        return value, (moved * slopes[-1]).sum(-1)

    def jacobian(self, time: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        value, slopes = self._slopes(time, x)
        return value, functional.linear(self._moved(slopes), self.weights[-1]).mT

    def product(self, time: Tensor, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        value, slopes = self._slopes(time, x)
        for weight, slope in zip(self.weights[:-1], slopes, strict=True):
            noise = functional.linear(noise, weight) * slope
        return value, functional.linear(noise, self.weights[-1])

    def _moved(self, slopes: Sequence[Tensor]) -> Tensor:
        """Return the derivatives of a hidden layer by each coordinate, (B, D, H)."""
        moved = self.weights[0].T * slopes[0][:, None]
        for weight, slope in zip(self.weights[1:], slopes[1:], strict=False):
            moved = functional.linear(moved, weight) * slope[:, None]
        return moved

    def _slopes(self, time: Tensor, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        slopes: list[Tensor] = []
        hidden = x
        for weight, bias in zip(self.weights[:-1], self._biases(time)[:-1], strict=True):
            if bias.ndim == 1:
                hidden = functional.linear(hidden, weight, bias)
            else:
                hidden = torch.addmm(bias, hidden, weight.T)
            hidden, slope = self.activation(hidden)
            slopes.append(slope)
        return functional.linear(hidden, self.weights[-1], self.biases[-1]), slopes

    def _biases(self, time: Tensor) -> list[Tensor]:
        if not self.waves.numel():
            return self.biases
        phase = self.waves * time
        clock = torch.cat([phase.cos(), phase.sin()]).to(self.clocks.dtype)
        return [self.biases[0] + torch.mv(self.clocks, clock), *self.biases[1:]]


class AutogradField:
    """Any module (time, x, condition) -> (B, D), each row for itself, with autograd's derivatives.

    Args:
        field: the module.
        condition: (B, C), or None.
    """

    exact_dimension = 8

    def __init__(self, field: nn.Module, condition: Tensor | None) -> None:
        self._field, self._condition = field, condition
        self.tensors: list[Tensor] = list(field.parameters())
        if condition is not None:
            self.tensors.append(condition)

    def velocity(self, time: Tensor, x: Tensor) -> Tensor:
        """Return f of shape (B, D)."""
        return self._field(time, x, self._condition)

    def divergence(self, time: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return f and tr J; D vector products in one batch."""
        value, jacobian = self.jacobian(time, x)
        return value, jacobian.diagonal(dim1=1, dim2=2).sum(-1)

    def jacobian(self, time: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return f and J; D vector products in one batch."""
        size = x.shape[1]
        units = torch.eye(size, dtype=x.dtype, device=x.device)[:, None].expand(-1, *x.shape)
        value, rows = self._pulled(time, x, units, batched=True)
        return value, rows.transpose(0, 1)

    def product(self, time: Tensor, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return f and J^T noise."""
        return self._pulled(time, x, noise, batched=False)

    def _pulled(
        self, time: Tensor, x: Tensor, given: Tensor, *, batched: bool
    ) -> tuple[Tensor, Tensor]:
        wanted = torch.is_grad_enabled() and (
            x.requires_grad or any(tensor.requires_grad for tensor in self.tensors)
        )
        with torch.enable_grad():
            if not (wanted and x.requires_grad):
                x = x.detach().requires_grad_()
            value = self._field(time, x, self._condition)
            (pulled,) = torch.autograd.grad(
                value, x, given, create_graph=wanted, is_grads_batched=batched
            )
        return (value, pulled) if wanted else (value.detach(), pulled.detach())


def activation_and_slope(name: Activation) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return the map from u to a(u) and a'(u).

    Raises:
        InputError: the activation is unknown.
    """
    if name not in _ACTIVATIONS:
        known = ", ".join(sorted(_ACTIVATIONS))
        raise InputError(f"activation {name!r} is unknown; known are {known}")
    return _ACTIVATIONS[name]


def _elu(u: Tensor) -> tuple[Tensor, Tensor]:
    value = functional.elu(u)
    return value, value.clamp(max=0.0) + 1.0


def _silu(u: Tensor) -> tuple[Tensor, Tensor]:
    share = torch.sigmoid(u)
    value = u * share
    return value, share + value * (1.0 - share)


def _softplus(u: Tensor) -> tuple[Tensor, Tensor]:
    return functional.softplus(u), torch.sigmoid(u)


def _tanh(u: Tensor) -> tuple[Tensor, Tensor]:
    value = torch.tanh(u)
    return value, 1.0 - value * value


_ACTIVATIONS: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {
    "elu": _elu,
    "silu": _silu,
    "softplus": _softplus,
    "tanh": _tanh,
}
