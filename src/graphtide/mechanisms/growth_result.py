"""What a growth curve tells: laws fitted, the best one's forecast, and sentences for a reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas

    from graphtide.equation import Equation
    from graphtide.mechanisms.growth_curve import GrowthCurve
    from graphtide.mechanisms.growth_fit import GrowthFit
    from graphtide.mechanisms.growth_links import Densification, LinksFit
    from graphtide.run import Run

__all__ = ["Forecast", "GrowthResult", "LawResult", "growth_notes"]


@dataclass(frozen=True, slots=True, eq=False)
class LawResult:
    """A law's fit to the whole curve, and how it forecast the tail.

    Attributes:
        fit: fitted to all readings.
        held_out_error: mean relative error on the tail of the fit to what comes before.
        intervals: 95 % profile-likelihood interval of each parameter, None for an open end.
    """

    fit: GrowthFit
    held_out_error: float
    intervals: dict[str, tuple[float | None, float | None]]

    @property
    def undetermined(self) -> list[str]:
        """Parameters whose interval is open at its upper end."""
        return [name for name, (_, high) in self.intervals.items() if high is None]


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """The best law beyond the curve: times, sizes and their 90 % band, each (H,); links if any."""

    times: np.ndarray
    sizes: np.ndarray
    low: np.ndarray
    high: np.ndarray
    links: np.ndarray | None


@dataclass(frozen=True, slots=True, eq=False)
class GrowthResult:
    """What a growth curve tells.

    Attributes:
        curve: the curve, as fitted.
        laws: every law that could be fitted, the best first.
        plain: held-out relative error of plain methods by name.
        equation: the best law.
        forecast: the best law beyond the curve.
        change_points: times at which the best law's numbers change.
        densification: of links over nodes, where links are known.
        links: NetTide's law of links, where links are known.
        notes: sentences for a reader.
        seconds: time of the whole work.
    """

    curve: GrowthCurve
    laws: tuple[LawResult, ...]
    plain: dict[str, float]
    equation: Equation
    forecast: Forecast
    change_points: tuple[float, ...]
    densification: Densification | None
    links: LinksFit | None
    notes: tuple[str, ...]
    seconds: float

    @property
    def best(self) -> LawResult:
        """The law with the least held-out error (of nearly equal ones, that of the best fit)."""
        return self.laws[0]

    @property
    def metrics(self) -> dict[str, object]:
        """Figures by plain names."""
        links: dict[str, object] = {}
        if self.densification is not None:
            links["densification_exponent"] = self.densification.exponent
            links["densification_standard_error"] = self.densification.standard_error
        if self.links is not None:
            links["links_parameters"] = self.links.parameters
            links["links_standard_errors"] = self.links.standard_errors
        return {
            "best": self.best.fit.law.name,
            "equation": self.equation.text(values=True, digits=5),
            "relative_error_held_out": self.best.held_out_error,
            "laws": [_law_figures(law) for law in self.laws],
            "plain_methods": dict(self.plain),
            "change_points": list(self.change_points),
            **links,
            "forecast": {
                "time": self.forecast.times.tolist(),
                "size": self.forecast.sizes.tolist(),
                "low": self.forecast.low.tolist(),
                "high": self.forecast.high.tolist(),
            },
            "readings": len(self.curve.times),
            "seconds": self.seconds,
            "notes": list(self.notes),
        }

    def curve_table(self) -> pandas.DataFrame:
        """Return one row a reading: time, size, best law, residual of log n, links, their law."""
        import pandas

        curve, best = self.curve, self.best.fit
        columns = {
            "time": curve.times,
            "size": curve.sizes,
            "law": best.size(curve.times),
            "residual_log": best.residuals,
        }
        if curve.links is not None:
            columns["links"] = curve.links
        if self.links is not None:
            columns["links_law"] = self.links.links(curve.times)
        return pandas.DataFrame(columns)

    def forecast_table(self) -> pandas.DataFrame:
        """Return one row a time beyond the curve: time, size, low, high, links."""
        import pandas

        ahead = self.forecast
        columns = {"time": ahead.times, "size": ahead.sizes, "low": ahead.low, "high": ahead.high}
        if ahead.links is not None:
            columns["links"] = ahead.links
        return pandas.DataFrame(columns)

    def laws_table(self) -> pandas.DataFrame:
        """Return one row a parameter of each law: value, standard error, interval, errors."""
        import pandas

        return pandas.DataFrame(
            [
                {
                    "law": law.fit.law.name,
                    "parameter": name,
                    "value": value,
                    "standard_error": law.fit.standard_errors[name],
                    "low": law.intervals[name][0],
                    "high": law.intervals[name][1],
                    "relative_error_held_out": law.held_out_error,
                    "residual_deviation": law.fit.residual_deviation,
                }
                for law in self.laws
                for name, value in law.fit.parameters.items()
            ]
        )

    def fitted_table(self) -> pandas.DataFrame:
        """Return every law's size at the times of the curve and of the forecast."""
        import pandas

        times = np.concatenate([self.curve.times, self.forecast.times])
        columns = {law.fit.law.name: law.fit.size(times) for law in self.laws}
        return pandas.DataFrame({"time": times, **columns})

    def save(self, run: Run) -> None:
        """Write the law, the tables and the notes into a run."""
        self.equation.write(run.path / "equation.json")
        run.write_table("curve", self.curve_table())
        run.write_table("forecast", self.forecast_table())
        run.write_table("laws", self.laws_table())
        run.write_table("fitted", self.fitted_table())
        run.write_json("notes.json", list(self.notes))
        run.write_metrics({**self.metrics, "time_unit": self.curve.time_unit})


def _law_figures(law: LawResult) -> dict[str, object]:
    return {
        "name": law.fit.law.name,
        "parameters": law.fit.parameters,
        "standard_errors": law.fit.standard_errors,
        "intervals": {name: list(ends) for name, ends in law.intervals.items()},
        "not_determined": law.undetermined,
        "relative_error_held_out": law.held_out_error,
        "residual_deviation": law.fit.residual_deviation,
    }


_WORDS = {
    "exponential": "Growth in proportion to size, at a rate that stays the same.",
    "power law": "Growth in proportion to size, at a rate that falls as one over the age: what is "
    "old grows slowly, without end.",
    "logistic": "Growth by contact of those inside with those still outside, until all are in.",
    "Gompertz": "Growth in proportion to size, at a rate that falls exponentially with time.",
    "Bass": "Adoption from outside at the rate p and by imitation at the rate q, until all have.",
    "NetTide": "Growth by contact of members with those outside, the members losing interest as a "
    "power of the age.",
}


def growth_notes(
    laws: list[LawResult],
    changes: list[float],
    slope: Densification | None,
    plain: dict[str, float],
) -> list[str]:
    """Return what a reader should know of the result, one sentence or two an entry."""
    best = laws[0]
    law, values = best.fit.law, best.fit.parameters
    notes = [f"{law.name}: {_WORDS[law.name]}"]
    if law.capacity and "N" in best.undetermined:
        notes.append(
            "The saturation N lies beyond the data: the curve bounds it from below at most, and "
            "the value that stands in the equation is one of many."
        )
    elif law.capacity:
        low, high = best.intervals["N"]
        assert high is not None
        floor = "" if low is None else f"{low:.4g} to "
        notes.append(f"Growth ends near N = {values['N']:.4g} (95 % interval {floor}{high:.4g}).")
    if law.name == "NetTide" and values["theta"] > 1.0:
        notes.append("theta exceeds 1: interest fades so fast that growth stops below N by itself.")
    near = [
        other.fit.law.name
        for other in laws[1:]
        if other.held_out_error <= 1.5 * best.held_out_error + 1e-9
    ]
    if near:
        notes.append(f"Not decided against: {', '.join(near)} (held-out error within half more).")
    better = [name for name, error in plain.items() if error < best.held_out_error]
    if better:
        notes.append(f"On the held-out tail the {' and the '.join(better)} did better.")
    if changes:
        written = ", ".join(f"{when:.4g}" for when in changes)
        notes.append(f"The numbers of the law change at time {written}; the forecast ignores this.")
    if slope is not None:
        notes.append(
            f"Links grow as nodes to the power {slope.exponent:.3g} (standard error "
            f"{slope.standard_error:.2g}): "
            + ("the network densifies." if slope.exponent > 1.0 else "it does not densify.")
        )
    return notes
