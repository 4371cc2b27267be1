"""The page of ``molecules learn``: predicted and measured, calibration, explanations, errors."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas

from graphtide.files import read_table
from graphtide.report.content import Figure, Page, Section, Table, number
from graphtide.report.figures import BASELINE, MODEL, canvas, svg_of
from graphtide.report.molecule_figures import Colour, molecule_grid
from graphtide.report.provenance import provenance
from graphtide.run import Run

__all__ = ["molecules_learn_page"]

_NAMED = 20
_WORST = 10
_WORDS = {
    "gaussian_process": "Gaussian process",
    "network": "network (pretrained)",
    "boosting": "boosting on descriptors",
    "forest": "forest on descriptors",
    "extra_trees": "extra trees on descriptors",
    "graphtide": "graphtide",
}
_HEADS = {
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "rank_correlation": "rank correlation",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "accuracy": "accuracy",
    "brier": "Brier score",
    "held_out": "RMSE held out",
}
_UP, _DOWN = (0.43, 0.71, 0.83), (0.93, 0.65, 0.46)


def molecules_learn_page(run: Run) -> Page:
    """Return the page of a model of properties."""
    metrics = run.read_metrics()
    test = run.read_table("test")
    scores = run.read_table("scores")
    calibration = run.read_table("calibration")
    targets = list(dict.fromkeys(test["target"]))
    figures = {name: _figures(metrics, name) for name in targets}
    sections = []
    for name in targets:
        own = _of(test, name)
        sections.append(_target_section(name, own, scores, figures[name], len(targets) > 1))
    sections.append(_calibration_section(calibration, figures))
    sections.append(_domain_section(run, test, figures))
    sections.append(_explanation_section(run, targets, test))
    sections.append(_worst_section(test, figures))
    if (run.path / "notices.csv").is_file():
        sections.append(_notices_section(run, metrics))
    lead = " ".join(_sentence(name, figures[name]) for name in targets)
    text = (
        f"Learned from {number(metrics['training'])} molecules, tested on {number(metrics['test'])}"
        f" that it has not seen ({metrics['split']} split). {lead}"
    )
    title = f"A model of {', '.join(targets)}"
    return Page(title, text, tuple(sections), provenance(run))


def _figures(metrics: dict[str, object], name: str) -> dict[str, object]:
    nested = metrics.get("targets")
    found = nested[name] if isinstance(nested, dict) else metrics
    return cast("dict[str, object]", found)


def _of(frame: pandas.DataFrame, name: str) -> pandas.DataFrame:
    """Return the rows of a target."""
    return cast("pandas.DataFrame", frame[frame["target"] == name])


def _numbers(frame: pandas.DataFrame, column: str) -> np.ndarray:
    return np.asarray(frame[column], dtype=np.float64)


def _is_class(figures: dict[str, object]) -> bool:
    return figures["kind"] == "classification"


def _sentence(name: str, figures: dict[str, object]) -> str:
    key = "roc_auc" if _is_class(figures) else "rmse"
    baseline = _WORDS[str(figures["baseline"])]
    return (
        f"{name}: {_HEADS[key]} {number(figures[key])}, where {baseline} reaches "
        f"{number(figures[f'baseline_{key}'])}; {_percent(figures['coverage'])} of intervals of "
        f"{_percent(figures['level'])} cover."
    )


def _percent(value: object) -> str:
    return f"{100 * value:.3g} %" if isinstance(value, int | float) else "none"


def _target_section(
    name: str,
    test: pandas.DataFrame,
    scores: pandas.DataFrame,
    figures: dict[str, object],
    named: bool,
) -> Section:
    is_class = _is_class(figures)
    figure = _classes_figure(name, test) if is_class else _scatter(name, test, figures)
    own = _of(scores, name).drop(columns="target").dropna(axis=1, how="all")
    columns = [column for column in own.columns if column != "model"]
    rows = tuple(
        (_WORDS[str(row["model"])], *(number(row[column]) for column in columns))
        for _, row in own.iterrows()
    )
    chosen = cast("dict[str, float]", figures["chosen"])
    parts = ", ".join(f"{_WORDS[one]} {100 * share:.0f} %" for one, share in chosen.items())
    caption = (
        "On the test molecules, all learned from the same ones; “held out” is the error on "
        "training molecules that each had not seen, from which the weights come."
    )
    table = Table(caption, ("model", *(_HEADS[c] for c in columns)), rows)
    text = f"The model joins what counts, by weights chosen without the test: {parts}."
    if set(chosen) <= {"boosting", "forest"}:
        text = f"The baseline was no worse than anything else, so it is the model: {parts}."
    title = f"Predicted and measured: {name}" if named else "Predicted and measured"
    return Section(title, (text,), (figure, table))


def _scatter(name: str, test: pandas.DataFrame, figures: dict[str, object]) -> Figure:
    figure, (left, right) = canvas(1, 2, width=9.4, height=4.4)
    measured = test["measured"].to_numpy(float)
    both = np.concatenate([measured, test["predicted"].to_numpy(float)])
    margin = 0.04 * float(np.ptp(both)) or 1.0
    ends = (float(both.min()) - margin, float(both.max()) + margin)
    for axis, column, colour, label in (
        (left, "predicted", MODEL, "graphtide"),
        (right, "baseline", BASELINE, _WORDS[str(figures["baseline"])]),
    ):
        axis.plot(ends, ends, color="#9aa5b1", linewidth=0.9)
        told = test[column].to_numpy(float)
        if column == "predicted":
            low, high = test["lower"].to_numpy(float), test["upper"].to_numpy(float)
            axis.vlines(measured, low, high, color=colour, alpha=0.22, linewidth=1.1)
        outside = (test["in_domain"] == "no").to_numpy()
        axis.plot(measured[~outside], told[~outside], "o", ms=3.6, color=colour, alpha=0.8)
        if outside.any():
            axis.plot(
                measured[outside], told[outside], "o", ms=4.2, mfc="none", color=colour,
                label="outside of the domain",
            )  # fmt: skip
            axis.legend(loc="upper left")
        rmse = float(np.sqrt(np.mean((told - measured) ** 2)))
        axis.set_title(f"{label}: RMSE {number(rmse)}")
        axis.set_xlim(ends)
        axis.set_ylim(ends)
        axis.set_xlabel(f"measured {name}")
        axis.set_ylabel("predicted")
    caption = (
        f"Each test molecule; bars are intervals of {_percent(figures['level'])}. Right: the "
        "better baseline, learned from the same molecules."
    )
    finding = (
        f"RMSE {number(figures['rmse'])} against {number(figures['baseline_rmse'])} of the "
        f"baseline, R² {number(figures['r2'])} against {number(figures['baseline_r2'])}."
    )
    return Figure(svg_of(figure), caption, finding, test, f"test_{name}")


def _classes_figure(name: str, test: pandas.DataFrame) -> Figure:
    from sklearn.metrics import precision_recall_curve, roc_curve

    figure, axes = canvas(1, 3, width=9.4, height=3.4)
    measured = test["measured"].to_numpy(float)
    edges = np.linspace(0, 1, 21).tolist()
    for label, colour in ((0.0, BASELINE), (1.0, MODEL)):
        axes[0].hist(
            test["predicted"][measured == label], edges, color=colour, alpha=0.65,
            label=f"measured {label:.0f}",
        )  # fmt: skip
    axes[0].set_xlabel(f"probability of {name} = 1")
    axes[0].set_ylabel("test molecules")
    axes[0].legend(loc="upper center")
    if len(np.unique(measured)) == 2:
        for column, colour, label in (
            ("baseline", BASELINE, "baseline"),
            ("predicted", MODEL, "graphtide"),
        ):
            wrong, right, _ = roc_curve(measured, test[column])
            axes[1].plot(wrong, right, color=colour, label=label)
            precision, recall, _ = precision_recall_curve(measured, test[column])
            axes[2].plot(recall, precision, color=colour)
        axes[1].plot([0, 1], [0, 1], color="#9aa5b1", linewidth=0.8)
        axes[1].legend(loc="lower right")
    axes[1].set_xlabel("false positives")
    axes[1].set_ylabel("true positives")
    axes[2].set_xlabel("recall")
    axes[2].set_ylabel("precision")
    axes[2].set_ylim(0, 1.03)
    caption = "Probabilities of the test molecules; the curves behind ROC-AUC and PR-AUC."
    finding = "Probabilities of the two classes and the curves of model and baseline."
    return Figure(svg_of(figure), caption, finding, test, f"test_{name}")


def _calibration_section(
    calibration: pandas.DataFrame, figures: dict[str, dict[str, object]]
) -> Section:
    figure, (axis,) = canvas(width=8.0, height=3.2)
    axis.plot([0.45, 1], [0.45, 1], color="#9aa5b1", linewidth=0.9, label="as promised")
    marks = ("o-", "s--", "^:", "d-.")
    for k, (name, own) in enumerate(calibration.groupby("target", sort=False)):
        axis.plot(own["level"], own["coverage"], marks[k % 4], color=MODEL, ms=4, label=str(name))
    axis.set_xlabel("level promised")
    axis.set_ylabel("share of test molecules covered")
    axis.legend(loc="lower right")
    words = [
        f"{name} {_percent(one['coverage'])} at {_percent(one['level'])}"
        for name, one in figures.items()
    ]
    finding = f"Covered: {', '.join(words)}."
    text = (
        "Intervals are conformal: their width follows how far the members disagree, how unsure the "
        "Gaussian process is and how far the molecule is from those learned from, and is set by "
        "residuals of molecules held out in training."
    )
    if any(map(_is_class, figures.values())):
        text += " Of a class, the interval is the set of classes that cannot be excluded."
    caption = "Share of the test molecules whose measured value lies within the interval."
    drawn = Figure(svg_of(figure), caption, finding, calibration, "calibration")
    return Section("Do the intervals cover?", (text,), (drawn,))


def _domain_section(
    run: Run, test: pandas.DataFrame, figures: dict[str, dict[str, object]]
) -> Section:
    limit = cast("dict[str, float]", run.read_json("domain.json"))["limit"]
    figure, (axis,) = canvas(width=8.0, height=3.0)
    name = str(test["target"].iloc[0])
    own = _of(test, name)
    error = np.abs(_numbers(own, "predicted") - _numbers(own, "measured"))
    axis.plot(_numbers(own, "distance"), error, "o", ms=3.6, color=MODEL, alpha=0.75)
    axis.axvline(limit, color=BASELINE, linewidth=1.0, linestyle="--")
    axis.text(
        limit, 1.0, " outside ", transform=axis.get_xaxis_transform(), va="bottom", ha="center",
        fontsize=8.5, color=BASELINE,
    )  # fmt: skip
    axis.set_xlabel("distance to the three nearest training molecules (scaled descriptors)")
    axis.set_ylabel(f"error of {name}")
    outside = (own["in_domain"] == "no").to_numpy()
    rest = number(float(error[~outside].mean())) if (~outside).any() else "none"
    far = number(float(error[outside].mean())) if outside.any() else "none"
    finding = f"Mean error {rest} within the domain and {far} outside (of {outside.sum()})."
    share = figures[name]["in_domain"]
    text = (
        f"{_percent(share)} of the test molecules lie within the domain: their elements occur "
        "among the training molecules, and they are no farther from these than 99 % of these are "
        f"from one another. {finding}"
    )
    caption = "Error of each test molecule against its distance to what was learned from."
    return Section(
        "Where the model knows its way",
        (text,),
        (Figure(svg_of(figure), caption, finding, own, "domain"),),
    )


def _explanation_section(run: Run, targets: list[str], test: pandas.DataFrame) -> Section:
    table = run.read_table("contributions")
    fidelity = cast("dict[str, float]", run.read_json("explanation.json"))
    items = []
    for name in targets:
        own, told = _of(table, name), _of(test, name)
        every = _numbers(own, "contribution")
        middle = float(np.median(every))
        largest = float(np.quantile(np.abs(every - middle), 0.95)) or 1.0
        drawn = [str(text) for text in dict.fromkeys(own["smiles"])]
        colours = [
            {k: _shade((value - middle) / largest) for k, value in enumerate(every[rows])}
            for rows in (np.flatnonzero(own["smiles"] == text) for text in drawn)
        ]
        places = [int(np.flatnonzero(told["smiles"] == text)[0]) for text in drawn]
        predicted, measured = _numbers(told, "predicted"), _numbers(told, "measured")
        labels = [
            f"{number(float(predicted[k]))} (measured {number(float(measured[k]))})" for k in places
        ]
        items.append(
            molecule_grid(
                drawn,
                labels=labels,
                colours=colours,
                columns=4,
                caption=f"Test molecules from the least to the most {name}: atoms that raise it "
                "are blue, those that lower it orange, against the typical atom.",
                finding=f"Contributions of atoms to {name}; the additive model tells "
                f"{_percent(fidelity[name])} of the variance of the model.",
                name=f"contributions_{name}",
            )
        )
    told = ", ".join(f"{name} {_percent(max(0.0, fidelity[name]))}" for name in targets)
    text = (
        "What each atom adds is read off an additive model of the model, a sum over the states of "
        "the atoms in the pretrained network. It tells this share of the variance of the model's "
        f"predictions, on molecules left out: {told}; the rest is not additive."
    )
    return Section("Which atoms make it", (text,), tuple(items))


def _shade(value: float) -> Colour:
    share = min(1.0, abs(value))
    end = _UP if value > 0 else _DOWN
    red, green, blue = (1.0 + share * (one - 1.0) for one in end)
    return red, green, blue


def _worst_section(test: pandas.DataFrame, figures: dict[str, dict[str, object]]) -> Section:
    predicted, measured = _numbers(test, "predicted"), _numbers(test, "measured")
    errors = np.abs(predicted - measured)
    names = np.array([str(name) for name in test["target"]])
    spread = np.array([float(measured[names == name].std()) or 1.0 for name in names])
    worst = np.argsort(-errors / spread)[:_WORST]
    labels = [
        f"{number(float(predicted[k]))} for {number(float(measured[k]))}"
        if len(figures) == 1
        else f"{names[k]}: {number(float(predicted[k]))} for {number(float(measured[k]))}"
        for k in worst
    ]
    smiles = [str(text) for text in test["smiles"]]
    grid = molecule_grid(
        [smiles[k] for k in worst],
        labels=labels,
        caption="The test molecules whose error is largest: predicted for measured.",
        finding=f"The largest error is {number(float(errors[worst[0]]))}.",
        name="worst",
    )
    return Section("The worst errors", (), (grid,))


def _notices_section(run: Run, metrics: dict[str, object]) -> Section:
    frame = read_table(run.path / "notices.csv").head(_NAMED)
    rows = tuple(
        (str(row["line"]), str(row["smiles"]), str(row["reason"]))
        for row in frame.to_dict("records")
    )
    caption = (
        f"{number(metrics['rows_set_aside'])} rows were set aside, "
        f"{number(metrics['duplicates'])} molecules stand on several rows; the first "
        f"{len(rows)} notices are shown, all are in notices.csv."
    )
    return Section("Rows of the table", (), (Table(caption, ("line", "SMILES", "what"), rows),))
