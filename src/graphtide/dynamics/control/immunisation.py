"""Targeted immunisation: which nodes to protect so that an epidemic stays small.

Near the healthy state an epidemic grows as the leading eigenvalue of A says, so nodes are ranked by
what their removal takes from it: by strength, by the leading eigenvector, or by the shield value
sum_i 2 lambda u_i^2 - sum_ij A_ij u_i u_j over a set, which does not count neighbours twice. The
rankings are judged by what matters, the final size of simulated epidemics
(:func:`graphtide.spread.epidemic.simulate_epidemic`), beside random choice.

References:
    Pastor-Satorras & Vespignani, Physical Review E 65 (2002) 036104: immunisation by degree.
    Tong, Prakash, Tsourakakis, Eliassi-Rad, Faloutsos & Chau, ICDM 2010: NetShield.
    Prakash, Chakrabarti, Valler, Faloutsos & Faloutsos, KAIS 33 (2012) 549: the eigenvalue decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from graphtide.errors import InputError
from graphtide.graph import Graph

if TYPE_CHECKING:
    import pandas

    from graphtide.equation import Equation

__all__ = [
    "Immunisation",
    "ImmunisationRule",
    "compare_immunisation",
    "immunised_nodes",
    "leading_pair",
    "without_nodes",
]

ImmunisationRule: TypeAlias = Literal[
    "shield", "eigenvector", "adaptive_degree", "degree", "random"
]


@dataclass(frozen=True, slots=True, eq=False)
class Immunisation:
    """Rules compared by simulated epidemics.

    Attributes:
        nodes: numbers of the immunised nodes by rule.
        final_size: share of all nodes ever infected, mean over runs, by rule; "none" without.
        standard_error: of these means.
        eigenvalue: leading eigenvalue of what is left, by rule.
    """

    nodes: dict[str, np.ndarray]
    final_size: dict[str, float]
    standard_error: dict[str, float]
    eigenvalue: dict[str, float]

    @property
    def best(self) -> str:
        """The rule with the smallest epidemics."""
        return min((r for r in self.final_size if r != "none"), key=lambda r: self.final_size[r])

    def table(self) -> pandas.DataFrame:
        """Return a row for each rule: rule, final_size, standard_error, leading_eigenvalue."""
        import pandas

        return pandas.DataFrame(
            {
                "rule": list(self.final_size),
                "final_size": list(self.final_size.values()),
                "standard_error": list(self.standard_error.values()),
                "leading_eigenvalue": list(self.eigenvalue.values()),
            }
        )


def leading_pair(graph: Graph) -> tuple[float, np.ndarray]:
    """Return the leading eigenvalue of (A + A')/2 and its unit eigenvector (N,), not negative."""
    from scipy.sparse.linalg import eigsh

    matrix = (graph.adjacency + graph.transpose) / 2
    if graph.node_count < 3 or matrix.nnz == 0:
        values, vectors = np.linalg.eigh(matrix.toarray())
        return float(values[-1]), np.abs(vectors[:, -1])
    value, vector = eigsh(matrix.tocsr(), k=1, which="LA", v0=np.ones(graph.node_count))
    return float(value[0]), np.abs(vector[:, 0])


def immunised_nodes(
    graph: Graph, count: int, rule: ImmunisationRule = "shield", *, seed: int = 0
) -> np.ndarray:
    """Return numbers of nodes to immunise, best first, shape (count,), int64.

    Args:
        graph: the network; weights are not negative.
        count: how many.
        rule: shield (NetShield), eigenvector, adaptive_degree (strength without those already
            chosen), degree (strength), or random.
        seed: of random.

    Raises:
        InputError: the count is not between 1 and N - 1, or the rule is unknown.
    """
    if rule not in get_args(ImmunisationRule):
        raise InputError(f"'{rule}' is no rule; they are {', '.join(get_args(ImmunisationRule))}")
    if not 1 <= count < graph.node_count:
        raise InputError(
            f"{count} nodes to immunise of {graph.node_count}; between 1 and "
            f"{graph.node_count - 1} were expected"
        )
    matrix = ((graph.adjacency + graph.transpose) / 2).tocsr()
    strength = np.asarray(matrix.sum(axis=1)).ravel()
    if rule == "random":
        return np.random.default_rng(seed).permutation(graph.node_count)[:count].astype(np.int64)
    if rule == "degree":
        return np.argsort(-strength, kind="stable")[:count].astype(np.int64)
    value, vector = leading_pair(graph)
    if rule == "eigenvector":
        return np.argsort(-vector, kind="stable")[:count].astype(np.int64)
    shield = rule == "shield"
    # What a node is worth by itself; then each choice takes from its neighbours.
    worth = (2 * value - matrix.diagonal()) * vector**2 if shield else strength.copy()
    chosen: list[int] = []
    for _ in range(count):
        node = int(np.argmax(worth))
        chosen.append(node)
        worth[node] = -np.inf
        near = slice(matrix.indptr[node], matrix.indptr[node + 1])
        others, weight = matrix.indices[near], matrix.data[near]
        worth[others] -= 2 * weight * vector[others] * vector[node] if shield else weight
    return np.array(chosen, dtype=np.int64)


def without_nodes(graph: Graph, nodes: np.ndarray) -> Graph:
    """Return the graph on all its nodes without the edges of some of them."""
    gone = np.zeros(graph.node_count, dtype=bool)
    gone[nodes] = True
    kept = ~gone[graph.edge_index].any(axis=0)
    return Graph(
        graph.edge_index[:, kept],
        graph.edge_weight[kept],
        names=graph.names,
        directed=graph.directed,
        node_attributes=graph.node_attributes,
        batch=graph.batch,
    )


def compare_immunisation(
    equation: Equation,
    graph: Graph,
    count: int,
    *,
    times: np.ndarray,
    rules: tuple[ImmunisationRule, ...] = ("shield", "eigenvector", "adaptive_degree", "random"),
    infected: int = 5,
    runs: int = 200,
    seed: int = 0,
) -> Immunisation:
    """Compare rules by the final size of simulated epidemics on the same network.

    Args:
        equation: one of si, sis, sir, seir, with values.
        graph: the network, N nodes.
        count: how many nodes are immunised.
        times: (T,) increasing; the epidemics end with the last.
        rules: which to compare.
        infected: how many nodes begin infected, drawn anew in each run among all nodes; an
            immunised one that is drawn is not infected.
        runs: for each rule; the same seeds for all.
        seed: of all draws.

    Raises:
        InputError: the equation is no epidemic law, or a number is out of range.
    """
    from graphtide.spread.epidemic import simulate_epidemic

    if not 1 <= infected <= graph.node_count:
        raise InputError(f"{infected} nodes that begin infected of {graph.node_count}")
    nodes = {str(rule): immunised_nodes(graph, count, rule, seed=seed) for rule in rules}
    cases = {"none": np.zeros(0, dtype=np.int64), **nodes}
    size, error, value = {}, {}, {}
    share = infected / graph.node_count
    for rule, gone in cases.items():
        left = without_nodes(graph, gone)
        chance = np.full(graph.node_count, share)
        chance[gone] = 0.0
        start = np.zeros((graph.node_count, len(equation.variables)))
        if len(equation.variables) == 1:
            start[:, 0] = chance
        else:
            start[:, equation.variables.index("S")] = 1.0 - chance
            start[:, equation.variables.index("I")] = chance
        result = simulate_epidemic(equation, left, times, start, runs=runs, seed=seed)
        sizes = result.ever_infected / graph.node_count
        size[rule], error[rule] = float(sizes.mean()), float(sizes.std() / np.sqrt(runs))
        value[rule] = leading_pair(left)[0]
    return Immunisation(nodes, size, error, value)
