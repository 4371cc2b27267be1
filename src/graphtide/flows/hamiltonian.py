"""Hamiltonian flow: additive coupling whose depth has become time.

    x = [q, p],   H = K(p, t) + V(q, t),   dq/dt = dK/dp,   dp/dt = -dV/dq

The exact flow keeps volume. So does each kick p - h dV/dq(q) and drift q + h dK/dp(p) of the
leapfrog method, and each of them is an additive coupling (NICE) with the mask [q kept] or [p kept]:

    leapfrog(h) = kick(h/2) drift(h) kick(h/2) = mirrored pair (drift(h/2) kick(h/2)) after the pair
    (kick(h/2) drift(h/2))

So additive couplings that share their two networks are the time discretisation of this flow, and
halving the step is allowed after training. The log-determinant is 0, the inverse is the same method
backwards and exact to round-off, and gradients can be had in constant memory by running backwards.

Sources: Dinh, Krueger, Bengio, NICE, arXiv:1410.8516 (2014), section 3.2; Greydanus, Dzamba,
Yosinski, Hamiltonian Neural Networks, NeurIPS 2019, equation (2); Toth et al., Hamiltonian
Generative Networks, ICLR 2020, section 3.2; Hairer, Lubich, Wanner, Geometric Numerical Integration
(2006), I.1 (1.17) and VI.3.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.flows.bijection import Bijection, Composition
from graphtide.flows.coupling import AdditiveCoupling
from graphtide.ode.solve import solve
from graphtide.ode.symplectic import LEAPFROG, YOSHIDA4, SeparableSystem

__all__ = ["HamiltonianFlow", "Potential", "SymplecticName"]

SymplecticName = Literal["leapfrog", "yoshida4"]
_METHODS = {"leapfrog": LEAPFROG, "yoshida4": YOSHIDA4}


class Potential(nn.Module):
    """A scalar function of y in R^d as a sum of ridges, with its gradient in closed form.

        V(t, y, c) = sum_k a_k log cosh(w_k y + b_k(t, c)),   dV/dy = W^T (a * tanh(W y + b))

    Sums of ridges approximate any smooth function on a bounded set.

    Args:
        dimension: d.
        condition_dimension: C; the condition moves the b_k.
        hidden: number of ridges.
        frequencies: time moves the b_k by cos(k pi t), sin(k pi t), k = 1..frequencies; 0 makes the
            function autonomous.

    Raises:
        InputError: a number is out of its range.
    """

    def __init__(
        self,
        dimension: int,
        condition_dimension: int = 0,
        *,
        hidden: int = 64,
        frequencies: int = 0,
    ) -> None:
        super().__init__()
        if dimension < 1 or hidden < 1 or frequencies < 0:
            raise InputError("a potential needs dimension and hidden >= 1, and frequencies >= 0")
        self.dimension, self.condition_dimension = dimension, condition_dimension
        self.frequencies = frequencies
        self.ridges = nn.Linear(dimension + condition_dimension + 2 * frequencies, hidden)
        self.heights = nn.Parameter(3.0 * torch.randn(hidden) / hidden)
        with torch.no_grad():
            # Ridges of standardised points bend within their range; a uniform weight has b^2 / 3.
            bound = math.sqrt(3.0 / dimension)
            self.ridges.weight[:, :dimension].uniform_(-2.0 * bound, 2.0 * bound)
            self.ridges.bias.uniform_(-3.0, 3.0)

    def forward(self, time: Tensor, y: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the gradient dV/dy of shape (..., d)."""
        bent = torch.tanh(self._arguments(time, y, condition)) * self.heights
        return functional.linear(bent, self.ridges.weight[:, : self.dimension].T)

    def value(self, time: Tensor, y: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return V of shape (...)."""
        size = self._arguments(time, y, condition).abs()
        log_cosh = size + torch.log1p(torch.exp(-2.0 * size)) - math.log(2.0)
        return (log_cosh * self.heights).sum(-1)

    def _arguments(self, time: Tensor, y: Tensor, condition: Tensor | None) -> Tensor:
        sizes = [self.dimension, self.condition_dimension, 2 * self.frequencies]
        space, given, clocks = self.ridges.weight.split(sizes, dim=1)
        shift = self.ridges.bias
        if self.frequencies:
            count = torch.arange(1, self.frequencies + 1, dtype=time.dtype, device=time.device)
            phase = math.pi * count * time
            shift = shift + clocks @ torch.cat([phase.cos(), phase.sin()]).to(y.dtype)
        if condition is not None:
            shift = shift + functional.linear(condition, given)
        return functional.linear(y, space) + shift


class HamiltonianFlow(Bijection):
    """Follow a separable Hamiltonian system by a symplectic method with equal steps.

    Args:
        dimension: D = 2 d; x is [position, momentum].
        kinetic: maps time (0-dim float64), momenta (..., d) and condition to dK/dp (..., d); a
            `Potential` also knows K. None makes one of the default width.
        potential: maps time, positions (..., d) and condition to dV/dq (..., d) in the same way.
        condition_dimension: C.
        interval: first and last time.
        steps: number of equal steps.
        method: "leapfrog" (order 2) or "yoshida4" (order 4, three times the evaluations).
        gradient: "reversible" needs memory that does not grow with the steps, and has first
            derivatives only; "direct" records all steps.

    Raises:
        InputError: the dimension is odd, or another choice is not valid.
    """

    def __init__(
        self,
        dimension: int,
        kinetic: nn.Module | None = None,
        potential: nn.Module | None = None,
        *,
        condition_dimension: int = 0,
        interval: tuple[float, float] = (0.0, 1.0),
        steps: int = 8,
        method: SymplecticName = "leapfrog",
        gradient: Literal["reversible", "direct"] = "reversible",
    ) -> None:
        super().__init__(dimension, condition_dimension)
        if dimension % 2:
            raise InputError(f"[position, momentum] needs an even dimension; it is {dimension}")
        if steps < 1 or interval[0] == interval[1]:
            raise InputError(f"steps >= 1 and an interval are wanted; got {steps}, {interval}")
        if method not in _METHODS:
            raise InputError(f"method {method!r} is unknown; known are leapfrog, yoshida4")
        if gradient not in ("reversible", "direct"):
            raise InputError(f"gradient {gradient!r} is unknown; known are reversible, direct")
        half = dimension // 2
        self.kinetic = Potential(half, condition_dimension) if kinetic is None else kinetic
        self.potential = Potential(half, condition_dimension) if potential is None else potential
        self.interval, self.steps, self.method = interval, steps, method
        self.gradient: Literal["reversible", "direct"] = gradient

    def energy(self, x: Tensor, condition: Tensor | None = None, time: float = 0.0) -> Tensor:
        """Return H (...) at x (..., D); an autonomous system keeps it up to a bounded error.

        Raises:
            InputError: a shape does not fit, or a part of H is no `Potential`.
        """
        condition = self._checked(x, condition)
        parts = (self.potential, self.kinetic)
        clock = torch.tensor(time, dtype=torch.float64, device=x.device)
        total = x.new_zeros(x.shape[:-1])
        for part, half in zip(parts, x.chunk(2, dim=-1), strict=True):
            if not isinstance(part, Potential):
                raise InputError("energy is known where kinetic and potential are a Potential")
            total = total + part.value(clock, half, condition)
        return total

    def path(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the points after each step, (steps + 1, ..., D), beginning with x.

        Raises:
            InputError: a shape does not fit.
        """
        start, stop = self.interval
        size = (stop - start) / self.steps
        times = [start + index * size for index in range(self.steps)]
        return self._solve(x, self._checked(x, condition), [*times, stop])

    def as_couplings(self) -> Composition:
        """Return the same map as additive couplings that share the two networks of this flow.

        Touching kicks are one coupling: leapfrog gives 2 steps + 1 of them.
        """
        start, stop = self.interval
        size = (stop - start) / self.steps
        first = torch.arange(self.dimension) < self.dimension // 2
        parts: list[Bijection] = []
        for shear in _METHODS[self.method].shears(start, size, self.steps):
            kick = shear.kind == "kick"
            field, scale = (self.potential, -shear.size) if kick else (self.kinetic, shear.size)
            conditioner = _Shift(field, self.dimension // 2, shear.time, scale)
            mask = first if kick else ~first
            parts.append(
                AdditiveCoupling(mask, conditioner, condition_dimension=self.condition_dimension)
            )
        return Composition(parts)

    def _forward(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._solve(x, condition, self.interval)[-1], x.new_zeros(x.shape[:-1])

    def _inverse(self, z: Tensor, condition: Tensor | None) -> Tensor:
        return self._solve(z, condition, self.interval[::-1])[-1]

    def _inverse_with_log_det(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._inverse(z, condition), z.new_zeros(z.shape[:-1])

    def _solve(
        self, x: Tensor, condition: Tensor | None, times: list[float] | tuple[float, ...]
    ) -> Tensor:
        if not x.numel():
            raise InputError("at least one point is wanted; the batch is empty")
        parameters: list[Tensor] = list(self.parameters())
        if condition is not None:
            parameters.append(condition)
        return solve(
            SeparableSystem(
                velocity=lambda time, momentum: self.kinetic(time, momentum, condition),
                force=lambda time, position: -self.potential(time, position, condition),
            ),
            x,
            times,
            method=self.method,
            step=abs(self.interval[1] - self.interval[0]) / self.steps,
            gradient=self.gradient,
            parameters=[tensor for tensor in parameters if tensor.requires_grad],
        ).states


class _Shift(nn.Module):
    """A field at one time, scaled by a step, as the conditioner of a coupling."""

    def __init__(self, field: nn.Module, dimension: int, time: float, scale: float) -> None:
        super().__init__()
        self.field, self.dimension, self.time, self.scale = field, dimension, time, scale

    def forward(self, given: Tensor) -> Tensor:
        kept, condition = given[..., : self.dimension], given[..., self.dimension :]
        clock = torch.tensor(self.time, dtype=torch.float64, device=given.device)
        value = self.field(clock, kept, condition if condition.shape[-1] else None)
        return self.scale * value
