"""How often the law of a known system is found, against the noise of the readings.

Twelve systems of the catalogue with their default parameters, noise 0 to 20 % of each variable's
spread, a new Barabasi-Albert graph (100 nodes, 3 links a node), start and noise for each seed. One
library serves all systems of one variable and one those of several. Starts are the catalogue's, but
for the mutualistic law: its constant immigration shows only where abundances are near zero and its
saturation only where they are large, so three trajectories grow from starts in (0, 0.5). From the
catalogue's starts in (0, 25) all fall to their fixed points at once, and at 10 % noise the standard
error of the constant is two thirds of the constant even where the law is known.

A run counts as exact when its terms are as many as the law's own and span the law on noise-free
states (so that linear identities of the library do not count against it); a term with inner
parameters must have the law's form.

    python benchmarks/discovery.py [--seeds 20] [--systems heat gene] [--noise 0 0.1]

Each run is appended to discovery.jsonl beside the results, so that an interrupted benchmark goes
on; the table is printed and written to benchmarks/results/discovery.json. Unseen nodes, wrong
edges, an unknown network and what else makes data worse: discovery_conditions.py.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphtide import Graph, Trajectory
    from graphtide.mechanisms.discovery import Discovery

RESULTS = Path(__file__).parent / "results"
NOISE = (0.0, 0.01, 0.05, 0.1, 0.2)


@dataclass(frozen=True, slots=True)
class System:
    """A system of the catalogue and the data that show it.

    Attributes:
        terms: the law in the library's terms, coefficients by variable; "#" stands for an inner
            parameter that the search must find itself.
        stop: last time; the first is 0.
        count: number of times.
        trajectories: how many starts are simulated.
        starts: (low, high) of uniform random starts; None for the catalogue's.
    """

    terms: dict[str, dict[str, float]]
    stop: float
    count: int = 150
    trajectories: int = 1
    starts: tuple[float, float] | None = None


SYSTEMS = {
    "heat": System({"x": {"sum_j A_ij*(x_j - x_i)": 1.0}}, 2.0),
    "gene": System({"x": {"x": -1.0, "sum_j A_ij*(hill(x_j, 2))": 1.0}}, 4.0),
    "mutualistic": System(
        {
            "x": {
                "1": 0.1,
                "x": -1.0,
                "x^2": 1.2,
                "x^3": -0.2,
                "sum_j A_ij*(x_i*x_j/(1 + #*abs(x_i) + #*abs(x_j)))": 0.2,
            }
        },
        2.5,
        300,
        3,
        (0.0, 0.5),
    ),
    "sis": System({"x": {"x": -1.0, "sum_j A_ij*(x_j)": 0.3, "sum_j A_ij*(x_i*x_j)": -0.3}}, 4.0),
    "lotka_volterra": System({"x": {"x": 0.5, "x^2": -0.5, "sum_j A_ij*(x_i*x_j)": -0.05}}, 8.0),
    "kuramoto": System({"theta": {"1": 0.5, "sum_j A_ij*(sin(theta_j - theta_i))": 0.1}}, 8.0),
    "wilson_cowan": System({"x": {"x": -1.0, "sum_j A_ij*(sigmoid(#*(x_j - #)))": 0.6}}, 4.0),
    "biochemical": System({"x": {"1": 1.0, "x": -1.0, "sum_j A_ij*(x_i*x_j)": -0.1}}, 4.0),
    "saturating_consensus": System({"x": {"sum_j A_ij*(tanh(x_j - x_i))": 1.0}}, 2.0),
    "sir": System(
        {
            "S": {"sum_j A_ij*(S_i*I_j)": -0.2},
            "I": {"sum_j A_ij*(S_i*I_j)": 0.2, "I": -0.5},
            "R": {"I": 0.5},
        },
        10.0,
        300,
    ),
    "fitzhugh_nagumo": System(
        {
            "x": {"x^3": -1.0, "y": -1.0, "x": 2.0, "mean_j A_ij*(x_j)": -1.0},
            "y": {"1": 0.28, "x": 0.5, "y": -0.04},
        },
        20.0,
        400,
    ),
    "rossler": System(
        {
            "x": {"y": -1.0, "z": -1.0, "sum_j A_ij*(sin(x_j - x_i))": 0.15},
            "y": {"x": 1.0, "y": 0.2},
            "z": {"1": 0.2, "x*z": 1.0, "z": -5.7},
        },
        30.0,
        1200,
    ),
}


def simulated(name: str, graph: Graph, seed: int) -> Trajectory:
    """Return the noise-free states of a system from a random start."""
    from graphtide.dynamics.catalogue import CATALOGUE
    from graphtide.dynamics.simulate import simulate

    system, start = SYSTEMS[name], None
    if system.starts is not None:
        start = np.random.default_rng([seed, 1]).uniform(*system.starts, (graph.node_count, 1))
    return simulate(
        CATALOGUE[name].equation,
        graph,
        np.linspace(0, system.stop, system.count),
        start,
        seed=seed,
        relative_tolerance=1e-9,
        back_end="torch",
    )


def run_one(name: str, noise: float, seed: int) -> dict[str, object]:
    """Simulate a system, find its law, and compare."""
    from graphtide import Graph
    from graphtide.mechanisms.regression import discover

    system = SYSTEMS[name]
    graph = Graph.from_source("barabasi_albert:100:3", seed=seed)
    clean, noisy = [], []
    for k in range(system.trajectories):
        states = simulated(name, graph, 100 * seed + k)
        generator = np.random.default_rng([seed, k])
        spread = states.states.std(axis=(0, 1))
        clean.append(states)
        noisy.append(
            states.with_states(
                states.states + noise * spread * generator.normal(size=states.states.shape)
            )
        )
    began, worked = time.perf_counter(), time.process_time()
    found = discover(noisy, graph, seed=seed, inclusion_repetitions=0)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - worked
    exact, errors = compare(system, clean, graph, found)
    return {
        "system": name,
        "noise": noise,
        "seed": seed,
        "exact": exact,
        "coefficient_error": float(np.median(errors)) if errors else None,
        "largest_coefficient_error": float(np.max(errors)) if errors else None,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "equation": found.equation.text(values=True, digits=4),
    }


def form(text: str) -> str:
    """Return a term's text with inner parameters replaced by "#"."""
    text = re.sub(r"\bsigmoid\([^x]*\(?(\w+_?j?) [-+] [\d.e+-]+\)\)", r"sigmoid(#*(\1 - #))", text)
    return re.sub(r"1 \+ [\d.e+-]+\*abs\((\w+)\) \+ [\d.e+-]+\*abs", r"1 + #*abs(\1) + #*abs", text)


def compare(
    system: System, clean: list[Trajectory], graph: Graph, found: Discovery
) -> tuple[bool, list[float]]:
    """Tell whether the law was found, and the relative errors of its coefficients.

    A law of the same terms is compared coefficient by coefficient; one of other terms counts if
    they are as many and explain the noise-free motion to one part in 10^6, being the same field.
    """
    from graphtide.mechanisms.rows import grams, prepare

    errors: list[float] = []
    samples = None
    for law in found.laws:
        true = system.terms[law.variable]
        terms = {form(term.text) if "#" in str(true) else term.text: term for term in law.terms}
        if set(terms) == set(true):
            errors += [abs(terms[text].coefficient / value - 1) for text, value in true.items()]
            continue
        if len(terms) != len(true):
            return False, []
        samples = samples or [prepare(states, graph) for states in clean]
        candidates = {candidate.text: candidate for candidate in found.candidates}
        if not set(terms) <= set(candidates):
            return False, []
        d = [other.variable for other in found.laws].index(law.variable)
        matrix, cross, target = grams(samples, [candidates[text] for text in terms])[d].total()
        best = np.linalg.lstsq(matrix, cross, rcond=None)[0]
        if target - cross @ best > 1e-6 * target:
            return False, []
        # The law's coefficients in these terms are those of the noise-free fit.
        errors += [
            abs(term.coefficient / value - 1)
            for term, value in zip(terms.values(), best, strict=True)
        ]
    return True, errors


def main() -> None:
    """Run what is not yet in the log, then print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--noise", nargs="+", type=float, default=list(NOISE))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--log", type=Path, default=RESULTS / "discovery.jsonl")
    arguments = parser.parse_args()
    arguments.log.parent.mkdir(exist_ok=True)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"  # inherited by the workers: one core each
    done = []
    if arguments.log.exists():
        done = [json.loads(line) for line in arguments.log.read_text().splitlines()]
    known = {(row["system"], row["noise"], row["seed"]) for row in done}
    wanted = [
        (name, noise, seed)
        for seed in range(arguments.seeds)
        for name in arguments.systems
        for noise in arguments.noise
        if (name, noise, seed) not in known
    ]
    with (
        ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool,
        arguments.log.open("a") as log,
    ):
        for future in as_completed([pool.submit(run_one, *job) for job in wanted]):
            row = future.result()
            done.append(row)
            log.write(json.dumps(row) + "\n")
            log.flush()
    report(done, arguments)


def report(rows: list[dict], arguments: argparse.Namespace) -> None:
    """Print the share of exact laws by system and noise, and write the JSON."""
    import platform

    import graphtide

    rows = [
        row
        for row in rows
        if row["system"] in arguments.systems
        and row["noise"] in arguments.noise
        and row["seed"] < arguments.seeds
    ]
    cells = {}
    print(f"{'exact laws, %':22}" + "".join(f"{100 * noise:>7.0f} %" for noise in arguments.noise))
    for name in [*arguments.systems, "all"]:
        line = f"{name:22}"
        for noise in arguments.noise:
            cell = [r for r in rows if r["noise"] == noise and name in (r["system"], "all")]
            errors = [r["coefficient_error"] for r in cell if r["coefficient_error"] is not None]
            cells[f"{name} {noise:g}"] = {
                "runs": len(cell),
                "exact": float(np.mean([r["exact"] for r in cell])),
                "median_coefficient_error": float(np.median(errors)) if errors else None,
                "median_seconds": float(np.median([r["seconds"] for r in cell])),
                "largest_seconds": float(np.max([r["seconds"] for r in cell])),
                "median_cpu_seconds": float(np.median([r["cpu_seconds"] for r in cell])),
                "largest_cpu_seconds": float(np.max([r["cpu_seconds"] for r in cell])),
            }
            line += f"{100 * cells[f'{name} {noise:g}']['exact']:>9.0f}"
        print(line)
    for noise in arguments.noise:
        cell = cells[f"all {noise:g}"]
        print(
            f"noise {100 * noise:g} %: exact {100 * cell['exact']:.1f} %, median coefficient error "
            f"{100 * (cell['median_coefficient_error'] or np.nan):.2g} %, median "
            f"{cell['median_cpu_seconds']:.2f} CPU s, slowest {cell['largest_cpu_seconds']:.2f}"
        )
    path = RESULTS / "discovery.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    content = {
        **{key: before[key] for key in ("conditions",) if key in before},
        "graphtide": graphtide.__version__,
        "python": platform.python_version(),
        "machine": platform.processor() or platform.machine(),
        "seeds": arguments.seeds,
        "cells": cells,
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
