"""``molecules learn``: a table becomes a model that was judged on molecules it has not seen."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas

from graphtide.errors import InputError
from graphtide.molecules.prediction.explain import AtomContributions
from graphtide.molecules.prediction.inputs import Inputs, make_inputs
from graphtide.molecules.prediction.intervals import check_level
from graphtide.molecules.prediction.members import BASELINES, MEMBERS
from graphtide.molecules.prediction.model import PropertyModel
from graphtide.molecules.prediction.quality import quality
from graphtide.molecules.prediction.saving import save_property_model
from graphtide.molecules.prediction.splits import (
    Splitting,
    groups_of,
    split_molecules,
    split_names,
)
from graphtide.molecules.prediction.table import PropertyTable
from graphtide.run import Run

__all__ = ["LearnSettings", "check_settings", "learn_properties", "split_table"]

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Levels of intervals whose coverage is checked on the test set."""
_DRAWN = 12


@dataclass(frozen=True, slots=True)
class LearnSettings:
    """How a model is learned and judged.

    Args:
        split: kind of the split.
        split_column: its column, for time and column.
        minutes: time for the networks.
        epochs: passes of each network instead of the minutes.
        level: of the intervals.
        seed: of everything random.
        workers: processes for the descriptors.
    """

    split: str = "random"
    split_column: str | None = None
    minutes: float = 5.0
    epochs: int | None = None
    level: float = 0.9
    seed: int = 0
    workers: int = 1

    def configuration(self) -> dict[str, object]:
        """Return what decides the result, by name: all but the number of processes."""
        found = dataclasses.asdict(self)
        found.pop("workers")
        return found


def check_settings(settings: LearnSettings) -> None:
    """Raise where the settings make no sense, before any work.

    Raises:
        InputError: an unknown split, one without its column, or a level or time out of range.
    """
    if settings.split not in split_names():
        raise InputError(f"--split {settings.split}: {', '.join(split_names())} are known")
    needs = settings.split in ("time", "column")
    if needs and settings.split_column is None:
        raise InputError(f"--split {settings.split} needs the name of its column: --split-column")
    if not needs and settings.split_column is not None:
        raise InputError(f"--split-column fits --split time and column, not {settings.split}")
    if not (np.isfinite(settings.minutes) and settings.minutes >= 0):
        raise InputError(f"--minutes must not be negative; it is {settings.minutes:g}")
    check_level(settings.level)


def learn_properties(
    table: PropertyTable,
    settings: LearnSettings,
    run: Run,
    *,
    checkpoints: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> dict[str, object]:
    """Learn on training and validation molecules, judge on the test's, write all into the run.

    The run holds the model, ``test.csv`` (each test molecule), ``scores.csv`` (model and members),
    ``calibration.csv``, ``contributions.csv`` (what atoms add), ``notices.csv`` and
    ``metrics.json``.

    Args:
        table: molecules and values.
        settings: how.
        run: the folder.
        checkpoints: folder from which an interrupted run goes on.
        progress: told the share done.

    Raises:
        InputError: the split leaves too few molecules, or its column does not fit.
        KeyboardInterrupt: it was interrupted.
    """
    began = time.perf_counter()
    tell = progress if progress is not None else lambda _share, _text: None
    parts = split_table(table, settings)
    learned = np.sort(np.concatenate([parts.training, parts.validation]))
    inputs = make_inputs(
        table.molecules, workers=settings.workers, progress=lambda s, text: tell(0.15 * s, text)
    )
    known = [table.molecules[int(k)] for k in learned]
    model = PropertyModel.fit(
        known,
        table.values[learned],
        table.targets,
        inputs=inputs.take(learned),
        groups=groups_of(settings.split, known),
        minutes=settings.minutes,
        epochs=settings.epochs,
        seed=settings.seed,
        checkpoints=checkpoints,
        progress=lambda s, text: tell(0.15 + 0.8 * s, text),
    )
    tell(0.96, "test")
    figures = _judged(model, table, inputs.take(parts.test), parts.test, settings, run)
    _explain(model, inputs, table, learned, parts.test, run)
    save_property_model(run, model)
    if table.notices:
        run.write_table("notices", pandas.DataFrame(list(map(dataclasses.asdict, table.notices))))
    metrics: dict[str, object] = {
        "molecules": len(table),
        "training": len(learned),
        "test": len(parts.test),
        "split": settings.split,
        "rows_set_aside": sum(not notice.kept for notice in table.notices),
        "duplicates": sum(notice.kept for notice in table.notices),
        **(figures[table.targets[0]] if len(table.targets) == 1 else {"targets": figures}),
        "seconds": time.perf_counter() - began,
    }
    run.write_metrics(metrics)
    return metrics


def split_table(table: PropertyTable, settings: LearnSettings) -> Splitting:
    """Return the parts of a table; each target must have values in training and test.

    Raises:
        InputError: the column is missing, or a part is too small.
    """
    column = None
    if settings.split_column is not None:
        column = table.columns.get(settings.split_column)
        if column is None:
            raise InputError(
                f"there is no column '{settings.split_column}' to split by; the columns are "
                f"{', '.join(list(table.columns)[:8])}"
            )
    parts = split_molecules(settings.split, table.molecules, seed=settings.seed, column=column)
    learned = np.concatenate([parts.training, parts.validation])
    for k, name in enumerate(table.targets):
        there = np.isfinite(table.values[:, k])
        if there[learned].sum() < 20 or there[parts.test].sum() < 2:
            raise InputError(
                f"the split leaves {there[learned].sum()} molecules with '{name}' to learn from "
                f"and {there[parts.test].sum()} to test; at least 20 and 2 are needed"
            )
        labels = table.values[learned, k]
        if len(np.unique(labels[np.isfinite(labels)])) < 2:
            raise InputError(f"the split leaves a single value of '{name}' to learn from")
    return parts


def _judged(
    model: PropertyModel,
    table: PropertyTable,
    inputs: Inputs,
    test: np.ndarray,
    settings: LearnSettings,
    run: Run,
) -> dict[str, dict[str, object]]:
    values, deviations, lower, upper, distances = model.predict_inputs(inputs, level=settings.level)
    told, _ = model.members.predict(inputs, np.ones(model.weights.shape, dtype=bool))
    inside, reasons = model.domain.judge([table.molecules[int(k)] for k in test], distances)
    ends = {level: model.predict_inputs(inputs, level=level)[2:4] for level in LEVELS}
    figures: dict[str, dict[str, object]] = {}
    rows, scores, calibration = [], [], []
    for k, name in enumerate(table.targets):
        measured = table.values[test, k]
        there = np.isfinite(measured)
        is_class = bool(model.classes[k])
        held = model.scores[name]
        baseline = min(BASELINES, key=lambda one, held=held: held[one])
        member = told[:, k, MEMBERS.index(baseline)]
        own = quality(measured[there], values[there, k], is_class=is_class)
        beside = quality(measured[there], _bound(member[there], is_class), is_class=is_class)
        covered = (lower[:, k] <= measured) & (measured <= upper[:, k])
        figures[name] = {
            "kind": "classification" if is_class else "regression",
            **own,
            "baseline": baseline,
            **{f"baseline_{key}": value for key, value in beside.items()},
            "coverage": float(covered[there].mean()),
            "level": settings.level,
            "in_domain": float(inside.mean()),
            "chosen": model.chosen(name),
        }
        usable = [m for m in MEMBERS if m in held]
        scores.append({"target": name, "model": "graphtide", "held_out": held["model"], **own})
        for one in usable:
            part = _bound(told[there, k, MEMBERS.index(one)], is_class)
            scored = quality(measured[there], part, is_class=is_class)
            scores.append({"target": name, "model": one, "held_out": held[one], **scored})
        for level in LEVELS:
            low, high = ends[level][0][:, k], ends[level][1][:, k]
            hit = (low <= measured) & (measured <= high)
            calibration.append(
                {"target": name, "level": level, "coverage": float(hit[there].mean())}
            )
        frame = {
            "target": name,
            "smiles": [table.smiles[i] for i in test[there]],
            "measured": measured[there],
            "predicted": values[there, k],
            "standard_deviation": deviations[there, k],
            "lower": lower[there, k],
            "upper": upper[there, k],
            "baseline": _bound(member[there], is_class),
            "distance": distances[there],
            "in_domain": ["yes" if x else "no" for x in inside[there]],
            "reason": [reasons[i] for i in np.flatnonzero(there)],
        }
        rows.append(pandas.DataFrame(frame))
    run.write_table("test", pandas.concat(rows))
    run.write_table("scores", pandas.DataFrame(scores))
    run.write_table("calibration", pandas.DataFrame(calibration))
    run.write_json("domain.json", {"limit": model.domain.limit})
    return figures


def _explain(
    model: PropertyModel,
    inputs: Inputs,
    table: PropertyTable,
    learned: np.ndarray,
    test: np.ndarray,
    run: Run,
) -> None:
    """Write what atoms add to the predictions of some test molecules, and how well it is told."""
    rows, fidelity = [], {}
    for k, name in enumerate(table.targets):
        there = np.isfinite(model.held_out[:, k])
        explained = AtomContributions.fit(inputs.take(learned[there]), model.held_out[there, k])
        fidelity[name] = explained.fidelity
        known = test[np.isfinite(table.values[test, k])]
        sized = [i for i in known if table.molecules[int(i)].GetNumAtoms() > 3] or list(known)
        order = np.argsort([table.values[i, k] for i in sized], kind="stable")
        places = np.linspace(0, len(sized) - 1, min(_DRAWN, len(sized))).round().astype(int)
        chosen = [sized[order[place]] for place in places]
        for i, added in zip(
            chosen, explained.of([table.molecules[int(i)] for i in chosen]), strict=True
        ):
            rows += [
                {"target": name, "smiles": table.smiles[i], "atom": atom, "contribution": value}
                for atom, value in enumerate(_in_smiles_order(table, int(i), added))
            ]
    run.write_table("contributions", pandas.DataFrame(rows))
    run.write_json("explanation.json", fidelity)


def _in_smiles_order(table: PropertyTable, index: int, added: np.ndarray) -> np.ndarray:
    """Return contributions in the order of the atoms of the canonical SMILES."""
    from rdkit import Chem

    molecule = table.molecules[index]
    Chem.MolToSmiles(molecule)
    order = molecule.GetPropsAsDict(includePrivate=True, includeComputed=True)
    return added[list(order["_smilesAtomOutputOrder"])]


def _bound(values: np.ndarray, is_class: bool) -> np.ndarray:
    return np.clip(values, 0.0, 1.0) if is_class else values
