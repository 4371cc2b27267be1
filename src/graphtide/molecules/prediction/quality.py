"""How good predictions are: errors and correlations of numbers, areas of classes, coverage."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

__all__ = ["quality"]


def quality(measured: np.ndarray, predicted: np.ndarray, *, is_class: bool) -> dict[str, float]:
    """Return figures by name; NaN where one is not defined (a single class, equal values).

    Numbers: ``rmse``, ``mae``, ``r2``, ``rank_correlation`` (Spearman). Classes: ``roc_auc``,
    ``pr_auc`` (average precision), ``accuracy``, ``brier`` (mean square of probability - class).

    Args:
        measured: float64 (n,), without missing ones.
        predicted: (n,).
        is_class: whether measured are 0 and 1 and predicted probabilities of 1.
    """
    errors = predicted - measured
    if is_class:
        from sklearn.metrics import average_precision_score, roc_auc_score

        both = len(np.unique(measured)) == 2
        return {
            "roc_auc": float(roc_auc_score(measured, predicted)) if both else np.nan,
            "pr_auc": float(average_precision_score(measured, predicted)) if both else np.nan,
            "accuracy": float(np.mean((predicted >= 0.5) == (measured == 1.0))),
            "brier": float(np.mean(errors**2)),
        }
    variance = float(np.var(measured))
    varied = len(np.unique(measured)) > 1 and len(np.unique(predicted)) > 1
    return {
        "rmse": float(np.sqrt(np.mean(errors**2))),
        "mae": float(np.mean(np.abs(errors))),
        "r2": 1.0 - float(np.mean(errors**2)) / variance if variance > 0 else np.nan,
        "rank_correlation": float(spearmanr(measured, predicted)[0]) if varied else np.nan,
    }
