"""The work of ``molecules optimize``: the search, and what is kept of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas

from graphtide.files import write_text
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
from graphtide.molecules.optimization.evaluation import Backend
from graphtide.molecules.optimization.leads import (
    LeadHistory,
    LeadPlan,
    joined_log,
    optimize_leads,
    search,
)
from graphtide.molecules.optimization.oracle import Evaluation, Oracle
from graphtide.molecules.optimization.outcome import best_table, described, nearest_starts, top_of
from graphtide.molecules.optimization.starts import Leads
from graphtide.run import Run

__all__ = ["OptimizationPlan", "definition_of", "read_objective", "run_plan"]

_HANGS = 60.0
"""Seconds a molecule may take a function of the user's own, where no limit is given."""


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
        workers: calls, or leads, at a time.
        backend: where they run.
        time_limit: seconds a molecule may take; None for any time.
    """

    objective: Objective
    filters: Filters
    choice: MethodChoice
    budget: int
    each: bool
    seed: int = 0
    workers: int = 1
    backend: Backend = "processes"
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
        pairs = nearest_starts(leads, starts, evaluations)
    best = best_table(plan.names, leads, pairs)
    run.write_table("best", best)
    top = top_of(evaluations)
    run.write_table("top", described(top, plan.names))
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
    histories = optimize_leads(
        leads.smiles, own, workers=plan.workers, backend=plan.backend, progress=progress
    )
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
        backend=plan.backend,
        log=run.path / "calls.csv",
        time_limit=plan.limit,
    ) as oracle:
        search(method, oracle, progress=told)
        return oracle.evaluations


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
            "improved_share": float(np.sum(known > 0) / len(leads.smiles)),
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
