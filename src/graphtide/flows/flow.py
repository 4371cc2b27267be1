"""A probability distribution made of a bijection and a simple base.

    log p(x | c) = log p_base(T(x | c)) + log |det dT/dx|,   x = T^-1(z | c),  z ~ base

Source: Rezende, Mohamed, Variational Inference with Normalizing Flows, ICML 2015, equation (5).
"""

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.flows.bijection import Bijection

__all__ = ["Base", "DiagonalNormal", "Flow", "StandardNormal"]


class Base(Protocol):
    """A density on R^D that can be sampled."""

    @property
    def dimension(self) -> int:
        """D."""
        ...

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density (...) at z (..., D)."""
        ...

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Return independent points (*shape, D), with gradients to the base's own parameters."""
        ...


class StandardNormal(nn.Module):
    """The normal distribution with mean 0 and unit covariance on R^D.

    Args:
        dimension: D.
        like: points get the dtype and device of this tensor; None is torch's default.
    """

    like: Tensor

    def __init__(self, dimension: int, like: Tensor | None = None) -> None:
        super().__init__()
        if dimension < 1:
            raise InputError(f"dimension must be at least 1; it is {dimension}")
        self.dimension = dimension
        like = torch.zeros(()) if like is None else like.detach().new_zeros(())
        self.register_buffer("like", like, persistent=False)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density (...) at z (..., D)."""
        return -0.5 * (z.square().sum(-1) + self.dimension * math.log(2.0 * math.pi))

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Return independent points (*shape, D)."""
        return torch.randn(
            (*shape, self.dimension),
            generator=generator,
            dtype=self.like.dtype,
            device=self.like.device,
        )


class DiagonalNormal(nn.Module):
    """A normal distribution with learned means and standard deviations, independent coordinates.

    It lets a volume-preserving flow reach any scale.

    Args:
        dimension: D.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.standard = StandardNormal(dimension)
        self.dimension = dimension
        self.mean = nn.Parameter(torch.zeros(dimension))
        self.log_deviation = nn.Parameter(torch.zeros(dimension))

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density (...) at z (..., D)."""
        standard = self.standard.log_prob((z - self.mean) * (-self.log_deviation).exp())
        return standard - self.log_deviation.sum()

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Return independent points (*shape, D)."""
        return self.mean + self.log_deviation.exp() * self.standard.sample(shape, generator)


class Flow(nn.Module):
    """The distribution of x whose image under a bijection follows the base.

    Args:
        bijection: maps x to z.
        base: the distribution of z, a module where it has parameters; None is standard normal.

    Raises:
        InputError: the dimensions differ.

    Example:
        >>> import torch
        >>> from graphtide.flows.coupling import AffineCoupling, alternating_mask
        >>> flow = Flow(AffineCoupling(alternating_mask(2)))
        >>> x = flow.sample(100, torch.Generator().manual_seed(0))
        >>> x.shape, flow.log_prob(x).shape
        (torch.Size([100, 2]), torch.Size([100]))
    """

    def __init__(self, bijection: Bijection, base: Base | None = None) -> None:
        super().__init__()
        self.bijection = bijection
        if base is None:
            base = StandardNormal(bijection.dimension, next(bijection.parameters(), None))
        self.base: Base = base
        if self.base.dimension != bijection.dimension:
            raise InputError(
                f"the base has {self.base.dimension} dimensions, the bijection "
                f"{bijection.dimension}"
            )

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return log p(x | condition) of shape (...), for x (..., D) and a condition (..., C).

        Raises:
            InputError: a shape does not fit.
        """
        z, log_abs_det = self.bijection.forward(x, condition)
        return self.base.log_prob(z) + log_abs_det

    @torch.no_grad()
    def sample(
        self, count: int, generator: torch.Generator, condition: Tensor | None = None
    ) -> Tensor:
        """Return `count` independent points (count, D), without gradient.

        With a condition (..., C) there are `count` points for each, shape (count, ..., D).

        Raises:
            InputError: the count is not positive, or the condition does not fit.
        """
        return self.rsample(count, generator, condition)

    def rsample(
        self, count: int, generator: torch.Generator, condition: Tensor | None = None
    ) -> Tensor:
        """Return `count` independent points like `sample`, with gradients to all parameters.

        Raises:
            InputError: the count is not positive, or the condition does not fit.
        """
        z = self._base_points(count, generator, condition)
        return self.bijection.inverse(z, condition)

    def rsample_with_log_prob(
        self, count: int, generator: torch.Generator, condition: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return points (count, ..., D) and their log-densities (count, ...), with gradients.

        Raises:
            InputError: the count is not positive, or the condition does not fit.
        """
        z = self._base_points(count, generator, condition)
        x, log_abs_det = self.bijection.inverse_with_log_det(z, condition)
        return x, self.base.log_prob(z) - log_abs_det

    def _base_points(
        self, count: int, generator: torch.Generator, condition: Tensor | None
    ) -> Tensor:
        if count < 1:
            raise InputError(f"at least one sample is wanted; count is {count}")
        batch = () if condition is None else tuple(condition.shape[:-1])
        return self.base.sample((count, *batch), generator)
