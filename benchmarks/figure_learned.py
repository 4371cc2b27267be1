"""The picture of README: what analysis finds in a learned field, beside the truth.

    python benchmarks/figure_learned.py

Gene regulation on a small world of 200 nodes is simulated once, and two fields are learned from
that trajectory: one in closed form, and a neural one with an ensemble. All three are followed while
their network loses weight, up to where they collapse; and their eigenvalues at rest are compared.
Writes docs/images/learned.png.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.resilience import resilience
from graphtide.dynamics.analysis.settling import settle
from graphtide.dynamics.analysis.spectrum import leading_eigenvalues
from graphtide.dynamics.catalogue import CATALOGUE
from graphtide.dynamics.fit import Fit, fit
from graphtide.dynamics.neural_data import NeuralSettings
from graphtide.dynamics.neural_fit import fit_neural
from graphtide.dynamics.simulate import simulate
from graphtide.graph import Graph
from graphtide.report.figures import BASELINE, INK, MODEL, canvas
from graphtide.run import Run

IMAGE = Path(__file__).parents[1] / "docs" / "images" / "learned.png"


def learned(found: Fit, folder: str) -> Law:
    """Return the law of a fit, through the run that it is kept in."""
    run = Run.create(Path(folder), kind="dynamics fit", configuration={})
    found.save(run)
    return Law.learned(run)


def main() -> None:
    """Learn, analyse, draw."""
    graph = Graph.from_source("small_world:200:8:0.3", seed=2)
    equation = CATALOGUE["gene"].equation
    start = np.random.default_rng(0).uniform(0.0, 12.0, (200, 1))
    path = simulate(equation, graph, np.linspace(0.0, 6.0, 121), start)
    with tempfile.TemporaryDirectory() as place:
        laws = {
            "the true law": Law.of(equation, graph),
            "learned, closed form": learned(fit(path, graph), f"{place}/closed"),
            "learned, neural": learned(
                fit_neural(path, graph, settings=NeuralSettings(model="message_passing")),
                f"{place}/neural",
            ),
        }
        figure, (left, right) = canvas(1, 2, width=9.6, height=3.6)
        styles = ((INK, "-", "o"), (MODEL, "--", "x"), (BASELINE, ":", "+"))
        for (name, law), (colour, line, mark) in zip(laws.items(), styles, strict=True):
            state = settle(law, path.states[-1])
            values = np.sort(leading_eigenvalues(law.jacobian(state), 10).values.real)[::-1][:10]
            right.plot(np.arange(1, 11), values, mark, color=colour, label=name, fillstyle="none")
            found = resilience(law, damages=(("weight", "random"),), points=25)
            branch = found.branches[0]
            tip, half = branch.tip, branch.tip_half_width
            print(name, values[0], None if tip is None else tip.position, half, flush=True)
            up = branch.share <= (1.0 if tip is None else tip.position)
            left.plot(branch.share[up], branch.high[up], line, color=colour, label=name)
            if tip is None:
                continue
            left.axvline(tip.position, color=colour, linestyle=line, linewidth=0.9)
            if half is not None and np.isfinite(half):
                left.axvspan(
                    tip.position - half, min(1.0, tip.position + half), color=colour, alpha=0.12,
                    linewidth=0, label="90 % interval of its collapse",
                )  # fmt: skip
        left.set_xlabel("share of all weight lost")
        left.set_ylabel("weighted mean state")
        left.set_ylim(bottom=0)
        left.legend(loc="lower left")
        right.set_xlabel("number of the eigenvalue at rest")
        right.set_ylabel("real part, per unit of time")
        right.legend(loc="best")
        IMAGE.parent.mkdir(exist_ok=True)
        figure.savefig(IMAGE, dpi=150)


if __name__ == "__main__":
    main()
