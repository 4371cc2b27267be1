"""An unknown network: who drives whom, found from the same readings as the law.

dx_i/dt = F(x_i) + sum_j a_ij G(x_i, x_j) with F and G shared and a_ij >= 0 unknown. For a given G
every node is a non-negative sparse regression on what each other node would send it, the terms of
its own being projected out. The weak form makes it linear in a_ij and free of derivatives; the
adaptive penalty (Zou, J. Am. Stat. Assoc. 101, 2006) takes off what noise alone would give. G is
not known either: every coupling term is tried, the most telling ones give a network each, on which
the law is searched, and network and law are improved in turn. At last the regression is repeated
on random halves of the data (stability selection: Meinshausen and Buhlmann, J. R. Stat. Soc. B 72,
2010); an edge's score is how often it is chosen, then how strong it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas

from graphtide.errors import ComputationError, InputError
from graphtide.graph import Graph
from graphtide.mechanisms.candidates import Candidate, TermSet
from graphtide.mechanisms.lawsearch import checked_terms, find_law, libraries
from graphtide.mechanisms.network_rows import CouplingLaw, NodeRows
from graphtide.mechanisms.robust import right_nodes
from graphtide.mechanisms.rows import Sample, prepare
from graphtide.mechanisms.search import ELBOW
from graphtide.trajectory import Trajectory

__all__ = ["InferredNetwork", "infer_network"]

MOST_NODES = 200
TELLING = 3
"""Coupling terms that give a network to begin with."""
ROUNDS = 3
HALVES = 40
"""Random halves of the data."""
CHOSEN = 0.8
"""Share of the halves in which an edge is chosen if it belongs to the network."""
WEAK_EDGE = 0.25
"""Edges weaker than this share of the strong ones (their upper decile) are left out."""
EQUAL_WEIGHTS = 0.35
"""Relative spread of the weights up to which they count as equal."""
STARTS = 20
"""Random starts of the trimmed search for a law on a network that is partly right."""


@dataclass(frozen=True, slots=True, eq=False)
class InferredNetwork:
    """A network with how sure each edge is.

    Attributes:
        graph: the edges that belong to it; A_ij from j to i, directed.
        score: shape (N, N): share of the halves that chose the edge, plus its strength beside the
            strongest in units too small to change the order of shares.
        weight: shape (N, N): strength of every possible edge, in units of the usual edge.
        equal: whether the weights could not be told from equal ones and were set to 1.
        log_residual: log of the share of the motion that the last law leaves, mean over nodes.
        coupling: the terms of the law found with it.
    """

    graph: Graph
    score: np.ndarray
    weight: np.ndarray
    equal: bool
    log_residual: float
    coupling: str

    def summary(self) -> dict[str, object]:
        """Return figures by plain names."""
        return {
            "edges": self.graph.edge_count,
            "equal_weights": self.equal,
            "unexplained_share": math.exp(self.log_residual),
            "edges_chosen_in_every_half": int((self.score >= 1.0).sum()),
        }

    def table(self) -> pandas.DataFrame:
        """Return every possible edge by falling score: source, target, weight, score, kept."""
        names = self.graph.names
        target, source = np.nonzero(~np.eye(len(names), dtype=bool))
        frame = pandas.DataFrame(
            {
                "source": [names[j] for j in source],
                "target": [names[i] for i in target],
                "weight": self.weight[target, source],
                "score": self.score[target, source],
                "kept": self.graph.adjacency.toarray()[target, source] != 0,
            }
        )
        return frame.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def infer_network(
    trajectories: Sequence[Trajectory],
    *,
    terms: TermSet | str = "all",
    library: Sequence[Candidate] = (),
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
) -> InferredNetwork:
    """Find the network behind several trajectories of the same nodes.

    Args:
        trajectories: states of the same N nodes, at most 200; their graphs are not read.
        terms: which of the house's candidates.
        library: further candidates.
        seed: seed of the random halves.
        progress: called with the share done and what is being done.

    Raises:
        InputError: there are too many nodes, nodes differ between trajectories, a node has no
            states, or the readings are fewer than the possible edges of a node.
        ComputationError: no coupling explains anything, or no edge is stable.
    """
    report = progress or (lambda _share, _text: None)
    terms = checked_terms(terms, library)
    samples = _unconnected(trajectories)
    data = NodeRows(samples)
    report(0.05, "trying couplings")
    candidates = libraries(samples, terms, library)[0]
    begun = _telling(data, candidates)
    if not begun:
        raise ComputationError("no coupling between nodes explains anything of their motion")
    best: tuple[float, CouplingLaw, np.ndarray] | None = None
    seen: set[str] = set()
    for number, (_, _, strength) in enumerate(begun):
        for step in range(ROUNDS):
            report(0.1 + 0.6 * (number + step / ROUNDS) / len(begun), "network and law in turn")
            graph, _ = _cut(strength, samples[0].graph.names)
            law = _law_on(samples, graph, terms, library)
            if law is None:
                break
            known = law.form() in seen
            seen.add(law.form())
            strength, left = data.strengths(law)
            size = sum(map(len, law.own)) + sum(map(len, law.coupled))
            if best is None or left + ELBOW * size < best[0]:
                best = (left + ELBOW * size, law, strength)
            if known:
                break
    if best is None:
        _, coupling, strength = begun[0]
        best = (0.0, coupling, strength)
    _, coupling, strength = best
    report(0.75, "random halves")
    chosen = data.chosen_in_halves(coupling, HALVES, np.random.default_rng(seed))
    graph, weight, equal = _decided(strength, chosen, samples[0].graph.names)
    rank = strength / max(float(strength.max()), 1e-300)
    if not graph.edge_count:
        raise ComputationError("no edge is chosen in most random halves of the data")
    _, left = data.strengths(coupling)
    score = chosen + rank / (2 * HALVES)
    return InferredNetwork(graph, score, weight, equal, left, coupling.form())


def _unconnected(trajectories: Sequence[Trajectory]) -> list[Sample]:
    names = trajectories[0].names
    if len(names) > MOST_NODES:
        raise InputError(
            f"{len(names)} nodes are too many to infer their network; at most {MOST_NODES} are read"
        )
    if len(names) < 3:
        raise InputError("a network is inferred between at least 3 nodes")
    graph = Graph(np.empty((2, 0), dtype=np.int64), names=names)
    samples = []
    for trajectory in trajectories:
        if set(trajectory.names) != set(names):
            raise InputError(
                "the tables of states name different nodes; a network is inferred between the same "
                "nodes in all of them"
            )
        if trajectory.variables != trajectories[0].variables:
            raise InputError("the tables of states hold different variables")
        plain = Trajectory(
            trajectory.times, trajectory.states, trajectory.variables, trajectory.names
        )
        sample = prepare(plain, graph)
        if len(sample.usable) < len(names):
            lost = next(n for k, n in enumerate(names) if k not in set(sample.usable.tolist()))
            raise InputError(f"node '{lost}' has no states; its part in the network is unknown")
        samples.append(sample)
    freedom = sum(float(sample.smoothed.degrees_of_freedom.max()) for sample in samples)
    if freedom < len(names):
        raise InputError(
            f"the series hold about {freedom:.0f} independent readings a node for "
            f"{len(names) - 1} possible neighbours; give more tables of states (other starts)"
        )
    return samples


def _telling(
    data: NodeRows, candidates: Sequence[Candidate]
) -> list[tuple[float, CouplingLaw, np.ndarray]]:
    """Return the coupling terms that explain most, with their networks, best first."""
    variables = list(data.variables)
    own = [c for c in candidates if c.coupling == "none" and c.polynomial][:10]
    found = []
    for d in variables:
        for term in candidates:
            if term.coupling != "sum" or term.text == "k_i":
                continue
            for sign in (1.0, -1.0):
                coupled = tuple(((term, sign),) if e == d else () for e in variables)
                coupling = CouplingLaw(tuple(tuple(own) for _ in variables), coupled)
                strength, left = data.strengths(coupling)
                if strength.any() and math.isfinite(left):
                    found.append((left, coupling, strength))
    return sorted(found, key=lambda f: f[0])[:TELLING]


def _law_on(
    samples: Sequence[Sample], graph: Graph, terms: TermSet, library: Sequence[Candidate]
) -> CouplingLaw | None:
    """Search the law on a network; None where it has no coupling that adds."""
    if not graph.edge_count:
        return None
    placed = [
        prepare(
            Trajectory(s.observed.times, s.observed.states, s.observed.variables, graph.names),
            graph,
        )
        for s in samples
    ]
    try:
        learned = right_nodes(placed, terms, library, starts=STARTS, seed=0)
        found = find_law(learned or placed, terms, library, quick=True)
    except ComputationError:
        return None
    own = tuple(tuple(t for t in chosen if t.coupling == "none") for chosen in found.chosen)
    coupled = tuple(
        tuple(
            (t, float(c))
            for t, c in zip(chosen, fit.coefficients, strict=True)
            if t.coupling == "sum" and t.text != "k_i"
        )
        for chosen, fit in zip(found.chosen, found.weak, strict=True)
    )
    return CouplingLaw(own, coupled) if any(coupled) else None


def _cut(strength: np.ndarray, names: tuple[str, ...]) -> tuple[Graph, bool]:
    """Return the network of the strong edges, and whether its weights count as equal."""
    strong = strength[strength > 0]
    if not strong.size:
        return Graph(np.empty((2, 0), dtype=np.int64), names=names), True
    kept = strength > WEAK_EDGE * np.quantile(strong, 0.9)
    values = strength[kept]
    middle = float(np.median(values))
    spread = float(np.quantile(values, 0.8) - np.quantile(values, 0.2)) / 2 / middle
    equal = spread < EQUAL_WEIGHTS
    target, source = np.nonzero(kept)
    weight = np.ones(len(target)) if equal else values / middle
    graph = Graph(np.stack([source, target]), weight, names=names, directed=True)
    return graph, equal


def _decided(
    strength: np.ndarray, chosen: np.ndarray, names: tuple[str, ...]
) -> tuple[Graph, np.ndarray, bool]:
    """Return the stable edges, every weight in units of the usual one, and if all count as one."""
    stable = np.where(chosen >= CHOSEN, strength, 0.0)
    graph, equal = _cut(stable, names)
    middle = float(np.median(stable[stable > 0])) if (stable > 0).any() else 1.0
    return graph, strength / middle, equal
