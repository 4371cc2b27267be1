"""The flow's bijection between spread molecules x in R^D and latent vectors z in R^D.

    u_d = sum_(l < k_d) p(l | k_1..k_(d-1)) + e_d p(k_d | k_1..k_(d-1)),     z_d = Phi^-1(u_d)

with k_d = floor(x_d) and e_d = x_d - k_d: :mod:`graphtide.molecules.flow.model` has the whole
story.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from graphtide.errors import InputError
from graphtide.flows.histogram import histogram_cell, histogram_forward
from graphtide.molecules.flow.growth import Grown, grow
from graphtide.molecules.flow.likelihood import floored, known_choices, log_likelihood
from graphtide.molecules.flow.network import Conditioner
from graphtide.molecules.flow.rows import Rows, unpack_choices

__all__ = ["MoleculeBijection"]


@dataclass(frozen=True, slots=True)
class MoleculeBijection:
    """The map, at one state of the conditioner.

    Args:
        network: the conditioner.
        valences: of each type of atom, int64 (V,).
        size_counts: how many molecules have 1, 2, ... M nodes.
        slots: S.
        constrained: give probability only to choices that lead to valid, connected molecules.
    """

    network: Conditioner
    valences: Tensor
    size_counts: tuple[int, ...]
    slots: int
    constrained: bool

    @property
    def most_atoms(self) -> int:
        """M, nodes of the largest molecule."""
        return len(self.size_counts)

    @property
    def dimension(self) -> int:
        """D = 1 + M (1 + S)."""
        return 1 + self.most_atoms * (1 + self.slots)

    def log_likelihood(self, rows: Rows) -> Tensor:
        """Return log P of molecules, (B,); -inf where they are impossible."""
        choices = known_choices(self.network, self.valences, rows, constrained=self.constrained)
        likelihoods = log_likelihood(choices, rows)
        return self._log_sizes(likelihoods)[rows.sizes - 1] + likelihoods

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, D) to z (B, D), with log |det dz/dx| (B,).

        Raises:
            InputError: x lies outside of what the flow can make.
        """
        cells = x.detach().floor().long()
        rows = unpack_choices(cells, self.most_atoms, self.slots, len(self.valences))
        choices = known_choices(self.network, self.valences, rows, constrained=self.constrained)
        batch = len(rows)
        places = x[:, 1:].reshape(batch, self.most_atoms, 1 + self.slots)
        units = places - places.detach().floor()  # certain choices: u = e
        size_unit, log_det = histogram_forward(x[:, 0], self._log_sizes(x).expand(batch, -1))

        real = choices.real.nonzero().unbind(1)
        unit, log_slope = histogram_forward(
            places[real[0], real[1], 0], floored(choices.types[real]).to(x.dtype)
        )
        units = units.index_put((*real, torch.zeros_like(real[0])), unit)
        log_det = log_det.index_add(0, real[0], log_slope)
        slot = (choices.molecule, choices.node, choices.slot + 1)
        unit, log_slope = histogram_forward(places[slot], floored(choices.bonds).to(x.dtype))
        units = units.index_put(slot, unit)
        log_det = log_det.index_add(0, slot[0], log_slope)
        if not bool((log_det > -math.inf).all()):
            raise InputError("a graph has choices that the flow gives no probability to")
        z = torch.special.ndtri(_inside(torch.cat([size_unit[:, None], units.flatten(1)], 1)))
        return z, log_det + (0.5 * z.square() + 0.5 * math.log(2.0 * math.pi)).sum(1)

    @torch.no_grad()
    def inverse(self, z: Tensor) -> tuple[Tensor, Grown]:
        """Map z (B, D) to x (B, D), without gradient, and return the molecules too.

        Raises:
            InputError: the shape does not fit.
        """
        if z.ndim != 2 or z.shape[1] != self.dimension or not z.is_floating_point():
            raise InputError(
                f"latent vectors of shape (B, {self.dimension}) are wanted, in floating point; "
                f"they are {tuple(z.shape)} of {z.dtype}"
            )
        units = _inside(torch.special.ndtr(z))
        cells, shares, _ = histogram_cell(units[:, 0], self._log_sizes(z).expand(len(z), -1))
        inner = units[:, 1:].reshape(-1, self.most_atoms, 1 + self.slots)
        grown = grow(
            self.network, self.valences, cells + 1, inner[..., 0].clone(), inner[..., 1:].clone(),
            constrained=self.constrained,
        )  # fmt: skip
        inner = torch.cat([grown.types[..., None], grown.bonds], 2)  # (B, M, 1 + S)
        return torch.cat([(cells + shares)[:, None], inner.flatten(1)], 1), grown

    def _log_sizes(self, like: Tensor) -> Tensor:
        """Return the logarithms of the probabilities of 1, 2, ... M nodes, (M,)."""
        counts = torch.tensor(self.size_counts, dtype=like.dtype, device=like.device)
        return floored((counts / counts.sum()).clamp_min(1e-30).log())


def _inside(unit: Tensor) -> Tensor:
    """Keep shares of probability where the normal quantile is finite."""
    limits = torch.finfo(unit.dtype)
    return unit.clamp(limits.tiny, 1.0 - limits.eps / 2)
