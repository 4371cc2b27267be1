"""The probability path of discrete flow matching, and the Markov chain that follows it.

Each variable x (a bond, an atom) moves on its own along a straight line of distributions from a
start p0 to its value x1 in the data,

    p_t(z | x1) = t [z = x1] + (1 - t) p0(z),                                          0 <= t <= 1,

and the continuous-time Markov chain with the rates, for z other than the present state x,

    u_t(x -> z | x1) = [z = x1] / (1 - t)  +  eta / (1 - t) (t [z = x1] + (1 - t) p0(z)),

has these marginals: dp_t(z)/dt = sum_x p_t(x) u_t(x -> z), Kolmogorov's forward equation. The
second term satisfies detailed balance with p_t(. | x1), so that it changes no marginal whatever the
stochasticity eta >= 0; it lets the chain take back what turns out wrong. It counts in units of
-log(1 - t), the clock by which the path's own jumps are spread evenly, so that it stays at work to
the end. The chain that generates knows no x1: it puts the posterior p(x1 | all x at t), which a
network predicts, in place of [z = x1], and has the marginals of the data then.

A start that puts all its weight on a state of its own (the mask) gives masked flow matching.

Sources: Campbell, Yim, Barzilay, Rainforth, Jaakkola, Generative flows on discrete state-spaces,
ICML 2024 (the chain, detailed balance); Gat et al., Discrete flow matching, NeurIPS
2024 (the rates of the straight path); Qin, Madeira, Thanou, Frossard, DeFoG, ICML
2025 (graphs, distortion of time).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphtide.errors import InputError

__all__ = ["conditional_path", "distorted", "draw", "noised", "rates", "transition"]


def conditional_path(clean: Tensor, time: Tensor | float, start: Tensor) -> Tensor:
    """Return p_t(. | x1), (..., K).

    Args:
        clean: x1, int64 (...).
        time: t, of a shape that broadcasts with ``clean``, or one number.
        start: p0, (K,).
    """
    at = torch.as_tensor(time, dtype=start.dtype, device=start.device)[..., None]
    ends = torch.nn.functional.one_hot(clean, len(start)).to(start.dtype)
    return at * ends + (1 - at) * start


def noised(clean: Tensor, time: Tensor, start: Tensor) -> Tensor:
    """Draw x at t from p_t(. | x1); int64, of the shape of ``clean``.

    Args:
        clean: x1, int64 (...).
        time: t, of a shape that broadcasts with ``clean``.
        start: p0, (K,).
    """
    if not clean.numel():  # one node has no pairs
        return clean
    fresh = torch.multinomial(start, clean.numel(), replacement=True).view(clean.shape)
    kept = torch.rand(clean.shape, device=clean.device, dtype=time.dtype) < time
    return torch.where(kept, clean, fresh)


def rates(posterior: Tensor, time: float, start: Tensor, *, stochasticity: float = 0.0) -> Tensor:
    """Return u_t(x -> z), (..., K), the same for every x other than z.

    Args:
        posterior: p(x1 = z | state), (..., K).
        time: t < 1.
        start: p0, (K,).
        stochasticity: eta.
    """
    forward = (1.0 + stochasticity * time) / (1.0 - time)
    return forward * posterior + stochasticity * start


def transition(
    posterior: Tensor,
    state: Tensor,
    time: float,
    later: float,
    start: Tensor,
    *,
    stochasticity: float = 0.0,
) -> Tensor:
    """Return the probabilities of each state at a later time, (..., K).

    With the posterior held, the rates into z do not depend on where the chain is. So it stays
    with the probability exp(-integral of their sum) and is else found at z in the proportion of
    the integrals of the rates. Exact for a stochasticity of 0 and the true x1. Where the posterior
    changes, the chain's end is of order 1 in the number of steps (times crowded towards 1 by an
    exponent of 2 or more; even times with a stochasticity lose a factor of the logarithm).

    Args:
        posterior: p(x1 = z | state), (..., K).
        state: x, int64 (...).
        time: t.
        later: s, t < s <= 1; at 1 the state is drawn from the posterior.
        start: p0, (K,).
        stochasticity: eta.
    """
    if later >= 1.0:
        return posterior
    back = stochasticity * (later - time)
    forward = (1.0 + stochasticity) * math.log((1.0 - time) / (1.0 - later)) - back
    into = forward * posterior + back * start
    total = forward + back
    moved = -math.expm1(-total)
    stay = torch.nn.functional.one_hot(state, len(start)).to(posterior.dtype) * (1.0 - moved)
    return stay + into * (moved / total)


def draw(probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one state from each row of (..., K), which need not sum to 1; int64 (...)."""
    sums = probabilities.cumsum(-1)
    level = torch.rand(
        (*sums.shape[:-1], 1), generator=generator, device=sums.device, dtype=sums.dtype
    )
    return (level * sums[..., -1:] >= sums[..., :-1]).sum(-1)


def distorted(level: Tensor, exponent: float) -> Tensor:
    """Return 1 - (1 - level)^exponent: times crowded towards 1 for exponents above 1.

    Args:
        level: in [0, 1].
        exponent: 1 leaves the times as they are, 2 is DeFoG's "polydec".

    Raises:
        InputError: the exponent is not positive.
    """
    if not exponent > 0:
        raise InputError(f"the distortion of time must be positive; it is {exponent:g}")
    return 1.0 - (1.0 - level) ** exponent
