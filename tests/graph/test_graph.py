"""Laws of graphs: Laplacians, known spectra, round trips through every format, generators."""

import gzip

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from graphtide.errors import InputError
from graphtide.graph import Graph

NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1, max_size=6
)


@st.composite
def graphs(draw):
    """Draw a weighted graph with names in any script, perhaps self-loops and isolated nodes."""
    names = tuple(draw(st.lists(NAMES, min_size=2, max_size=8, unique=True)))
    count, directed = len(names), draw(st.booleans())
    node = st.integers(0, count - 1)
    pairs = draw(st.lists(st.tuples(node, node), max_size=12, unique=True))
    if not directed:
        pairs = sorted({(min(pair), max(pair)) for pair in pairs})
    weights = draw(st.lists(st.floats(0.01, 100.0), min_size=len(pairs), max_size=len(pairs)))
    matrix = np.zeros((count, count))
    for (i, j), weight in zip(pairs, weights, strict=True):
        matrix[i, j] = weight
        if not directed:
            matrix[j, i] = weight
    target, source = np.nonzero(matrix)
    return Graph(np.array([source, target]), matrix[target, source], names=names, directed=directed)


def same(one, other):
    assert one.names == other.names
    assert one.directed == other.directed
    assert abs(one.adjacency - other.adjacency).max() == 0


@given(graphs(), st.sampled_from(["csv", "csv.gz", "npz", "graphml"]))
def test_files_give_back_what_was_written(tmp_path_factory, graph, kind):
    path = tmp_path_factory.mktemp("graph") / f"graph.{kind}"
    graph.write(path)
    again = Graph.read(path, directed=graph.directed)
    same(graph, again)


@given(graphs())
def test_networkx_and_scipy_give_back_what_they_got(graph):
    same(graph, Graph.from_networkx(graph.to_networkx()))
    again = Graph.from_scipy(graph.to_scipy(), names=graph.names)
    assert abs(graph.adjacency - again.adjacency).max() == 0


@given(graphs())
def test_a_laplacian_does_not_feel_a_constant(graph):
    ones = np.ones(graph.node_count)
    for kind in ("combinatorial", "random_walk"):
        flow = graph.laplacian(kind) @ ones
        assert np.abs(flow).max() <= 1e-12 * max(1.0, graph.edge_weight.sum())
    expected = graph.adjacency.toarray().sum(axis=1)
    assert np.allclose(graph.degree, expected)


def test_spectra_of_path_ring_and_complete_graph():
    def spectrum(network):
        return np.linalg.eigvalsh(Graph.from_networkx(network).laplacian().toarray())

    k = np.arange(7)
    assert np.allclose(spectrum(nx.path_graph(7)), 2 - 2 * np.cos(np.pi * k / 7))
    assert np.allclose(spectrum(nx.cycle_graph(7)), np.sort(2 - 2 * np.cos(2 * np.pi * k / 7)))
    assert np.allclose(spectrum(nx.complete_graph(7)), [0, *[7] * 6])


def test_the_symmetric_laplacian_has_a_spectrum_between_zero_and_two():
    graph = Graph.from_source("barabasi_albert:60:2", seed=4)
    spectrum = np.linalg.eigvalsh(graph.laplacian("symmetric").toarray())
    assert abs(spectrum[0]) < 1e-12
    assert spectrum[-1] <= 2 + 1e-12
    even_cycle = Graph.from_networkx(nx.cycle_graph(8))
    assert np.linalg.eigvalsh(even_cycle.laplacian("symmetric").toarray())[-1] == pytest.approx(2)


def test_karate_is_zacharys_network():
    karate = Graph.from_source("karate")
    assert (karate.node_count, karate.edge_count) == (34, 2 * 78)
    assert np.array_equal(
        karate.adjacency.toarray(),
        nx.to_numpy_array(
            nx.karate_club_graph(), weight=None if set(karate.edge_weight) == {1.0} else "weight"
        ),
    )


@pytest.mark.parametrize(
    ("source", "nodes", "edges"),
    [
        ("grid:4:5", 20, 31),
        ("star:6", 7, 6),
        ("barabasi_albert:50:3", 50, 3 * 47),
        ("random_regular:20:3", 20, 30),
    ],
)
def test_generators_draw_as_many_nodes_and_edges_as_theory_says(source, nodes, edges):
    graph = Graph.from_source(source, seed=1)
    assert graph.node_count == nodes
    assert graph.edge_count == 2 * edges


def test_one_seed_gives_one_graph():
    for source in ("erdos_renyi:60:0.1", "small_world:60:4:0.3", "community:60:3:0.4:0.02"):
        same(Graph.from_source(source, seed=5), Graph.from_source(source, seed=5))
        other = Graph.from_source(source, seed=6)
        assert abs(Graph.from_source(source, seed=5).adjacency - other.adjacency).max() > 0
        same(Graph.from_source(f"{source}@6", seed=5), other)


@pytest.mark.parametrize("text", ["barabasi_albert:60:2@", "barabasi_albert:60:2@-1", "karate@x"])
def test_a_seed_after_the_generator_must_be_a_whole_number(text):
    with pytest.raises(InputError, match="a whole number was expected after @"):
        Graph.from_source(text)


def test_a_large_preferential_attachment_graph_has_its_power_law():
    """The share of nodes with k links is 2 m (m + 1) / (k (k + 1) (k + 2)) (Dorogovtsev, 2000)."""
    links = 3
    graph = Graph.from_source(f"barabasi_albert:120000:{links}", seed=2)
    assert graph.edge_count == 2 * np.unique(np.sort(graph.edge_index, axis=0), axis=1).shape[1]
    share = np.bincount(graph.degree.astype(int)) / graph.node_count
    for k in (3, 4, 5, 8):
        theory = 2 * links * (links + 1) / (k * (k + 1) * (k + 2))
        assert share[k] == pytest.approx(theory, rel=0.05)


@pytest.mark.parametrize(
    "content",
    [
        b"source,target\r\na,b\r\nb,c\r\n",
        "\ufeffsource,target\na,b\nb,c\n".encode(),
        b"source,target,weight\na,b,1\nb,c,1.0\n",
    ],
)
def test_line_ends_and_byte_order_marks_are_no_matter(tmp_path, content):
    path = tmp_path / "edges.csv"
    path.write_bytes(content)
    graph = Graph.read(path)
    assert graph.names == ("a", "b", "c")
    assert np.array_equal(graph.adjacency.toarray(), [[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    packed = tmp_path / "edges.csv.gz"
    packed.write_bytes(gzip.compress(content))
    same(graph, Graph.read(packed))


def test_a_matrix_market_file_of_scipy_is_read(tmp_path):
    matrix = scipy.sparse.random_array((9, 9), density=0.3, rng=3)
    matrix = scipy.sparse.csr_array(matrix + matrix.T)
    scipy.io.mmwrite(tmp_path / "graph.mtx", matrix)
    graph = Graph.read(tmp_path / "graph.mtx")
    assert np.allclose(graph.adjacency.toarray(), matrix.toarray())


def test_a_self_loop_counts_once_and_an_isolated_node_stays():
    graph = Graph(np.array([[0, 0, 1], [0, 1, 0]]), np.array([2.0, 1.0, 1.0]), node_count=3)
    assert np.array_equal(graph.degree, [3, 1, 0])
    assert graph.laplacian().toarray()[0, 0] == 1.0  # a loop exchanges nothing with others
    assert np.array_equal(graph.laplacian("random_walk").toarray()[2], [0, 0, 0])


def test_a_disjoint_union_keeps_its_parts_apart():
    parts = [Graph.from_source("grid:2:3"), Graph.from_source("star:4")]
    union = Graph.batch_of(parts)
    blocks = scipy.sparse.block_diag([p.adjacency for p in parts]).toarray()
    assert np.array_equal(union.adjacency.toarray(), blocks)
    assert np.array_equal(union.batch, [0] * 6 + [1] * 5)


def test_what_is_no_graph_is_refused():
    with pytest.raises(InputError, match="both directions"):
        Graph(np.array([[0], [1]]))
    with pytest.raises(InputError, match="edge 1 joins"):
        Graph(np.array([[0, 1], [1, 9]]), node_count=2, directed=True)
    with pytest.raises(InputError, match="'b' stands twice"):
        Graph(np.array([[0], [0]]), names=("b", "b"))
    with pytest.raises(InputError, match="not a finite number"):
        Graph(np.array([[0], [0]]), np.array([np.nan]))
