"""Directed message passing whose depth is time.

    dh_vw/dt = -h_vw + relu(W_i [x_v, e_vw] + W_h sum_u h_uv),    h_vw(0) = relu(W_i [x_v, e_vw])

with the sum over the neighbours u of v but w,
on directed bonds v -> w. One Euler step of size one is a layer of the directed message passing
network of Yang et al., J. Chem. Inf. Model. 59 (2019), equations (3)-(5); more steps, or a method
of higher order, refine the same weights, at prediction too. Then an atom reads the messages that
come in, a_v = relu(W_o [x_v, sum_u h_uv]), and the fingerprint of a molecule holds the sum and the
mean of a_v over its atoms.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graphtide.molecules.prediction.features import (
    ATOM_FEATURES,
    BOND_FEATURES,
    MolecularBatch,
)
from graphtide.nn.depth import Depth

__all__ = ["DirectedMessages", "Encoder", "EncoderSize"]


@dataclass(frozen=True, slots=True)
class EncoderSize:
    """Sizes of an encoder.

    Args:
        messages: width H of the state of a directed bond.
        atoms: width of what an atom reads.
        fingerprint: width F of the molecule's fingerprint.
        depth: length of the interval of time, and number of Euler steps when trained.
    """

    messages: int = 300
    atoms: int = 400
    fingerprint: int = 512
    depth: int = 4


class DirectedMessages(nn.Module):
    """The right-hand side dh/dt for states of directed bonds.

    Args:
        width: H.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width, bias=False)

    def forward(
        self, time: Tensor, state: Tensor, start: Tensor, source: Tensor, target: Tensor, atoms: int
    ) -> Tensor:
        """Return dh/dt, (E, H).

        Args:
            time: plays no part.
            state: h, (E, H).
            start: W_i [x_v, e_vw], (E, H).
            source: int64 (E).
            target: int64 (E).
            atoms: number of atoms.
        """
        del time
        arriving = state.new_zeros(atoms, state.shape[1]).index_add(0, target, state)
        back = state.view(-1, 2, state.shape[1]).flip(1).reshape(state.shape)
        return torch.relu(start + self.layer(arriving[source] - back)) - state


class Encoder(nn.Module):
    """Map molecules to fingerprints, (M, F).

    Args:
        size: its widths and its depth.
        dropout: share of what atoms read that is set to 0 in training.
    """

    sum_scale = 20.0
    """Sums over atoms are divided by this, a typical number of atoms."""

    def __init__(self, size: EncoderSize, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.size = size
        self.start = nn.Linear(ATOM_FEATURES + BOND_FEATURES, size.messages)
        self.depth = Depth(
            DirectedMessages(size.messages), (0.0, float(size.depth)), size.depth, "euler"
        )
        self.atoms = nn.Linear(ATOM_FEATURES + size.messages, size.atoms)
        self.readout = nn.Linear(2 * size.atoms, size.fingerprint)
        self.dropout = nn.Dropout(dropout)

    def atom_states(self, batch: MolecularBatch) -> Tensor:
        """Return what each atom has read, (A, size.atoms)."""
        start = self.start(torch.cat([batch.atoms[batch.source], batch.bonds], dim=1))
        count = len(batch.atoms)
        state = torch.relu(start)
        if len(state):
            state = self.depth(state, start, batch.source, batch.target, count)
        arriving = state.new_zeros(count, state.shape[1]).index_add(0, batch.target, state)
        return torch.relu(self.atoms(torch.cat([batch.atoms, arriving], dim=1)))

    def pooled(self, batch: MolecularBatch) -> Tensor:
        """Return sum and mean over atoms side by side, (M, 2 size.atoms)."""
        states = self.dropout(self.atom_states(batch))
        count = len(batch.sizes)
        total = states.new_zeros(count, states.shape[1]).index_add(0, batch.molecule, states)
        mean = total / batch.sizes.to(total.dtype)[:, None]
        return torch.cat([total / self.sum_scale, mean], dim=1)

    def forward(self, batch: MolecularBatch) -> Tensor:
        """Return fingerprints, (M, F), non-negative."""
        return torch.relu(self.readout(self.pooled(batch)))
