"""How well distributions are explained: coverage, the right family, distance, real data, time.

Recovery: samples of every family at n = 300, 10^4 and 10^6 and 50 seeds; the share of parameters
within two standard errors of the truth (95.4 % for a Gaussian estimate; 100 % would be too wide),
and at 10^4 how often the right family is named among all (ties go to the simplest, see
graphtide.mechanisms.distributions.comparison; a sum counts as right when its powers are). Families
share their random ages seed by seed, so that shares of different families err together.

Real data: the four sets of Clauset, Shalizi and Newman (SIAM Review 51, 2009, Table 6.1) from
--data, with their published exponents and x_min, and sets that the packages powerlaw, lifelines,
statsmodels and scikit-learn ship. Beside each the best of ten SciPy families, its distance both as
SciPy's users see it and, for whole numbers, with the density read as the probability of the cell
about each number.

Time: processor time of the whole command's fit and of the free curve at 10^5 and 10^6, and that of
the powerlaw package at 10^4 and (stopped after a limit) 10^5.

    python benchmarks/distributions.py --data FOLDER [--seeds 50] [--only recovery real time]

FOLDER/distributions holds words, blackouts, cities and terrorism as CSV (a column `value`). Every
cell is written to benchmarks/results/distributions.json when it is done; a new start goes on there.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import importlib.util
import json
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from graphtide.mechanisms.distributions import Explanation, Sample, explain_distribution
from graphtide.mechanisms.distributions.candidates import fit_all, fit_jump, location
from graphtide.mechanisms.distributions.families import ONE_SCALE
from graphtide.mechanisms.distributions.family import Family
from graphtide.mechanisms.distributions.free_curve import fit_free_curve
from graphtide.mechanisms.distributions.goodness import Empirical, kolmogorov_smirnov
from graphtide.mechanisms.distributions.likelihood import fit_family, summarise
from graphtide.mechanisms.distributions.nodes import Compressed
from graphtide.mechanisms.distributions.scales import SEVERAL_SCALES, hazard_sum, mechanism_sum

RESULTS = Path(__file__).parent / "results" / "distributions.json"
SIZES = (300, 10_000, 1_000_000)
PUBLISHED = {
    "words": (1.95, 7.0),
    "blackouts": (2.3, 230_000.0),
    "cities": (2.37, 52_460.0),
    "terrorism": (2.4, 12.0),
}
SCIPY = (
    *("expon", "weibull_min", "gamma", "lognorm", "pareto"),
    *("lomax", "norm", "logistic", "burr12", "genpareto"),
)
NAMED = {family.name: family for family in (*ONE_SCALE, *SEVERAL_SCALES)}


@dataclass(frozen=True, slots=True)
class Truth:
    """A family with the parameters that samples are drawn from."""

    family: Family
    values: tuple[float, ...]
    start: float = 0.0

    @property
    def parameters(self) -> dict[str, float]:
        """Values by name, the start of located families as x_min."""
        known = dict(zip([p.name for p in self.family.parameters], self.values, strict=True))
        return {**known, "x_min": self.start} if self.family.located else known

    def draw(self, count: int, seed: int) -> np.ndarray:
        """Return sizes: the trajectory at exponential ages."""
        ages = np.random.default_rng((seed, count)).exponential(size=count)
        return self.family.trajectory(ages, self.values, self.start)


TRUTHS = {
    "exponential": Truth(NAMED["exponential"], (0.5,)),
    "pareto": Truth(NAMED["pareto"], (1.5,), 1.0),
    "rayleigh": Truth(NAMED["rayleigh"], (2.0,)),
    "weibull": Truth(NAMED["weibull"], (0.6, 3.0)),
    "generalised_pareto": Truth(NAMED["generalised_pareto"], (2.0, 0.4)),
    "gompertz": Truth(NAMED["gompertz"], (0.1, 0.5)),
    "gaussian": Truth(NAMED["gaussian"], (5.0, 2.0)),
    "logistic": Truth(NAMED["logistic"], (5.0, 1.5)),
    "lognormal": Truth(NAMED["lognormal"], (0.0, 1.0)),
    "log_logistic": Truth(NAMED["log_logistic"], (2.5, 3.0)),
    "burr_xii": Truth(NAMED["burr_xii"], (2.0, 2.5, 3.0)),
    "power_law_cutoff": Truth(NAMED["power_law_cutoff"], (1.2, 0.1), 1.0),
    "two_exponentials": Truth(NAMED["two_exponentials"], (0.3, 0.2, 2.0)),
    "four_parameter": Truth(NAMED["four_parameter"], (3.0, 0.3, 0.6), 1.0),
    "double_power_law": Truth(NAMED["double_power_law"], (0.8, 2.0, 5.0), 1.0),
    "hazard_sum": Truth(hazard_sum((-1.0, 1.0)), (0.5, 0.3), 1.0),
    "mechanism_sum": Truth(mechanism_sum((-1.0, 1.0)), (2.0, 0.5), 1.0),
}


def inside(truth: Truth, values: dict[str, float], errors: dict[str, float | None]) -> list[float]:
    """Return for each parameter whether the truth is within two standard errors (1 or 0).

    NaN where the fit says that the data do not determine the parameter.
    """
    found = []
    for name, true in truth.parameters.items():
        error = errors.get(name)
        found.append(np.nan if error is None else float(abs(values[name] - true) <= 2.0 * error))
    return found


def fitted(truth: Truth, values: np.ndarray) -> tuple[dict[str, float], dict[str, float | None]]:
    """Return parameters and standard errors of the true family alone."""
    sample = Sample.of(values)
    jump = fit_jump(sample) if truth.family.name == "double_power_law" else None
    breaks = () if jump is None else (float(jump.values[2]),)
    nodes = Compressed(sample, breaks=breaks).nodes()
    if truth.family.choices:
        fit = fit_family(truth.family, nodes, sample.start, truth.family.guesses(summarise(sample)))
    else:
        fits, _ = fit_all(sample, nodes, jump, [truth.family.name])
        fit = fits[0] if fits else None
    if fit is None:
        return dict.fromkeys(truth.parameters, np.nan), dict.fromkeys(truth.parameters)
    names = [p.name for p in fit.family.parameters]
    found = dict(zip(names, fit.values.tolist(), strict=True))
    errors: dict[str, float | None] = {
        name: float(e) if np.isfinite(e) else None
        for name, e in zip(names, fit.standard_errors, strict=True)
    }
    if fit.family.located:
        place, error = location(fit, sample)
        found["x_min"], errors["x_min"] = place, float(error) if np.isfinite(error) else None
    return found, errors


def right(truth: Truth, found: Explanation) -> bool:
    """Tell whether the true family was named, a sum with its own powers."""
    if found.best != truth.family.name:
        return False
    if not truth.family.choices:
        return True
    fit = found.family().fit
    return not isinstance(fit, type(found.free_curve)) and fit.family.law == truth.family.law


def recovery(name: str, count: int, seeds: int) -> dict[str, object]:
    """Return coverage of a family's parameters, and at 10^4 which families were named."""
    truth = TRUTHS[name]
    covered, named, distances, seconds = [], [], [], []
    for seed in range(seeds):
        values = truth.draw(count, seed)
        began = time.process_time()
        parameters, errors = fitted(truth, values)
        seconds.append(time.process_time() - began)
        covered.append(inside(truth, parameters, errors))
        if count == SIZES[1]:
            found = explain_distribution(values, repetitions=0, tail_repetitions=0, seed=seed)
            named.append("right" if right(truth, found) else found.best)
            distances.append(found.family().ks)
    within = np.array(covered)
    shares = np.nanmean(within, axis=0)
    cell: dict[str, object] = {
        "seeds": seeds,
        "covered": float(np.nanmean(within)),
        "determined": float(np.mean(~np.isnan(within))),
        "parameters": dict(zip(truth.parameters, shares.tolist(), strict=True)),
        "median_cpu_seconds_of_fit": median(seconds),
    }
    if named:
        others = [n for n in named if n != "right"]
        cell["right_family"] = 1.0 - len(others) / seeds
        cell["named_instead"] = {n: others.count(n) for n in sorted(set(others))}
        cell["median_ks"] = median(distances)
    return cell


def scipy_best(values: np.ndarray, step: float) -> dict[str, object]:
    """Return the smallest distance of ten SciPy families fitted to values, and whose it is.

    For whole numbers also with the law read at v + 1/2 (rounded to the nearest): a continuity
    correction that SciPy's users can make.
    """
    from scipy import stats

    distinct, places = np.unique(values, return_index=True)
    before = places / len(values)
    after = np.append(places[1:], len(values)) / len(values)
    best: dict[str, object] = {"ks": np.inf, "corrected_ks": np.inf}
    began = time.process_time()
    for name in SCIPY:
        law = getattr(stats, name)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                parameters = law.fit(values)
                chance = law.cdf(distinct, *parameters)
                middle = law.cdf(distinct + step / 2, *parameters)
            except (RuntimeError, ValueError, stats.FitError):
                continue  # a family that SciPy cannot fit is no rival
        distance = float(np.maximum(np.abs(chance - before), np.abs(chance - after)).max())
        corrected = float(np.abs(middle - after).max()) if step else distance
        if np.isfinite(distance) and distance < best["ks"]:
            best |= {"ks": distance, "family": name}
        if np.isfinite(corrected) and corrected < best["corrected_ks"]:
            best |= {"corrected_ks": corrected, "corrected_family": name}
    return {**best, "cpu_seconds": time.process_time() - began}


def real_sets(folder: Path) -> dict[str, tuple[str, Sample]]:
    """Return real cross-sections by name, with where they come from."""
    import pandas

    sets: dict[str, tuple[str, Sample]] = {}
    for name in PUBLISHED:
        for ending in (".csv.gz", ".csv"):
            path = folder / "distributions" / f"{name}{ending}"
            if path.is_file():
                values = pandas.read_csv(path)["value"].to_numpy(dtype=np.float64)
                sets[name] = ("Clauset et al. 2009", Sample.of(values))
                break

    def within(package: str, *parts: str) -> Path | None:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            return None
        path = Path(spec.submodule_search_locations[0]).joinpath(*parts)
        return path if path.is_file() else None

    for name in ("flares", "fires", "surnames", "quakes"):
        path = within("powerlaw", "reference_data", f"{name}.txt")
        if path is not None:
            sets[name] = ("powerlaw", Sample.of(np.loadtxt(path)))
    path = within("powerlaw", "reference_data", "weblinks.hist")
    if path is not None:
        frame = pandas.read_csv(path, sep="\t")
        sets["weblinks"] = (
            "powerlaw",
            Sample.of(frame["degree"].to_numpy(), weights=frame["frequency"].to_numpy()),
        )
    censored = (
        ("kidney transplant survival", "kidney_transplant.csv", "time", "death"),
        ("rule of heads of state", "dd.csv", "duration", "observed"),
        ("lung cancer survival", "lung.csv", "time", "status"),
    )
    for name, file, column, event in censored:
        path = within("lifelines", "datasets", file)
        if path is not None:
            frame = pandas.read_csv(path).dropna(subset=[column, event])
            frame = frame[frame[column] > 0]
            sets[name] = (
                "lifelines",
                Sample.of(frame[column].to_numpy(), observed=frame[event].to_numpy() > 0),
            )
    plain = (
        ("strike durations", "statsmodels", ("datasets", "strikes", "strikes.csv"), "duration"),
        ("doctor visits", "statsmodels", ("datasets", "randhie", "randhie.csv"), "mdvis"),
    )
    for name, package, parts, column in plain:
        path = within(package, *parts)
        if path is not None:
            sets[name] = (package, Sample.of(pandas.read_csv(path)[column].to_numpy()))
    if within("sklearn", "datasets", "data", "wine_data.csv") is not None:
        from sklearn import datasets

        tumours, wines = datasets.load_breast_cancer(), datasets.load_wine()
        sets["tumour area"] = ("scikit-learn", Sample.of(tumours.data[:, 3]))
        sets["proline in wine"] = ("scikit-learn", Sample.of(wines.data[:, 12]))
    return sets


def real(name: str, source: str, sample: Sample) -> dict[str, object]:
    """Return what was found in a real set, beside SciPy."""
    found = explain_distribution(sample)
    best, nearest = found.family(), found.family(found.nearest)
    tail = found.tail
    cell: dict[str, object] = {
        "source": source,
        "units": sample.size,
        "step": sample.step,
        "ratio": sample.ratio,
        "best": found.best,
        "ks": best.ks,
        "simulated_ks": found.simulated_ks,
        "nearest_family": found.nearest,
        "nearest_family_ks": nearest.ks,
        "nats_lost_per_thousand": nearest.lost,
        "free_curve_ks": found.family("piecewise_power_law").ks,
        "mechanism": best.mechanism,
        "equation": found.equation.text(values=True, digits=3),
        "cpu_seconds": found.seconds,
    }
    if tail is not None:
        cell |= {
            "x_min": tail.x_min,
            "x_min_standard_error": tail.x_min_error,
            "tail_exponent": tail.exponent,
            "tail_exponent_standard_error": tail.exponent_error,
            "tail_share": tail.share,
            "tail_mass": tail.mass,
        }
    if name in PUBLISHED:
        cell["published_exponent"], cell["published_x_min"] = PUBLISHED[name]
    if sample.weights is None and sample.observed is None:
        cell["scipy"] = scipy_best(sample.values, sample.step)
    return cell


def rivals(name: str) -> dict[str, object]:
    """Return distances on one simulated sample of a family, ours beside SciPy's."""
    values = TRUTHS[name].draw(SIZES[1], 1000)
    found = explain_distribution(values, repetitions=0, tail_repetitions=0)
    return {"best": found.best, "ks": found.family().ks, "scipy": scipy_best(values, 0.0)}


def timing(name: str, count: int, repetitions: int = 5) -> dict[str, float]:
    """Return median processor times of the whole fit and of the free curve alone."""
    whole, free = [], []
    distance = np.nan
    for seed in range(repetitions):
        values = TRUTHS[name].draw(count, seed)
        began = time.process_time()
        explain_distribution(values, seed=seed)
        whole.append(time.process_time() - began)
        began = time.process_time()
        sample = Sample.of(values)
        curve = fit_free_curve(
            Compressed(sample).nodes(), sample.start, logarithmic=sample.positive, shift=0.0
        )
        free.append(time.process_time() - began)
        distance = kolmogorov_smirnov(Empirical.of(sample), curve.cumulative_hazard)
    return {
        "whole_cpu_seconds": median(whole),
        "free_curve_cpu_seconds": median(free),
        "free_curve_ks": distance,
    }


def powerlaw_timing(count: int, limit: float) -> dict[str, object]:
    """Return the wall time of the powerlaw package on a Pareto sample, stopped at a limit."""
    if importlib.util.find_spec("powerlaw") is None:
        return {"skipped": "the powerlaw package is not installed"}
    code = (
        "import sys, time, numpy as np, powerlaw\n"
        f"x = 1 + np.random.default_rng(0).pareto(1.5, {count})\n"
        "began = time.perf_counter()\n"
        "fit = powerlaw.Fit(x, verbose=False)\n"
        "alpha = fit.power_law.alpha\n"
        "print(time.perf_counter() - began, float(alpha))\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            capture_output=True,
            text=True,
            timeout=limit,
            check=True,
        )
    except subprocess.TimeoutExpired:
        return {"stopped_after_seconds": limit}
    seconds, alpha = done.stdout.split()[-2:]
    return {"seconds": float(seconds), "exponent": float(alpha)}


class Store:
    """Results on disk, written after each cell."""

    def __init__(self) -> None:
        self.content: dict[str, dict[str, object]] = {}
        if RESULTS.is_file():
            self.content = json.loads(RESULTS.read_text())

    def cell(self, part: str, key: str, make: object, *arguments: object) -> None:
        """Make a cell unless it is there, and write everything."""
        cells = self.content.setdefault(part, {})
        if key in cells:
            return
        assert callable(make)  # a function of this file
        cells[key] = make(*arguments)
        self.content["machine"] = {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "processor": platform.machine(),
        }
        RESULTS.write_text(json.dumps(self.content, indent=1, allow_nan=True) + "\n")
        print(part, key, json.dumps(cells[key]), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with distributions/")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for powerlaw at 10^5")
    parser.add_argument("--only", nargs="*", default=["real", "time", "recovery", "simulated"])
    options = parser.parse_args(arguments)
    store = Store()
    if "real" in options.only:
        for name, (source, sample) in real_sets(options.data).items():
            store.cell("real", name, real, name, source, sample)
    if "time" in options.only:
        for count in (100_000, 1_000_000):
            for name in ("pareto", "lognormal", "weibull", "gaussian"):
                store.cell("time", f"{name} {count}", timing, name, count)
    if "recovery" in options.only:
        for count in SIZES:
            for name in TRUTHS:
                store.cell("recovery", f"{name} {count}", recovery, name, count, options.seeds)
    if "simulated" in options.only:
        for name in TRUTHS:
            store.cell("simulated", name, rivals, name)
    if "time" in options.only:
        for count in (10_000, 100_000):
            key = f"powerlaw {count}"
            store.cell("time", key, powerlaw_timing, count, options.limit)


if __name__ == "__main__":
    main()
