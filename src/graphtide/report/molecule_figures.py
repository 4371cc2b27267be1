"""Drawings of molecules, distributions of their descriptors, and tables of their metrics."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from html import escape

import numpy as np
import pandas

from graphtide.errors import InputError
from graphtide.molecules.metrics.definitions import DEFINITIONS
from graphtide.molecules.metrics.features import DESCRIPTORS
from graphtide.molecules.metrics.published import PUBLISHED
from graphtide.report.content import Figure, Table, number
from graphtide.report.figures import INK, MODEL, canvas, svg_of

__all__ = [
    "Colour",
    "descriptor_figure",
    "metrics_table",
    "molecule_grid",
    "molecule_svg",
    "published_table",
]

_PALETTE = {
    **{7: (0.05, 0.36, 0.70), 8: (0.72, 0.16, 0.13), 16: (0.50, 0.42, 0.0)},
    **{9: (0.10, 0.45, 0.20), 17: (0.10, 0.45, 0.20), 35: (0.48, 0.24, 0.10), 53: (0.36, 0.1, 0.5)},
    15: (0.70, 0.38, 0.0),
}
"""Colours of elements that read on a light ground; all others take the colour of the text."""
Colour = tuple[float, float, float]
"""Red, green and blue, each from 0 to 1."""
_HIGHLIGHT = (0.72, 0.87, 0.93)

_PANELS = {
    "weight": "molecular weight (Da)",
    "logp": "log P",
    "qed": "drug-likeness (QED)",
    "synthetic_accessibility": "synthetic accessibility",
    "polar_surface": "polar surface (Å²)",
    "complexity": "complexity (Bertz)",
}


def molecule_svg(
    smiles: str, *, width: int = 220, height: int = 160, highlight: Collection[int] = ()
) -> str:
    """Return a drawing of a molecule, an ``<svg>`` of a few kilobytes on a transparent ground.

    Carbon and bonds take ``currentColor``, so the element's ``color`` recolours them; letters are
    outlines and need no font.

    Args:
        smiles: the molecule.
        width: pixels.
        height: pixels.
        highlight: indices of atoms to mark, in the order of the SMILES.

    Raises:
        InputError: RDKit cannot parse it, or an index is out of range.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'style="color:{INK}">{_drawing(smiles, width, height, highlight)}</svg>'
    )


def molecule_grid(
    smiles: Sequence[str],
    *,
    caption: str,
    finding: str,
    name: str,
    labels: Sequence[str] | None = None,
    highlights: Sequence[Collection[int]] | None = None,
    colours: Sequence[Mapping[int, Colour]] | None = None,
    columns: int = 5,
) -> Figure:
    """Return drawings of molecules in rows, each with a label below.

    Args:
        smiles: the molecules.
        caption: what is seen.
        finding: what it means in one sentence.
        name: file name of the table behind it.
        labels: one short text each; None draws none.
        highlights: indices of the atoms to mark in each; None marks none.
        colours: colour of each atom to colour, in place of highlights.
        columns: molecules in a row.

    Raises:
        InputError: as :func:`molecule_svg`, or there is no molecule.
    """
    if not smiles:
        raise InputError("there is no molecule to draw")
    width, height, line = 200, 150, 22 if labels else 6
    parts = []
    for k, text in enumerate(smiles):
        x, y = (k % columns) * width, (k // columns) * (height + line)
        marked = colours[k] if colours else highlights[k] if highlights else ()
        drawing = _drawing(text, width, height, marked)
        parts.append(f'<g transform="translate({x},{y})">{drawing}')
        if labels:
            parts.append(
                f'<text x="{width // 2}" y="{height + 14}" text-anchor="middle" font-size="12" '
                f'fill="currentColor">{escape(labels[k])}</text>'
            )
        parts.append("</g>")
    rows = math.ceil(len(smiles) / columns)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {columns * width} '
        f'{rows * (height + line)}" style="color:{INK}">{"".join(parts)}</svg>'
    )
    data = pandas.DataFrame({"smiles": list(smiles), "label": list(labels or [""] * len(smiles))})
    return Figure(svg, caption, finding, data, name)


def descriptor_figure(generated: np.ndarray, reference: np.ndarray) -> Figure:
    """Return the distributions of six descriptors, generated against reference.

    Args:
        generated: shape (n, 11), columns as in ``DESCRIPTORS``.
        reference: shape (m, 11).
    """
    figure, axes = canvas(2, 3, width=9.4, height=4.8)
    rows = []
    for axis, (name, label) in zip(axes, _PANELS.items(), strict=True):
        place = DESCRIPTORS.index(name)
        both = np.concatenate([generated[:, place], reference[:, place]])
        # The outermost thousandth would only stretch the axis.
        low, high = np.quantile(both, [0.001, 0.999])
        edges = np.linspace(low, high if high > low else low + 1.0, 41)
        shares = []
        for values in (reference[:, place], generated[:, place]):
            counts, _ = np.histogram(values, edges)
            shares.append(counts / len(values))
        axis.stairs(shares[0], edges, fill=True, color="#c8d0d8", label="reference")
        axis.stairs(shares[1], edges, color=MODEL, linewidth=1.6, label="generated")
        axis.set_xlabel(label)
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
        rows.append(
            pandas.DataFrame(
                {
                    "descriptor": name,
                    "from": edges[:-1],
                    "to": edges[1:],
                    "reference": shares[0],
                    "generated": shares[1],
                }
            )
        )
    axes[0].legend(loc="upper left", frameon=False)
    means = {
        name: [float(one[:, DESCRIPTORS.index(name)].mean()) for one in (generated, reference)]
        for name in ("weight", "logp")
    }
    finding = (
        f"Mean weight {number(means['weight'][0])} against {number(means['weight'][1])}, mean "
        f"log P {number(means['logp'][0])} against {number(means['logp'][1])}."
    )
    caption = "Shares of molecules: generated (line) and reference (filled)."
    return Figure(svg_of(figure), caption, finding, pandas.concat(rows), "descriptors")


def metrics_table(metrics: pandas.DataFrame, *, caption: str) -> Table:
    """Return the table of metrics: value, error, floor, direction, definition, source.

    Args:
        metrics: as ``Scores.table()`` makes it, or read back from a run.
        caption: what the table shows.
    """
    rows = []
    for row in metrics.to_dict("records"):
        if row["value"] is None or row["value"] != row["value"]:
            continue
        error, floor = row["standard_error"], row["floor"]
        value = number(float(row["value"]), 4)
        definition = DEFINITIONS[str(row["metric"])]
        rows.append(
            (
                definition.label,
                f"{value} ± {number(float(error), 1)}" if error == error and error else value,
                number(floor),
                "–" if definition.direction == "neither" else definition.direction,
                f"{definition.text[0].upper()}{definition.text[1:]}.",
                definition.source,
            )
        )
    header = ("metric", "value", "real against real", "better", "definition", "source")
    return Table(caption, header, tuple(rows))


def published_table(own: dict[str, object], beside: str, *, label: str = "this run") -> Table:
    """Return a run's figures above those that others published for models of the same set.

    Args:
        own: metrics of the run by name.
        beside: a name of ``PUBLISHED``.
        label: name of the run's row.
    """
    names = ("validity", "uniqueness", "novelty", "fcd", "neighbourhood_mmd")
    first = (label, *(number(own.get(name), 4) for name in names), "computed here", "")
    rows = [
        (
            one.model,
            *(number(getattr(one, name), 4) for name in names),
            f"published: {one.source}",
            one.note,
        )
        for one in PUBLISHED[beside]
    ]
    caption = (
        f"Published figures of models of {beside}, not computed here: papers differ in reference "
        "sets, numbers of samples and repairs."
    )
    header = ("model", *(DEFINITIONS[name].label for name in names), "source", "note")
    return Table(caption, header, (first, *rows))


def _drawing(
    smiles: str, width: int, height: int, highlight: Collection[int] | Mapping[int, Colour]
) -> str:
    """Return the elements of a drawing, without the <svg> around them."""
    from rdkit import Chem, rdBase
    from rdkit.Chem.Draw import rdMolDraw2D

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise InputError(f"{smiles!r} cannot be drawn: RDKit cannot parse it")
    atoms = sorted(highlight)
    if atoms and not 0 <= atoms[0] <= atoms[-1] < molecule.GetNumAtoms():
        raise InputError(
            f"atom {atoms[-1]} cannot be marked: {smiles!r} has {molecule.GetNumAtoms()} atoms"
        )
    drawer = rdMolDraw2D.MolDraw2DSVG(width, height)
    options = drawer.drawOptions()
    options.clearBackground = False
    options.padding = 0.06
    options.fixedBondLength = 26
    options.bondLineWidth = 1.3
    options.minFontSize = 9
    options.setAtomPalette({-1: (0.0, 0.0, 0.0), **_PALETTE})
    options.setHighlightColour(_HIGHLIGHT)
    marked = set(atoms)
    bonds = [
        bond.GetIdx()
        for bond in molecule.GetBonds()
        if {bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()} <= marked
    ]
    if isinstance(highlight, Mapping):
        rdMolDraw2D.PrepareAndDrawMolecule(
            drawer, molecule, highlightAtoms=atoms, highlightAtomColors=dict(highlight),
            highlightBonds=[],
        )  # fmt: skip
    else:
        rdMolDraw2D.PrepareAndDrawMolecule(
            drawer, molecule, highlightAtoms=atoms, highlightBonds=bonds
        )
    drawer.FinishDrawing()
    text = drawer.GetDrawingText()
    inner = text[text.index("<!-- END OF HEADER -->") + 22 : text.rindex("</svg>")]
    inner = re.sub(r" class='[^']*'", "", inner).replace("#000000", "currentColor")
    inner = re.sub(r"style='fill:none;[^']*?stroke:([^;]+);[^']*'", r"stroke='\1'", inner)
    inner = re.sub(r"style='fill:([^;]+);[^']*'", r"fill='\1'", inner)
    inner = re.sub(r"(\d)\.0(?=\D)", r"\1", re.sub(r"\s*\n\s*", "", inner))
    inner = re.sub(r" ?([MLQZ]) ?", r"\1", inner.replace(", ", " "))
    inner = inner.replace(" stroke='currentColor'", "")
    inner = re.sub(r"(fill='[^']*')", r"\1 stroke='none'", inner)
    width_of_bonds = options.bondLineWidth
    return f"<g fill='none' stroke='currentColor' stroke-width='{width_of_bonds}'>{inner}</g>"
