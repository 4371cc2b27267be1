"""The exact-likelihood flow: an exact bijection, a distribution that sums to one, valid samples."""

import functools
import itertools
import logging
import signal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphtide.errors import InputError
from graphtide.molecules.chemistry import (
    AtomType,
    TypedGraph,
    canonical_smiles,
    parse_smiles,
    to_smiles,
    typed_graph,
)
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.flow import Flow, FlowExamples, fit_flow
from graphtide.molecules.flow.correction import corrected
from graphtide.molecules.flow.likelihood import floored, known_choices
from graphtide.molecules.flow.prefix import prefixes
from graphtide.molecules.flow.rows import Rows
from graphtide.molecules.generator import load_generator, save_generator
from graphtide.run import Run

SMILES = [
    "CCO", "c1ccccc1", "CC(=O)[O-]", "C[NH3+]", "C1CC12CC2", "C#N", "N#CC1CC1", "OC1C2CC1C2", "O",
    "C1=CC2CCC1C2", "FC(F)(F)C=O", "C", "c1cc[nH]c1", "CC1(C)OC1=O", "C1C2C3C1N23",
]  # fmt: skip


def shaken(flow: Flow, scale: float = 0.3) -> Flow:
    """Move weights away from their start, so that nothing is symmetric."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in flow.parameters():
            weight.add_(scale * torch.randn(weight.shape, generator=generator).to(weight))
    return flow.eval()


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus.from_smiles(SMILES, workers=1)


def small(corpus: Corpus, *, constrained: bool = False) -> Flow:
    torch.manual_seed(0)
    examples = FlowExamples(corpus)
    even = [5] * len(examples.size_counts())
    return shaken(
        Flow(
            corpus.vocabulary, size_counts=even, slots=examples.slots, width=16, layers=2, heads=2,
            constrained=constrained,
        )
    )  # fmt: skip


BOTH = pytest.mark.parametrize("constrained", [False, True])


@BOTH
def test_log_determinant_is_that_of_the_jacobian(corpus, constrained):
    flow = small(corpus, constrained=constrained).double()
    x = flow.spread([corpus.graph(k) for k in (1, 4, 9)], torch.Generator().manual_seed(0))
    x.requires_grad_()
    z, log_det = flow.to_latent(x)
    rows = [torch.autograd.grad(z[:, d].sum(), x, retain_graph=True)[0] for d in range(z.shape[1])]
    exact = torch.linalg.slogdet(torch.stack(rows, 1))
    assert torch.equal(exact.sign, torch.ones_like(exact.sign))
    torch.testing.assert_close(log_det, exact.logabsdet, rtol=0.0, atol=1e-10)


@BOTH
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@torch.no_grad()
def test_inverse(corpus, constrained, dtype, tolerance):
    """A rounding of u becomes one of x as large as the cell is narrow, so weights are small."""
    flow = small(corpus, constrained=constrained)
    for weight in flow.parameters():
        weight.mul_(0.3)
    flow = flow.to(dtype)
    graphs = [corpus.graph(k) for k in range(len(corpus))]
    x = flow.spread(graphs, torch.Generator().manual_seed(0))
    z, _ = flow.to_latent(x)
    assert z.dtype == dtype
    assert float((flow.from_latent(z) - x).abs().max()) < tolerance * flow.dimension
    z = torch.randn(200, flow.dimension, generator=torch.Generator().manual_seed(3), dtype=dtype)
    assert float((flow.to_latent(flow.from_latent(z))[0] - z).abs().max()) < 100 * tolerance


@BOTH
@torch.no_grad()
def test_density_of_spread_variables_is_the_likelihood(corpus, constrained):
    """Uniform dequantisation leaves no gap: log p(x) is log P(graph), anywhere in the cell."""
    flow = small(corpus, constrained=constrained).double()
    graphs = [corpus.graph(k) for k in range(len(corpus))]
    expected = flow.log_likelihood(graphs)
    for seed in range(2):
        z, log_det = flow.to_latent(flow.spread(graphs, torch.Generator().manual_seed(seed)))
        base = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
        torch.testing.assert_close(base + log_det, expected, rtol=0.0, atol=1e-9)
    rows = FlowExamples(corpus).batch(np.arange(len(corpus)), np.random.default_rng(0))
    torch.testing.assert_close(-flow(*rows), expected, rtol=0.0, atol=1e-12)


@BOTH
@torch.no_grad()
def test_probabilities_of_all_graphs_sum_to_one(constrained):
    """Every graph of up to three nodes of three types, enumerated."""
    kinds = (AtomType("C", 0, 4), AtomType("O", 0, 2), AtomType("F", 0, 1))
    torch.manual_seed(0)
    flow = shaken(
        Flow(kinds, size_counts=[2, 1, 3], slots=2, width=8, layers=1, heads=2,
             constrained=constrained)
    ).double()  # fmt: skip
    graphs = []
    for size in (1, 2, 3):
        pairs = list(itertools.combinations(range(size), 2))
        for types in itertools.product(kinds, repeat=size):
            for orders in itertools.product(range(4), repeat=len(pairs)):
                bonds = [(*pair, order) for pair, order in zip(pairs, orders, strict=True) if order]
                graphs.append(TypedGraph(types, np.array(bonds, dtype=np.int16).reshape(-1, 3)))
    likelihoods = flow.log_likelihood(graphs)
    assert float(likelihoods.exp().sum()) == pytest.approx(1.0, abs=1e-12)
    possible = [_is_molecule(graph) for graph in graphs]
    assert 0 < sum(possible) < len(graphs)
    if constrained:  # exactly the molecules whose every beginning can go on
        assert [bool(x > -np.inf) for x in likelihoods] == [_grows(graph) for graph in graphs]
    else:
        assert bool((likelihoods > -np.inf).all())


def _is_molecule(graph: TypedGraph) -> bool:
    return corrected(graph, np.zeros(len(graph.bonds))) is graph


def _grows(graph: TypedGraph) -> bool:
    """Whether it is valid, and each node binds to an earlier one."""
    later = set(graph.bonds[:, 1].tolist())
    return _is_molecule(graph) and later == set(range(1, len(graph.types)))


@BOTH
def test_molecules_come_back_from_latent_space(corpus, constrained):
    flow = small(corpus, constrained=constrained)
    graphs = [corpus.graph(k) for k in range(len(corpus))]
    for generator in (None, torch.Generator().manual_seed(2)):
        z = flow.encode(graphs, generator)
        assert z.shape == (len(graphs), flow.dimension)
        for graph, again in zip(graphs, flow.decode(z), strict=True):
            assert again.types == graph.types
            assert np.array_equal(again.bonds, graph.bonds)


@st.composite
def any_graphs(draw: st.DrawFn, types: int = 8, most: int = 6, slots: int = 3) -> TypedGraph:
    """Draw a graph that need be neither valid nor connected."""
    size = draw(st.integers(1, most))
    kinds = tuple(VOCABULARY[draw(st.integers(0, types - 1))] for _ in range(size))
    bonds = []
    for node in range(1, size):
        partners = draw(st.sets(st.integers(0, node - 1), max_size=min(slots, node)))
        bonds += [(partner, node, draw(st.integers(1, 3))) for partner in partners]
    rows = np.array(sorted(bonds), dtype=np.int16).reshape(-1, 3)
    return TypedGraph(kinds, rows)


VOCABULARY = tuple(
    AtomType.parse(name)
    for name in ("C(4)", "N(3)", "O(2)", "F(1)", "S(6)", "N(4)+", "O(1)-", "S(2)")
)


@functools.cache
def flow_of_any_graphs() -> Flow:
    torch.manual_seed(0)
    return shaken(Flow(VOCABULARY, size_counts=[1] * 6, slots=3, width=16, layers=1, heads=2))


@given(st.lists(any_graphs(), min_size=1, max_size=4), st.integers(0, 1 << 20))
def test_any_graph_comes_back_from_latent_space(graphs, seed):
    flow = flow_of_any_graphs()
    z = flow.encode(graphs, torch.Generator().manual_seed(seed))
    for graph, again in zip(graphs, flow.decode(z), strict=True):
        assert again.types == graph.types
        assert np.array_equal(again.bonds, graph.bonds)


@given(any_graphs(), st.integers(0, 1 << 20))
def test_corrected_graphs_are_molecules(graph, seed):
    likelihoods = np.random.default_rng(seed).random(len(graph.bonds))
    sound = corrected(graph, likelihoods)
    assert corrected(sound, np.ones(len(sound.bonds))) is sound
    assert (sound.hydrogens >= 0).all()
    assert len(sound.bonds) <= len(graph.bonds)
    assert "." not in to_smiles(sound.types, sound.bonds)


def test_what_is_seen_of_a_prefix_is_right(corpus):
    """Valence left and path lengths against SciPy's shortest paths of the first nodes."""
    from scipy.sparse.csgraph import shortest_path

    examples = FlowExamples(corpus)
    rows = Rows(*examples.batch(np.arange(len(corpus)), np.random.default_rng(0)))
    valences = torch.tensor([kind.valence for kind in corpus.vocabulary])
    seen = prefixes(valences[rows.types], rows.partners, rows.orders)
    for k in range(len(corpus)):
        graph = corpus.graph(k)
        for node in range(1, len(graph.types)):
            bonds = graph.bonds[graph.bonds[:, 1] < node]
            dense = np.zeros((node, node))
            dense[bonds[:, 0], bonds[:, 1]] = 1
            paths = shortest_path(dense, directed=False, unweighted=True)
            np.testing.assert_array_equal(seen.apart[k, node, :node], paths[node - 1])
            parent = graph.bonds[graph.bonds[:, 1] == node, 0].max()
            np.testing.assert_array_equal(seen.parent_apart[k, node, :node], paths[parent])
            before = TypedGraph(graph.types[:node], bonds)
            np.testing.assert_array_equal(seen.left[k, node, :node], before.hydrogens)


@torch.no_grad()
def test_what_comes_later_is_not_seen(corpus):
    """Choices of a node are the same whatever follows it."""
    flow = small(corpus)
    rows = FlowExamples(corpus).batch(np.arange(4), np.random.default_rng(0))
    sizes, types, partners, orders = (tensor.clone() for tensor in rows)
    sizes[:] = types.shape[1]
    orders[partners < 0] = 1
    partners[:, 1:, 0] = partners[:, 1:, 0].clamp_min(0)
    one = Rows(sizes, types, partners, torch.where(partners < 0, 0, orders))
    other_types = types.clone()
    other_types[:, 3:] = (types[:, 3:] + 1) % len(corpus.vocabulary)
    other_orders = one.orders.clone()
    other_orders[:, 3:, 0] = one.orders[:, 3:, 0] % 3 + 1
    other = Rows(sizes, other_types, partners, other_orders)
    first, second = (
        known_choices(flow.network, flow.valences, r, constrained=False) for r in (one, other)
    )
    torch.testing.assert_close(first.types[:, :4], second.types[:, :4], rtol=0.0, atol=1e-6)
    assert not torch.allclose(first.types[:, 4:], second.types[:, 4:], atol=1e-4)


def test_numbering_of_atoms_does_not_matter(corpus):
    """In canonical order the likelihood is one of molecules, in others one of graphs."""
    from rdkit import Chem

    flow = small(corpus)
    molecule = parse_smiles("CC1(C)OC1=O")
    shuffled = Chem.RenumberAtoms(molecule, [5, 4, 3, 2, 1, 0])
    one, other = flow.log_likelihood([typed_graph(molecule), typed_graph(shuffled)])
    assert float(one) == pytest.approx(float(other), abs=1e-5)
    raw = flow.log_likelihood([typed_graph(shuffled, canonical=False)])
    assert abs(float(raw[0] - one)) > 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_untrained_samples_are_valid_after_correction_which_is_counted(corpus, seed):
    flow = small(corpus)
    sample = flow.sample(200, seed=seed)
    assert len(sample.smiles) == 200
    assert all(canonical_smiles(text) == text for text in sample.smiles)
    assert all("." not in text for text in sample.smiles)
    raw = [graph for grown in flow.draw(200, seed=seed) for graph in flow.graphs(grown.rows)]
    valid = [_is_molecule(graph) for graph in raw]
    assert sample.valid_before_correction.tolist() == valid
    assert 0 < sum(valid) < 200
    flow.correct = False
    assert [text != "" for text in flow.sample(200, seed=seed).smiles] == valid


def test_constrained_samples_need_no_correction(corpus):
    flow = small(corpus, constrained=True)
    flow.correct = False
    sample = flow.sample(300)
    assert sample.valid_before_correction.all()
    assert all(canonical_smiles(text) == text and "." not in text for text in sample.smiles)


def test_one_seed_one_sample(corpus):
    flow = small(corpus)
    assert flow.sample(50, seed=3).smiles == flow.sample(50, seed=3).smiles
    assert flow.sample(50, seed=3).smiles != flow.sample(50, seed=4).smiles
    assert len(set(flow.sample(20, temperature=0.0).smiles)) == 1


def test_samples_follow_the_likelihood():
    """Frequencies of 20,000 samples against the probabilities of the graphs (chi-squared)."""
    from scipy.stats import chisquare

    kinds = (AtomType("C", 0, 4), AtomType("O", 0, 2))
    torch.manual_seed(0)
    flow = shaken(Flow(kinds, size_counts=[1, 3], slots=1, width=8, layers=1, heads=1))
    graphs = [TypedGraph((kind,), np.empty((0, 3), dtype=np.int16)) for kind in kinds]
    for types in itertools.product(kinds, repeat=2):
        for order in range(4):
            bonds = np.array([[0, 1, order]] if order else [], dtype=np.int16).reshape(-1, 3)
            graphs.append(TypedGraph(types, bonds))
    place = {(g.types, g.bonds.tobytes()): k for k, g in enumerate(graphs)}
    drawn = [g for part in flow.draw(20_000) for g in flow.graphs(part.rows)]
    counts = np.bincount([place[g.types, g.bonds.tobytes()] for g in drawn], minlength=len(graphs))
    expected = flow.double().log_likelihood(graphs).exp().numpy() * len(drawn)
    often = expected > 5
    pair = [np.append(c[often], c[~often].sum() + 1e-9) for c in (counts, expected)]
    assert chisquare(pair[0], pair[1] * pair[0].sum() / pair[1].sum()).pvalue > 1e-3


def test_a_path_begins_and_ends_where_it_should(corpus):
    flow = small(corpus)
    path = flow.interpolate("OCC", "C1=CC=CC=C1", 7)
    assert len(path) == 7
    assert (path[0], path[-1]) == ("CCO", "c1ccccc1")
    assert all(canonical_smiles(text) == text for text in path)
    with pytest.raises(InputError, match="at least 2"):
        flow.interpolate("CCO", "C", 1)
    with pytest.raises(InputError, match=r"types of atoms Br\(1\)"):
        flow.interpolate("CCO", "CBr", 3)
    with pytest.raises(InputError, match="largest has 40"):
        flow.interpolate("CCO", "C" * 40, 3)


def test_training_lowers_the_loss_and_resumes(corpus, tmp_path):
    fit = functools.partial(fit_flow, corpus, steps=16, width=16, layers=1)
    first, history = fit()
    assert history.history[-1].loss < 0.9 * history.history[0].loss

    def stop(share: float, text: str) -> None:
        del text
        if share > 0.4:
            signal.raise_signal(signal.SIGINT)

    kept = tmp_path / "flow.pt"
    _, history = fit(checkpoint=kept, progress=stop)
    assert history.interrupted
    assert len(history.history) == 7
    resumed, history = fit(checkpoint=kept)
    assert len(history.history) == 16
    for one, two in zip(first.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, two)
    with pytest.raises(InputError, match="either minutes or steps"):
        fit_flow(corpus)


@pytest.mark.parametrize(
    "smiles",
    [["C"], ["CCO"], ["[Fe]", "[Na+]", "[Fe]"], ["[Fe]"], ["[HH]"], ["[Cl-]", "[H+]"]],
    ids=["methane", "one", "metals", "iron", "hydrogen", "ions"],
)
def test_tiny_corpora(smiles):
    flow, _ = fit_flow(Corpus.from_smiles(smiles, workers=1), steps=3, width=8, layers=1)
    sample = flow.sample(20)
    assert all(sample.smiles)
    graphs = [typed_graph(parse_smiles(text)) for text in smiles]
    assert [to_smiles(g.types, g.bonds) for g in flow.decode(flow.encode(graphs))] == [
        canonical_smiles(text) for text in smiles
    ]


def test_large_molecules_are_set_aside_with_a_word(caplog):
    corpus = Corpus.from_smiles(["CCO", "C" * 500, "CC"], workers=1)
    with caplog.at_level(logging.WARNING):
        examples = FlowExamples(corpus)
    assert "1 of 3 molecules have more than 80 atoms (the largest 500)" in caplog.text
    assert examples.kept.tolist() == [0, 2]
    with pytest.raises(InputError, match="no molecule has at most 80 atoms"):
        FlowExamples(Corpus.from_smiles(["C" * 500], workers=1))


def test_settings_make_the_same_flow(corpus):
    flow = small(corpus, constrained=True)
    types = [str(kind) for kind in flow.vocabulary]
    again = Flow.from_settings({"model": "flow", "vocabulary": types, **flow.settings()})
    again.load_state_dict(flow.state_dict())
    assert again.eval().sample(20).smiles == flow.sample(20).smiles
    with pytest.raises(InputError, match="not whole"):
        Flow.from_settings({"vocabulary": types})


def test_a_run_keeps_the_flow(corpus, tmp_path):
    flow = small(corpus)
    run = Run.create(tmp_path / "run", kind="molecules fit", configuration={})
    save_generator(run, flow)
    again = load_generator(Run.open(tmp_path / "run"))
    assert isinstance(again, Flow)
    assert again.vocabulary == flow.vocabulary
    assert again.sample(20).smiles == flow.sample(20).smiles


def test_what_the_flow_cannot_do_is_told(corpus):
    flow = small(corpus)
    with pytest.raises(InputError, match="without a scaffold"):
        flow.sample(3, scaffold="C")
    with pytest.raises(InputError, match="without steps or a condition"):
        flow.sample(3, steps=10, condition={"qed": 0.9})
    with pytest.raises(InputError, match="number must be at least 1"):
        flow.sample(0)
    with pytest.raises(InputError, match="latent vectors of shape"):
        flow.decode(torch.zeros(1, 3))
    with pytest.raises(InputError, match="lie outside"):
        flow.to_latent(torch.full((1, flow.dimension), 1e3))
    flow.constrained = True
    apart = TypedGraph(
        (corpus.vocabulary[0], corpus.vocabulary[0]), np.empty((0, 3), dtype=np.int16)
    )
    assert float(flow.log_likelihood([apart])) == -np.inf
    with pytest.raises(InputError, match="no probability"):
        flow.encode([apart])


def test_the_least_likely_bonds_give_way():
    carbon, oxygen, fluorine = AtomType("C", 0, 4), AtomType("O", 0, 2), AtomType("F", 0, 1)
    bonds = np.array([[0, 1, 3], [0, 2, 2], [2, 3, 1]], dtype=np.int16)
    graph = TypedGraph((carbon, carbon, carbon, fluorine), bonds)
    # Node 0 has five bonds: the less likely one loses an order.
    assert corrected(graph, [0.2, 0.9, 0.9]).bonds.tolist() == [[0, 1, 2], [0, 2, 2], [2, 3, 1]]
    assert corrected(graph, [0.9, 0.2, 0.9]).bonds.tolist() == [[0, 1, 3], [0, 2, 1], [2, 3, 1]]
    # Fluorine between two carbons keeps the likelier one; the larger piece stays.
    bridge = TypedGraph(
        (carbon, fluorine, carbon, oxygen), np.array([[0, 1, 1], [1, 2, 1], [2, 3, 2]])
    )
    kept = corrected(bridge, [0.9, 0.1, 0.5])
    assert kept.types == (carbon, fluorine)
    assert corrected(bridge, [0.1, 0.9, 0.5]).types == (fluorine, carbon, oxygen)


def test_a_floor_keeps_the_sum():
    log_probabilities = torch.tensor([[0.0, -60.0, -np.inf]], dtype=torch.float64)
    raised = floored(log_probabilities)
    assert float(raised.exp().sum()) == pytest.approx(1.0, abs=1e-12)
    assert raised[0, 2] == -np.inf
    assert float(raised[0, 1].exp()) == pytest.approx(1e-7, rel=1e-6)
