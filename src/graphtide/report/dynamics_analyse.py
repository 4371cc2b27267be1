"""The page of ``dynamics analyse``: spectrum, phase portraits, branches, what matters where."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas

from graphtide.graph import Graph
from graphtide.report.analysis_figures import (
    attack_figure,
    branch_figure,
    forecast_attack_figure,
    growth_figure,
    master_figure,
    modes_figure,
    portrait_figure,
    sensitivity_figure,
    spectrum_figure,
)
from graphtide.report.content import Page, Section, Table, number
from graphtide.report.provenance import provenance
from graphtide.report.resilience_section import resilience_section
from graphtide.run import Run

__all__ = ["analyse_page"]


def analyse_page(run: Run) -> Page:
    """Return the page of an analysis."""
    metrics = run.read_metrics()
    parts = {name: value for name, value in metrics.items() if isinstance(value, dict)}
    sections = [
        Section(name.capitalize(), _findings(values), ())
        if "failed" in values
        else SECTIONS.get(name, _plain)(run, name, values, run.read_graph())
        for name, values in parts.items()
    ]
    first = next(iter(parts.values()), {})
    said = _findings(first)
    lead = (
        f"{metrics['law']} on {number(metrics['nodes'])} nodes. {said[0] if said else ''}".strip()
    )
    return Page("How the law behaves", lead, tuple(sections), provenance(run))


def _findings(values: dict[str, object]) -> tuple[str, ...]:
    found = values.get("findings", [])
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _table(run: Run, name: str) -> pandas.DataFrame | None:
    """Return a table of the run; None where it has none or an empty one."""
    if not (run.path / f"{name}.csv").is_file():
        return None
    frame = run.read_table(name)
    return frame if len(frame) else None


def _stability(run: Run, name: str, values: dict[str, object], graph: Graph) -> Section:
    del name, graph
    items = []
    points = _table(run, "fixed_points")
    if points is not None:
        items.append(_points_table(points))
        eigenvalues = _table(run, "eigenvalues")
        if eigenvalues is not None:
            items.append(spectrum_figure(eigenvalues, points))
    trajectories = _table(run, "trajectories")
    if trajectories is not None:
        items.append(portrait_figure(trajectories, _table(run, "cycle"), points))
    branches = _table(run, "branches")
    if branches is not None:
        special = _table(run, "bifurcations")
        items += [
            branch_figure(str(parameter), part, special)
            for parameter, part in branches.groupby("parameter", sort=False)
        ]
    master = _table(run, "master_stability")
    if master is not None:
        items.append(master_figure(master))
    exponents = values.get("lyapunov_exponents")
    if isinstance(exponents, list):
        items.append(_exponents_table(exponents, values.get("lyapunov_standard_errors")))
    return Section("Stability", _findings(values), tuple(items))


def _robustness(run: Run, name: str, values: dict[str, object], graph: Graph) -> Section:
    del name
    items = []
    nodes = _table(run, "node_sensitivity")
    if nodes is not None:
        edges = _table(run, "edge_sensitivity")
        items.append(sensitivity_figure(graph, nodes, str(values.get("outcome_is"))))
        items.append(_strongest(nodes, edges))
    parameters = _table(run, "parameter_sensitivity")
    if parameters is not None:
        items.append(
            Table(
                "How the mean state changes with each parameter",
                ("parameter", "value", "change of the mean state for a change of one"),
                tuple(
                    (str(row["parameter"]), number(row["value"]), number(row["sensitivity"]))
                    for row in parameters.to_dict("records")
                ),
            )
        )
    growth = _table(run, "transient_growth")
    if growth is not None:
        items.append(growth_figure(growth))
    return Section("Robustness", _findings(values), tuple(items))


def _complexity(run: Run, name: str, values: dict[str, object], graph: Graph) -> Section:
    del name
    rows = [
        ("evaluations of the right-hand side", values.get("evaluations")),
        ("fastest over slowest rate", values.get("stiffness")),
        ("effective dimension of trajectories", values.get("effective_dimension")),
        ("entropy of the spectrum (0 to 1)", values.get("spectral_entropy")),
        ("description length (bits)", values.get("description_length_bits")),
    ]
    table = Table("Complexity", ("what", "value"), tuple((a, number(b)) for a, b in rows))
    modes = _table(run, "modes")
    items = [table] if modes is None else [table, modes_figure(modes, graph.node_count)]
    return Section("Complexity", _findings(values), tuple(items))


def _plain(run: Run, name: str, values: dict[str, object], graph: Graph) -> Section:
    """Return a section of findings and plain figures, for a part without pictures of its own."""
    del run, graph
    rows = tuple(
        (key.replace("_", " "), number(value))
        for key, value in values.items()
        if isinstance(value, int | float | str)
    )
    return Section(
        name.replace("_", " ").capitalize(),
        _findings(values),
        (Table("Figures", ("what", "value"), rows),),
    )


def _attack(run: Run, name: str, values: dict[str, object], graph: Graph) -> Section:
    del name, graph
    frame = run.read_table("attack")
    return Section("Attacks on the features", _findings(values), (attack_figure(frame),))


def _forecast_attack(run: Run, name: str, values: dict[str, object], graph: Graph) -> Section:
    del name, graph
    frame = run.read_table("forecast_attack")
    figure = forecast_attack_figure(frame)
    return Section("Attacks on the readings", _findings(values), (figure,))


SECTIONS: dict[str, Callable[[Run, str, dict[str, object], Graph], Section]] = {
    "stability": _stability,
    "robustness": _robustness,
    "complexity": _complexity,
    "resilience": resilience_section,
    "attack": _attack,
    "forecast_attack": _forecast_attack,
}
"""The section of each part; a part that is not here is shown as findings and plain figures."""


def _points_table(points: pandas.DataFrame) -> Table:
    means = [column for column in points.columns if column.startswith("mean_")]
    return Table(
        "Fixed points",
        (
            "point",
            "kind",
            "leading eigenvalue",
            "share of starts",
            *(column.replace("mean_", "mean ") for column in means),
        ),
        tuple(
            (
                number(row["point"]),
                f"{row['kind']}{', on a continuum' if row['continuum'] else ''}",
                _complex(float(row["leading_real"]), float(row["leading_imaginary"])),
                f"{100 * float(row['share_of_starts']):.0f} %",
                *(number(row[column]) for column in means),
            )
            for row in points.to_dict("records")
        ),
    )


def _complex(real: float, imaginary: float) -> str:
    real = 0.0 if abs(real) < 1e-12 else real
    if abs(imaginary) < 1e-12:
        return number(real)
    return f"{number(real)} ± {number(abs(imaginary))} i"


def _exponents_table(values: list[object], errors: object) -> Table:
    known = errors if isinstance(errors, list) else [None] * len(values)
    return Table(
        "Largest Lyapunov exponents",
        ("number", "exponent", "standard error"),
        tuple(
            (str(k + 1), number(value), number(error, 2))
            for k, (value, error) in enumerate(zip(values, known, strict=True))
        ),
    )


def _strongest(nodes: pandas.DataFrame, edges: pandas.DataFrame | None) -> Table:
    column = next(c for c in nodes.columns if c.startswith("sensitivity_"))
    size = nodes[column].to_numpy()
    least = 1e-12 * float(np.abs(size).max())
    rows = [
        ("node", str(nodes["node"].iloc[k]), number(float(size[k])))
        for k in np.argsort(-np.abs(size))[:6]
    ]
    if edges is not None:
        size = edges["sensitivity"].to_numpy()
        rows += [
            (
                "edge",
                f"{edges['source'].iloc[k]} to {edges['target'].iloc[k]}",
                number(float(size[k]) if abs(size[k]) > least else 0.0),
            )
            for k in np.argsort(-np.abs(size))[:6]
        ]
    return Table(
        "What the mean state depends on most",
        ("what", "which", "change of the mean state"),
        tuple(rows),
    )
