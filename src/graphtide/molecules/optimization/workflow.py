"""The work of ``molecules optimize``: leads read and checked, the search, what is kept of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas
from rdkit.Chem import QED

from graphtide.errors import InputError
from graphtide.files import write_text
from graphtide.molecules.accessibility import synthetic_accessibility
from graphtide.molecules.chemistry import canonical_smiles, parse_smiles
from graphtide.molecules.files import MoleculeLines
from graphtide.molecules.objectives import (
    Filters,
    FunctionObjective,
    LearnedObjective,
    Objective,
    Pareto,
    PenalisedLogP,
    parse_objective,
)
from graphtide.molecules.optimization.choosing import MethodChoice
from graphtide.molecules.optimization.leads import (
    LeadHistory,
    LeadPlan,
    joined_log,
    optimize_leads,
    search,
)
from graphtide.molecules.optimization.oracle import Evaluation, Oracle
from graphtide.molecules.optimization.told import fragment_counts, tanimoto
from graphtide.run import Run

__all__ = ["Leads", "OptimizationPlan", "definition_of", "read_leads", "read_objective", "run_plan"]

_HANGS = 60.0
"""Seconds a molecule may take a function of the user's own, where no limit is given."""
_TOP = 10
_COLUMNS = (
    *("line", "start", "start_value", "best", "best_value", "gain", "similarity"),
    *("start_accessibility", "start_qed", "best_accessibility", "best_qed"),
)


@dataclass(frozen=True, slots=True)
class Leads:
    """Molecules to begin from.

    Args:
        smiles: canonical, each once.
        lines: the line of the file on which each stands.
        notices: lines that were not taken: number, text, reason.
    """

    smiles: tuple[str, ...]
    lines: tuple[int, ...]
    notices: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True, slots=True)
class OptimizationPlan:
    """What is asked for.

    Args:
        objective: higher is better.
        filters: that molecules keep to.
        choice: the method.
        budget: calls in all.
        each: whether each lead is improved within its own neighbourhood.
        seed: of all randomness.
        workers: processes.
        time_limit: seconds a molecule may take; None for any time.
    """

    objective: Objective
    filters: Filters
    choice: MethodChoice
    budget: int
    each: bool
    seed: int = 0
    workers: int = 1
    time_limit: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the objectives."""
        return _names(self.objective)

    @property
    def limit(self) -> float | None:
        """The limit of time: the given one, or a minute where a function of the user's own runs."""
        if self.time_limit is None and _calls_a_function(self.objective):
            return _HANGS
        return self.time_limit


def read_objective(texts: Sequence[str]) -> Objective:
    """Return the objective of one text, or the Pareto set of several.

    Raises:
        InputError: as of :func:`graphtide.molecules.objectives.parse_objective`.
    """
    parts = [parse_objective(text) for text in texts]
    return parts[0] if len(parts) == 1 else Pareto(tuple(parts))


def read_leads(lines: MoleculeLines, filters: Filters) -> Leads:
    """Return the molecules of a file, which must keep to the filters.

    Raises:
        InputError: none can be read, or one breaks a constraint.
    """
    places: dict[str, int] = {}
    notices = []
    for line, text in zip(lines.lines, lines.smiles, strict=True):
        try:
            smiles = canonical_smiles(text)
        except InputError as error:
            notices.append((line, text, str(error)))
            continue
        if "." in smiles:
            notices.append((line, text, "it is in several pieces"))
        elif smiles in places:
            notices.append((line, text, f"the molecule of line {places[smiles]} again"))
        else:
            places[smiles] = line
    if not places:
        line, _, reason = notices[0] if notices else (1, "", "it holds no molecule")
        raise InputError(
            f"{lines.source}: none of its {len(lines)} molecules can be a start; line {line}: "
            f"{reason}"
        )
    broken = [
        (line, text, reason)
        for text, line in places.items()
        if (reason := filters.for_start(text).accepts(text)) is not None
    ]
    if broken:
        line, text, reason = broken[0]
        more = f"; so do {len(broken) - 1} other starts" if len(broken) > 1 else ""
        raise InputError(
            f"{lines.source}, line {line}: the start {text} breaks a constraint: {reason}{more}"
        )
    return Leads(tuple(places), tuple(places.values()), tuple(notices))


def definition_of(objective: Objective) -> str:
    """Return the objective in words, with its definition where the name does not say it."""
    parts = objective.parts if isinstance(objective, Pareto) else (objective,)
    said = []
    for part in parts:
        if isinstance(part, PenalisedLogP) and part.normalised:
            said.append(f"{part.name} = plogp, each of its terms standardised over ZINC250k")
        elif isinstance(part, PenalisedLogP):
            said.append(
                f"{part.name} = Crippen logP - synthetic accessibility - atoms of the longest "
                "cycle beyond six; not normalised"
            )
        elif isinstance(part, LearnedObjective):
            said.append(
                f"{part.name} = {'' if part.sign > 0 else 'minus the '}predicted value less "
                f"{part.z:g} standard deviations"
            )
        else:
            said.append(part.name)
    return "; ".join(said)


def run_plan(
    plan: OptimizationPlan,
    leads: Leads,
    run: Run,
    *,
    progress: Callable[[float, str], None] | None = None,
) -> dict[str, object]:
    """Search, and write what came of it: calls.csv, best.csv, top.csv, failures.csv, metrics.json.

    Args:
        plan: what is asked for.
        leads: where to begin.
        run: to write into. What an interrupted search of the same plan has logged there is used.
        progress: told the share done.

    Returns:
        The metrics.
    """
    if plan.each:
        evaluations, histories = _improve_each(plan, leads, run, progress)
    else:
        evaluations = _improve_together(plan, leads, run, progress)
        histories = [LeadHistory(evaluations[0].smiles, tuple(evaluations))]
    starts = {one.smiles: one for one in evaluations if one.smiles in leads.smiles}
    if plan.each:
        pairs = [
            (place, history.evaluations[0], history.best)
            for place, history in enumerate(histories)
            if history.evaluations
        ]
    else:
        pairs = _nearest_starts(leads, starts, evaluations)
    best = _best_table(plan, leads, pairs)
    run.write_table("best", best)
    top = _top(evaluations)
    run.write_table("top", _described([one.smiles for one in top], plan, top))
    failures = Counter(one.reason for one in evaluations if one.reason)
    if failures:
        run.write_table(
            "failures",
            pandas.DataFrame({"reason": list(failures), "calls": list(failures.values())}),
        )
    if leads.notices:
        run.write_table(
            "notices", pandas.DataFrame(leads.notices, columns=["line", "text", "reason"])
        )
    metrics = _metrics(plan, leads, evaluations, best, top, failures)
    run.write_metrics(metrics)
    return metrics


def _improve_each(
    plan: OptimizationPlan,
    leads: Leads,
    run: Run,
    progress: Callable[[float, str], None] | None,
) -> tuple[list[Evaluation], list[LeadHistory]]:
    own = LeadPlan(
        plan.objective,
        plan.filters,
        plan.choice,
        plan.budget // len(leads.smiles),
        plan.seed,
        plan.limit,
        run.path / "leads",
    )
    histories = optimize_leads(leads.smiles, own, workers=plan.workers, progress=progress)
    write_text(run.path / "calls.csv", joined_log(histories, plan.names))
    return [one for history in histories for one in history.evaluations], histories


def _improve_together(
    plan: OptimizationPlan,
    leads: Leads,
    run: Run,
    progress: Callable[[float, str], None] | None,
) -> list[Evaluation]:
    method = plan.choice.make(leads.smiles, filters=plan.filters, seed=plan.seed)

    def told(calls: int) -> None:
        if progress is not None:
            progress(calls / plan.budget, f"{calls} calls")

    with Oracle(
        plan.objective,
        plan.budget,
        workers=plan.workers,
        log=run.path / "calls.csv",
        time_limit=plan.limit,
    ) as oracle:
        search(method, oracle, progress=told)
        return oracle.evaluations


def _nearest_starts(
    leads: Leads, starts: Mapping[str, Evaluation], evaluations: Sequence[Evaluation]
) -> list[tuple[int, Evaluation, Evaluation | None]]:
    """Return each of the best molecules with the start that it resembles most."""
    places = {text: place for place, text in enumerate(leads.smiles) if text in starts}
    counts = {text: fragment_counts(text) for text in places}
    pairs: list[tuple[int, Evaluation, Evaluation | None]] = []
    for one in _top([one for one in evaluations if one.smiles not in starts]):
        own = fragment_counts(one.smiles)
        nearest = max(counts, key=lambda text: tanimoto(counts[text], own))
        pairs.append((places[nearest], starts[nearest], one))
    return pairs


def _top(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Return the ten best distinct molecules, the best first."""
    known: dict[str, Evaluation] = {}
    for one in evaluations:
        if one.value == one.value:
            known.setdefault(one.smiles, one)
    return sorted(known.values(), key=lambda one: -one.value)[:_TOP]


def _best_table(
    plan: OptimizationPlan,
    leads: Leads,
    pairs: Sequence[tuple[int, Evaluation, Evaluation | None]],
) -> pandas.DataFrame:
    rows = []
    for place, start, best in pairs:
        row: dict[str, object] = {
            "line": leads.lines[place],
            "start": start.smiles,
            "start_value": start.value,
            "best": best.smiles if best is not None else "",
            "best_value": best.value if best is not None else np.nan,
        }
        row["gain"] = np.nan if best is None else best.value - start.value
        row["similarity"] = (
            np.nan
            if best is None
            else tanimoto(fragment_counts(start.smiles), fragment_counts(best.smiles))
        )
        for when, one in (("start", start), ("best", best)):
            molecule = None if one is None else parse_smiles(one.smiles)
            nothing = molecule is None
            row[f"{when}_accessibility"] = np.nan if nothing else synthetic_accessibility(molecule)
            row[f"{when}_qed"] = np.nan if nothing else QED.qed(molecule)
        if isinstance(plan.objective, Pareto):
            for k, name in enumerate(plan.names):
                row[f"start {name}"] = start.values[k]
                row[f"best {name}"] = np.nan if best is None else best.values[k]
        rows.append(row)
    return pandas.DataFrame(rows, columns=None if rows else list(_COLUMNS))


def _described(
    smiles: Sequence[str], plan: OptimizationPlan, evaluations: Sequence[Evaluation]
) -> pandas.DataFrame:
    molecules = [parse_smiles(text) for text in smiles]
    values = {name: [one.values[k] for one in evaluations] for k, name in enumerate(plan.names)}
    return pandas.DataFrame(
        {
            "smiles": list(smiles),
            **values,
            "qed": [QED.qed(molecule) for molecule in molecules],
            "accessibility": [synthetic_accessibility(molecule) for molecule in molecules],
            "atoms": [molecule.GetNumAtoms() for molecule in molecules],
        }
    ).loc[:, lambda frame: ~frame.columns.duplicated()]


def _metrics(
    plan: OptimizationPlan,
    leads: Leads,
    evaluations: Sequence[Evaluation],
    best: pandas.DataFrame,
    top: Sequence[Evaluation],
    failures: Mapping[str, int],
) -> dict[str, object]:
    gains = best["gain"].to_numpy(dtype=float) if len(best) else np.empty(0)
    known = gains[np.isfinite(gains)]
    starts = [one.value for one in evaluations if one.smiles in leads.smiles]
    finite = [value for value in starts if value == value]
    metrics: dict[str, object] = {
        "objective": plan.objective.name,
        "definition": definition_of(plan.objective),
        "method": plan.choice.name,
        "leads": len(leads.smiles),
        "lines_set_aside": len(leads.notices),
        "calls": len(evaluations),
        "failed_calls": sum(failures.values()),
        "start_mean": float(np.mean(finite)) if finite else None,
        "start_best": max(finite, default=None),
        "best": top[0].value if top else None,
        "best_smiles": top[0].smiles if top else None,
        "top_10_mean": float(np.mean([one.value for one in top])) if top else None,
    }
    if plan.each:
        metrics |= {
            "calls_a_lead": plan.budget // len(leads.smiles),
            "improved": float(np.sum(known > 0) / len(leads.smiles)),
            "mean_gain": float(known.mean()) if len(known) else None,
            "mean_similarity": float(np.nanmean(best["similarity"].to_numpy(dtype=float)))
            if len(known)
            else None,
        }
    if failures:
        metrics["failures"] = [f"{reason} ({count})" for reason, count in failures.items()]
    metrics["top_10"] = [
        {"smiles": one.smiles, "value": one.value, "values": list(one.values)} for one in top
    ]
    return metrics


def _names(objective: Objective) -> tuple[str, ...]:
    return objective.names if isinstance(objective, Pareto) else (objective.name,)


def _calls_a_function(objective: object) -> bool:
    if isinstance(objective, FunctionObjective):
        return True
    return any(_calls_a_function(part) for part in getattr(objective, "parts", ()))
