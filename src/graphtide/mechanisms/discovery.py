"""What a search for a law returns, and the files it leaves in a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas

from graphtide.equation import Equation
from graphtide.mechanisms.candidates import Candidate
from graphtide.mechanisms.delays import Delay
from graphtide.mechanisms.effects import NodeEffects
from graphtide.mechanisms.following import NodeFit
from graphtide.mechanisms.rows import Sample
from graphtide.mechanisms.search import Support
from graphtide.mechanisms.suspects import SuspectNode, suspects_table
from graphtide.run import Run

NORMAL_95 = 1.6448536269514722
"""The 95 % quantile of the normal distribution: 90 % lie within it on both sides."""

__all__ = ["Discovery", "FoundTerm", "Law"]


@dataclass(frozen=True, slots=True)
class FoundTerm:
    """One term of a law: coefficient, standard error, and the share of repetitions with it."""

    text: str
    coefficient: float
    standard_error: float
    inclusion_frequency: float | None

    @property
    def interval(self) -> tuple[float, float]:
        """The 90 % confidence interval of the coefficient."""
        half = NORMAL_95 * self.standard_error
        return self.coefficient - half, self.coefficient + half


@dataclass(frozen=True, slots=True)
class Law:
    """The right-hand side found for one variable.

    Attributes:
        variable: its name.
        terms: the terms with their coefficients.
        supports: the best set of candidates of each size.
        chosen_size: the size at which the search stopped.
        log_residual: log of the share of the left-hand sides' sum of squares left unexplained.
        rivals: other sets of the same size that explain nearly as much.
    """

    variable: str
    terms: tuple[FoundTerm, ...]
    supports: tuple[Support, ...]
    chosen_size: int
    log_residual: float
    rivals: tuple[Support, ...]


@dataclass(frozen=True, slots=True)
class Discovery:
    """A law, how sure it is, and what stands beside it.

    Attributes:
        equation: the law with coefficients c1, c2, ... and their standard errors.
        laws: one for each variable.
        candidates: the library that was searched.
        samples: the data made ready.
        predicted: the law's own roll-out from the first fitted states, (T, N, D); None where it
            runs off.
        identities: linear relations between candidates that hold on these data.
        bias_corrected: whether the coefficients are free of the bias of smoothed regressors, being
            fitted to the readings or corrected by the bootstrap.
        seconds: time of the whole search.
        notes: sentences for a reader.
        node_fits: how well each node of each trajectory follows the law.
        robust: whether the law was learned only on nodes that follow it.
        suspects: the nodes that do not follow, worst first.
        node_effects: coefficients that differ from node to node; None where there are none.
        delay: how the delay was found; None where none was asked for.
        residuals: what the law leaves by node, by time and by state (tables by name).
        suggested_effects: texts of node effects that would explain the nodes that do not follow.
    """

    equation: Equation
    laws: tuple[Law, ...]
    candidates: tuple[Candidate, ...]
    samples: tuple[Sample, ...]
    predicted: np.ndarray | None
    identities: tuple[dict[int, float], ...]
    bias_corrected: bool
    seconds: float
    notes: tuple[str, ...]
    node_fits: tuple[NodeFit, ...] = ()
    robust: bool = False
    suspects: tuple[SuspectNode, ...] = ()
    node_effects: NodeEffects | None = None
    suggested_effects: tuple[str, ...] = ()
    delay: Delay | None = None
    residuals: Mapping[str, pandas.DataFrame] = field(default_factory=dict)

    def with_notes(self, notes: list[str]) -> Discovery:
        """Return the discovery with its notes."""
        return replace(self, notes=tuple(notes))

    @property
    def metrics(self) -> dict[str, object]:
        """Figures of the search by plain names."""
        sample = self.samples[0]
        known = sample.smoothed.states
        error = None
        if self.predicted is not None:
            size = np.abs(known[:, sample.usable]).mean()
            error = float(np.nanmean(np.abs(self.predicted - known)) / size)
        spread = np.nanstd(known, axis=(0, 1))
        names = sample.observed.variables
        return {
            "terms": sum(len(law.terms) for law in self.laws),
            "unexplained_share": {
                law.variable: float(np.exp(law.log_residual)) for law in self.laws
            },
            "relative_error_roll_out": error,
            "noise_share": {
                name: float(sd / max(s, 1e-300))
                for name, sd, s in zip(names, sample.smoothed.noise_sd, spread, strict=True)
            },
            "bias_corrected": self.bias_corrected,
            "nodes_used": len(sample.usable),
            "robust": self.robust,
            "nodes_that_do_not_follow": [sample.observed.names[s.node] for s in self.suspects],
            "node_effects": list(self.node_effects.terms) if self.node_effects else [],
            "inputs": [series.name for series in sample.known if not series.delay],
            "delay": self.delay.delay if self.delay is not None else None,
            "rivals": {law.variable: [self.text_of(r) for r in law.rivals] for law in self.laws},
            "seconds": self.seconds,
        }

    def terms_table(self) -> pandas.DataFrame:
        """Return one row a term: coefficient with its errors, and its inclusion frequency."""
        return pandas.DataFrame(
            [
                {
                    "variable": law.variable,
                    "term": term.text,
                    "coefficient": term.coefficient,
                    "standard_error": term.standard_error,
                    "low": term.interval[0],
                    "high": term.interval[1],
                    "inclusion_frequency": term.inclusion_frequency,
                }
                for law in self.laws
                for term in law.terms
            ],
            columns=[
                "variable",
                "term",
                "coefficient",
                "standard_error",
                "low",
                "high",
                "inclusion_frequency",
            ],
        )

    def sizes_table(self) -> pandas.DataFrame:
        """Return one row a size: variable, size, log_rss, terms, chosen."""
        return pandas.DataFrame(
            [
                {
                    "variable": law.variable,
                    "size": len(support.terms),
                    "log_rss": support.log_residual,
                    "terms": self.text_of(support),
                    "chosen": size == law.chosen_size,
                }
                for law in self.laws
                for size, support in enumerate(law.supports)
            ]
        )

    def rivals_table(self) -> pandas.DataFrame:
        """Return one row a rival: variable, log_rss, terms."""
        return pandas.DataFrame(
            [
                {
                    "variable": law.variable,
                    "log_rss": rival.log_residual,
                    "terms": self.text_of(rival),
                }
                for law in self.laws
                for rival in law.rivals
            ],
            columns=["variable", "log_rss", "terms"],
        )

    def text_of(self, support: Support) -> str:
        """Return the candidates of a set as one text."""
        return " + ".join(self.candidates[p].text for p in support.terms) or "0"

    def save(self, run: Run) -> None:
        """Write the law and what stands beside it into a run."""
        sample = self.samples[0]
        run.write_graph(sample.graph)
        run.write_trajectory("observed", sample.observed)
        run.write_trajectory("smoothed", sample.observed.with_states(sample.smoothed.states))
        if self.predicted is not None:
            run.write_trajectory("predicted", sample.observed.with_states(self.predicted))
        self.equation.write(run.path / "equation.json")
        run.write_table("terms", self.terms_table())
        run.write_table("sizes", self.sizes_table())
        run.write_table("rivals", self.rivals_table())
        names = sample.observed.names
        if self.suspects:
            run.write_table("suspects", suspects_table(self.suspects, names))
        if self.node_effects is not None:
            run.write_table("node_effects", self.node_effects.table(names))
        if self.delay is not None and self.delay.profile:
            profile = pandas.DataFrame(self.delay.profile, columns=["delay", "score"])
            run.write_table("delays", profile.sort_values("delay"))
        for name, table in self.residuals.items():
            run.write_table(name, table)
        run.write_json("notes.json", list(self.notes))
        run.write_metrics({"equation": self.equation.text(), **self.metrics})
