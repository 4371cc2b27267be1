"""A model of molecular properties: members joined by what they predict of molecules held out.

Molecules are cut into five folds. Each member predicts each fold from the others (of many molecules
one small fold is held out, see `members`); from these held-out predictions come the weights of the
members (or the choice of the best baseline, where that is no worse), the standard deviations and
the conformal intervals. No test molecule plays any part in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rdkit import Chem

from graphtide.errors import InputError
from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.prediction.applicability import Domain
from graphtide.molecules.prediction.finetune import TuningPlan, seconds_per_epoch
from graphtide.molecules.prediction.inputs import Inputs, make_inputs
from graphtide.molecules.prediction.intervals import Spread, group_weights, label_sets
from graphtide.molecules.prediction.members import (
    BASELINES,
    MEMBERS,
    Members,
    fit_members,
    fold_numbers,
)
from graphtide.molecules.prediction.stack import stack_weights

__all__ = ["Prediction", "PropertyModel"]

FOLDS = 5
_EPOCHS = (4, 30)
"""Fewest and most epochs of a network, whatever the minutes."""
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a model says of M molecules and T targets.

    Args:
        values: float64 (M, T), in the target's unit; of a class, the probability of 1; NaN where
            the SMILES cannot be parsed.
        standard_deviations: (M, T), from the members' spread and held-out residuals.
        lower: (M, T), lower end of the interval; of a class, the least class not excluded.
        upper: (M, T), upper end; of a class, the largest class not excluded.
        in_domain: bool (M,), whether the molecule is like those learned from.
        reasons: M sentences, why a molecule lies outside or could not be parsed; else "".
    """

    values: np.ndarray
    standard_deviations: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    in_domain: np.ndarray
    reasons: tuple[str, ...]


@dataclass(slots=True, eq=False)
class PropertyModel:
    """A fitted model; :meth:`fit` makes one, ``load_property_model`` reads one.

    Args:
        targets: T names.
        classes: bool (T,), whether a target is a class 0 or 1.
        members: the fitted members.
        weights: float64 (T, members), not negative, each row sums to 1.
        spreads: one a target.
        domain: what was learned from.
        names: of the descriptors.
        held_out: predictions of the training molecules by who has not seen them, (M, T), NaN where
            a molecule was not held out or has no label.
        labels: their values, (M, T).
        held_out_weights: how much each training molecule counts in intervals, (M,): alike, or each
            group of molecules alike.
        scores: target to member (and "model") to the held-out error: root mean square error.
    """

    targets: tuple[str, ...]
    classes: np.ndarray
    members: Members
    weights: np.ndarray
    spreads: tuple[Spread, ...]
    domain: Domain
    names: tuple[str, ...]
    held_out: np.ndarray
    labels: np.ndarray
    held_out_weights: np.ndarray
    scores: Mapping[str, Mapping[str, float]]

    @staticmethod
    def fit(
        molecules: Sequence[Chem.Mol | str],
        values: np.ndarray,
        targets: Sequence[str] = ("value",),
        *,
        inputs: Inputs | None = None,
        groups: np.ndarray | None = None,
        minutes: float = 5.0,
        epochs: int | None = None,
        seed: int = 0,
        workers: int = 1,
        checkpoints: Path | None = None,
        progress: Progress | None = None,
    ) -> PropertyModel:
        """Fit to molecules and values.

        Args:
            molecules: M molecules or SMILES, each once.
            values: float64 (M,) or (M, T), NaN where missing; only 0 and 1 make a class.
            targets: T names.
            inputs: of the molecules, where they are known already.
            groups: molecules of one group, (M,), are held out together, and groups count alike in
                intervals (for tests on new groups).
            minutes: time for the networks on this machine; 0 makes none.
            epochs: passes of each network instead of the minutes, for equal models.
            seed: of everything random.
            workers: processes for the descriptors.
            checkpoints: folder from which an interrupted fit goes on.
            progress: told the share done.

        Raises:
            InputError: a SMILES cannot be parsed, numbers do not fit together, or a target has too
                few values to be judged.
            KeyboardInterrupt: it was interrupted.
        """
        made = tuple(parse_smiles(m) if isinstance(m, str) else m for m in molecules)
        table = np.asarray(values, dtype=np.float64)
        table = table[:, None] if table.ndim == 1 else table
        if table.shape != (len(made), len(targets)):
            raise InputError(
                f"values have shape {table.shape}; {len(made)} molecules and {len(targets)} "
                f"targets were given"
            )
        if len(made) < 2 * FOLDS:
            raise InputError(f"{len(made)} molecules; at least {2 * FOLDS} are needed")
        tell: Progress = progress if progress is not None else lambda _share, _text: None
        if inputs is None:
            inputs = make_inputs(
                made, workers=workers, progress=lambda s, text: tell(0.1 * s, text)
            )
        classes = np.array([bool(np.isin(c[np.isfinite(c)], (0, 1)).all()) for c in table.T])
        chosen = np.arange(len(made)) if groups is None else np.asarray(groups)
        folds = fold_numbers(np.unique(chosen, return_inverse=True)[1], FOLDS, seed)
        weight_of = group_weights(chosen)
        plan = _plan(inputs, folds, len(targets), minutes, epochs, seed, checkpoints)
        members, held = fit_members(
            inputs,
            table,
            classes,
            folds,
            plan=plan,
            seed=seed,
            checkpoints=checkpoints,
            progress=lambda s, text: tell(0.1 + 0.9 * s, text),
        )
        if held.interrupted:
            raise KeyboardInterrupt
        domain = Domain.fit(inputs, made)
        distances = np.zeros(len(made))
        for fold in np.unique(folds[folds >= 0]):
            out, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            part = Domain.fit(inputs.take(rest), [made[k] for k in rest])
            distances[out] = part.distances(inputs.take(out))
        weights = np.zeros((len(targets), len(MEMBERS)))
        joined = np.full(table.shape, np.nan)
        scores, spreads = {}, []
        usable = np.array([plan is not None or name != "network" for name in MEMBERS])
        for k, name in enumerate(targets):
            rows = np.flatnonzero(np.isfinite(table[:, k]) & np.isfinite(held.deviations[:, k]))
            if not rows.size:
                raise InputError(f"no molecule that was held out has a value of '{name}'")
            told, wanted = held.predictions[rows, k], table[rows, k]
            weights[k], scores[name] = _weighed(told, wanted, usable)
            joined[rows, k] = _bounded(told[:, usable] @ weights[k, usable], bool(classes[k]))
            signs = _signs(told, weights[k], held.deviations[rows, k], distances[rows])
            spreads.append(Spread.fit(wanted - joined[rows, k], signs, weight_of[rows]))
        return PropertyModel(
            tuple(targets), classes, members, weights, tuple(spreads), domain, inputs.names,
            joined, table, weight_of, scores,
        )  # fmt: skip

    def chosen(self, target: str) -> dict[str, float]:
        """Return the members of a target that count, with their weights, the heaviest first."""
        row = self.weights[self.targets.index(target)]
        order = np.argsort(-row, kind="stable")
        return {MEMBERS[k]: float(row[k]) for k in order if row[k] > 0}

    def predict(
        self, smiles: Sequence[str], *, level: float = 0.9, steps: int | None = None
    ) -> Prediction:
        """Predict molecules; what cannot be parsed stays in its place without values.

        Args:
            smiles: M texts.
            level: share of intervals that should cover what is measured.
            steps: Euler steps of the networks' message passing; None: those of the training.
        """
        found: list[Chem.Mol] = []
        places: list[int] = []
        reasons = [""] * len(smiles)
        for place, text in enumerate(smiles):
            try:
                found.append(parse_smiles(text))
                places.append(place)
            except InputError as error:
                reasons[place] = str(error)
        shape = (len(smiles), len(self.targets))
        values, deviations, lower, upper = (np.full(shape, math.nan) for _ in range(4))
        inside = np.zeros(len(smiles), dtype=bool)
        if found:
            inputs = make_inputs(found, names=self.names)
            told = self.predict_inputs(inputs, level=level, steps=steps)
            values[places], deviations[places], lower[places], upper[places] = told[:4]
            inside[places], words = self.domain.judge(found, told[4])
            for place, word in zip(places, words, strict=True):
                reasons[place] = word
        return Prediction(values, deviations, lower, upper, inside, tuple(reasons))

    def predict_inputs(
        self, inputs: Inputs, *, level: float = 0.9, steps: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return values, deviations, lower and upper ends, (M, T) each, and distances, (M,)."""
        told, deviations = self.members.predict(inputs, self.weights > 0, steps=steps)
        distances = self.domain.distances(inputs)
        values, widths, half = (np.zeros(deviations.shape) for _ in range(3))
        lower, upper = np.zeros(values.shape), np.zeros(values.shape)
        for k, spread in enumerate(self.spreads):
            values[:, k] = _bounded(told[:, k] @ self.weights[k], bool(self.classes[k]))
            signs = _signs(told[:, k], self.weights[k], deviations[:, k], distances)
            widths[:, k] = spread.deviations(signs)
            half[:, k] = spread.half_widths(signs, level)
            lower[:, k], upper[:, k] = values[:, k] - half[:, k], values[:, k] + half[:, k]
            if self.classes[k]:
                rows = np.isfinite(self.held_out[:, k])
                lower[:, k], upper[:, k] = label_sets(
                    values[:, k],
                    self.held_out[rows, k],
                    self.labels[rows, k],
                    level,
                    self.held_out_weights[rows],
                )
        return values, widths, lower, upper, distances


def _plan(
    inputs: Inputs,
    folds: np.ndarray,
    targets: int,
    minutes: float,
    epochs: int | None,
    seed: int,
    checkpoints: Path | None,
) -> TuningPlan | None:
    """Return how networks are trained within the minutes; None where there is no time for one."""
    if not minutes >= 0:
        raise InputError(f"the minutes must not be negative; they are {minutes:g}")
    if epochs is not None:
        return TuningPlan(epochs, seed=seed) if epochs > 0 else None
    if minutes == 0:
        return None
    note = None if checkpoints is None else checkpoints / "epochs.txt"
    if note is not None and note.is_file():
        return TuningPlan(int(note.read_text(encoding="utf-8")), seed=seed)
    plan = TuningPlan(seed=seed)
    sizes = np.bincount(folds[folds >= 0])  # a network a fold, trained on all the others
    learned = float((len(folds) - sizes).sum()) / len(folds)
    affordable = int(60.0 * minutes / (seconds_per_epoch(inputs, targets, plan) * learned))
    plan = TuningPlan(min(max(affordable, _EPOCHS[0]), _EPOCHS[1]), seed=seed)
    if note is not None:
        from graphtide.files import write_text

        note.parent.mkdir(parents=True, exist_ok=True)
        write_text(note, str(plan.epochs))
    return plan


def _weighed(
    told: np.ndarray, wanted: np.ndarray, usable: np.ndarray
) -> tuple[np.ndarray, dict[str, float]]:
    """Return weights of the members, and held-out errors; a baseline alone where it is no worse."""
    weights = np.zeros(len(MEMBERS))
    weights[usable] = stack_weights(told[:, usable], wanted)
    # Weights that hardly count cost time at every prediction.
    weights[weights < 0.02] = 0.0
    weights /= weights.sum()
    errors = {
        name: float(np.sqrt(np.mean((told[:, k] - wanted) ** 2)))
        for k, name in enumerate(MEMBERS)
        if usable[k]
    }
    errors["model"] = float(np.sqrt(np.mean((told[:, usable] @ weights[usable] - wanted) ** 2)))
    best = min(BASELINES, key=lambda name: errors[name])
    if errors[best] <= errors["model"]:
        weights = (np.array(MEMBERS) == best).astype(np.float64)
        errors["model"] = errors[best]
    return weights, errors


def _bounded(values: np.ndarray, is_class: bool) -> np.ndarray:
    return np.clip(values, 0.0, 1.0) if is_class else values


def _signs(
    told: np.ndarray, weights: np.ndarray, deviations: np.ndarray, distances: np.ndarray
) -> np.ndarray:
    """Return what tells difficulty: spread of the members, the process's deviation, distance."""
    counted = weights > 0
    spread = told[:, counted].std(axis=1)
    own = deviations if counted[0] else np.zeros(len(deviations))
    return np.stack([spread, own, distances], axis=1)
