"""Graphs by name: ``barabasi_albert:400:5``, ``grid:20:20``, ``karate``; NetworkX draws them.

Up to a hundred thousand nodes the random graphs are NetworkX's own. Above that, where its Python
loops take minutes, Erdos-Renyi and Barabasi-Albert graphs are drawn with array operations from the
same distributions (Batagelj, Brandes, Efficient generation of large random networks, 2005).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import InputError
from graphtide.graph.convert import both_directions
from graphtide.graph.graph import Graph

if TYPE_CHECKING:
    import networkx

__all__ = ["GENERATORS", "from_source"]

LARGE = 100_000
"""Number of nodes from which random graphs are drawn with array operations."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A number that a generator takes, and the values that make sense."""

    name: str
    kind: type[int] | type[float]
    lowest: float
    highest: float = np.inf

    def read(self, text: str, generator: str) -> int | float:
        """Return the number in a text, checked."""
        words = f"{generator}: '{text}' as {self.name}"
        try:
            value = self.kind(text)
        except ValueError:
            kind = "a whole number" if self.kind is int else "a number"
            raise InputError(f"{words} is not {kind}") from None
        if not self.lowest <= value <= self.highest:
            bounds = f"at least {self.lowest:g}"
            if np.isfinite(self.highest):
                bounds += f" and at most {self.highest:g}"
            raise InputError(f"{words} is impossible; it must be {bounds}")
        return value


@dataclass(frozen=True, slots=True)
class Generator:
    """How a named graph is drawn: its arguments, and a function of them and the seed."""

    arguments: tuple[Argument, ...]
    draw: Callable[..., Graph]

    def usage(self, name: str) -> str:
        """Return the form of a call, such as ``erdos_renyi:nodes:probability``."""
        return ":".join([name, *(argument.name for argument in self.arguments)])


def from_source(text: str, *, directed: bool = False, seed: int = 0) -> Graph:
    """Return the graph of an existing file, else of a generator ``name:number:...[@seed]``.

    Args:
        text: a path or a generator's call; a number after @ draws another graph of a random one.
        directed: read each row of a CSV file as one direction only.
        seed: seed of random generators whose text names none.

    Raises:
        InputError: neither file nor generator, or numbers that are impossible for it.
    """
    if not text.strip():
        raise InputError("the graph has no name; give a file or a generator such as karate")
    if Path(text).exists():
        return Graph.read(text, directed=directed)
    call, at, own_seed = text.partition("@")
    name, *numbers = call.split(":")
    generator = GENERATORS.get(name)
    if generator is None:
        if "." in name or "/" in name:
            raise InputError(f"{text}: there is no such file")
        near = difflib.get_close_matches(name, GENERATORS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(GENERATORS)}"
        raise InputError(f"'{text}' is neither a file nor a generator of graphs; {hint}")
    if len(numbers) != len(generator.arguments):
        raise InputError(
            f"'{text}' has {len(numbers)} numbers where {generator.usage(name)} "
            f"takes {len(generator.arguments)}"
        )
    values = [
        argument.read(number, name)
        for argument, number in zip(generator.arguments, numbers, strict=True)
    ]
    if at and not own_seed.isdecimal():
        raise InputError(f"'{text}': a whole number was expected after @, such as {call}@1")
    return generator.draw(*values, seed=int(own_seed) if at else seed)


def _numbered(graph: networkx.Graph) -> Graph:
    """Return a graph whose nodes are named by their number, without edge or node data."""
    import networkx

    plain = networkx.convert_node_labels_to_integers(graph)
    pairs = np.array(list(plain.edges), dtype=np.int64).reshape(-1, 2)
    return _undirected(pairs[:, 0], pairs[:, 1], plain.number_of_nodes())


def _undirected(source: np.ndarray, target: np.ndarray, node_count: int) -> Graph:
    source, target, weight = both_directions(source, target, np.ones(len(source)))
    return Graph(np.stack([source, target]), weight, node_count=node_count)


def _plain(make: str) -> Callable[..., Graph]:
    """Return a drawing function for a NetworkX generator without randomness."""

    def draw(*values: int, seed: int) -> Graph:
        del seed  # nothing random here
        import networkx

        return _numbered(getattr(networkx, make)(*values))

    return draw


def _barabasi_albert(nodes: int, links: int, *, seed: int) -> Graph:
    if links >= nodes:
        raise InputError(
            f"barabasi_albert: {links} links for each new node need more than {links} nodes; "
            f"{nodes} were asked for"
        )
    if nodes <= LARGE:
        import networkx

        return _numbered(networkx.barabasi_albert_graph(nodes, links, seed=seed))
    return _undirected(*_preferential_attachment(nodes, links, seed), nodes)


def _preferential_attachment(nodes: int, links: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw preferential attachment by copying: end 2e of the list of ends copies an earlier end.

    Edge e leaves node links + e // links and reaches the node at a uniformly chosen earlier place
    of the list of all ends, which holds each node as often as its degree. Copies of copies are
    resolved by following the places down, whole arrays at a time. Repeated links of one node are
    merged, which lowers the number of edges by less than links^2 in all for large graphs.
    """
    generator = np.random.default_rng(seed)
    count = (nodes - links) * links
    source = links + np.arange(count) // links
    # Places 0..links-1 hold the first nodes once each; place links + 2e the source of edge e, place
    # links + 2e + 1 its target. Edges of one node draw from the places before the node's first.
    first_place = links + 2 * links * (np.arange(count) // links)
    place = (generator.random(count) * first_place).astype(np.int64)
    # A new node's target place points down to another edge's target until it names a node.
    pending = np.flatnonzero((place >= links) & ((place - links) % 2 == 1))
    while pending.size:
        place[pending] = place[(place[pending] - links) // 2]
        at = place[pending]
        pending = pending[(at >= links) & ((at - links) % 2 == 1)]
    is_first = place < links
    target = np.where(is_first, place, source[np.maximum(place - links, 0) // 2])
    return _unique_pairs(source, target, nodes)


def _erdos_renyi(nodes: int, probability: float, *, seed: int) -> Graph:
    if nodes <= LARGE // 20:
        import networkx

        draw = networkx.gnp_random_graph if probability > 0.05 else networkx.fast_gnp_random_graph
        return _numbered(draw(nodes, probability, seed=seed))
    generator = np.random.default_rng(seed)
    pairs = nodes * (nodes - 1) // 2
    wanted = int(generator.binomial(pairs, probability))
    chosen = np.unique(generator.integers(0, pairs, size=wanted))
    while chosen.size < wanted:
        more = generator.integers(0, pairs, size=wanted - chosen.size)
        chosen = np.unique(np.concatenate([chosen, more]))
    # Pair number p = target (target - 1) / 2 + source with source < target.
    target = ((1 + np.sqrt(1 + 8 * chosen.astype(np.float64))) / 2).astype(np.int64)
    target -= target * (target - 1) // 2 > chosen
    target += (target + 1) * target // 2 <= chosen
    return _undirected(chosen - target * (target - 1) // 2, target, nodes)


def _unique_pairs(
    source: np.ndarray, target: np.ndarray, nodes: int
) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.minimum(source, target), np.maximum(source, target)
    codes = np.unique(low * nodes + high)
    return codes // nodes, codes % nodes


def _small_world(nodes: int, neighbours: int, probability: float, *, seed: int) -> Graph:
    _check_ring("small_world", nodes, neighbours)
    import networkx

    graph = networkx.newman_watts_strogatz_graph(nodes, neighbours, probability, seed=seed)
    return _numbered(graph)


def _watts_strogatz(nodes: int, neighbours: int, probability: float, *, seed: int) -> Graph:
    _check_ring("watts_strogatz", nodes, neighbours)
    import networkx

    return _numbered(networkx.watts_strogatz_graph(nodes, neighbours, probability, seed=seed))


def _check_ring(name: str, nodes: int, neighbours: int) -> None:
    if neighbours >= nodes:
        raise InputError(
            f"{name}: {neighbours} neighbours need more than {neighbours} nodes; "
            f"{nodes} were asked for"
        )


def _grid(rows: int, columns: int, *, seed: int, diagonals: bool = False) -> Graph:
    del seed  # nothing random here
    number = np.arange(rows * columns).reshape(rows, columns)
    pairs = [(number[:, :-1], number[:, 1:]), (number[:-1], number[1:])]
    if diagonals:
        pairs += [(number[:-1, :-1], number[1:, 1:]), (number[:-1, 1:], number[1:, :-1])]
    source = np.concatenate([a.ravel() for a, _ in pairs])
    target = np.concatenate([b.ravel() for _, b in pairs])
    return _undirected(source, target, rows * columns)


def _grid8(rows: int, columns: int, *, seed: int) -> Graph:
    return _grid(rows, columns, seed=seed, diagonals=True)


def _community(nodes: int, blocks: int, inside: float, between: float, *, seed: int) -> Graph:
    if blocks > nodes:
        raise InputError(f"community: {nodes} nodes cannot form {blocks} blocks")
    import networkx

    sizes = [len(part) for part in np.array_split(np.arange(nodes), blocks)]
    return _numbered(networkx.random_partition_graph(sizes, inside, between, seed=seed))


def _random_regular(nodes: int, degree: int, *, seed: int) -> Graph:
    if degree >= nodes or nodes * degree % 2:
        raise InputError(
            f"random_regular: degree {degree} on {nodes} nodes is impossible; "
            "it must be below the number of nodes, and their product even"
        )
    import networkx

    return _numbered(networkx.random_regular_graph(degree, nodes, seed=seed))


def _random_geometric(nodes: int, radius: float, *, seed: int) -> Graph:
    import networkx

    graph = networkx.random_geometric_graph(nodes, radius, seed=seed)
    position = np.array([graph.nodes[node]["pos"] for node in graph.nodes]).reshape(-1, 2)
    plain = _numbered(graph)
    return plain.with_node_attributes(x=position[:, 0], y=position[:, 1])


def _karate(*, seed: int) -> Graph:
    del seed  # nothing random here
    import networkx

    return _numbered(networkx.karate_club_graph())


def _single(*, seed: int) -> Graph:
    del seed  # nothing random here
    return Graph(np.empty((2, 0), dtype=np.int64), node_count=1)


def _star(leaves: int, *, seed: int) -> Graph:
    del seed  # nothing random here
    return _undirected(np.zeros(leaves, dtype=np.int64), 1 + np.arange(leaves), leaves + 1)


_NODES = Argument("nodes", int, 1)
_PROBABILITY = Argument("probability", float, 0.0, 1.0)
_NEIGHBOURS = Argument("neighbours", int, 0)

GENERATORS: dict[str, Generator] = {
    "barabasi_albert": Generator((_NODES, Argument("links", int, 1)), _barabasi_albert),
    "erdos_renyi": Generator((_NODES, _PROBABILITY), _erdos_renyi),
    "small_world": Generator((_NODES, _NEIGHBOURS, _PROBABILITY), _small_world),
    "watts_strogatz": Generator((_NODES, _NEIGHBOURS, _PROBABILITY), _watts_strogatz),
    "grid": Generator((Argument("rows", int, 1), Argument("columns", int, 1)), _grid),
    "grid8": Generator((Argument("rows", int, 1), Argument("columns", int, 1)), _grid8),
    "community": Generator(
        (
            _NODES,
            Argument("blocks", int, 1),
            Argument("probability_inside", float, 0.0, 1.0),
            Argument("probability_between", float, 0.0, 1.0),
        ),
        _community,
    ),
    "ring": Generator((Argument("nodes", int, 3),), _plain("cycle_graph")),
    "path": Generator((_NODES,), _plain("path_graph")),
    "complete": Generator((_NODES,), _plain("complete_graph")),
    "star": Generator((Argument("leaves", int, 1),), _star),
    "random_regular": Generator((_NODES, Argument("degree", int, 0)), _random_regular),
    "random_geometric": Generator((_NODES, Argument("radius", float, 0.0)), _random_geometric),
    "karate": Generator((), _karate),
    "single": Generator((), _single),
}
"""Each named generator; the numbers of a call are those of its arguments, in order."""
