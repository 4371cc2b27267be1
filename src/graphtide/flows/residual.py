"""Residual flow: one Euler step of a field, invertible because the field is a contraction.

    z = x + h g(x, c),   h Lip(g) < 1,   x = lim x_(k+1) = z - h g(x_k),
    log |det| = log det(I + h J) = sum_k (-1)^(k+1) h^k tr(J^k) / k

with h = 1 unless a trained flow is refined.

In low dimension the determinant is taken from the whole Jacobian J. Otherwise the series is cut at
a random length and reweighted, which keeps it unbiased (Russian roulette), with Hutchinson's
estimate of each trace:

    sum_(k <= n) (-1)^(k+1) / k  v^T J^k v / P(N >= k),   N - m geometric, n drawn as N, v signs

Sources: Behrmann, Grathwohl, Chen, Duvenaud, Jacobsen, Invertible Residual Networks, ICML 2019,
theorem 1 and algorithm 1; Chen, Behrmann, Duvenaud, Jacobsen, Residual Flows for Invertible
Generative Modeling, NeurIPS 2019, theorem 1.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from graphtide.errors import ComputationError, InputError
from graphtide.flows.bijection import Bijection, Composition
from graphtide.flows.continuous import Trace
from graphtide.flows.lipschitz import BoundLipschitz, LipschitzActivation, LipschitzNetwork

__all__ = ["ResidualFlow"]

_CHECK_EVERY = 8  # iterations between two looks at the change


class ResidualFlow(Bijection):
    """Add a contraction to x.

    Args:
        dimension: D.
        condition_dimension: C.
        hidden: widths of the network g.
        activation: 1-Lipschitz activation of g.
        lipschitz: bound on the Lipschitz constant of g, between 0 and 1. The inverse takes about
            log(eps) / log(lipschitz) iterations at worst.
        trace: "exact" takes the determinant of the whole Jacobian, "hutchinson" the unbiased
            series, "auto" the exact one up to `exact_dimension`.
        exact_dimension: largest dimension of the exact determinant in "auto".
        exact_terms: m, terms of the series that are always taken.
        continuation: probability that the series goes on after each further term.
        maximum_iterations: of the inverse.
        step: h, at most 1.
        generator: of the random series; None draws from torch's own.

    Raises:
        InputError: the Lipschitz constant is not between 0 and 1, or another choice is not valid.
    """

    def __init__(
        self,
        dimension: int,
        *,
        condition_dimension: int = 0,
        hidden: Sequence[int] = (64, 64),
        activation: LipschitzActivation = "lipswish",
        lipschitz: float = 0.9,
        trace: Trace = "auto",
        exact_dimension: int = 8,
        exact_terms: int = 4,
        continuation: float = 0.5,
        maximum_iterations: int = 2_000,
        step: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(dimension, condition_dimension)
        if trace not in ("auto", "exact", "hutchinson"):
            raise InputError(f"trace {trace!r} is unknown; known are auto, exact, hutchinson")
        if not 0.0 < continuation < 1.0 or exact_terms < 1:
            raise InputError("a continuation in (0, 1) and at least one exact term are wanted")
        if not 0.0 < step <= 1.0:
            raise InputError(f"step must be positive and at most 1; it is {step:g}")
        self.network = LipschitzNetwork(
            dimension,
            condition_dimension,
            hidden=hidden,
            activation=activation,
            lipschitz=lipschitz,
        )
        self.exact = trace == "exact" or (trace == "auto" and dimension <= exact_dimension)
        self.exact_terms, self.continuation = exact_terms, continuation
        self.maximum_iterations, self.step = maximum_iterations, step
        self.generator = generator

    def refined(self, factor: int) -> Composition:
        """Return `factor` steps of the field g with h / factor in place of one; g is shared.

        Raises:
            InputError: the factor is not positive.
        """
        if factor < 1:
            raise InputError(f"a factor of at least 1 is wanted; it is {factor}")
        part = copy.copy(self)  # the same network
        part.step = self.step / factor
        return Composition([part] * factor)

    def _bind(self, condition: Tensor | None) -> BoundLipschitz:
        """Return h g, with its weights made, at a condition."""
        if condition is not None:
            condition = condition.reshape(-1, condition.shape[-1])
        bound = self.network.bind(condition)
        if self.step != 1.0:
            bound.weights[-1] = self.step * bound.weights[-1]
            bound.biases[-1] = self.step * bound.biases[-1]
        return bound

    def _forward(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        points = x.reshape(-1, self.dimension)
        bound = self._bind(condition)
        change, log_det = self._step(bound, points)
        return (points + change).view(x.shape), log_det.view(x.shape[:-1])

    def _inverse(self, z: Tensor, condition: Tensor | None) -> Tensor:
        bound = self._bind(condition)
        return self._solved(bound, z.reshape(-1, self.dimension)).view(z.shape)

    def _inverse_with_log_det(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        bound = self._bind(condition)
        x = self._solved(bound, z.reshape(-1, self.dimension))
        log_det = self._step(bound, x)[1]
        return x.view(z.shape), -log_det.view(z.shape[:-1])

    def _step(self, bound: BoundLipschitz, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return g (B, D) and log det(I + J) (B,)."""
        value, slopes = bound.value(x)
        if self.exact:
            return value, _log_det_of_one_plus(bound.jacobian(slopes))
        return value, self._series(bound, slopes, x)

    def _series(self, bound: BoundLipschitz, slopes: Sequence[Tensor], x: Tensor) -> Tensor:
        """Return the unbiased estimate of log det(I + J), (B,)."""
        count, surviving = self.exact_terms + self._further_terms(), 1.0
        drawn = torch.randint(0, 2, x.shape, generator=self.generator, device=x.device)
        signs = (2 * drawn - 1).to(x.dtype)
        vectors, total = signs, x.new_zeros(len(x))
        for term in range(1, count + 1):
            vectors = bound.product(slopes, vectors)
            if term > self.exact_terms:
                surviving *= self.continuation
            weight = (-1.0) ** (term + 1) / (term * surviving)
            total = total + weight * (vectors * signs).sum(-1)
        return total

    def _further_terms(self) -> int:
        """Draw how many terms follow the exact ones: k or more with probability p^k."""
        device = None if self.generator is None else self.generator.device
        share = float(torch.rand((), generator=self.generator, dtype=torch.float64, device=device))
        return int(math.log(max(1.0 - share, 1e-300)) / math.log(self.continuation))

    def _solved(self, bound: BoundLipschitz, z: Tensor) -> Tensor:
        """Return x with x + g(x) = z, and its gradient by the implicit function theorem.

        Raises:
            ComputationError: the iteration did not converge.
        """
        with torch.no_grad():
            x = self._iterated(lambda point: z - bound.value(point)[0], z)
            _, slopes = bound.value(x)
        if not (torch.is_grad_enabled() and (z.requires_grad or self._is_trained(bound))):
            return x
        attached = z - bound.value(x)[0]  # x again, with the gradient of z - g(x) at fixed x

        def implicit(cotangent: Tensor) -> Tensor:
            """Return (I + J)^-T times a cotangent (B, D)."""
            return self._iterated(
                lambda solution: cotangent - bound.transposed_product(slopes, solution), cotangent
            )

        result: Tensor = _FixedPoint.apply(implicit, attached, x)
        return result

    def _iterated(self, update: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
        """Return the fixed point of a contraction, to the precision of its dtype."""
        x, tolerance = start, 2.0 * torch.finfo(start.dtype).eps
        size = torch.linalg.vector_norm(start, dim=-1)
        last = torch.full_like(size, math.inf)
        for iteration in range(self.maximum_iterations):
            following = update(x)
            if iteration % _CHECK_EVERY == _CHECK_EVERY - 1:
                change = torch.linalg.vector_norm(following - x, dim=-1)
                # A contraction's changes fall until only round-off is left of them.
                if bool(((change <= tolerance * size) | (change >= last)).all()):
                    return following
                last = change
            x = following
        raise ComputationError(
            f"ResidualFlow: the inverse did not converge in {self.maximum_iterations} iterations; "
            "a smaller Lipschitz constant or more iterations are needed"
        )

    @staticmethod
    def _is_trained(bound: BoundLipschitz) -> bool:
        return any(tensor.requires_grad for tensor in (*bound.weights, *bound.biases))


class _FixedPoint(torch.autograd.Function):
    """Gives a fixed point its gradient: dx = (I + J)^-1 (dz - dg)."""

    @staticmethod
    def forward(
        ctx: Any, implicit: Callable[[Tensor], Tensor], attached: Tensor, x: Tensor
    ) -> Tensor:
        del attached
        ctx.implicit = implicit
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise InputError(
                "the inverse of a residual flow has first derivatives only; read the flow the "
                "other way round (graphtide.flows.bijection.Inverse) for second ones"
            )
        return None, ctx.implicit(cotangents[0]), None


def _log_det_of_one_plus(jacobian: Tensor) -> Tensor:
    """Return log det(I + J) (B,); the determinant is positive where |J| < 1."""
    size = jacobian.shape[-1]
    if size == 1:
        return jacobian[:, 0, 0].log1p()
    if size == 2:
        (a, b), (c, d) = (row.unbind(-1) for row in jacobian.unbind(-2))
        return torch.log1p(a + d + a * d - b * c)
    unit = torch.eye(size, dtype=jacobian.dtype, device=jacobian.device)
    return torch.linalg.slogdet(unit + jacobian)[1]
