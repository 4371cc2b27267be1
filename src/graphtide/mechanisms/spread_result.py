"""What cascades tell: law and rates, transmissions, shapes, runs of the law, and sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas

    from graphtide.equation import Equation
    from graphtide.graph import Graph
    from graphtide.mechanisms.cascades import Cascades
    from graphtide.mechanisms.influence import Influence
    from graphtide.mechanisms.network_inference import InferredNetwork
    from graphtide.mechanisms.spread_rates import SpreadRates
    from graphtide.run import Run

__all__ = [
    "LAW_WORDS",
    "Spread",
    "SpreadCurves",
    "SpreadResult",
    "spread_notes",
    "unexplained_note",
]

_Traced = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class SpreadCurves:
    """Infected nodes through time, from the beginning of each cascade.

    Attributes:
        times: (T,).
        observed: (cascades, T).
        simulated: (runs, T), runs of the law from the beginnings that were seen.
        mean_field: (T,), of the same law from the same beginnings.
    """

    times: np.ndarray
    observed: np.ndarray
    simulated: np.ndarray
    mean_field: np.ndarray

    def table(self) -> pandas.DataFrame:
        """Return one row a time: mean and quantiles observed and simulated, and the mean field."""
        import pandas

        columns: dict[str, np.ndarray] = {"time": self.times}
        for name, values in (("observed", self.observed), ("simulated", self.simulated)):
            columns[f"{name}_mean"] = values.mean(axis=0)
            for level, quantile in zip(
                ("q05", "q50", "q95"), np.quantile(values, (0.05, 0.5, 0.95), axis=0), strict=True
            ):
                columns[f"{name}_{level}"] = quantile
        return pandas.DataFrame({**columns, "mean_field": self.mean_field})


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Spread:
    """What is known of a spread, whatever it was learned from.

    Attributes:
        graph: the network, given or inferred.
        rates: the rates of the law.
        equation: the law's mean field with these rates.
        curves: infected nodes through time, observed and simulated.
        influence: the nodes from which the law would reach the most, where they were asked for.
        notes: sentences for a reader.
        seconds: time of the whole work.
    """

    graph: Graph
    rates: SpreadRates
    equation: Equation
    curves: SpreadCurves
    influence: Influence | None
    notes: tuple[str, ...]
    seconds: float

    @property
    def metrics(self) -> dict[str, object]:
        """Figures by plain names."""
        chosen: dict[str, object] = {}
        if self.influence is not None:
            chosen["influential_nodes"] = [self.graph.names[i] for i in self.influence.nodes]
            chosen["influential_reach"] = float(self.influence.reached[-1])
            chosen["influence_guarantee"] = self.influence.guarantee
        return {
            "law": self.rates.law,
            "equation": self.equation.text(values=True, digits=5),
            "rates": _rate_figures(self.rates),
            **self.source_figures(),
            "transmissions": self.rates.transmissions,
            "unexplained": self.rates.unexplained,
            "nodes": self.graph.node_count,
            "log_likelihood": self.rates.log_likelihood,
            **chosen,
            "seconds": self.seconds,
            "notes": list(self.notes),
        }

    def source_figures(self) -> dict[str, object]:
        """Figures of what it was learned from."""
        return {}

    def influence_table(self) -> pandas.DataFrame:
        """Return one row a chosen node: node, nodes reached with those before, standard error."""
        import pandas

        assert self.influence is not None
        return pandas.DataFrame(
            {
                "node": [self.graph.names[i] for i in self.influence.nodes],
                "reached": self.influence.reached,
                "standard_error": self.influence.standard_error,
            }
        )

    def save(self, run: Run) -> None:
        """Write the law, the tables and the notes into a run."""
        run.write_graph(self.graph)
        self.equation.write(run.path / "equation.json")
        run.write_table("curves", self.curves.table())
        if self.influence is not None:
            run.write_table("influence", self.influence_table())
        run.write_json("notes.json", list(self.notes))
        run.write_metrics(self.metrics)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SpreadResult(Spread):
    """What cascades tell.

    Attributes:
        cascades: the cascades.
        inferred: the inferred network, where none was given.
        traced: for each cascade, the likeliest parent of each infection and its probability.
        shapes: one row a cascade: its geometry and its pattern.
    """

    cascades: Cascades
    inferred: InferredNetwork | None
    traced: tuple[_Traced, ...]
    shapes: pandas.DataFrame

    def source_figures(self) -> dict[str, object]:
        """Figures of the cascades: their number, infections, inferred edges and patterns."""
        patterns = []
        for _, rows in self.shapes.groupby("pattern"):
            medians = np.median(rows.filter(items=_SHAPE).to_numpy(dtype=np.float64), axis=0)
            named = {f"median_{n}": float(m) for n, m in zip(_SHAPE, medians, strict=True)}
            patterns.append({"cascades": len(rows), **named})
        network: dict[str, object] = {}
        if self.inferred is not None:
            network["inferred_edges"] = len(self.inferred.rate)
        return {
            "cascades": len(self.cascades.items),
            "infections": self.cascades.infections,
            **network,
            "patterns": patterns,
        }

    def transmissions_table(self) -> pandas.DataFrame:
        """Return one row an infection: cascade, node, time, parent, probability of the parent."""
        import pandas

        names = np.array([*self.graph.names, ""], dtype=object)
        parts = []
        for cascade, (parents, probability) in zip(self.cascades.items, self.traced, strict=True):
            parent = np.where(parents >= 0, cascade.node[parents], len(names) - 1)
            parts.append(
                pandas.DataFrame(
                    {
                        "cascade": cascade.name,
                        "node": names[cascade.node],
                        "time": cascade.time,
                        "parent": names[parent],
                        "probability": probability,
                    }
                )
            )
        return pandas.concat(parts, ignore_index=True)

    def network_table(self) -> pandas.DataFrame:
        """Return one row an inferred edge: source, target, weight, error, transmissions, gain."""
        import pandas

        assert self.inferred is not None
        found, names = self.inferred, np.array(self.graph.names, dtype=object)
        table = pandas.DataFrame(
            {
                "source": names[found.source],
                "target": names[found.target],
                "weight": found.rate,
                "standard_error": found.standard_error,
                "transmissions": found.transmissions,
                "log_likelihood_gain": found.gain,
            }
        )
        return table.sort_values("log_likelihood_gain", ascending=False, ignore_index=True)

    def save(self, run: Run) -> None:
        """Write the law, the tables and the notes into a run."""
        Spread.save(self, run)
        run.write_table("transmissions", self.transmissions_table())
        run.write_table("shapes", self.shapes)
        if self.inferred is not None:
            run.write_table("network", self.network_table())


_SHAPE = ("size", "depth", "breadth", "structural_virality", "duration")


def _rate_figures(rates: SpreadRates) -> dict[str, dict[str, float]]:
    """Return each rate that was found by its name: value, standard error, low and high."""
    named = {
        "infection": rates.infection,
        "incubation": rates.incubation,
        "fading" if rates.fading else "recovery": rates.recovery,
    }
    return {
        name: {
            "value": float(rate.value),
            "standard_error": float(rate.standard_error),
            "low": float(rate.low),
            "high": float(rate.high),
        }
        for name, rate in named.items()
        if rate is not None
    }


LAW_WORDS = {
    "si": "si: who is infected stays infectious.",
    "sis": "sis: who recovers can be infected again.",
    "sir": "sir: who recovers is immune.",
    "seir": "seir: who is infected infects others after an incubation; who recovers is immune.",
}
"""What each law says."""


def unexplained_note(rates: SpreadRates) -> str:
    """Return the sentence on infections that no neighbour explains."""
    share = rates.unexplained / (rates.unexplained + rates.transmissions)
    return (
        f"{rates.unexplained} infections ({100 * share:.2g} %) had no infectious neighbour: an "
        "edge is missing, or they came from outside; they do not count in the rate."
    )


def spread_notes(
    cascades: Cascades,
    rates: SpreadRates,
    inferred: InferredNetwork | None,
    traced: list[_Traced],
    shapes: pandas.DataFrame,
) -> list[str]:
    """Return what a reader should know of the result, one sentence or two an entry."""
    notes = [LAW_WORDS[rates.law]]
    if rates.fading:
        notes[0] = (
            "No recovery was recorded, but infectiousness fades with time since infection "
            "(likelihood-ratio test at 1 %); sir stands for it, gamma being the rate of fading."
        )
    elif rates.law == "si":
        notes.append(
            "No recoveries were given, and none shows in the times: a law with recovery could not "
            "be told from this one by these data."
        )
    if inferred is not None:
        notes.append(
            f"The network was inferred: {len(inferred.rate)} directed edges carry the infections; "
            "their weights are rates, so the rate of infection is near 1. Edges that no cascade "
            "used cannot be seen."
        )
    if rates.unexplained:
        notes.append(unexplained_note(rates))
    probability = np.concatenate([chance for _, chance in traced])
    known = probability[np.isfinite(probability)]
    if known.size and not cascades.has_parents:
        notes.append(
            f"Who infected whom is certain for {100 * float((known > 0.999).mean()):.0f} % of the "
            f"transmissions; the likeliest parent has probability {float(known.mean()):.2f} on "
            "average. Depth, breadth and virality are those of the likeliest trees."
        )
    counts = np.bincount(shapes["pattern"].to_numpy(dtype=np.int64))
    if len(counts) > 1:
        written = ", ".join(map(str, counts.tolist()))
        notes.append(f"The cascades fall into {len(counts)} patterns ({written} cascades).")
    return notes
