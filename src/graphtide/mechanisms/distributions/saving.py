"""What an explanation leaves in the folder of a run, and the figures that a command prints."""

from __future__ import annotations

import numpy as np
import pandas

from graphtide.mechanisms.distributions.bands import nelson_aalen
from graphtide.mechanisms.distributions.cohorts import sample_quantiles
from graphtide.mechanisms.distributions.explanation import Explanation, FamilyResult
from graphtide.mechanisms.distributions.words import headline, local_exponents, notes
from graphtide.run import Run

__all__ = ["metrics_of", "save"]

_POINTS = 400


def metrics_of(found: Explanation) -> dict[str, object]:
    """Return the figures of an explanation, those of ``--json``."""
    best = found.family()
    tail, bootstrap = found.tail, found.bootstrap
    metrics: dict[str, object] = {
        "best": found.best,
        "mechanism": headline(found),
        "equation": found.law.text(values=True, digits=4),
        "clock": found.clock,
        "ks": best.ks,
        "anderson_darling": found.anderson_darling,
        "simulated_ks": found.simulated_ks,
        "p_value_ks": None if bootstrap is None else bootstrap.ks,
        "p_value_anderson_darling": None if bootstrap is None else bootstrap.anderson_darling,
        "bootstrap_standard_errors": None
        if bootstrap is None
        else dict(zip(best.parameters, bootstrap.standard_errors.tolist(), strict=False)),
        "samples": found.sample.size,
        "x_min": None if tail is None else tail.x_min,
        "x_min_standard_error": None if tail is None else tail.x_min_error,
        "tail_exponent": None if tail is None else tail.exponent,
        "tail_exponent_standard_error": None if tail is None else tail.exponent_error,
        "tail_share": None if tail is None else tail.share,
        "tail_mass": None if tail is None else tail.mass,
        "nearest_family": found.nearest,
        "families": [_family(result) for result in found.families],
    }
    if found.cohorts:
        metrics["cohorts"] = [
            {
                "name": c.law.name,
                "parameters": dict(zip(c.law.parameters, c.values.tolist(), strict=True)),
                "standard_errors": dict(
                    zip(c.law.parameters, c.standard_errors.tolist(), strict=True)
                ),
                "ks": c.ks,
                "p_value": c.p_value,
                "criterion": c.criterion,
            }
            for c in found.cohorts
        ]
    metrics["notes"] = notes(found)
    metrics["seconds"] = found.seconds
    return metrics


def save(found: Explanation, run: Run) -> None:
    """Write equation.json, the figures, and the tables behind the page."""
    found.law.write(run.path / "equation.json")
    run.write_metrics(metrics_of(found))
    run.write_table("families", _families(found))
    run.write_table("survival", _survival(found))
    run.write_table("trajectory", _trajectory(found))
    run.write_table("phase", _dated_phase(found) if found.cohorts else _phase(found))
    if found.cohorts:
        run.write_table("quantiles", _carried(found))
    run.write_table(
        "exponents",
        pandas.DataFrame(local_exponents(found), columns=["size", "exponent", "standard_error"]),
    )
    rate = found.rate or 1.0
    pieces = [(size, rate * growth, power) for size, growth, power in found.free_curve.pieces()]
    run.write_table("pieces", pandas.DataFrame(pieces, columns=["from", "growth", "power"]))
    if found.simulated is not None:
        run.write_table("simulated", pandas.DataFrame({"size": found.simulated}))


def _family(result: FamilyResult) -> dict[str, object]:
    return {
        "name": result.name,
        "parameters": result.parameters,
        "standard_errors": result.standard_errors,
        "ks": result.ks,
        "held_out_log_likelihood": result.held_out_log_likelihood,
        "log_likelihood": result.log_likelihood,
        "nats_lost_per_thousand": result.lost,
        "vuong_p": result.vuong_p,
        "limit": result.limit,
        "mechanism": result.mechanism,
    }


def _families(found: Explanation) -> pandas.DataFrame:
    rows = []
    for result in found.families:
        parts = [
            f"{name} = {value:.4g}" + ("" if error is None else f" ± {error:.2g}")
            for name, value, error in (
                (name, value, result.standard_errors.get(name))
                for name, value in result.parameters.items()
            )
        ]
        rows.append(
            {
                "name": result.name,
                "parameters": "; ".join(parts[:6] + (["..."] if len(parts) > 6 else [])),
                "ks": result.ks,
                "lost": result.lost,
                "vuong_p": result.vuong_p,
                "limit": result.limit,
                "mechanism": result.mechanism,
                "best": result.name == found.best,
            }
        )
    return pandas.DataFrame(rows)


def _survival(found: Explanation) -> pandas.DataFrame:
    """Return survival functions of the data, the best, the nearest family and the free curve."""
    empirical = found.empirical
    count = len(empirical.upper)
    even = np.linspace(0, count - 1, _POINTS)
    late = count - np.exp(np.linspace(0.0, np.log(count), _POINTS))
    rows = np.unique(np.concatenate([even, late]).round().astype(int).clip(0, count - 1))
    rows = rows[empirical.after[rows] < 1.0]
    size = empirical.upper[rows]
    frame = pandas.DataFrame({"size": size, "data": 1.0 - empirical.after[rows]})
    for name in dict.fromkeys((found.best, found.nearest)):
        law = empirical.chance(found.family(name).fit.cumulative_hazard)
        frame[name] = 1.0 - law(size)
    return frame


def _trajectory(found: Explanation) -> pandas.DataFrame:
    """Return the time at which each size is reached: Nelson-Aalen, its band, and the best law."""
    steps = nelson_aalen(found.empirical)
    count = len(steps.size)
    rows = np.unique(np.linspace(0, count - 1, _POINTS).round().astype(int))
    rate = found.rate or 1.0
    size = steps.size[rows]
    base = 0.0
    if found.empirical.truncation is not None:
        place = np.array([found.empirical.truncation])
        base = float(found.family().fit.cumulative_hazard(place)[0])
    return pandas.DataFrame(
        {
            "size": size,
            "age": steps.cumulative_hazard[rows] / rate,
            "low": steps.low[rows] / rate,
            "high": steps.high[rows] / rate,
            "law": (found.family().fit.cumulative_hazard(size) - base) / rate,
        }
    )


def _dated_phase(found: Explanation) -> pandas.DataFrame:
    """Return the growth of the law of dates, and how fast quantiles moved between two dates."""
    shares = np.linspace(0.02, 0.98, 25)
    rows = []
    for (before, first), (after, second) in zip(found.dated, found.dated[1:], strict=False):
        low, high = sample_quantiles(first, shares), sample_quantiles(second, shares)
        middle, moved = 0.5 * (low + high), (high - low) / (after - before)
        rows.append(pandas.DataFrame({"size": middle, "moved": moved}))
    frame = pandas.concat(rows).sort_values("size").reset_index(drop=True)
    frame["growth"] = found.cohorts[0].growth(frame["size"].to_numpy())
    return frame


def _carried(found: Explanation) -> pandas.DataFrame:
    """Return quantiles at each date, and where the law carries those of the first date."""
    shares = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    start, sample = found.dated[0]
    first = sample_quantiles(sample, shares)
    law = found.cohorts[0]
    rows = []
    for moment, own in found.dated:
        seen = sample_quantiles(own, shares)
        carried = law.law.flow(first, moment - start, law.values.tolist())
        rows.append(
            pandas.DataFrame({"date": moment, "share": shares, "size": seen, "carried": carried})
        )
    return pandas.concat(rows)


def _phase(found: Explanation) -> pandas.DataFrame:
    """Return the growth f against size: of the best law and of the free curve, with its error."""
    sample = found.sample
    middle = sample.middle
    low, high = np.quantile(middle, [0.005, 0.999])
    low = max(float(low), found.free_curve.start)
    if found.free_curve.logarithmic and low > 0.0:
        size = np.exp(np.linspace(np.log(low), np.log(high), _POINTS))
    else:
        size = np.linspace(low, float(high), _POINTS)
    rate = found.rate or 1.0
    curve = found.free_curve
    u = curve.coordinate(size)
    basis = np.concatenate(
        [
            np.ones((len(u), 1)),
            (u - float(curve.coordinate(np.array(curve.start))))[:, None],
            np.maximum(u[:, None] - curve.knots, 0.0),
        ],
        axis=1,
    )
    error = np.sqrt(np.einsum("ij,jk,ik->i", basis, curve.covariance, basis))
    free = rate / curve.hazard(size)
    return pandas.DataFrame(
        {
            "size": size,
            "growth": rate / found.family().fit.hazard(size),
            "free": free,
            "low": free * np.exp(-1.96 * error),
            "high": free * np.exp(1.96 * error),
        }
    )
