"""How members are joined: weights that are not negative and sum to one, from held-out predictions.

    minimise over w >= 0, sum w = 1:   sum_i (y_i - sum_m w_m p_im)^2

Source: Breiman, Stacked regressions, Machine Learning 24 (1996).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

__all__ = ["stack_weights"]

_STRICT = 1e3


def stack_weights(predictions: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return weights (m,) of the members.

    Args:
        predictions: held-out predictions, float64 (n, m).
        values: what was measured, (n,).
    """
    spread = float(values.std()) or 1.0
    centre = float(values.mean())
    # The sum of weights is one more row, that weighs much.
    rows = np.vstack(
        [
            (predictions - centre) / spread,
            np.full((1, predictions.shape[1]), _STRICT * np.sqrt(len(values))),
        ]
    )
    target = np.append((values - centre) / spread, _STRICT * np.sqrt(len(values)))
    weights, _ = nnls(rows, target)
    return weights / weights.sum()
