"""Trees on descriptors: the baseline, and a member of the model.

scikit-learn grows them (boosting: Friedman, Annals of Statistics 29, 2001; forest: Breiman, Machine
Learning 45, 2001); here they are kept as arrays, so that a run holds numbers and no code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from graphtide.molecules.prediction.inputs import Inputs

__all__ = ["TREE_KINDS", "TreeKind", "Trees", "grow"]

TreeKind = Literal["boosting", "forest", "extra_trees"]
TREE_KINDS: tuple[TreeKind, ...] = ("boosting", "forest", "extra_trees")
_BOUND = 1e9
_ROWS = 20_000
"""Molecules that one tree sees at most; many more make it slow, and hardly better."""


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """Trees as arrays; all nodes of all trees stand in one list.

    Args:
        feature: int32 (n,), the column that a node looks at; -1 for a leaf.
        threshold: float64 (n,); a value not above it goes left.
        left: int32 (n,), number of the node on the left.
        right: int32 (n,).
        value: float64 (n,), what a leaf adds.
        roots: int32 (T,).
        offset: what is added to the sum over trees.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    roots: np.ndarray
    offset: float

    def predict(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Return predictions, (M,), and zeros: trees alone tell no deviation."""
        table = _filled(inputs)
        total = np.full(len(table), self.offset)
        rows = np.arange(len(table))
        for root in self.roots:
            place = np.full(len(table), root)
            active = self.feature[place] >= 0
            while active.any():
                here, which = place[active], rows[active]
                goes_left = table[which, self.feature[here]] <= self.threshold[here]
                place[active] = np.where(goes_left, self.left[here], self.right[here])
                active = self.feature[place] >= 0
            total += self.value[place]
        return total, np.zeros(len(table))

    def tensors(self) -> dict[str, np.ndarray]:
        """Return what is needed to make them again."""
        return {
            "feature": self.feature,
            "threshold": self.threshold,
            "left": self.left,
            "right": self.right,
            "value": self.value,
            "roots": self.roots,
            "offset": np.array([self.offset]),
        }

    @staticmethod
    def of(tensors: dict[str, np.ndarray]) -> Trees:
        """Make trees from :meth:`tensors`."""
        return Trees(
            tensors["feature"],
            tensors["threshold"],
            tensors["left"],
            tensors["right"],
            tensors["value"],
            tensors["roots"],
            float(tensors["offset"][0]),
        )


def grow(kind: TreeKind, inputs: Inputs, values: np.ndarray, *, seed: int = 0) -> Trees:
    """Grow trees on all descriptors; of a forest on as many threads as PyTorch is allowed.

    Args:
        kind: boosting, forest or extra_trees.
        inputs: M molecules.
        values: float64 (M,), without missing ones; 0 and 1 give probabilities of 1.
        seed: of the draws of rows and columns.
    """
    from sklearn.ensemble import (
        ExtraTreesRegressor,
        GradientBoostingRegressor,
        RandomForestRegressor,
    )

    table = _filled(inputs)
    if kind == "boosting":
        boosted = GradientBoostingRegressor(
            n_estimators=300,
            learning_rate=0.05,
            max_depth=5,
            min_samples_leaf=3,
            subsample=min(0.6, _ROWS / len(values)),
            max_features=0.15,
            random_state=seed,
        ).fit(table, values)
        grown = [row[0].tree_ for row in boosted.estimators_]
        return _joined(grown, weight=0.05, offset=float(values.mean()))
    maker = RandomForestRegressor if kind == "forest" else ExtraTreesRegressor
    share = 1.0 / 3.0
    # Where there are too many, each tree draws its own.
    drawn = {"bootstrap": True, "max_samples": _ROWS} if len(values) > _ROWS else {}
    threads = torch.get_num_threads()
    forest = maker(100, max_features=share, n_jobs=threads, random_state=seed, **drawn)
    forest.fit(table, values)
    grown = [tree.tree_ for tree in forest.estimators_]
    return _joined(grown, weight=1.0 / len(grown), offset=0.0)


def _filled(inputs: Inputs) -> np.ndarray:
    table = np.nan_to_num(inputs.descriptors, nan=0.0, posinf=_BOUND, neginf=-_BOUND)
    # In single precision, as scikit-learn compares, so that our walk takes the same turns.
    return np.clip(table, -_BOUND, _BOUND).astype(np.float32)


def _joined(grown: Sequence[Any], *, weight: float, offset: float) -> Trees:
    sizes = [tree.node_count for tree in grown]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    pairs = list(zip(grown, starts, strict=True))
    return Trees(
        np.concatenate([np.where(t.children_left < 0, -1, t.feature) for t in grown]).astype("i4"),
        np.concatenate([t.threshold for t in grown]),
        np.concatenate([t.children_left + start for t, start in pairs]).astype("i4"),
        np.concatenate([t.children_right + start for t, start in pairs]).astype("i4"),
        weight * np.concatenate([t.value[:, 0, 0] for t in grown]),
        starts.astype("i4"),
        offset,
    )
