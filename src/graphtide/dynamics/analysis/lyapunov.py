"""Largest Lyapunov exponents: the mean rates at which close states part.

    lambda_k = lim 1/T sum log R_kk,   Q R = (V after a step),   dV/dt = J(x(t)) V

Source: Benettin, Galgani, Giorgilli, Strelcyn, Meccanica 15 (1980); Shimada & Nagashima, Progress
of Theoretical Physics 61 (1979). States and tangents are stepped together by the classical
Runge-Kutta method of order 4, many starts side by side, so that a long mean costs few calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.analysis.law import Law
from graphtide.errors import ComputationError, InputError

__all__ = ["Exponents", "kaplan_yorke_dimension", "lyapunov_exponents"]

DENSE_UP_TO = 64
"""Unknowns up to which the Jacobian is formed, for all starts at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Exponents:
    """Largest Lyapunov exponents, in units of one over time.

    Args:
        values: shape (K,), falling.
        standard_error: of each, from the starts' own values; not-a-number with one start.
        span: time over which each start was averaged.
        step: of the Runge-Kutta method.
    """

    values: np.ndarray
    standard_error: np.ndarray
    span: float
    step: float

    @property
    def chaotic(self) -> bool:
        """Whether the largest exponent is positive beyond three standard errors and rounding."""
        error = self.standard_error[0] if np.isfinite(self.standard_error[0]) else 0.0
        floor = 2.0 / self.span  # a mean over the span cannot tell slower growth from none
        return bool(self.values[0] > max(3.0 * error, floor))

    @property
    def entropy(self) -> float:
        """Sum of the positive exponents: at most the Kolmogorov-Sinai entropy's bound (Pesin)."""
        return float(self.values[self.values > 0].sum())


def lyapunov_exponents(
    law: Law,
    starts: np.ndarray,
    *,
    span: float,
    transient: float,
    step: float,
    count: int = 3,
    progress: Callable[[float, str], None] | None = None,
) -> Exponents:
    """Return the largest Lyapunov exponents of a law.

    Args:
        law: the law.
        starts: shape (B, N, D), averaged over; each is followed for the transient first.
        span: time of the mean.
        transient: time after which states are on the attractor.
        step: of the Runge-Kutta method; small beside the fastest motion.
        count: how many exponents.
        progress: told the share done.

    Raises:
        InputError: a time is not positive, or there are more exponents than unknowns.
        ComputationError: the states run off.
    """
    states = torch.from_numpy(np.array(starts, dtype=np.float64))
    batch, size = len(states), states[0].numel()
    if not (span > 0 and step > 0 and transient >= 0):
        raise InputError("span and step must be positive, and the transient not negative")
    count = min(count, size)
    tangent = torch.from_numpy(np.random.default_rng(0).standard_normal((batch, size, count)))
    tangent = torch.linalg.qr(tangent).Q
    product = _dense_product(law) if size <= DENSE_UP_TO else _free_product(law)
    settling, measured = int(np.ceil(transient / step)), int(np.ceil(span / step))
    every = 10
    total = states.new_zeros((batch, count))
    for number in range(settling + measured):
        states, tangent = _step(product, states, tangent, step)
        if (number + 1) % every == 0 or number + 1 == settling + measured:
            tangent, upper = torch.linalg.qr(tangent)
            if number >= settling:
                total += upper.diagonal(dim1=-2, dim2=-1).abs().log()
            if progress is not None:
                progress((number + 1) / (settling + measured), "Lyapunov exponents")
        elif number + 1 == settling:
            tangent = torch.linalg.qr(tangent).Q
    mean = (total / (measured * step)).numpy()  # (B, K)
    if not np.isfinite(mean).all():
        raise ComputationError("Lyapunov exponents: the states run off, or the step is too long")
    error = mean.std(axis=0, ddof=1) / np.sqrt(batch) if batch > 1 else np.full(count, np.nan)
    order = np.argsort(-mean.mean(axis=0))
    return Exponents(mean.mean(axis=0)[order], error[order], measured * step, step)


Product = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def _dense_product(law: Law) -> Product:
    def product(states: Tensor, tangent: Tensor) -> tuple[Tensor, Tensor]:
        rates, jacobian = law.dense_jacobian(states)
        return rates, jacobian @ tangent

    return product


def _free_product(law: Law) -> Product:
    def product(states: Tensor, tangent: Tensor) -> tuple[Tensor, Tensor]:
        zero = states.new_zeros(())
        vectors = tangent.movedim(-1, 0).reshape(-1, *states.shape)  # (K, B, N, D)
        moved = law.jacobian_product(states, vectors)
        return law.numeric(zero, states), moved.flatten(-2).movedim(0, -1)

    return product


def _step(product: Product, states: Tensor, tangent: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """Take one step of the classical Runge-Kutta method with states (B, N, D) and (B, n, K)."""
    a, u = product(states, tangent)
    b, v = product(states + 0.5 * step * a, tangent + 0.5 * step * u)
    c, w = product(states + 0.5 * step * b, tangent + 0.5 * step * v)
    d, z = product(states + step * c, tangent + step * w)
    sixth = step / 6.0
    return states + sixth * (a + 2 * b + 2 * c + d), tangent + sixth * (u + 2 * v + 2 * w + z)


def kaplan_yorke_dimension(exponents: np.ndarray) -> float | None:
    """Return the dimension of the attractor by Kaplan & Yorke (1979).

    None where the exponents known do not suffice (their sum stays positive).
    """
    total = np.cumsum(np.sort(exponents)[::-1])
    falling = np.flatnonzero(total < 0)
    if not len(falling):
        return None
    k = int(falling[0])
    if k == 0:
        return 0.0
    return float(k + total[k - 1] / abs(np.sort(exponents)[::-1][k]))
