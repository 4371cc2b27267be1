"""The page of ``molecules optimize``: pairs before and after, the climb, the front, the risks."""

from __future__ import annotations

import numpy as np
import pandas

from graphtide.report.content import Figure, Page, Section, Table, number
from graphtide.report.figures import BASELINE, INK, MODEL, canvas, svg_of
from graphtide.report.molecule_changes import changed_atoms, nearest_known
from graphtide.report.molecule_figures import molecule_grid
from graphtide.report.provenance import provenance
from graphtide.run import Run

__all__ = ["molecules_optimize_page"]

_PAIRS = 6
_TOP = 10


def molecules_optimize_page(run: Run) -> Page:
    """Return the page of a search for better molecules."""
    metrics = run.read_metrics()
    calls = run.read_table("calls")
    best = run.read_table("best")
    top = run.read_table("top")
    names = [name for name in calls.columns if name not in ("lead", "call", "smiles", "reason")]
    order = np.argsort(-best["gain"].to_numpy(dtype=float), kind="stable")
    improved = best.iloc[order].query("gain > 0")
    sections = []
    if len(improved):
        sections.append(_pairs_section(improved))
    sections.append(_climb_section(calls, names, str(metrics["definition"])))
    if len(names) == 2:
        sections.append(_front_section(calls, names))
    if len(best.dropna(subset=["gain"])):
        sections.append(_neighbourhood_section(best, run))
    sections.append(_top_section(top, best))
    if (run.path / "failures.csv").is_file():
        sections.append(_table_section(run, "failures", "Calls that gave no value"))
    if (run.path / "notices.csv").is_file():
        sections.append(_table_section(run, "notices", "Lines that were no start"))
    return Page("Better molecules", _lead(metrics), tuple(sections), provenance(run))


def _lead(metrics: dict[str, object]) -> str:
    text = (
        f"{number(metrics['calls'])} calls of {metrics['objective']} from "
        f"{number(metrics['leads'])} starts: the best went from {number(metrics['start_best'])} to "
        f"{number(metrics['best'])}."
    )
    if metrics.get("improved_share") is not None:
        share = metrics["improved_share"]
        assert isinstance(share, int | float)  # the run's own metrics
        text += (
            f" {100 * share:.3g} % of the starts were improved, by "
            f"{number(metrics['mean_gain'])} on average, at a mean similarity of "
            f"{number(metrics['mean_similarity'])}."
        )
    if metrics.get("failed_calls"):
        text += f" {number(metrics['failed_calls'])} calls gave no value."
    return text


def _pairs_section(improved: pandas.DataFrame) -> Section:
    smiles, labels, marks = [], [], []
    for row in improved.head(_PAIRS).to_dict("records"):
        before, after = changed_atoms(str(row["start"]), str(row["best"]))
        smiles += [str(row["start"]), str(row["best"])]
        labels += [
            f"line {row['line']}: {number(row['start_value'])}",
            f"→ {number(row['best_value'])}, similarity {number(row['similarity'], 2)}",
        ]
        marks += [before, after]
    shown = len(smiles) // 2
    grid = molecule_grid(
        smiles,
        labels=labels,
        highlights=marks,
        columns=4,
        caption=f"The {shown} largest gains, before and after side by side; atoms outside of the "
        "common substructure are marked.",
        finding=f"{shown} pairs, gains from {number(improved['gain'].iloc[shown - 1])} to "
        f"{number(improved['gain'].iloc[0])}.",
        name="pairs",
    )
    return Section("Before and after", (), (grid,))


def _climb_section(calls: pandas.DataFrame, names: list[str], definition: str) -> Section:
    """Return the top 10 against calls; of leads improved one by one, the mean of their bests."""
    values = calls[names].to_numpy(dtype=float).mean(axis=1)
    figure, (axis,) = canvas()
    if "lead" in calls:
        number_of, curve = _mean_best(calls["lead"].to_numpy(), values)
        caption = "Mean over the starts of the best value found so far, against calls of each."
        said, label = "The mean of the bests", "mean best of each start"
    else:
        number_of, curve = np.arange(1, len(values) + 1), _running_top(values)
        caption = "Mean of the ten best so far against calls; dots are single calls."
        said, label = "The mean of the ten best", "mean of the ten best"
        axis.plot(number_of, values, ".", color=INK, alpha=0.25, markersize=2.5, rasterized=True)
    axis.plot(number_of, curve, color=MODEL, label=label)
    axis.set_xlabel("calls")
    axis.set_ylabel(", ".join(names) if len(names) == 1 else "mean of the objectives")
    axis.legend(loc="lower right", frameon=False)
    begin = next((value for value in curve if value == value), float("nan"))
    finding = f"{said} goes from {number(begin)} to {number(curve[-1])}."
    data = pandas.DataFrame({"call": number_of, "value": curve})
    step = max(1, len(data) // 4000)
    picture = Figure(svg_of(figure), caption, finding, data.iloc[::step], "climb")
    return Section("The climb", (f"What is raised: {definition}.",), (picture,))


def _running_top(values: np.ndarray) -> np.ndarray:
    curve, best = np.full(len(values), np.nan), []
    for place, value in enumerate(values.tolist()):
        if value == value:
            best = sorted([*best, value], reverse=True)[:_TOP]
        if best:
            curve[place] = sum(best) / len(best)
    return curve


def _mean_best(leads: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return calls of a lead and the mean over leads of the best so far; ended ones keep theirs."""
    longest = int(np.unique(leads, return_counts=True)[1].max())
    rows = []
    for lead in np.unique(leads):
        own = np.fmax.accumulate(values[leads == lead])
        rows.append(np.concatenate([own, np.full(longest - len(own), own[-1])]))
    table = np.array(rows)
    known = np.isfinite(table)
    sums = np.where(known, table, 0.0).sum(axis=0)
    counts = known.sum(axis=0)
    means = np.divide(sums, counts, out=np.full(longest, np.nan), where=counts > 0)
    return np.arange(1, longest + 1), means


def _front_section(calls: pandas.DataFrame, names: list[str]) -> Section:
    table = calls.dropna(subset=names)
    values = table[names].to_numpy(dtype=float)
    order = np.lexsort((-values[:, 1], -values[:, 0]))
    front, highest = [], -np.inf
    for place in order.tolist():
        if values[place, 1] > highest:
            front.append(place)
            highest = values[place, 1]
    figure, (axis,) = canvas(width=6.4, height=4.2)
    axis.plot(values[:, 0], values[:, 1], ".", color=INK, alpha=0.3, markersize=3, label="calls")
    axis.plot(
        values[front, 0], values[front, 1], "o-", color=MODEL, markersize=4, label="Pareto front"
    )
    axis.set_xlabel(names[0])
    axis.set_ylabel(names[1])
    axis.legend(frameon=False)
    picture = Figure(
        svg_of(figure),
        "All calls, and those that no other beats in both objectives.",
        f"{len(front)} molecules are on the front.",
        pandas.DataFrame(table.iloc[front][["smiles", *names]]),
        "front",
        wide=False,
    )
    return Section("The Pareto front", (), (picture,))


def _neighbourhood_section(best: pandas.DataFrame, run: Run) -> Section:
    known = best.dropna(subset=["gain"])
    figure, axes = canvas(1, 2, width=9.0, height=3.4)
    axes[0].plot(known["similarity"], known["gain"], "o", color=MODEL, markersize=4, alpha=0.7)
    least = run.configuration.get("similarity")
    bound = ", the bound dashed" if isinstance(least, int | float) else ""
    if isinstance(least, int | float):
        axes[0].axvline(least, color=BASELINE, linestyle="--", linewidth=1)
    alike = known["similarity"].to_numpy(dtype=float)
    axes[0].set_xlim(max(0.0, float(alike.min()) - 0.05), min(1.02, float(alike.max()) + 0.05))
    axes[0].set_xlabel("similarity to the start")
    axes[0].set_ylabel("gain")
    accessible = known[["start_accessibility", "best_accessibility"]].to_numpy(dtype=float)
    axes[1].plot(accessible[:, 0], accessible[:, 1], "o", color=MODEL, markersize=4, alpha=0.7)
    ends = [float(accessible.min()), float(accessible.max())]
    axes[1].plot(ends, ends, color=INK, linewidth=0.8)
    axes[1].set_xlabel("synthetic accessibility before (1 easy, 10 hard)")
    axes[1].set_ylabel("after")
    harder = int((accessible[:, 1] > accessible[:, 0]).sum())
    columns = ["line", "start", "best", "gain", "similarity", "start_accessibility",
               "best_accessibility", "start_qed", "best_qed"]  # fmt: skip
    picture = Figure(
        svg_of(figure),
        f"Left: similarity against gain{bound}. Right: synthetic accessibility before and after; "
        "above the line a molecule became harder to make.",
        f"{harder} of {len(known)} molecules became harder to make, by the fragments they hold.",
        pandas.DataFrame(known[columns]),
        "neighbourhood",
    )
    return Section("What the gain costs", (), (picture,))


def _top_section(top: pandas.DataFrame, best: pandas.DataFrame) -> Section:
    if not len(top):
        return Section("The ten best", ("No call gave a value.",))
    smiles = [str(text) for text in top["smiles"]]
    nearest = nearest_known(smiles, [str(text) for text in best["start"]])
    values = [name for name in top.columns if name not in ("smiles", "accessibility", "atoms")]
    grid = molecule_grid(
        smiles,
        labels=[", ".join(number(row[name]) for name in values[:2]) for _, row in top.iterrows()],
        caption=f"The best molecules with {' and '.join(values[:2])}.",
        finding=f"The best has {values[0]} {number(top[values[0]].iloc[0])}.",
        name="top",
    )
    rows = tuple(
        (
            str(one["smiles"]),
            *(number(one[name]) for name in values),
            number(one["accessibility"], 2),
            str(other["nearest"]),
            f"{number(other['similarity'], 2)} ({other['from']})",
        )
        for one, other in zip(top.to_dict("records"), nearest.to_dict("records"), strict=True)
    )
    header = ("molecule", *values, "accessibility", "nearest known molecule", "similarity to it")
    caption = (
        "The ten best, and the nearest molecule among the starts and 5,000 molecules of ZINC250k. "
        "A high value far from all that is known deserves a second look."
    )
    return Section("The ten best", (), (grid, Table(caption, header, rows)))


def _table_section(run: Run, name: str, title: str) -> Section:
    frame = run.read_table(name)
    rows = tuple(tuple(map(str, row)) for row in frame.head(20).itertuples(index=False))
    caption = "All are shown." if len(rows) == len(frame) else f"All are in {name}.csv."
    return Section(title, (), (Table(caption, tuple(map(str, frame.columns)), rows),))
