"""Discovery where the data are worse than the plain benchmark's: see discovery.py for the systems.

    hidden      a tenth of the nodes was never seen: the graph holds the others alone
    edges       a tenth of the edges is wrong: each moved, one end kept, to another node
    effects     constants (Kuramoto) or slopes (Lotka-Volterra) that differ from node to node, as an
                option (`given`) and found by itself (`auto`)
    intervals   the share of 90 % intervals of coefficients that cover, in runs with the exact law
    network     no graph at all: 50 nodes, 20 trajectories of 100 times; the ranking of the edges by
                area under the precision-recall curve, and the law from the same readings
    pysindy     every node another variable, as a user without a graph would run it

    python benchmarks/discovery_conditions.py [--seeds 10] [--conditions hidden edges]

Each run is appended to discovery_conditions.jsonl, so that an interrupted benchmark goes on; the
figures go to "conditions" in discovery.json and the rest of it is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from discovery import RESULTS, SYSTEMS, compare, form, simulated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphtide import Graph, Trajectory

WRONG = (
    "heat",
    "gene",
    "sis",
    "lotka_volterra",
    "kuramoto",
    "biochemical",
    "saturating_consensus",
    "wilson_cowan",
)
"""Systems of the runs with a wrong structure: those of one variable and one trajectory."""
NOISE = {
    "hidden": (0.01, 0.1),
    "edges": (0.01, 0.1),
    "effects": (0.01, 0.1),
    "intervals": (0.01, 0.05, 0.1, 0.2),
    "network": (0.01, 0.05),
    "pysindy": (0.0, 0.05),
}
SYSTEMS_OF = {
    "hidden": WRONG,
    "edges": WRONG,
    "effects": ("kuramoto", "lotka_volterra"),
    "intervals": (*WRONG, "sir", "fitzhugh_nagumo"),
    "network": ("sis", "gene", "kuramoto"),
    "pysindy": ("heat", "lotka_volterra"),
}
NETWORK_NODES, NETWORK_TRAJECTORIES = 50, 20
PLAIN_SEEDS = 5
"""Seeds for which the plain search is run on wrong structures too."""
PYSINDY_SECONDS = 120


def readings(name: str, noise: float, seed: int) -> tuple[Graph, Trajectory, Trajectory]:
    """Return the graph, the noise-free states and the readings of a system's first trajectory."""
    from graphtide import Graph

    graph = Graph.from_source("barabasi_albert:100:3", seed=seed)
    clean = simulated(name, graph, 100 * seed)
    return graph, clean, noisy(clean, noise, seed)


def noisy(clean: Trajectory, noise: float, seed: int) -> Trajectory:
    """Return states with noise of a share of each variable's spread."""
    states = clean.states
    scatter = np.random.default_rng([seed, 0]).normal(size=states.shape)
    return clean.with_states(states + noise * states.std(axis=(0, 1)) * scatter)


def unseen(graph: Graph, observed: Trajectory, seed: int) -> tuple[Graph, Trajectory, list[str]]:
    """Return graph and states without a tenth of the nodes, and whose neighbour was lost."""
    from graphtide import Graph, Trajectory

    count = graph.node_count
    hidden = np.random.default_rng([seed, 77]).choice(count, count // 10, replace=False)
    kept = np.setdiff1d(np.arange(count), hidden)
    source, target = graph.edge_index
    inside = np.isin(source, kept) & np.isin(target, kept)
    new = np.full(count, -1)
    new[kept] = np.arange(len(kept))
    names = tuple(graph.names[i] for i in kept)
    smaller = Graph(np.stack([new[source[inside]], new[target[inside]]]), names=names)
    bad = np.unique(target[np.isin(source, hidden) & np.isin(target, kept)])
    states = observed.states[:, kept]
    seen = Trajectory(observed.times, states, observed.variables, names, smaller)
    return smaller, seen, [graph.names[i] for i in bad]


def rewired(graph: Graph, observed: Trajectory, seed: int) -> tuple[Graph, Trajectory, list[str]]:
    """Return a graph with a tenth of its edges moved, the states, and the nodes concerned."""
    from graphtide import Graph, Trajectory

    generator = np.random.default_rng([seed, 78])
    known = sorted({(min(a, b), max(a, b)) for a, b in graph.edge_index.T.tolist()})
    moved = [known[k] for k in generator.choice(len(known), round(len(known) / 10), replace=False)]
    added: set[tuple[int, int]] = set()
    for pair in moved:
        edge = pair
        while edge in known or edge in added:
            kept, other = (
                pair[int(generator.integers(2))],
                int(generator.integers(len(graph.names))),
            )
            edge = (min(kept, other), max(kept, other)) if other != kept else pair
        added.add(edge)
    edges = np.array(sorted((set(known) - set(moved)) | added)).T
    wrong = Graph(np.concatenate([edges, edges[::-1]], axis=1), names=graph.names)
    states = Trajectory(observed.times, observed.states, observed.variables, graph.names, wrong)
    touched = np.unique(np.array([*moved, *sorted(added)]))
    return wrong, states, [graph.names[i] for i in touched]


def run_wrong(condition: str, name: str, noise: float, seed: int) -> dict[str, object]:
    """Find a law on a wrong structure, with the defaults and by the plain search alone."""
    from graphtide.mechanisms.regression import discover

    graph, clean, observed = readings(name, noise, seed)
    spoil = unseen if condition == "hidden" else rewired
    wrong, states, concerned = spoil(graph, observed, seed)
    began = time.process_time()
    found = discover(states, wrong, seed=seed, inclusion_repetitions=0, repetitions=0)
    seconds = time.process_time() - began
    exact, errors = compare(SYSTEMS[name], [clean], graph, found)
    plain_exact = None
    if seed < PLAIN_SEEDS:
        plain = discover(
            states,
            wrong,
            robust="off",
            node_effects=(),
            seed=seed,
            inclusion_repetitions=0,
            repetitions=0,
        )
        plain_exact = compare(SYSTEMS[name], [clean], graph, plain)[0]
    named = {wrong.names[s.node] for s in found.suspects}
    return {
        "exact": exact,
        "plain_exact": plain_exact,
        "coefficient_error": float(np.median(errors)) if errors else None,
        "robust": found.robust,
        "node_effects": found.node_effects is not None,
        "concerned": len(concerned),
        "named": len(named),
        "named_rightly": len(named & set(concerned)),
        "cpu_seconds": seconds,
        "equation": found.equation.text(values=True, digits=4),
    }


def run_effects(name: str, noise: float, seed: int) -> dict[str, object]:
    """Find a law whose constants or slopes differ from node to node."""
    from graphtide import Equation, Graph, Trajectory
    from graphtide.dynamics.simulate import simulate
    from graphtide.mechanisms.regression import discover

    plain = Graph.from_source("barabasi_albert:100:3", seed=seed)
    generator = np.random.default_rng([seed, 79])
    if name == "kuramoto":
        values, effect, text = generator.normal(0.5, 0.3, 100), "1", "own_i"
        text = "dtheta/dt = own_i + 0.1*sum_j A_ij*sin(theta_j - theta_i)"
        law = {"sum_j A_ij*(sin(theta_j - theta_i))"}
    else:
        values, effect = generator.uniform(0.3, 0.8, 100), "x"
        text = "dx/dt = own_i*x - 0.5*x^2 - 0.05*sum_j A_ij*x_i*x_j"
        law = {"x^2", "sum_j A_ij*(x_i*x_j)"}
    system = SYSTEMS[name]
    clean = simulate(
        Equation.parse(text),
        plain.with_node_attributes(own=values),
        np.linspace(0, system.stop, system.count),
        simulated(name, plain, 100 * seed).states[0],
        seed=seed,
        relative_tolerance=1e-9,
        back_end="torch",
    )
    states = noisy(clean, noise, seed)
    states = Trajectory(states.times, states.states, states.variables, plain.names, plain)
    row: dict[str, object] = {}
    for mode, asked in (("given", (effect,)), ("auto", "auto"), ("ignored", ())):
        began = time.process_time()
        found = discover(
            states,
            plain,
            node_effects=asked,
            robust="off" if mode == "ignored" else "auto",
            seed=seed,
            inclusion_repetitions=0,
            repetitions=0,
        )
        terms = {term.text for term in found.laws[0].terms}
        effects = found.node_effects
        own = effects is not None and effects.terms == (effect,)
        row[f"{mode}_exact"] = terms == law and own
        row[f"{mode}_cpu_seconds"] = time.process_time() - began
        if mode == "given" and effects is not None:
            row["value_error"] = float(np.median(np.abs(effects.values[:, 0, 0] - values)))
            row["coefficients"] = {t.text: t.coefficient for t in found.laws[0].terms}
    return row


def run_intervals(name: str, noise: float, seed: int) -> dict[str, object]:
    """Tell which 90 % intervals cover their coefficients, where the law was found."""
    from graphtide.mechanisms.regression import discover

    graph, _, observed = readings(name, noise, seed)
    found = discover(observed, graph, seed=seed, inclusion_repetitions=0)
    distances = {}
    for law in found.laws:
        true = SYSTEMS[name].terms[law.variable]
        inner = "#" in str(true)
        terms = {form(term.text) if inner else term.text: term for term in law.terms}
        if set(terms) == set(true):
            for text, value in true.items():
                term = terms[text]
                distance = abs(term.coefficient - value) / max(term.standard_error, 1e-300)
                distances[f"{law.variable}: {text}"] = distance
    return {"distances": distances, "equation": found.equation.text(values=True, digits=4)}


def run_network(name: str, noise: float, seed: int) -> dict[str, object]:
    """Find the network of 50 nodes and its law from 20 trajectories of 100 times."""
    from graphtide import Graph, Trajectory
    from graphtide.dynamics.catalogue import CATALOGUE
    from graphtide.dynamics.simulate import simulate
    from graphtide.mechanisms.network import infer_network
    from graphtide.mechanisms.regression import discover

    graph = Graph.from_source(f"barabasi_albert:{NETWORK_NODES}:3", seed=seed)
    law, system = CATALOGUE[name].equation, SYSTEMS[name]
    times, states = np.linspace(0, system.stop, 100), []
    for k in range(NETWORK_TRAJECTORIES):
        start = None
        if name == "gene":  # from the catalogue's starts every neighbour is saturated
            start = np.random.default_rng([seed, k, 1]).uniform(0, 2, (NETWORK_NODES, 1))
        clean = simulate(law, graph, times, start, seed=100 * seed + k, back_end="torch")
        scatter = np.random.default_rng([seed, k]).normal(size=clean.states.shape)
        noisy_states = clean.states + noise * clean.states.std(axis=(0, 1)) * scatter
        states.append(Trajectory(times, noisy_states, clean.variables, graph.names))
    began = time.process_time()
    found = infer_network(states, seed=seed)
    seconds = time.process_time() - began
    off = ~np.eye(NETWORK_NODES, dtype=bool)
    truth = graph.adjacency.toarray()[off] > 0
    order = np.argsort(-found.score[off], kind="stable")
    precision = np.cumsum(truth[order]) / np.arange(1, len(order) + 1)
    kept = found.graph.adjacency.toarray()[off] > 0
    laws = discover(states, found.graph, seed=seed, inclusion_repetitions=0, repetitions=0).laws
    exact = all({t.text for t in one.terms} == set(system.terms[one.variable]) for one in laws)
    return {
        "average_precision": float(precision[truth[order]].mean()),
        "kept_precision": float(truth[kept].mean()),
        "kept_recall": float(kept[truth].mean()),
        "exact": exact,
        "cpu_seconds": seconds,
    }


def _out_of_time(*_: object) -> None:
    raise TimeoutError


def run_pysindy(name: str, noise: float, seed: int) -> dict[str, object]:
    """Fit pysindy with its documented defaults, polynomials that hold the law, every node apart."""
    import warnings

    import pysindy

    graph, _, observed = readings(name, noise, seed)
    states, times = observed.states[:, :, 0], observed.times
    degree = 1 if name == "heat" else 2
    difference = pysindy.SmoothedFiniteDifference() if noise else pysindy.FiniteDifference()
    model = pysindy.SINDy(
        optimizer=pysindy.STLSQ(threshold=0.02),
        feature_library=pysindy.PolynomialLibrary(degree=degree),
        differentiation_method=difference,
    )
    began = time.process_time()
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(PYSINDY_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(states, t=times)
    except TimeoutError:
        return {"recall": 0.0, "precision": 0.0, "exact": False, "cpu_seconds": PYSINDY_SECONDS}
    finally:
        signal.alarm(0)
    seconds = time.process_time() - began
    features = model.get_feature_names()
    kept = np.abs(model.coefficients()) > 0
    truth = np.zeros_like(kept)
    place = {feature: k for k, feature in enumerate(features)}
    for target in range(graph.node_count):
        neighbours = graph.edge_index[0][graph.edge_index[1] == target]
        if name == "heat":
            wanted = [f"x{target}", *(f"x{j}" for j in neighbours)]
        else:
            pairs = [f"x{min(target, j)} x{max(target, j)}" for j in neighbours]
            wanted = [f"x{target}", f"x{target}^2", *pairs]
        truth[target, [place[feature] for feature in wanted]] = True
    found = int((kept & truth).sum())
    return {
        "recall": found / int(truth.sum()),
        "precision": found / max(int(kept.sum()), 1),
        "features": len(features),
        "exact": bool((kept == truth).all()),
        "cpu_seconds": seconds,
    }


def run_one(condition: str, name: str, noise: float, seed: int) -> dict[str, object]:
    """Run one cell of one condition."""
    if condition in ("hidden", "edges"):
        row = run_wrong(condition, name, noise, seed)
    elif condition == "effects":
        row = run_effects(name, noise, seed)
    elif condition == "intervals":
        row = run_intervals(name, noise, seed)
    elif condition == "network":
        row = run_network(name, noise, seed)
    else:
        row = run_pysindy(name, noise, seed)
    return {"condition": condition, "system": name, "noise": noise, "seed": seed, **row}


def main() -> None:
    """Run what is not yet in the log, then print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--conditions", nargs="+", default=list(NOISE), choices=list(NOISE))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--log", type=Path, default=RESULTS / "discovery_conditions.jsonl")
    arguments = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"  # inherited by the workers: one core each
    done = []
    if arguments.log.exists():
        done = [json.loads(line) for line in arguments.log.read_text().splitlines()]
    known = {(row["condition"], row["system"], row["noise"], row["seed"]) for row in done}
    wanted = [
        job
        for seed in range(arguments.seeds)
        for condition in arguments.conditions
        for name in SYSTEMS_OF[condition]
        for noise in NOISE[condition]
        if (job := (condition, name, noise, seed)) not in known
    ]
    arguments.log.parent.mkdir(exist_ok=True)
    with (
        ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool,
        arguments.log.open("a") as log,
    ):
        for future in as_completed([pool.submit(run_one, *job) for job in wanted]):
            row = future.result()
            done.append(row)
            log.write(json.dumps(row) + "\n")
            log.flush()
    report(done)


def report(rows: Sequence[dict]) -> None:
    """Print the figures of every condition and write them beside the plain benchmark's."""
    figures: dict[str, dict[str, object]] = {}
    for condition, levels in NOISE.items():
        for noise in levels:
            cell = [r for r in rows if r["condition"] == condition and r["noise"] == noise]
            if cell:
                figures[f"{condition} {noise:g}"] = {"runs": len(cell), **summary(condition, cell)}
    for name, values in figures.items():
        parts = [f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items()]
        print(f"{name:16} " + ", ".join(parts))
    path = RESULTS / "discovery.json"
    content = json.loads(path.read_text()) if path.exists() else {}
    content["conditions"] = figures
    path.write_text(json.dumps(content, indent=2) + "\n")


def summary(condition: str, cell: Sequence[dict]) -> dict[str, object]:
    """Return the figures of one condition at one level of noise."""

    def mean(key: str) -> float:
        values = [row[key] for row in cell if row[key] is not None]
        return float(np.mean(values)) if values else float("nan")

    def middle(key: str) -> float:
        values = [row[key] for row in cell if row[key] is not None]
        return float(np.median(values)) if values else float("nan")

    if condition in ("hidden", "edges"):
        by_system = {}
        for name in dict.fromkeys(row["system"] for row in cell):
            by_system[name] = float(np.mean([r["exact"] for r in cell if r["system"] == name]))
        return {
            "exact": mean("exact"),
            "plain_exact": mean("plain_exact"),
            "robust": mean("robust"),
            "median_coefficient_error": middle("coefficient_error"),
            "nodes_concerned_named": sum(r["named_rightly"] for r in cell)
            / sum(r["concerned"] for r in cell),
            "nodes_named_rightly": sum(r["named_rightly"] for r in cell)
            / max(sum(r["named"] for r in cell), 1),
            "median_cpu_seconds": middle("cpu_seconds"),
            "exact_by_system": by_system,
        }
    if condition == "effects":
        return {
            **{f"{mode}_exact": mean(f"{mode}_exact") for mode in ("given", "auto", "ignored")},
            "median_value_error": middle("value_error"),
            "median_cpu_seconds_auto": middle("auto_cpu_seconds"),
        }
    if condition == "intervals":
        distances = np.array([d for row in cell for d in row["distances"].values()])
        return {"coefficients": len(distances), "covered": float(np.mean(distances < 1.6449))}
    keys = ("average_precision", "kept_precision", "kept_recall", "recall", "precision")
    keys = [key for key in (*keys, "exact", "cpu_seconds") if key in cell[0]]
    return {key: mean(key) for key in keys}


if __name__ == "__main__":
    main()
