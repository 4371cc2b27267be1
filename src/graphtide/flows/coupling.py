"""Coupling flows: some coordinates pass unchanged and decide how the others move.

    additive:  z_a = x_a,   z_b = x_b + m(x_a, c),                      log |det| = 0
    affine:    z_a = x_a,   z_b = x_b exp(s(x_a, c)) + m(x_a, c),       log |det| = sum s

The conditioner (m, s) is any network; it is never inverted. A deep additive coupling with shared
networks is a Hamiltonian flow cut into steps (`graphtide.flows.hamiltonian`).

Sources: NICE, Dinh, Krueger, Bengio, arXiv:1410.8516 (2014), equation (5); RealNVP, Dinh,
Sohl-Dickstein, Bengio, ICLR 2017, equations (4-5).
"""

import itertools
from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.flows.bijection import Bijection, joined

__all__ = ["AdditiveCoupling", "AffineCoupling", "Coupling", "alternating_mask", "perceptron"]


def alternating_mask(dimension: int, *, odd: bool = False) -> Tensor:
    """Return a mask (D,) of bool that is true at even positions, or at odd ones.

    Example:
        >>> alternating_mask(3).tolist()
        [True, False, True]
    """
    return torch.arange(dimension) % 2 == int(odd)


def perceptron(
    inputs: int,
    outputs: int,
    hidden: Sequence[int] = (64, 64),
    activation: Callable[[], nn.Module] = nn.SiLU,
) -> nn.Sequential:
    """Return linear layers with `activation` between them; the last one begins small.

    It is divided by the number of outputs, so that what they change together does not grow with
    the dimension, and a deep flow of high dimension begins near the identity.

    Args:
        inputs: length of the input.
        outputs: length of the output.
        hidden: lengths of the hidden layers.
        activation: makes the activation that follows each hidden layer.
    """
    widths = [inputs, *hidden, outputs]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), activation()]
    last = layers[-2]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.div_(outputs)
        last.bias.zero_()
    return nn.Sequential(*layers[:-1])


class Coupling(Bijection):
    """What couplings share: the split by a mask and the call of the conditioner.

    Args:
        mask: (D,) of bool; true where a coordinate passes unchanged (and is seen by the
            conditioner). At least one is true and one false.
        conditioner: maps [kept coordinates, condition] (..., K + C) to (..., (D - K) * P), with
            P parameters for each moved coordinate. None makes a perceptron of `hidden`.
        condition_dimension: C.
        parameters_each: P.
        hidden: widths of the perceptron where no conditioner is given.
        activation: makes its activation.

    Raises:
        InputError: the mask is not one of bool, or keeps all or none of the coordinates.
    """

    kept: Tensor
    moved: Tensor
    order: Tensor

    def __init__(
        self,
        mask: Tensor,
        conditioner: nn.Module | None,
        condition_dimension: int,
        parameters_each: int,
        hidden: Sequence[int],
        activation: Callable[[], nn.Module],
    ) -> None:
        if mask.ndim != 1 or mask.dtype != torch.bool:
            raise InputError(
                f"a mask of shape (D,) and type bool is wanted; it is {mask.dtype} of shape "
                f"{tuple(mask.shape)}"
            )
        count, total = int(mask.sum()), mask.numel()
        if not 0 < count < total:
            raise InputError(
                f"a mask must keep some of its {total} coordinates and move the others; it keeps "
                f"{count}"
            )
        super().__init__(total, condition_dimension)
        kept, moved = mask.nonzero()[:, 0], (~mask).nonzero()[:, 0]
        self.register_buffer("kept", kept, persistent=False)
        self.register_buffer("moved", moved, persistent=False)
        self.register_buffer("order", torch.cat([kept, moved]).argsort(), persistent=False)
        self.parameters_each = parameters_each
        if conditioner is None:
            inputs, outputs = count + condition_dimension, (total - count) * parameters_each
            conditioner = perceptron(inputs, outputs, hidden, activation)
        self.conditioner = conditioner

    def _forward(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        kept, moved = x.index_select(-1, self.kept), x.index_select(-1, self.moved)
        moved, log_det = self._move(moved, self._conditioned(kept, condition))
        return self._together(kept, moved), log_det

    def _inverse(self, z: Tensor, condition: Tensor | None) -> Tensor:
        return self._inverse_with_log_det(z, condition)[0]

    def _inverse_with_log_det(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        kept, moved = z.index_select(-1, self.kept), z.index_select(-1, self.moved)
        moved, log_det = self._move_back(moved, self._conditioned(kept, condition))
        return self._together(kept, moved), log_det

    @abstractmethod
    def _move(self, moved: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Map the moved coordinates (..., M) with parameters (..., M, P)."""

    @abstractmethod
    def _move_back(self, moved: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Undo `_move`; the log-determinant is that of the inverse."""

    def _conditioned(self, kept: Tensor, condition: Tensor | None) -> Tensor:
        given: Tensor = self.conditioner(joined(kept, condition))
        wanted = (*kept.shape[:-1], self.moved.numel() * self.parameters_each)
        if given.shape != wanted:
            raise InputError(
                f"{type(self).__name__}: the conditioner gave shape {tuple(given.shape)}; "
                f"{wanted} is wanted"
            )
        return given.unflatten(-1, (self.moved.numel(), self.parameters_each))

    def _together(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat([kept, moved], dim=-1).index_select(-1, self.order)


class AdditiveCoupling(Coupling):
    """Shift the moved coordinates by a function of the kept ones (NICE); volume-preserving.

    Args:
        mask: (D,) of bool; true where a coordinate passes unchanged.
        conditioner: maps (..., K + C) to shifts (..., D - K); None makes a perceptron.
        condition_dimension: C.
        hidden: widths of the perceptron.
        activation: makes its activation.

    Raises:
        InputError: the mask keeps all or none of the coordinates.

    Example:
        >>> import torch
        >>> flow = AdditiveCoupling(alternating_mask(2))
        >>> z, log_abs_det = flow(torch.zeros(5, 2))
        >>> z.shape, log_abs_det.shape
        (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(
        self,
        mask: Tensor,
        conditioner: nn.Module | None = None,
        *,
        condition_dimension: int = 0,
        hidden: Sequence[int] = (64, 64),
        activation: Callable[[], nn.Module] = nn.SiLU,
    ) -> None:
        super().__init__(mask, conditioner, condition_dimension, 1, hidden, activation)

    def _move(self, moved: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return moved + parameters[..., 0], moved.new_zeros(moved.shape[:-1])

    def _move_back(self, moved: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return moved - parameters[..., 0], moved.new_zeros(moved.shape[:-1])


class AffineCoupling(Coupling):
    """Scale and shift the moved coordinates by functions of the kept ones (RealNVP).

    The log-scale is bounded smoothly, s = L tanh(r / L), so that no point is ever scaled out of
    the range of the numbers.

    Args:
        mask: (D,) of bool; true where a coordinate passes unchanged.
        conditioner: maps (..., K + C) to (..., 2 (D - K)): a shift and a raw log-scale r for each
            moved coordinate in turn; None makes a perceptron.
        condition_dimension: C.
        hidden: widths of the perceptron.
        activation: makes its activation.
        log_scale_bound: L, the most that a log-scale may reach.

    Raises:
        InputError: the mask keeps all or none of the coordinates, or the bound is not positive.
    """

    def __init__(
        self,
        mask: Tensor,
        conditioner: nn.Module | None = None,
        *,
        condition_dimension: int = 0,
        hidden: Sequence[int] = (64, 64),
        activation: Callable[[], nn.Module] = nn.SiLU,
        log_scale_bound: float = 5.0,
    ) -> None:
        if not log_scale_bound > 0:
            raise InputError(f"log_scale_bound must be positive; it is {log_scale_bound:g}")
        super().__init__(mask, conditioner, condition_dimension, 2, hidden, activation)
        self.log_scale_bound = log_scale_bound

    def _move(self, moved: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_scale = self._shift_and_scale(parameters)
        return torch.addcmul(shift, moved, log_scale.exp()), log_scale.sum(-1)

    def _move_back(self, moved: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_scale = self._shift_and_scale(parameters)
        return (moved - shift) * (-log_scale).exp(), -log_scale.sum(-1)

    def _shift_and_scale(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = parameters.unbind(-1)
        return shift, self.log_scale_bound * torch.tanh(raw / self.log_scale_bound)
