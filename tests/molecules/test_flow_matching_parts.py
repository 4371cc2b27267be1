"""Parts of discrete flow matching: pairs, features, network, legal graphs."""

import itertools

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphtide.molecules.corpus import Corpus
from graphtide.molecules.flow_matching.examples import FlowMatchingExamples
from graphtide.molecules.flow_matching.features import graph_features
from graphtide.molecules.flow_matching.legality import is_legal, legal_bonds, legal_types
from graphtide.molecules.flow_matching.model import FlowMatching
from graphtide.molecules.flow_matching.pairs import Pairs, pair_place, with_ends

CPU = torch.device("cpu")


@pytest.mark.parametrize("nodes", [1, 2, 3, 7])
def test_pairs_stand_where_the_formula_says(nodes: int) -> None:
    pairs = Pairs.of(nodes, CPU)
    listed = list(itertools.combinations(range(nodes), 2))
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == listed
    ends = np.array(listed, dtype=np.int64).reshape(-1, 2)
    assert pair_place(ends[:, 0], ends[:, 1], nodes).tolist() == list(range(len(listed)))
    values = torch.randn(len(listed), 4)
    matrices = pairs.matrices(values)
    torch.testing.assert_close(matrices, matrices.transpose(1, 2))
    assert not matrices.diagonal(dim1=1, dim2=2).any()
    torch.testing.assert_close(pairs.values(matrices), values)


@pytest.mark.parametrize("nodes", [1, 2, 5])
@pytest.mark.parametrize("products", [False, True])
def test_pairs_take_in_both_of_their_ends(
    nodes: int, products: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = Pairs.of(nodes, CPU)
    own = torch.randn(pairs.count, 3, 2, dtype=torch.float64, requires_grad=True)
    a, b = (torch.randn(nodes, 3, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    wanted = own + a[pairs.first] + a[pairs.second]
    if products:
        wanted = wanted + b[pairs.first] * b[pairs.second]
    multiplied = b if products else None
    torch.testing.assert_close(with_ends(own, a, pairs, multiplied), wanted)
    with monkeypatch.context() as patch:  # the way of a GPU
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        torch.testing.assert_close(with_ends(own, a, pairs, multiplied), wanted)
    inputs = (own, a, b)[: 3 if products else 2]
    assert torch.autograd.gradcheck(
        lambda *given: with_ends(given[0], given[1], pairs, *given[2:]), inputs
    )


def test_features_are_those_of_random_walks_and_components() -> None:
    # Two pieces: a ring of five with one double bond and a tail, and a single bond.
    edges = [(0, 1, 2), (1, 2, 1), (2, 3, 1), (3, 4, 1), (0, 4, 1), (4, 5, 1), (6, 7, 1)]
    pairs = Pairs.of(8, CPU)
    bonds = torch.zeros(pairs.count, 1, dtype=torch.int64)
    adjacency = np.zeros((8, 8))
    for i, j, order in edges:
        bonds[int(pair_place(np.array(i), np.array(j), 8))] = order
        adjacency[i, j] = adjacency[j, i] = 1
    valences = torch.full((8, 1), 4.0)
    nodes, of_pairs = graph_features(bonds, valences, torch.full((1,), 8.0), pairs)
    walk = adjacency / np.maximum(adjacency.sum(1, keepdims=True), 1)
    for place, power in enumerate(range(2, 7), start=6):
        wanted = 4 * np.diag(np.linalg.matrix_power(walk, power))
        np.testing.assert_allclose(nodes[:, 0, place], wanted, atol=1e-6)
    orders = np.zeros((8, 8))
    for i, j, order in edges:
        orders[i, j] = orders[j, i] = order
    np.testing.assert_allclose(nodes[:, 0, 4], 4 - orders.sum(1))
    np.testing.assert_allclose(nodes[:, 0, -1], [6 / 8] * 6 + [2 / 8] * 2)
    distance = dict(nx.all_pairs_shortest_path_length(nx.from_numpy_array(adjacency)))
    for p, (i, j) in enumerate(itertools.combinations(range(8), 2)):
        far = distance[i].get(j, 99)
        assert of_pairs[p, 0, 3:].tolist() == [far <= 2, far <= 4, far < 99]


@pytest.fixture
def model() -> FlowMatching:
    corpus = Corpus.from_smiles(
        ["CCO", "c1ccccc1", "CC(=O)N", "C#N", "OCC(F)F", "CCCN", "C=CC=O"] * 5, workers=1
    )
    torch.manual_seed(0)
    examples = FlowMatchingExamples(corpus, {"length": np.arange(35.0)})
    return FlowMatching.for_examples(examples, width=32, pair_width=16, layers=2, atoms="flow")


def _random_graphs(n: int, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    types = torch.randint(4, (n, batch), generator=generator)
    bonds = torch.randint(4, (n * (n - 1) // 2, batch), generator=generator)
    return types, bonds * (torch.rand(bonds.shape, generator=generator) < 0.4)


@pytest.mark.parametrize("n", [2, 6, 18])
def test_network_is_equivariant(model: FlowMatching, n: int) -> None:
    types, bonds = _random_graphs(n, 5)
    pairs, time = Pairs.of(n, CPU), torch.linspace(0.1, 0.9, 5)
    condition = model.condition(torch.tensor([[0.5], [-1.0], [torch.nan], [2.0], [0.0]]))
    order = torch.randperm(n, generator=torch.Generator().manual_seed(2))
    moved = pairs.values(pairs.matrices(bonds)[:, order][:, :, order])
    one = model.logits(types, bonds, time, pairs, None, condition)
    other = model.logits(types[order], moved, time, pairs, None, condition)
    torch.testing.assert_close(other[0], one[0][order], rtol=1e-4, atol=1e-5)
    for k in range(4):
        wanted = pairs.matrices(one[1][..., k])[:, order][:, :, order]
        torch.testing.assert_close(pairs.matrices(other[1][..., k]), wanted, rtol=1e-4, atol=1e-5)
    # The test would see a network that looks at the numbering: bonds left unmoved differ.
    wrong = model.logits(types[order], bonds, time, pairs, None, condition)
    assert n == 2 or not torch.allclose(wrong[0], one[0][order], atol=1e-3)


def test_padding_changes_nothing(model: FlowMatching) -> None:
    types, bonds = _random_graphs(5, 3)
    small, large = Pairs.of(5, CPU), Pairs.of(8, CPU)
    wide = torch.randint(5, (large.count, 3))  # what stands at the padding plays no part
    inside = (large.second < 5).nonzero()[:, 0]
    wide[inside] = bonds
    padding = torch.arange(8)[:, None].expand(8, 3) >= 5
    time = torch.tensor([0.2, 0.5, 0.8])
    one = model.logits(types, bonds, time, small)
    other = model.logits(
        torch.nn.functional.pad(types, (0, 0, 0, 3)), wide % 4, time, large, padding
    )
    torch.testing.assert_close(other[0][:5], one[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other[1][inside], one[1], rtol=1e-4, atol=1e-4)


def test_bfloat16_stays_near_float32(model: FlowMatching) -> None:
    types, bonds = _random_graphs(6, 4)
    at = torch.full((4,), 0.5)
    exact = model.logits(types, bonds, at, Pairs.of(6, CPU))[1]
    model.precision = "bfloat16"
    rounded = model.logits(types, bonds, at, Pairs.of(6, CPU))[1]
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.1


@given(st.lists(st.integers(1, 6), min_size=2, max_size=9), st.integers(0, 1000))
def test_legal_bonds_are_legal_where_they_can_be(valences: list[int], seed: int) -> None:
    n = len(valences)
    if sum(valences) < 2 * (n - 1):
        valences = [v + 1 for v in valences]
    pairs = Pairs.of(n, CPU)
    generator = torch.Generator().manual_seed(seed)
    wild = torch.randn(pairs.count, 3, 4, generator=generator).mul(5).log_softmax(-1)
    of_nodes = torch.tensor(valences)[:, None].expand(n, 3)
    bonds = legal_bonds(wild, of_nodes, pairs, generator)
    for graph in bonds.t().tolist():
        found = nx.Graph()
        found.add_nodes_from(range(n))
        rows = zip(pairs.first.tolist(), pairs.second.tolist(), graph, strict=True)
        found.add_weighted_edges_from((i, j, order) for i, j, order in rows if order)
        assert nx.is_connected(found)
        assert all(
            d <= v for (_, d), v in zip(found.degree(weight="weight"), valences, strict=True)
        )
    assert is_legal(bonds, of_nodes, pairs).all()


def test_legal_bonds_follow_a_sure_network() -> None:
    corpus = Corpus.from_smiles(["c1ccccc1C#N", "CC(=O)OCCNC"], workers=1)
    types, orders, *_ = FlowMatchingExamples(corpus).batch(np.arange(2), np.random.default_rng(0))
    valences = torch.tensor([kind.valence for kind in corpus.vocabulary])[types]
    sure = torch.nn.functional.one_hot(orders, 4).double().clamp(min=1e-30).log()
    pairs = Pairs.of(len(types), CPU)
    drawn = legal_bonds(sure, valences, pairs, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, orders)


def test_is_legal_sees_pieces_and_valences() -> None:
    pairs = Pairs.of(3, CPU)  # pairs 01, 02, 12
    bonds = torch.tensor([[1, 1, 3], [1, 0, 0], [0, 0, 2]])
    valences = torch.tensor([[2, 2, 2], [4, 4, 4], [4, 4, 4]])
    assert is_legal(bonds, valences, pairs).tolist() == [True, False, False]


def test_legal_types_make_connection_possible_at_least_cost() -> None:
    valences = torch.tensor([1.0, 2.0, 4.0, 0.0])
    types = torch.tensor([[0, 3, 2], [0, 3, 0], [0, 2, 0], [0, 2, 0]])
    scores = torch.tensor([0.1, 0.2, 0.3, 0.4]).log().expand(4, 3, 4).clone()
    scores[2, 0, 2] = 0.0
    changed = legal_types(scores, types, valences)
    held = torch.tensor([[True], [True], [False], [False]])
    now = valences[changed]
    assert (now >= 1).all()
    assert (now.sum(0) >= 6).all()
    assert changed[2, 0] == 2  # the change that costs least
    assert torch.equal(changed[:, 2], types[:, 2])  # it could be connected as it was
    # Two held atoms of valence 4 with a triple bond leave 2: with two of valence 1 just enough.
    chain = torch.tensor([[2], [2], [0], [0]])
    spent = torch.tensor([[3], [3], [0], [0]])
    of_one = scores[:, :1]
    assert torch.equal(legal_types(of_one, chain, valences, fixed=held, spent=spent), chain)
    more = torch.tensor([[4], [3], [0], [0]])
    grown = legal_types(of_one, chain, valences, fixed=held, spent=more)
    assert valences[grown].sum() - more.sum() >= 4
    assert torch.equal(grown[:2], chain[:2])
