"""Histogram coupling: each moved coordinate passes through a histogram's distribution function.

With K cells of equal width and probabilities p_k that the kept coordinates decide, a place x in
[0, K] of cell k = floor(x) goes to

    u = p_0 + ... + p_(k-1) + (x - k) p_k,      log du/dx = log p_k

The map is piecewise linear. Where the cells are the values of a discrete variable and x = k + e
with e uniform on [0, 1) (uniform dequantisation), the density of x is p_k on the whole cell, so
that log p(x) is log p(k) itself: no bound stands between the likelihood of the continuous variable
and that of the discrete one, and no other dequantisation can do better.

Sources: Müller, McWilliams, Rousselle, Gross, Novák, Neural Importance Sampling, ACM Transactions
on Graphics 38 (2019), section 4.3 (piecewise-linear coupling); Theis, van den Oord, Bethge, A note
on the evaluation of generative models, ICLR 2016, section 3.1 (uniform dequantisation).
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.flows.coupling import Coupling

__all__ = ["HistogramCoupling", "histogram_cell", "histogram_forward", "histogram_inverse"]


def histogram_forward(place: Tensor, log_probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share u of probability (...) below a place, and log du/dx (...).

    Args:
        place: x in [0, K], (...).
        log_probabilities: (..., K), which sum to one; -inf where a cell is impossible.
    """
    cells = place.detach().floor().long().clamp(0, log_probabilities.shape[-1] - 1)[..., None]
    begins, probabilities, log_slopes = _cell(cells, log_probabilities)
    return begins + (place - cells[..., 0]) * probabilities, log_slopes


def histogram_inverse(unit: Tensor, log_probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Return the place x in [0, K] (...) below which a share of probability lies, and log dx/du.

    Args:
        unit: u in [0, 1], (...).
        log_probabilities: (..., K), which sum to one; -inf where a cell is impossible.
    """
    cells, shares, log_slopes = histogram_cell(unit, log_probabilities)
    return cells + shares, -log_slopes


def histogram_cell(unit: Tensor, log_probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cell k in which a share of probability lies, how far in, and log p_k, each (...).

    Cells of probability zero are never met.

    Args:
        unit: u in [0, 1], (...).
        log_probabilities: (..., K), which sum to one; -inf where a cell is impossible.
    """
    ends = _ends(log_probabilities)
    # Below 1, so that of cells that end at 1 the first one is found, which is not empty.
    below_one = unit.detach().clamp_max(1.0 - torch.finfo(unit.dtype).eps / 2)[..., None]
    cells = (below_one >= ends[..., :-1]).sum(-1, keepdim=True)  # (..., 1)
    begins, probabilities, log_slopes = _cell(cells, log_probabilities)
    return cells[..., 0], ((unit - begins) / probabilities).clamp(0.0, 1.0), log_slopes


def _ends(log_probabilities: Tensor) -> Tensor:
    """Return where the cells end, (..., K); the last one of positive probability at 1 exactly."""
    ends = log_probabilities.exp().cumsum(-1)
    return ends / ends[..., -1:]


def _cell(cells: Tensor, log_probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return where cells (..., 1) begin, their probability and its logarithm, each (...)."""
    begins = nn.functional.pad(_ends(log_probabilities)[..., :-1], (1, 0)).gather(-1, cells)
    log_slopes = log_probabilities.gather(-1, cells)[..., 0]
    return begins[..., 0], log_slopes.exp(), log_slopes


class HistogramCoupling(Coupling):
    """Move coordinates by distribution functions of histograms that the others decide.

    It is the identity outside of [-B, B], and continuous.

    Args:
        mask: (D,) of bool; true where a coordinate passes unchanged.
        conditioner: maps (..., K + C) to (..., cells (D - K)), logarithms of the probabilities up
            to a constant; None makes a perceptron.
        condition_dimension: C.
        cells: number of cells of each histogram.
        bound: B, half of the interval that is bent.
        hidden: widths of the perceptron.
        activation: makes its activation.

    Raises:
        InputError: the mask keeps all or none of the coordinates, the bound is not positive, or
            there are fewer than two cells.
    """

    def __init__(
        self,
        mask: Tensor,
        conditioner: nn.Module | None = None,
        *,
        condition_dimension: int = 0,
        cells: int = 10,
        bound: float = 5.0,
        hidden: Sequence[int] = (64, 64),
        activation: Callable[[], nn.Module] = nn.SiLU,
    ) -> None:
        if not bound > 0:
            raise InputError(f"bound must be positive; it is {bound:g}")
        if cells < 2:
            raise InputError(f"at least two cells are wanted; there are {cells}")
        super().__init__(mask, conditioner, condition_dimension, cells, hidden, activation)
        self.cells = cells
        self.bound = bound

    def _move(self, moved: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        inside = moved.abs() < self.bound
        place = (moved + self.bound) * (0.5 * self.cells / self.bound)
        unit, log_slope = histogram_forward(
            place.clamp(0.0, self.cells), parameters.log_softmax(-1)
        )
        log_slope = log_slope + math.log(self.cells)
        bent = (2.0 * unit - 1.0) * self.bound
        return torch.where(inside, bent, moved), torch.where(inside, log_slope, 0.0).sum(-1)

    def _move_back(self, moved: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        inside = moved.abs() < self.bound
        unit = (0.5 * (moved / self.bound + 1.0)).clamp(0.0, 1.0)
        place, log_slope = histogram_inverse(unit, parameters.log_softmax(-1))
        log_slope = log_slope - math.log(self.cells)
        bent = place * (2.0 * self.bound / self.cells) - self.bound
        return torch.where(inside, bent, moved), torch.where(inside, log_slope, 0.0).sum(-1)
