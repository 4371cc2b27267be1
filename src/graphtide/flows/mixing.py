"""Linear flows between couplings: mixing, normalisation and permutation of coordinates.

    mixing:    z = W x + b,  W = P L U,      log |det| = sum_i log |u_ii|
    actnorm:   z = (x + b) exp(s),           log |det| = sum_i s_i
    permuting: z_i = x_(order_i),            log |det| = 0

Source: Kingma, Dhariwal, Glow, NeurIPS 2018, sections 3.1 and 3.2, equation (10).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.flows.bijection import Bijection

__all__ = ["ActNorm", "Mixing", "Permutation"]


class Mixing(Bijection):
    """Mix all coordinates by an invertible matrix in its LU form (an invertible 1 x 1 convolution).

    P and the signs of u_ii are fixed, so the matrix stays invertible whatever the parameters.

    Args:
        dimension: D.
        generator: draws the rotation to begin with; None begins with the identity.
    """

    pivots: Tensor
    unpivots: Tensor
    sign: Tensor

    def __init__(self, dimension: int, generator: torch.Generator | None = None) -> None:
        super().__init__(dimension)
        start = torch.eye(dimension)
        if generator is not None:
            drawn = torch.randn(dimension, dimension, generator=generator, device=generator.device)
            start = torch.linalg.qr(drawn.cpu().double())[0]
        permutation, lower, upper = torch.linalg.lu(start.double())
        kind = torch.get_default_dtype()
        diagonal = upper.diagonal()
        self.register_buffer("pivots", permutation.argmax(1))  # (P y)_i = y_pivots_i
        self.register_buffer("unpivots", permutation.argmax(0))
        self.register_buffer("sign", diagonal.sign().to(kind))
        self.lower = nn.Parameter(lower.tril(-1).to(kind))
        self.upper = nn.Parameter(upper.triu(1).to(kind))
        self.log_diagonal = nn.Parameter(diagonal.abs().log().to(kind))
        self.shift = nn.Parameter(torch.zeros(dimension))

    def matrix(self) -> Tensor:
        """Return W of shape (D, D)."""
        lower, upper = self._factors()
        return (lower @ upper)[self.pivots]

    def _forward(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        del condition
        log_det = self.log_diagonal.sum().expand(x.shape[:-1])
        return nn.functional.linear(x, self.matrix(), self.shift), log_det

    def _inverse(self, z: Tensor, condition: Tensor | None) -> Tensor:
        del condition
        lower, upper = self._factors()
        rows = (z - self.shift).reshape(-1, self.dimension).index_select(1, self.unpivots)
        inner = torch.linalg.solve_triangular(lower, rows.T, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, inner, upper=True).T.reshape(z.shape)

    def _inverse_with_log_det(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._inverse(z, condition), -self.log_diagonal.sum().expand(z.shape[:-1])

    def _factors(self) -> tuple[Tensor, Tensor]:
        unit = torch.eye(self.dimension, dtype=self.lower.dtype, device=self.lower.device)
        diagonal = torch.diag(self.sign * self.log_diagonal.exp())
        return self.lower.tril(-1) + unit, self.upper.triu(1) + diagonal


class ActNorm(Bijection):
    """Shift and scale each coordinate, beginning with zero mean and unit variance.

    The first forward pass in training mode takes shift and scale from its batch; from then on they
    are plain parameters, and no batch ever counts again. Until then the map is the identity.

    Args:
        dimension: D.
    """

    started: Tensor

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        self.shift = nn.Parameter(torch.zeros(dimension))
        self.log_scale = nn.Parameter(torch.zeros(dimension))
        self.register_buffer("started", torch.tensor(False))

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Set shift and scale so that the points x (..., D) get mean 0 and variance 1.

        Raises:
            InputError: there are fewer than two points, or their dimension is not D.
        """
        self._checked(x, None)
        points = x.reshape(-1, self.dimension)
        if len(points) < 2:
            raise InputError("ActNorm starts from at least two points")
        deviation = points.std(0).clamp_min(1e-6)  # a constant coordinate stays finite
        self.shift.copy_(-points.mean(0))
        self.log_scale.copy_(-deviation.log())
        self.started.fill_(True)

    def _forward(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        del condition
        if self.training and not bool(self.started):
            self.start(x)
        return (x + self.shift) * self.log_scale.exp(), self.log_scale.sum().expand(x.shape[:-1])

    def _inverse(self, z: Tensor, condition: Tensor | None) -> Tensor:
        del condition
        return z * (-self.log_scale).exp() - self.shift

    def _inverse_with_log_det(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._inverse(z, condition), -self.log_scale.sum().expand(z.shape[:-1])


class Permutation(Bijection):
    """Put the coordinates in another order.

    Args:
        order: z_i is x at `order[i]`; each of 0..D-1 once.

    Raises:
        InputError: the order is not a permutation.
    """

    order: Tensor
    back: Tensor

    def __init__(self, order: Sequence[int]) -> None:
        if sorted(order) != list(range(len(order))):
            raise InputError(f"each of 0 to {len(order) - 1} is wanted once; got {list(order)}")
        super().__init__(len(order))
        index = torch.tensor(list(order), dtype=torch.long)
        self.register_buffer("order", index)
        self.register_buffer("back", index.argsort())

    def _forward(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        del condition
        return x.index_select(-1, self.order), x.new_zeros(x.shape[:-1])

    def _inverse(self, z: Tensor, condition: Tensor | None) -> Tensor:
        del condition
        return z.index_select(-1, self.back)
