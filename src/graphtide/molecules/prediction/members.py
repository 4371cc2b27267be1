"""Members of a model, fitted in folds: a molecule is predicted by who has not seen it.

Members: a Gaussian process, boosting, extra trees and a forest (one each a target), and a network
that is fine-tuned on all targets at once. What is held out in a fold plays no part in its fit. Of
many molecules a twentieth tells enough of the errors: one fold is held out then, and the members
that were judged on it are those that predict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from graphtide.molecules.prediction.finetune import FineTuned, TuningPlan, fine_tune
from graphtide.molecules.prediction.gaussian_process import GaussianProcess
from graphtide.molecules.prediction.inputs import Inputs
from graphtide.molecules.prediction.trees import TREE_KINDS, Trees, grow

__all__ = ["MEMBERS", "Members", "fit_members", "fold_numbers"]

MEMBERS = ("gaussian_process", "network", *TREE_KINDS)
"""Names of the members, in the order of their predictions."""
BASELINES = ("boosting", "forest")
MANY = 20_000
"""Molecules from which on one fold is judged instead of all."""
_FOLDS_OF_MANY = 20
Progress = Callable[[float, str], None]


@dataclass(slots=True, eq=False)
class Members:
    """Fitted members.

    Args:
        processes: number of a target to its process.
        trees: kind, then number of a target, to trees.
        networks: one a fold; their mean is taken. Empty where none was wanted.
        targets: number T of targets.
    """

    processes: dict[int, GaussianProcess]
    trees: dict[str, dict[int, Trees]]
    networks: list[FineTuned] = field(default_factory=list)
    targets: int = 1

    def predict(
        self, inputs: Inputs, needed: np.ndarray, *, steps: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return predictions of each member, (M, T, members), and the process's deviations, (M, T).

        Args:
            inputs: M molecules.
            needed: bool (T, members); what is not needed is left 0.
            steps: of the networks' message passing.
        """
        found = np.zeros((len(inputs), self.targets, len(MEMBERS)))
        deviations = np.zeros((len(inputs), self.targets))
        for k, process in self.processes.items():
            if needed[k, 0]:
                found[:, k, 0], deviations[:, k] = process.predict(inputs)
        if self.networks and needed[:, 1].any():
            told = [network.predict(inputs, steps=steps) for network in self.networks]
            found[:, :, 1] = np.mean(told, axis=0)
        for place, kind in enumerate(TREE_KINDS, start=2):
            for k, trees in self.trees[kind].items():
                if needed[k, place]:
                    found[:, k, place] = trees.predict(inputs)[0]
        return found, deviations


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Predictions of molecules by members that have not seen them.

    Args:
        predictions: float64 (M, T, members), NaN where no fold held the molecule out.
        deviations: of the Gaussian process, (M, T).
        interrupted: an interruption ended the work; the rest holds nothing then.
    """

    predictions: np.ndarray
    deviations: np.ndarray
    interrupted: bool = False


def fold_numbers(groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return a fold for each molecule, whole groups in one fold, folds of about equal size.

    Of many molecules a twentieth is fold 0, and the others are in none: -1.

    Args:
        groups: number of each molecule's group, (M,).
        folds: how many, unless there are many molecules.
        seed: of the order of groups.
    """
    many = len(groups) > MANY
    folds = _FOLDS_OF_MANY if many else folds
    sizes = np.bincount(groups)
    chance = np.random.default_rng(seed).permutation(len(sizes))
    fold_of = np.zeros(len(sizes), dtype=np.int64)
    held = np.zeros(folds)
    for group in np.lexsort((chance, -sizes)):
        fold_of[group] = int(np.argmin(held))
        held[fold_of[group]] += sizes[group]
    found = fold_of[groups]
    return np.where(found == 0, 0, -1) if many else found


def fit_members(
    inputs: Inputs,
    values: np.ndarray,
    classes: np.ndarray,
    folds: np.ndarray,
    *,
    plan: TuningPlan | None,
    seed: int = 0,
    checkpoints: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Members, HeldOut]:
    """Fit all members in folds, then processes and trees on everything (unless there is much).

    Args:
        inputs: M molecules.
        values: float64 (M, T), NaN where missing.
        classes: bool (T,).
        folds: fold of each molecule, (M,), -1 for none.
        plan: of the networks; None makes none.
        seed: of everything random.
        checkpoints: folder from which interrupted networks go on.
        progress: told the share done.
    """
    tell: Progress = progress if progress is not None else lambda _share, _text: None
    count, targets = values.shape
    found = np.full((count, targets, len(MEMBERS)), np.nan)
    deviations = np.full((count, targets), np.nan)
    numbers = np.unique(folds[folds >= 0])
    processes: dict[int, GaussianProcess] = {}
    trees: dict[str, dict[int, Trees]] = {kind: {} for kind in TREE_KINDS}
    starts: list[np.ndarray | None] = [None] * targets
    share = 0.2 if plan is not None else 0.95
    for fold in numbers:
        out = np.flatnonzero(folds == fold)
        held = inputs.take(out)
        for k in range(targets):
            rows = np.flatnonzero((folds != fold) & np.isfinite(values[:, k]))
            known, wanted = inputs.take(rows), values[rows, k]
            process = GaussianProcess.fit(
                known,
                wanted,
                seed=seed,
                start=starts[k],
                iterations=30 if starts[k] is None else 0,
            )
            starts[k], processes[k] = process.parameters, process
            found[out, k, 0], deviations[out, k] = process.predict(held)
            for place, kind in enumerate(TREE_KINDS, start=2):
                trees[kind][k] = grow(kind, known, wanted, seed=seed)
                found[out, k, place] = trees[kind][k].predict(held)[0]
        tell(share * (fold + 1) / len(numbers), f"trees and Gaussian process, fold {fold + 1}")
    networks: list[FineTuned] = []
    for fold in numbers if plan is not None else []:
        assert plan is not None
        rows, out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        network, interrupted = fine_tune(
            inputs.take(rows),
            values[rows],
            classes,
            replace(plan, seed=seed + int(fold)),
            checkpoint=None if checkpoints is None else checkpoints / f"network_{fold}.safetensors",
            progress=lambda s, text, fold=fold: tell(
                0.2 + 0.75 * (fold + s) / len(numbers), f"network {fold + 1}: {text}"
            ),
        )
        if interrupted:
            return Members({}, {}, [], targets), HeldOut(found, deviations, True)
        networks.append(network)
        found[out, :, 1] = network.predict(inputs.take(out))
    if (folds >= 0).all():
        tell(0.95, "everything once more")
        processes, trees = _on_everything(inputs, values, starts, seed)
    return Members(processes, trees, networks, targets), HeldOut(found, deviations)


def _on_everything(
    inputs: Inputs, values: np.ndarray, starts: Sequence[np.ndarray | None], seed: int
) -> tuple[dict[int, GaussianProcess], dict[str, dict[int, Trees]]]:
    processes: dict[int, GaussianProcess] = {}
    trees: dict[str, dict[int, Trees]] = {kind: {} for kind in TREE_KINDS}
    for k in range(values.shape[1]):
        rows = np.flatnonzero(np.isfinite(values[:, k]))
        known, wanted = inputs.take(rows), values[rows, k]
        processes[k] = GaussianProcess.fit(known, wanted, seed=seed, start=starts[k], iterations=0)
        for kind in TREE_KINDS:
            trees[kind][k] = grow(kind, known, wanted, seed=seed)
    return processes, trees
