"""The structure of what a law leaves: by node, by time, by state.

A right law leaves noise: as much at every node, of mean zero at all times and in all states. What
remains is read off the weak form's rows, so no data is differentiated: each row belongs to the
centre of its window and to the mean state in it, and is in units of the root mean square of the
left-hand sides of its variable.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas

from graphtide.mechanisms.following import NodeFit
from graphtide.mechanisms.quasilinear import Model
from graphtide.mechanisms.rows import Sample

__all__ = ["residuals_by_node", "residuals_by_state", "residuals_by_time"]

STATE_BINS = 12


def residuals_by_node(
    fit: NodeFit, variables: Sequence[str], names: Sequence[str]
) -> pandas.DataFrame:
    """Return one row a node and variable: misfit, share unexplained, whether the node follows."""
    count = len(fit.nodes)
    return pandas.DataFrame(
        {
            "variable": np.repeat(list(variables), count),
            "node": [names[i] for i in fit.nodes] * len(variables),
            "misfit": fit.misfit.T.ravel(),
            "unexplained_share": fit.unexplained.T.ravel(),
            "follows": np.tile(fit.follows, len(variables)),
        }
    )


def residuals_by_time(sample: Sample, model: Model) -> pandas.DataFrame:
    """Return one row a window and variable: time, mean residual over nodes, its standard error."""
    frames = []
    for d, (rows, _, times) in enumerate(_rows(sample, model)):
        order = np.argsort(times, kind="stable")
        frames.append(_summary(sample, d, [rows[k] for k in order], times[order], "time"))
    return pandas.concat(frames, ignore_index=True)


def residuals_by_state(sample: Sample, model: Model) -> pandas.DataFrame:
    """Return one row a bin of states and variable: state, mean residual, its standard error.

    Bins hold equally many rows.
    """
    frames = []
    for d, (rows, states, _) in enumerate(_rows(sample, model)):
        order = np.argsort(states.ravel(), kind="stable")
        parts = [part for part in np.array_split(order, STATE_BINS) if part.size]
        flat, where = rows.ravel(), states.ravel()
        middle = np.array([where[part].mean() for part in parts])
        frames.append(_summary(sample, d, [flat[part] for part in parts], middle, "state"))
    return pandas.concat(frames, ignore_index=True)


def _summary(
    sample: Sample, d: int, groups: Sequence[np.ndarray], place: np.ndarray, name: str
) -> pandas.DataFrame:
    return pandas.DataFrame(
        {
            "variable": sample.observed.variables[d],
            name: place,
            "mean_residual": [float(group.mean()) for group in groups],
            "standard_error": [
                float(group.std(ddof=1) / np.sqrt(len(group))) if len(group) > 1 else 0.0
                for group in groups
            ],
        }
    )


def _rows(sample: Sample, model: Model) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return for each variable residuals (W, n), mean states (W, n) and centres (W,).

    The windows are the narrow ones, whose rows overlap least and which see where in time a law
    fails.
    """
    weight = sample.tests.value
    width = (weight > 0).sum(axis=1)
    narrow = width == width.min()
    weight = weight[narrow] / weight[narrow].sum(axis=1, keepdims=True)
    times = weight @ sample.tests.times
    result = []
    for d, terms in enumerate(model.terms):
        left = sample.left(d)[narrow]
        residual = left
        if len(terms):
            residual = left - sample.rows(terms)[narrow] @ model.coefficients[d]
        scale = max(float(np.sqrt((left**2).mean())), 1e-300)
        result.append((residual / scale, weight @ sample.grid[:, sample.usable, d], times))
    return result
