"""Control and resilience measured: tipping points, driver counts, energies, rescues.

    python benchmarks/control.py [--data FOLDER] [--only NAME,...] [--again]

writes benchmarks/results/control.json after each part; parts that are there are not repeated
unless --again is given. FOLDER holds the networks of Gao, Barzel & Barabasi (2016) as CSV edge
lists source,target,weight (its subfolder `networks` is looked at as well); without it the real
networks are left out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from graphtide.dynamics.analysis.damage import damage
from graphtide.dynamics.analysis.ensemble import half_width
from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.reduction import (
    beta_effective,
    effective_state,
    jump_of,
    reduced_fold,
)
from graphtide.dynamics.analysis.settling import settle
from graphtide.dynamics.catalogue import CATALOGUE
from graphtide.dynamics.control import (
    Bounds,
    Gramian,
    Solver,
    additive,
    adjoint_drivers,
    compare_immunisation,
    free_motion,
    matching_drivers,
    receding_horizon,
    steer,
    tracking_cost,
)
from graphtide.errors import ComputationError
from graphtide.graph import Graph
from graphtide.run import Run

RESULTS = Path(__file__).parent / "results" / "control.json"
PLAN = Solver(relative_tolerance=1e-4, absolute_tolerance=1e-6)
NETWORKS = (
    "bluthgen_2004_first",
    "bluthgen_2004_second",
    "elberling_1999_first",
    "elberling_1999_second",
    "santos_2010_first",
    "santos_2010_second",
    "ecoli_regulation",
)


def real_networks(data: Path | None) -> dict[str, Graph]:
    """Return the networks of the folder by name; nothing without a folder."""
    if data is None:
        return {}
    found = {}
    for name in NETWORKS:
        for folder in (data, data / "networks"):
            path = folder / f"{name}.csv.gz"
            if path.is_file():
                found[name] = Graph.read(path, directed=name == "ecoli_regulation")
    return found


def fold_of(law: Law, *, rising: bool, high: float) -> dict[str, float | None]:
    """Return where a branch breaks off as all weights change, in beta_eff: full, and theory."""
    beta = beta_effective(law.graph)
    # Weights between nothing and what takes beta_eff to twice the fold of the reduction.
    betas = np.linspace(0.05, 30.0, 241)
    if rising:
        theory = reduced_fold(law, np.zeros(law.shape[1]), betas)
    else:
        theory = reduced_fold(law, np.full(law.shape[1], high), betas[::-1])
    if theory is None:  # both laws fold; a member of an ensemble may not
        raise ComputationError("the reduction has no fold at any beta_eff up to 30")
    largest = 2.0 * theory.position
    whole = Graph(
        law.graph.edge_index,
        law.graph.edge_weight * largest / beta,
        names=law.graph.names,
        directed=law.graph.directed,
    )
    lost = damage(whole, "weight")

    def branch(share: float, start: np.ndarray) -> tuple[float, np.ndarray]:
        left = law.on(lost.at(share))
        try:
            state = settle(left, start, maximum_steps=2000)
        except ComputationError:
            if law.equation is not None:
                raise
            # Past the end of the branch a learned field may find no rest: that end is sought.
            return 1e3 * high, start
        return float(effective_state(left.graph, state)[0]), state

    shares = np.linspace(0.0, 0.98, 50)
    began = np.zeros(law.shape) if rising else np.full(law.shape, high)
    found = jump_of(branch, shares[::-1] if rising else shares, began, width=1e-3)
    full = None if found is None else largest * (1.0 - found.position)
    error = None if full is None else full / theory.position - 1.0
    return {"theory": theory.position, "full": full, "relative_error": error}


def folds(data: Path | None) -> dict[str, object]:
    """Mutualistic: the low state's end; gene: the living state's end; against beta_eff theory."""
    graphs = {
        "random_1000_mean_degree_12": Graph.from_source("erdos_renyi:1000:0.012", seed=1),
        "random_1000_mean_degree_100": Graph.from_source("erdos_renyi:1000:0.1", seed=1),
        "scale_free_1000_mean_degree_12": Graph.from_source("barabasi_albert:1000:6", seed=1),
        "scale_free_1000_mean_degree_100": Graph.from_source("barabasi_albert:1000:53", seed=1),
        **real_networks(data),
    }
    found: dict[str, object] = {}
    for name, graph in graphs.items():
        for law, rising in (("mutualistic", True), ("gene", False)):
            try:
                fold = fold_of(Law.of(CATALOGUE[law].equation, graph), rising=rising, high=40.0)
            except ComputationError as error:
                fold = {"failed": str(error)}
            found[f"{law}, {name}"] = fold
            print(law, name, fold, flush=True)
    return found


def driver_counts(data: Path | None) -> dict[str, object]:
    """Least numbers of drivers beside NetworkX's own Hopcroft-Karp matching."""
    import networkx

    graphs = real_networks(data)
    for degree in (2, 4, 8):
        drawn = networkx.gnp_random_graph(2000, degree / 2000, seed=degree, directed=True)
        graphs[f"random directed, mean degree {degree}"] = Graph(
            np.array(drawn.edges).T, node_count=2000, directed=True
        )
    found: dict[str, object] = {}
    for name, graph in graphs.items():
        pairs = networkx.Graph()
        left = [("out", j) for j in range(graph.node_count)]
        pairs.add_nodes_from(left)
        pairs.add_edges_from((("out", int(a)), ("in", int(b))) for a, b in graph.edge_index.T)
        matched = len(networkx.bipartite.hopcroft_karp_matching(pairs, left)) // 2
        count = len(matching_drivers(graph))
        found[name] = {
            "nodes": graph.node_count,
            "drivers": count,
            "drivers_networkx": max(1, graph.node_count - matched),
            "share": count / graph.node_count,
        }
        print(name, found[name], flush=True)
    return found


def energies(_: Path | None) -> dict[str, object]:
    """Energy of the plan through the solver beside the least one, over random linear networks."""
    import torch

    rows = []
    for seed in range(5):
        graph = Graph.from_source("small_world:20:4:0.2", seed=seed)
        matrix = -graph.laplacian().toarray() - 0.2 * np.eye(20)
        drivers = np.random.default_rng(seed).permutation(20)[:4]
        gramian = Gramian(matrix, drivers, 2.0)
        target = gramian.product(np.random.default_rng(seed).standard_normal(20))
        least = gramian.minimum_energy(np.zeros(20), target).energy
        operator = torch.tensor(matrix)
        plan = steer(
            additive(lambda _, x, operator=operator: operator @ x, drivers),
            np.zeros((20, 1)),
            target[:, None],
            np.linspace(0.0, 2.0, 33),
            4,
            tolerance=0.002,
            solver=Solver("rk4"),
            iterations=100,
        )
        rows.append({"least": least, "found": plan.energy, "reached": plan.reached})
        print(rows[-1], flush=True)
    return {
        "networks": rows,
        "largest_relative_error": max(abs(r["found"] / r["least"] - 1.0) for r in rows),
    }


def rescue(name: str, graph: Graph, bound: float) -> dict[str, object]:
    """Steer a law from its low to its high steady state with at most 5 % of the nodes, and MPC."""
    law = Law.of(CATALOGUE[name].equation, graph)
    rhs = law.right_hand_side
    low = settle(law, np.zeros(law.shape), maximum_steps=2000)
    high = settle(law, np.full(law.shape, 25.0))
    way = float(np.linalg.norm(high - low))
    if way < 1e-3 * float(np.linalg.norm(high)):
        raise ComputationError("nothing to come back from: low states rise by themselves")
    times = np.linspace(0.0, 8.0, 13)
    count = max(1, graph.node_count // 20)
    bounds = Bounds(0.0, bound)
    began = time.process_time()
    drivers = adjoint_drivers(
        rhs, low, high, times, count, bounds=bounds, rounds=2, iterations=8, solver=PLAN
    )
    plan = steer(
        additive(rhs, drivers), low, high, times, count, bounds=bounds, tolerance=0.05,
        iterations=25, rounds=2, solver=PLAN,
    )  # fmt: skip
    later = free_motion(rhs, plan.states[-1], np.array([0.0, 40.0]))[-1]
    # A model with 5 % error in every parameter, and noise on what is measured.
    generator = np.random.default_rng(0)
    values = {
        k: v * (1.0 + 0.05 * generator.choice([-1.0, 1.0])) for k, v in law.parameters.items()
        if k != "edge_weight"
    }  # fmt: skip
    model = law.with_parameters(values)
    loop = receding_horizon(
        additive(model.right_hand_side, drivers), additive(rhs, drivers), low, times, count,
        tracking_cost(high, energy=1e-4), horizon=3, bounds=bounds, iterations=4,
        measurement_noise=0.02 * float(high.mean()), floor=0.0, solver=PLAN,
    )  # fmt: skip
    held = free_motion(rhs, loop.states[-1], np.array([0.0, 40.0]))[-1]
    return {
        "nodes": graph.node_count,
        "drivers": count,
        "apart_at_start": way,
        "distance_at_horizon": plan.distance,
        "distance_later_without_inputs": float(np.linalg.norm(later - high)) / way,
        "mpc_5_percent_model_error_distance": loop.distance(high),
        "mpc_distance_later_without_inputs": float(np.linalg.norm(held - high)) / way,
        "cpu_seconds": time.process_time() - began,
    }


def rescues(data: Path | None) -> dict[str, object]:
    """Bring collapsed networks back: made ones, and the real ones where two states exist."""
    cases = {
        "gene, scale-free 200": ("gene", Graph.from_source("barabasi_albert:200:2", seed=1), 20.0),
        "gene, small world 200": (
            "gene", Graph.from_source("small_world:200:6:0.1", seed=1), 20.0,
        ),
        "mutualistic, small world 200": (
            "mutualistic", Graph.from_source("small_world:200:4:0.1", seed=1), 20.0,
        ),
        "mutualistic, random regular 200": (
            "mutualistic", Graph.from_source("random_regular:200:6", seed=1), 20.0,
        ),
    }  # fmt: skip
    del data
    found: dict[str, object] = {}
    for case, (name, graph, bound) in cases.items():
        try:
            found[case] = rescue(name, graph, bound)
        except ComputationError as error:
            found[case] = {"failed": str(error)}
        print(case, found[case], flush=True)
    return found


def immunity(_: Path | None) -> dict[str, object]:
    """Final sizes after immunising 2 % of a scale-free network."""
    graph = Graph.from_source("barabasi_albert:2000:3", seed=1)
    law = CATALOGUE["sir"].equation.with_parameters(beta=0.3, gamma=1.0)
    result = compare_immunisation(
        law, graph, 40, times=np.array([0.0, 60.0]), runs=200,
        rules=("shield", "eigenvector", "adaptive_degree", "degree", "random"),
    )  # fmt: skip
    return {"final_size": result.final_size, "standard_error": result.standard_error}


def learned_tipping(_: Path | None) -> dict[str, object]:
    """Tipping points of fields learned from one trajectory, beside those of the true laws.

    The closed form has no ensemble; the members of the neural field give an interval.
    """
    from graphtide.dynamics.fit import fit
    from graphtide.dynamics.neural_data import NeuralSettings
    from graphtide.dynamics.neural_fit import fit_neural
    from graphtide.dynamics.simulate import simulate

    found: dict[str, object] = {}
    for name, rising in (("gene", False), ("mutualistic", True)):
        graph = Graph.from_source("small_world:200:8:0.3", seed=2)
        equation = CATALOGUE[name].equation
        start = np.random.default_rng(0).uniform(0.0, 12.0, (200, 1))
        if rising:
            start[::2] *= 0.05
        path = simulate(equation, graph, np.linspace(0.0, 6.0, 121), start)
        truth = fold_of(Law.of(equation, graph), rising=rising, high=40.0)
        entry: dict[str, object] = {"true": truth}
        for kind in ("closed_form", "message_passing"):
            with tempfile.TemporaryDirectory() as folder:
                run = Run.create(Path(folder) / "run", kind="dynamics fit", configuration={})
                if kind == "closed_form":
                    fit(path, graph).save(run)
                else:
                    fit_neural(path, graph, settings=NeuralSettings(model=kind)).save(run)
                law = Law.learned(run)
                entry[kind] = _tipping_beside(law, truth, rising=rising)
            print(name, kind, entry[kind], flush=True)
        found[name] = entry
    return found


def _tipping_beside(law: Law, truth: dict[str, float | None], *, rising: bool) -> dict[str, object]:
    """Return the fold of a learned field beside the true one, with the ensemble's interval."""
    learned = fold_of(law, rising=rising, high=12.0)
    entry: dict[str, object] = dict(learned)
    if learned["full"] is not None and truth["full"] is not None:
        entry["relative_error_to_true"] = learned["full"] / truth["full"] - 1.0
    if law.members:
        folds = []
        for member in law.members:
            try:
                fold = fold_of(member, rising=rising, high=12.0)["full"]
            except ComputationError:  # a member may run off where the field does not
                continue
            folds += [] if fold is None else [fold]
        entry["members"] = folds
        entry["half_width_90"] = float(half_width(np.array(folds)))
    return entry


PARTS: dict[str, Callable[[Path | None], dict[str, object]]] = {
    "driver_counts": driver_counts,
    "energies": energies,
    "immunity": immunity,
    "folds": folds,
    "learned_tipping": learned_tipping,
    "rescues": rescues,
}


def main() -> None:
    """Run the parts that are asked for and write their results."""
    parser = argparse.ArgumentParser(description="Measure control and resilience.")
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--only", default="")
    parser.add_argument("--again", action="store_true")
    arguments = parser.parse_args()
    wanted = [name for name in arguments.only.split(",") if name] or list(PARTS)

    def kept() -> dict[str, object]:
        return json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}

    def keep(name: str, content: object) -> None:
        RESULTS.parent.mkdir(exist_ok=True)
        results = {**kept(), name: content}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")

    for name in wanted:
        if arguments.again or name not in kept():
            print(f"== {name}", flush=True)
            keep(name, PARTS[name](arguments.data))


if __name__ == "__main__":
    main()
