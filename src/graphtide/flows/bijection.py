"""The contract of every flow: an invertible map of R^D, its inverse and its log-determinant.

    z = T(x | c),   log p_x(x) = log p_z(T(x | c)) + log |det dT/dx|

Parameters live in the module; the condition c is an argument of each call, never a state. Shapes
are the same everywhere: x and z are (..., D), a condition is (..., C) and broadcasts over the batch
of x, a log-determinant is (...).

Source: Rezende, Mohamed, Variational Inference with Normalizing Flows, ICML 2015, equations (5-7).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from graphtide.errors import InputError

__all__ = ["Bijection", "Composition", "Inverse", "joined"]


class Bijection(nn.Module, ABC):
    """An invertible map of R^D that may depend on a condition.

    A subclass supplies `_forward` and `_inverse`, and `_inverse_with_log_det` where it knows the
    log-determinant of the inverse without a forward pass. The shapes they see are checked, and the
    condition has the batch shape of the input.

    Args:
        dimension: D, length of the vectors that are mapped.
        condition_dimension: C, length of the condition; 0 for a map without one.

    Raises:
        InputError: a dimension is out of its range.
    """

    def __init__(self, dimension: int, condition_dimension: int = 0) -> None:
        super().__init__()
        if dimension < 1:
            raise InputError(f"dimension must be at least 1; it is {dimension}")
        if condition_dimension < 0:
            raise InputError(
                f"condition_dimension must not be negative; it is {condition_dimension}"
            )
        self.dimension = dimension
        self.condition_dimension = condition_dimension

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z (..., D) and log |det dz/dx| (...).

        Args:
            x: points (..., D), floating point.
            condition: (..., C), broadcast over the batch of x; None where C is 0.

        Raises:
            InputError: a shape or dtype does not fit.
        """
        return self._forward(x, self._checked(x, condition))

    def inverse(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return x (..., D) with `forward(x, condition)[0] == z`.

        Raises:
            InputError: a shape or dtype does not fit.
            ComputationError: an iterative inverse did not converge.
        """
        return self._inverse(z, self._checked(z, condition))

    def inverse_with_log_det(
        self, z: Tensor, condition: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return x (..., D) and log |det dx/dz| (...).

        Raises:
            InputError: a shape or dtype does not fit.
            ComputationError: an iterative inverse did not converge.
        """
        return self._inverse_with_log_det(z, self._checked(z, condition))

    @abstractmethod
    def _forward(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]: ...

    @abstractmethod
    def _inverse(self, z: Tensor, condition: Tensor | None) -> Tensor: ...

    def _inverse_with_log_det(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        x = self._inverse(z, condition)
        return x, -self._forward(x, condition)[1]

    def _checked(self, x: Tensor, condition: Tensor | None) -> Tensor | None:
        """Return the condition with the batch shape of `x`."""
        name, wanted = type(self).__name__, self.dimension
        if x.ndim == 0 or x.shape[-1] != wanted:
            raise InputError(
                f"{name}: a last dimension of {wanted} is wanted; the shape is {tuple(x.shape)}"
            )
        if not x.is_floating_point():
            raise InputError(f"{name}: floating-point numbers are wanted, not {x.dtype}")
        size = self.condition_dimension
        if condition is None:
            if size:
                raise InputError(f"{name}: a condition of {size} numbers a point is wanted")
            return None
        if condition.ndim == 0 or condition.shape[-1] != size or size == 0:
            raise InputError(
                f"{name}: a condition of shape (..., {size}) is wanted; it is "
                f"{tuple(condition.shape)}"
            )
        try:
            return condition.expand(*x.shape[:-1], size)
        except RuntimeError:
            raise InputError(
                f"{name}: the condition's batch {tuple(condition.shape[:-1])} does not broadcast "
                f"to that of the points, {tuple(x.shape[:-1])}"
            ) from None


class Composition(Bijection):
    """Apply bijections one after the other: the first of `parts` sees x.

    log-determinants add. Parts without a condition may stand beside parts that take one.

    Args:
        parts: bijections of one dimension, whose condition dimensions are C or 0.

    Raises:
        InputError: there are no parts, or their dimensions differ.
    """

    def __init__(self, parts: Sequence[Bijection]) -> None:
        if not parts:
            raise InputError("a composition needs at least one part")
        dimensions = sorted({part.dimension for part in parts})
        conditions = sorted({part.condition_dimension for part in parts} - {0})
        if len(dimensions) > 1 or len(conditions) > 1:
            raise InputError(
                f"parts must agree; their dimensions are {dimensions}, of conditions {conditions}"
            )
        super().__init__(dimensions[0], conditions[0] if conditions else 0)
        self.parts = nn.ModuleList(parts)

    def _forward(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(x.shape[:-1])
        for part in self._each():
            x, log_det = part.forward(x, condition if part.condition_dimension else None)
            total = total + log_det
        return x, total

    def _inverse(self, z: Tensor, condition: Tensor | None) -> Tensor:
        for part in reversed(list(self._each())):
            z = part.inverse(z, condition if part.condition_dimension else None)
        return z

    def _inverse_with_log_det(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(z.shape[:-1])
        for part in reversed(list(self._each())):
            z, log_det = part.inverse_with_log_det(
                z, condition if part.condition_dimension else None
            )
            total = total + log_det
        return z, total

    def _each(self) -> Iterator[Bijection]:
        for part in self.parts:
            assert isinstance(part, Bijection)
            yield part


class Inverse(Bijection):
    """A bijection read backwards; its parameters are those of `bijection`.

    Args:
        bijection: the map whose inverse this is.
    """

    def __init__(self, bijection: Bijection) -> None:
        super().__init__(bijection.dimension, bijection.condition_dimension)
        self.bijection = bijection

    def _forward(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.bijection.inverse_with_log_det(x, condition)

    def _inverse(self, z: Tensor, condition: Tensor | None) -> Tensor:
        return self.bijection.forward(z, condition)[0]

    def _inverse_with_log_det(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.bijection.forward(z, condition)


def joined(x: Tensor, condition: Tensor | None) -> Tensor:
    """Return [x, condition] along the last dimension."""
    return x if condition is None else torch.cat([x, condition], dim=-1)
