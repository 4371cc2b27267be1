"""What `dynamics analyse` finds where the truth is known, and on fields learned from data.

    python benchmarks/analysis.py [NAME ...]

Each part writes its own entry of benchmarks/results/analysis.json: `truths` (consensus rate, SIS
threshold, Kuramoto's onset), `chaos` (Lyapunov exponents of Lorenz and Rossler), `learned`
(eigenvalues of fields learned by `dynamics fit`, with intervals from the ensemble) and `large`
(leading ten eigenvalues with 100,000 nodes). Times are CPU seconds of one thread.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from graphtide.dynamics.analysis.continuation import follow_branch
from graphtide.dynamics.analysis.ensemble import leading_half_widths
from graphtide.dynamics.analysis.fixed_points import analysed, newton
from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.lyapunov import lyapunov_exponents
from graphtide.dynamics.analysis.spectrum import leading_eigenvalues
from graphtide.dynamics.catalogue import CATALOGUE, ndcn_start
from graphtide.dynamics.fit import fit
from graphtide.dynamics.neural_data import NeuralSettings
from graphtide.dynamics.neural_fit import fit_neural
from graphtide.dynamics.simulate import simulate
from graphtide.graph import Graph
from graphtide.run import Run

RESULTS = Path(__file__).parent / "results" / "analysis.json"


def truths() -> dict[str, object]:
    """Compare three known rates and thresholds with what is found."""
    began = time.process_time()
    graph = Graph.from_source("barabasi_albert:200:3")
    heat = Law.read("heat", graph)
    found = leading_eigenvalues(heat.jacobian(heat.start()), 4).values.real
    connectivity = float(np.linalg.eigvalsh(graph.laplacian().toarray())[1])
    radius = float(np.linalg.eigvalsh(graph.adjacency.toarray())[-1])
    sis = Law.read("sis", graph, parameters={"beta": 0.02})
    branch = follow_branch(sis, "beta", np.zeros(sis.shape), 0.0, 0.2)
    threshold = next(s.parameter for s in branch.special if s.of_stability)
    return {
        "consensus_rate": -float(found[1]),
        "algebraic_connectivity": connectivity,
        "sis_threshold": threshold,
        "one_over_largest_eigenvalue": 1.0 / radius,
        **_kuramoto(),
        "cpu_seconds": time.process_time() - began,
    }


def _kuramoto() -> dict[str, object]:
    """Find the coupling at which phases of evenly spread frequencies lock on a complete graph.

    For N frequencies the locked state is lost in a fold at K = min over u of u / S(u), with
    S(u) = mean of sqrt(1 - (w/u)^2) over the frequencies (Mirollo & Strogatz, Physica D 205, 2005,
    section 3); K = k N.
    """
    count = 50
    frequency = np.linspace(-1.0, 1.0, count + 1)[:-1] + 1.0 / count
    graph = Graph.from_source(f"complete:{count}").with_node_attributes(omega=frequency)
    law = Law.read(
        "dtheta/dt = omega_i + k*sum_j A_ij*sin(theta_j - theta_i)",
        graph,
        parameters={"k": 2.0 / count},
    )
    place = newton(law, np.arcsin(frequency / 1.8)[:, None])
    assert place is not None
    branch = follow_branch(law, "k", place[0], 0.5 / count, 2.1 / count)
    onset = next(s.parameter for s in branch.special if s.kind == "fold") * count
    u = np.linspace(frequency.max(), 3.0, 200_001)
    mean = np.mean(np.sqrt(1.0 - (frequency[:, None] / u) ** 2), axis=0)
    ratio = u[mean > 0] / mean[mean > 0]
    return {"kuramoto_locking": onset, "kuramoto_locking_expected": float(ratio.min())}


def chaos() -> dict[str, object]:
    """Return the largest exponents of Lorenz' and Rossler's systems beside the literature's."""
    graph, random = Graph.from_source("single"), np.random.default_rng(0)
    lorenz = Law.read("dx/dt = 10*(y - x), dy/dt = x*(28 - z) - y, dz/dt = x*y - 8/3*z", graph)
    rossler = Law.read("dx/dt = -y - z, dy/dt = x + 0.2*y, dz/dt = 0.2 + z*(x - 5.7)", graph)
    result: dict[str, object] = {}
    for name, law, centre, noise, span, transient, step, wanted in (
        ("lorenz", lorenz, [1.0, 1.0, 20.0], [1.0, 1.0, 1.0], 40.0, 20.0, 0.0125, 0.9056),
        ("rossler", rossler, [1.0, 1.0, 0.0], [1.0, 1.0, 0.0], 250.0, 120.0, 0.05, 0.0714),
    ):
        began = time.process_time()
        starts = np.array(centre) + np.array(noise) * random.normal(size=(600, 1, 3))
        found = lyapunov_exponents(law, starts, span=span, transient=transient, step=step)
        result[name] = {
            "exponents": found.values,
            "standard_errors": found.standard_error,
            "literature": wanted,
            "relative_error": abs(float(found.values[0]) / wanted - 1.0),
            "cpu_seconds": time.process_time() - began,
        }
    return result


def learned() -> dict[str, object]:
    """Return eigenvalues of fields learned on a scale-free graph of 400 nodes."""
    result: dict[str, object] = {}
    for name in ("gene", "mutualistic"):
        graph = Graph.from_source("barabasi_albert:400:5")
        equation = CATALOGUE[name].equation
        times = np.sort(np.random.default_rng(0).uniform(0.0, 5.0, 119))
        times = np.concatenate([[0.0], times])
        states = simulate(equation, graph, times, ndcn_start(graph), relative_tolerance=1e-9)
        true = Law.of(equation, graph)
        place = newton(true, states.states[-1])
        assert place is not None
        exact = analysed(true, *place)
        entry: dict[str, object] = {"true": exact.spectrum.values.real[:10]}
        for kind in ("closed_form", "message_passing"):
            began = time.process_time()
            with tempfile.TemporaryDirectory() as folder:
                run = Run.create(Path(folder) / "run", kind="dynamics fit", configuration={})
                if kind == "closed_form":
                    fit(states, graph).save(run)
                else:
                    fit_neural(states, graph, settings=NeuralSettings(model=kind)).save(run)
                law = Law.learned(run)
                fitted = time.process_time() - began
                entry[kind] = {**_compared(law, exact, place[0]), "fit_cpu_seconds": fitted}
        result[name] = entry
        print(name, entry, flush=True)
    return result


def _compared(law: Law, exact: object, near: np.ndarray) -> dict[str, object]:
    place = newton(law, near, tolerance=1e-9)
    if place is None:
        return {"fixed_point": None}
    point = analysed(law, *place)
    values = point.spectrum.values.real[:10]
    true = exact.spectrum.values.real[:10]  # pyright: ignore[reportAttributeAccessIssue]
    entry: dict[str, object] = {
        "eigenvalues": values,
        "relative_errors": np.abs(values / true - 1.0),
        "fixed_point_relative_error": float(np.abs(place[0] - near).mean() / np.abs(near).mean()),
    }
    if law.members:
        widths = leading_half_widths(law, point, 10)
        entry["half_widths_90"] = widths
        entry["true_inside"] = float(np.mean(np.abs(values - true) <= widths))
    return entry


def large() -> dict[str, object]:
    """Time the leading ten eigenvalues at a fixed point of 100,000 nodes."""
    graph = Graph.from_source("barabasi_albert:100000:3")
    result: dict[str, object] = {}
    for name in ("gene", "mutualistic", "sis"):
        law = Law.read(name, graph)
        end = law.solve(law.start(), np.array([0.0, 10.0 if name != "mutualistic" else 3.0]))[-1]
        began, clock = time.process_time(), time.perf_counter()
        place = newton(law, end)
        assert place is not None
        newton_seconds = time.process_time() - began
        began = time.process_time()
        spectrum = leading_eigenvalues(law.jacobian(place[0]), 10)
        result[name] = {
            "newton_cpu_seconds": newton_seconds,
            "eigenvalues_cpu_seconds": time.process_time() - began,
            "wall_seconds": time.perf_counter() - clock,
            "residual": place[1],
            "eigenvalues": spectrum.values.real,
        }
        print(name, result[name], flush=True)
    return result


def main() -> None:
    """Run the named parts, or all, and write each one's entry."""
    parts = {"truths": truths, "chaos": chaos, "learned": learned, "large": large}
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(parts)}")
    names = options.parse_args().names or list(parts)
    for name in names:
        if name not in parts:
            options.error(f"'{name}' is no part; known are {', '.join(parts)}")
    for name in names:
        entry = parts[name]()
        known = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
        known[name] = entry
        text = json.dumps(known, indent=2, default=lambda value: np.asarray(value).tolist())
        RESULTS.write_text(text + "\n", "utf-8")
        print(name, "done", flush=True)


if __name__ == "__main__":
    main()
