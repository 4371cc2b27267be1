"""The page of ``molecules score``: metrics with floors, molecules, descriptors."""

from __future__ import annotations

import numpy as np

from graphtide.files import read_table, read_text
from graphtide.report.content import Page, Section, Table, number
from graphtide.report.molecule_figures import (
    descriptor_figure,
    metrics_table,
    molecule_grid,
    published_table,
)
from graphtide.report.provenance import provenance
from graphtide.run import Run

__all__ = ["molecules_score_page"]

_DRAWN = 20
_NAMED = 20


def molecules_score_page(run: Run) -> Page:
    """Return the page of the scores of generated molecules."""
    metrics = run.read_metrics()
    sections = [_figures_section(run, metrics)]
    if metrics["valid"]:
        sections += [_molecules_section(run, metrics), _descriptors_section(run)]
    beside = run.configuration.get("beside")
    if isinstance(beside, str):
        table = published_table(metrics, beside)
        sections.append(Section("Beside published figures", (), (table,)))
    if metrics["unparseable"]:
        sections.append(_unparseable_section(run, metrics))
    return Page("Scores of generated molecules", _lead(metrics), tuple(sections), provenance(run))


def _lead(metrics: dict[str, object]) -> str:
    text = (
        f"Of {number(metrics['number'])} molecules {_percent(metrics['validity'])} are valid and "
        f"{_percent(metrics['uniqueness'])} of these distinct"
    )
    if metrics.get("novelty") is not None:
        text += f", {_percent(metrics['novelty'])} of those unseen in training"
    if metrics["fcd"] is None:
        return text + "."
    return (
        f"{text}; their FCD is {number(metrics['fcd'])}, where real molecules against real ones "
        f"score {number(metrics['fcd_floor'])}."
    )


def _percent(value: object) -> str:
    return f"{100 * value:.4g} %" if isinstance(value, int | float) else "none"


def _figures_section(run: Run, metrics: dict[str, object]) -> Section:
    notes = run.read_json("notes.json")
    paragraph = (
        "Validity and connectivity count everything that was generated. The column “real against "
        "real” is what the same metric says of "
        f"{number(metrics['floor_number'])} real molecules against others like them: a finite "
        "sample is never at distance zero. Errors are standard errors: binomial for shares, by "
        "bootstrap of the generated molecules for the others."
    )
    caption = (
        f"{number(metrics['number'])} molecules generated, {number(metrics['valid'])} valid, "
        f"against {number(metrics['reference_number'])} of the reference."
    )
    return Section(
        "Metrics",
        (paragraph,),
        (metrics_table(run.read_table("metrics"), caption=caption),),
        notes=tuple(map(str, notes)) if isinstance(notes, list) else (),
    )


def _molecules_section(run: Run, metrics: dict[str, object]) -> Section:
    smiles = read_text(run.path / "valid.smi").split("\n")[:-1]
    generated = run.read_tensors("descriptors")["generated"]
    distinct = list({text: k for k, text in reversed(list(enumerate(smiles)))}.items())
    chosen = np.random.default_rng(0).permutation(len(distinct))[:_DRAWN]
    shown = [distinct[k] for k in chosen]
    # Adding zero turns minus zero into zero.
    logp = np.round(generated[:, 1], 1) + 0.0
    labels = [f"QED {generated[k, 9]:.2f}, log P {logp[k]:.1f}" for _, k in shown]
    grid = molecule_grid(
        [text for text, _ in shown],
        labels=labels,
        caption=f"{len(shown)} of the distinct valid molecules, drawn at random.",
        finding=f"{len(shown)} generated molecules drawn from {number(metrics['valid'])} valid.",
        name="molecules",
    )
    return Section("Some of the molecules", (), (grid,))


def _descriptors_section(run: Run) -> Section:
    tensors = run.read_tensors("descriptors")
    figure = descriptor_figure(tensors["generated"], tensors["reference"])
    return Section("Descriptors", (), (figure,))


def _unparseable_section(run: Run, metrics: dict[str, object]) -> Section:
    frame = read_table(run.path / "unparseable.csv").head(_NAMED)
    rows = tuple((str(line), str(text)) for line, text in frame.itertuples(index=False))
    caption = (
        f"{number(metrics['unparseable'])} lines hold no molecule with correct valences; the first "
        f"{len(rows)} are shown, all are in unparseable.csv."
    )
    return Section("No molecules", (), (Table(caption, ("line", "text"), rows),))
