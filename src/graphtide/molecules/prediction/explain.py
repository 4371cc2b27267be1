"""Which atoms make a prediction: an additive model of the model.

    f(G) ~ b + sum_v <w, a_v>

over the atoms' states a_v of the pretrained encoder; w is the ridge solution for the model's own
held-out predictions, its penalty that of the least generalised cross-validation (Golub, Heath,
Wahba, Technometrics 21, 1979). What an atom adds is exact for the additive model; how much of the
model it tells is its r2, said beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rdkit import Chem

from graphtide.molecules.prediction.features import MolecularBatch, featurize
from graphtide.molecules.prediction.inputs import Inputs, shipped_encoder

__all__ = ["AtomContributions"]

_PENALTIES = np.logspace(-3, 4, 15)


@dataclass(frozen=True, slots=True, eq=False)
class AtomContributions:
    """An additive model of one target.

    Args:
        weights: float64 (W,), of an atom's state.
        offset: b.
        fidelity: r2 of the additive model against the model, by leaving one molecule out.
    """

    weights: np.ndarray
    offset: float
    fidelity: float

    @staticmethod
    def fit(inputs: Inputs, predictions: np.ndarray) -> AtomContributions:
        """Fit to the model's predictions, (M,)."""
        width = shipped_encoder().size.atoms
        # The first half of a pooled fingerprint is the (scaled) sum over the atoms.
        sums = inputs.fingerprints[:, :width].astype(np.float64)
        scale = np.sqrt((sums**2).mean(axis=0)) + 1e-6
        rows = sums / scale
        centre, mean = float(predictions.mean()), rows.mean(axis=0)
        left, values, right = np.linalg.svd(rows - mean, full_matrices=False)
        target = predictions - centre
        inner = left.T @ target
        best = (np.inf, 0.0, np.zeros(len(rows)))
        for penalty in _PENALTIES:
            shrink = values**2 / (values**2 + penalty)
            residual = target - left @ (shrink * inner)
            free = len(rows) - 1.0 - shrink.sum()
            score = float(np.sum(residual**2)) / max(free, 1e-3) ** 2
            if score < best[0]:
                leverage = (left**2 * shrink).sum(axis=1) + 1.0 / len(rows)
                best = (score, penalty, residual / np.maximum(1.0 - leverage, 1e-3))
        weights = right.T @ (values / (values**2 + best[1]) * inner)
        spread = max(float(np.mean(target**2)), 1e-300)
        return AtomContributions(
            weights / scale,
            centre - float(mean @ weights),
            1.0 - float(np.mean(best[2] ** 2)) / spread,
        )

    @torch.no_grad()
    def of(self, molecules: Sequence[Chem.Mol]) -> list[np.ndarray]:
        """Return what each atom adds, one array (A,) a molecule, in the order of its atoms."""
        if not molecules:
            return []
        batch = MolecularBatch.of([featurize(molecule) for molecule in molecules])
        states = shipped_encoder().atom_states(batch).double().numpy()
        added = states @ self.weights / shipped_encoder().sum_scale
        return np.split(added, np.cumsum(batch.sizes.numpy())[:-1])
