"""The steady state that a law settles to from a start, by pseudo-transient continuation.

    (I / h - J(x)) dx = f(x),   x <- x + dx,   h grows as |f| falls

With a small step h this is linearly implicit Euler and follows the motion, with a large one it is
Newton's method, so that stiff laws and the slow passage near a fold cost a few dozen linear solves.
A step that would change a state by more than a third of its size is repeated with a smaller h, so
that the state stays in the basin of attraction in which it began; so is one that points against
the motion, as Newton's do behind a fold.

Reference:
    Kelley & Keyes, SIAM Journal on Numerical Analysis 35 (1998) 508.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from graphtide.errors import ComputationError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from graphtide.dynamics.analysis.law import Law

__all__ = ["settle"]

_DIRECT = 400  # unknowns up to which a factorisation is cheaper than iterations
_LARGEST_CHANGE = 0.3


def settle(
    law: Law, start: np.ndarray, *, tolerance: float = 1e-9, maximum_steps: int = 400
) -> np.ndarray:
    """Return the steady state (N, D) that the law settles to from a start (N, D).

    Args:
        law: the law; time is held at 0.
        start: where the motion begins.
        tolerance: of the rates, relative to the largest state (or a
            thousandth of the start's, or 1e-9).
        maximum_steps: most linear solves.

    Raises:
        ComputationError: the states run off or come to no rest (a cycle, say) within these steps.
    """
    shape = law.shape
    state = np.array(start, dtype=np.float64)
    rate = _rate(law, state)
    scale = float(np.abs(state).max()) or 1.0
    least = max(1e-3 * scale, 1e-9)  # a dead network followed on must not fade to underflow
    step = 0.1 * scale / (float(np.abs(rate).max()) or 1.0)
    step = min(step, 1.0)
    for _ in range(maximum_steps):
        size = float(np.abs(rate).max())
        scale = max(float(np.abs(state).max()), least)
        if size <= tolerance * scale:
            return state
        jacobian = law.jacobian(state)
        while True:
            change = _solve(jacobian, rate.ravel(), step).reshape(shape)
            allowed = _LARGEST_CHANGE * (np.abs(state) + 0.1 * scale)
            # Where J has a positive eigenvalue beyond 1/h the step would turn back on the motion.
            onward = float((change * rate).sum()) > 0.0
            if onward and np.isfinite(change).all() and (np.abs(change) <= allowed).all():
                break
            step *= 0.4
            if step < 1e-12:
                raise ComputationError("the states come to no rest: steps became too small")
        state = state + change
        rate = _rate(law, state)
        after = float(np.abs(rate).max())
        if not np.isfinite(after) or np.abs(state).max() > 1e12:
            raise ComputationError("the states run off to infinity; there is no steady state")
        step *= float(np.clip(size / after if after > 0.0 else 4.0, 1.3, 4.0))
    raise ComputationError(
        f"the states come to no rest within {maximum_steps} steps: the law may oscillate"
    )


def _rate(law: Law, state: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return law.numeric(torch.tensor(0.0, dtype=torch.float64), torch.tensor(state)).numpy()


def _solve(jacobian: csr_array, rate: np.ndarray, step: float) -> np.ndarray:
    """Return the solution of (I/h - J) dx = f."""
    from scipy.sparse import csc_array, diags_array
    from scipy.sparse.linalg import LinearOperator, bicgstab, splu

    count = len(rate)
    system = diags_array(np.full(count, 1.0 / step)) - jacobian
    if count <= _DIRECT:
        try:
            return splu(csc_array(system)).solve(rate)
        except RuntimeError:  # exactly singular: the caller takes a smaller step
            return np.full(count, np.nan)
    diagonal = system.diagonal()
    safe = np.where(np.abs(diagonal) > 1e-12, diagonal, 1.0)
    precondition = LinearOperator((count, count), matvec=lambda v: v / safe, dtype=np.dtype(float))
    # Of unit size: the iterations give up where products of small rates come near underflow.
    size = float(np.abs(rate).max())
    found, failed = bicgstab(system.tocsr(), rate / size, rtol=1e-4, maxiter=300, M=precondition)
    return np.full(count, np.nan) if failed else size * found
