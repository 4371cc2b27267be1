"""Spline coupling: each moved coordinate passes through a monotone rational-quadratic spline.

With K bins of widths w_k and heights h_k on [-B, B], slopes d_k > 0 at the K + 1 knots, s_k =
h_k / w_k and t in [0, 1] the place within bin k,

    y = y_k + h_k (s_k t^2 + d_k t (1 - t)) / (s_k + (d_k + d_(k+1) - 2 s_k) t (1 - t))

and the identity outside of [-B, B], where it ends with slope 1. The inverse is the root of a
quadratic equation.

Source: Durkan, Bekasov, Murray, Papamakarios, Neural Spline Flows, NeurIPS 2019, equations (4-8).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.flows.coupling import Coupling

__all__ = ["SplineCoupling"]

_LEAST_SHARE = 1e-3  # of the interval, for a bin's width and height
_LEAST_SLOPE = 1e-3
_UNIT_SLOPE = 0.5397423  # softplus of it, with the least slope, is 1


@dataclass(frozen=True, slots=True)
class _Bins:
    """The bin of each coordinate: its corner, size and slopes, each (..., M)."""

    left: Tensor
    bottom: Tensor
    width: Tensor
    height: Tensor
    first_slope: Tensor
    last_slope: Tensor


class SplineCoupling(Coupling):
    """Move coordinates by monotone rational-quadratic splines whose knots the others decide.

    Args:
        mask: (D,) of bool; true where a coordinate passes unchanged.
        conditioner: maps (..., K + C) to (..., (3 bins - 1) (D - K)); None makes a perceptron.
        condition_dimension: C.
        bins: number of bins of each spline.
        bound: B, half of the interval that is bent; the identity outside.
        hidden: widths of the perceptron.
        activation: makes its activation.

    Raises:
        InputError: the mask keeps all or none of the coordinates, the bound is not positive, or
            there are fewer than two bins.
    """

    def __init__(
        self,
        mask: Tensor,
        conditioner: nn.Module | None = None,
        *,
        condition_dimension: int = 0,
        bins: int = 8,
        bound: float = 5.0,
        hidden: Sequence[int] = (64, 64),
        activation: Callable[[], nn.Module] = nn.SiLU,
    ) -> None:
        if not bound > 0:
            raise InputError(f"bound must be positive; it is {bound:g}")
        if not 2 <= bins <= 256:
            raise InputError(f"bins must be between 2 and 256; there are {bins}")
        super().__init__(mask, conditioner, condition_dimension, 3 * bins - 1, hidden, activation)
        self.bins = bins
        self.bound = bound

    def _move(self, moved: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        inside = moved.abs() < self.bound
        x = moved.clamp(-self.bound, self.bound)
        bins = self._locate(x, parameters, inverse=False)
        share = (x - bins.left) / bins.width
        y, log_slope = _spline(share, bins)
        log_slope = torch.where(inside, log_slope, 0.0)
        return torch.where(inside, y, moved), log_slope.sum(-1)

    def _move_back(self, moved: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        inside = moved.abs() < self.bound
        y = moved.clamp(-self.bound, self.bound)
        bins = self._locate(y, parameters, inverse=True)
        share = _spline_root(y, bins)
        log_slope = torch.where(inside, _spline(share, bins)[1], 0.0)
        return torch.where(inside, bins.left + share * bins.width, moved), -log_slope.sum(-1)

    def _locate(self, point: Tensor, parameters: Tensor, *, inverse: bool) -> _Bins:
        """Return the bins that hold `point`, found by its height where `inverse`."""
        count, span = self.bins, 2.0 * self.bound
        widths, heights, inner = parameters.split([count, count, count - 1], dim=-1)
        lefts, widths = _knots(widths, span)  # (..., M, K)
        bottoms, heights = _knots(heights, span)
        slopes = functional.softplus(inner + _UNIT_SLOPE) + _LEAST_SLOPE
        slopes = functional.pad(slopes, (1, 1), value=1.0)  # (..., M, K + 1)
        edges = bottoms if inverse else lefts
        index = (point[..., None] >= edges[..., 1:]).sum(-1, keepdim=True)  # (..., M, 1)
        first = slopes.gather(-1, index)[..., 0]
        last = slopes.gather(-1, index + 1)[..., 0]
        left, bottom, width, height = (
            table.gather(-1, index)[..., 0] for table in (lefts, bottoms, widths, heights)
        )
        return _Bins(left, bottom, width, height, first, last)


def _knots(raw: Tensor, span: float) -> tuple[Tensor, Tensor]:
    """Return where bins begin and how long they are, each (..., K), over [-span/2, span/2]."""
    count = raw.shape[-1]
    shares = _LEAST_SHARE + (1.0 - _LEAST_SHARE * count) * raw.softmax(-1)
    sizes = span * shares
    begins = functional.pad(sizes[..., :-1].cumsum(-1), (1, 0)) - 0.5 * span
    return begins, sizes


def _spline(share: Tensor, bins: _Bins) -> tuple[Tensor, Tensor]:
    """Return the height and the log of the slope at a share of the bin."""
    mean = bins.height / bins.width
    mixed = share * (1.0 - share)
    bend = bins.first_slope + bins.last_slope - 2.0 * mean
    below = mean + bend * mixed
    y = bins.bottom + bins.height * (mean * share * share + bins.first_slope * mixed) / below
    other = 1.0 - share
    above = bins.last_slope * share * share + 2.0 * mean * mixed + bins.first_slope * other * other
    return y, 2.0 * mean.log() + above.log() - 2.0 * below.log()


def _spline_root(y: Tensor, bins: _Bins) -> Tensor:
    """Return the share of the bin whose height is `y`, by the root that does not cancel."""
    mean = bins.height / bins.width
    bend = bins.first_slope + bins.last_slope - 2.0 * mean
    rise = y - bins.bottom
    a = bins.height * (mean - bins.first_slope) + rise * bend
    b = bins.height * bins.first_slope - rise * bend
    c = -mean * rise
    root = (b * b - 4.0 * a * c).clamp_min(0.0).sqrt()
    return 2.0 * c / (-b - root)
