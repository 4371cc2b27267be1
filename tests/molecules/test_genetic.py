"""The genetic algorithm: edits keep valences, the search is reproducible, and it finds things."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rdkit import Chem

from graphtide.data import zinc250k_sample
from graphtide.errors import InputError
from graphtide.molecules.chemistry import canonical_smiles, parse_smiles
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.flow import Flow, FlowExamples
from graphtide.molecules.metrics.similarity import tanimoto
from graphtide.molecules.objectives import Filters, GoalDirectedTask, Similarity, parse_objective
from graphtide.molecules.optimization import Oracle, optimize
from graphtide.molecules.optimization.crossover import crossed
from graphtide.molecules.optimization.edits import EDITS, mutated
from graphtide.molecules.optimization.gaussian_process import (
    Features,
    GaussianProcessSurrogate,
    features_of,
)
from graphtide.molecules.optimization.genetic import GeneticSettings, GraphGenetic
from graphtide.molecules.optimization.graphs import EditableGraph
from graphtide.molecules.optimization.latent import LatentSteps
from graphtide.molecules.optimization.materials import materials_of
from graphtide.molecules.optimization.ranking import crowding, fitness, fronts, scalarised
from graphtide.molecules.optimization.told import fragment_counts

SMILES = tuple(zinc250k_sample()["smiles"][:120])
QUICK = GeneticSettings(screened=5, fitted_best=100, fitted_others=20)


@pytest.fixture(scope="module")
def materials():
    return materials_of(SMILES)


@pytest.mark.parametrize("smiles", SMILES[:20])
def test_a_graph_is_its_molecule(smiles):
    graph = EditableGraph.from_smiles(smiles)
    assert Chem.MolToSmiles(graph.molecule()) == canonical_smiles(smiles)
    ring = {
        tuple(sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())))
        for bond in parse_smiles(smiles).GetBonds()
        if bond.IsInRing()
    }
    every = {(a, b) for a, b, _ in graph.pairs()}
    assert every - set(graph.bridges()) == ring
    assert {pair for pair in every if graph.in_ring(*pair)} == ring


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_gives_another_molecule_in_one_piece(name, materials):
    random = np.random.default_rng(0)
    edit, _ = EDITS[name]
    changed = 0
    for smiles in SMILES[:40]:
        graph = EditableGraph.from_smiles(smiles)
        before = graph.molecule()
        made = edit(graph, materials, random)
        assert Chem.MolToSmiles(graph.molecule()) == Chem.MolToSmiles(before)  # left as it was
        if made is None:
            continue
        assert min(made.hydrogens(atom) for atom in range(len(made))) >= 0
        found = Chem.MolToSmiles(made.molecule())
        assert "." not in found
        changed += found != Chem.MolToSmiles(before)
    assert changed > 5


@given(st.integers(0, 2**32 - 1), st.integers(0, 119), st.integers(0, 119))
def test_children_are_molecules(seed, one, other):
    random = np.random.default_rng(seed)
    parents = [EditableGraph.from_smiles(SMILES[k]) for k in (one, other)]
    child = crossed(*parents, random)
    if child is not None:
        child = mutated(child, materials_of(SMILES[:3]), random) or child
        assert "." not in Chem.MolToSmiles(child.molecule())


def test_a_hinge_parts_the_molecule():
    graph = EditableGraph.from_smiles("CCc1ccccc1")
    assert {frozenset(graph.side(b, (a, b))) for a, b in graph.hinges()} | {
        frozenset(graph.side(a, (a, b))) for a, b in graph.hinges()
    } >= {frozenset({0}), frozenset({0, 1})}
    assert len(graph.hinges()) == 2


def test_distances_are_lengths_of_shortest_paths():
    for smiles in SMILES[:10]:
        graph = EditableGraph.from_smiles(smiles)
        expected = Chem.GetDistanceMatrix(graph.molecule())[2]
        assert graph.distances(2) == [int(far) for far in expected]
        assert [len(graph.path(2, k)) - 1 for k in range(len(graph))] == graph.distances(2)


def test_fragments_are_what_hangs_on_the_molecules():
    found = materials_of(["CCc1ccccc1", "not a molecule"])
    names = {Chem.MolToSmiles(one.graph.molecule()) for one in found.fragments}
    assert names == {"C", "CC", "Cc1ccccc1", "c1ccccc1"}
    assert found.fragment_shares.sum() == pytest.approx(1.0)
    with pytest.raises(InputError, match="no molecule"):
        materials_of(["not a molecule"])


def test_fragments_that_a_model_values_are_drawn_more_often(materials):
    weights = fragment_counts("CCl") - fragment_counts("CC")
    favoured = materials.favouring(weights.clip(min=0))
    place = [one.name for one in materials.fragments].index("[ClH:1]")
    assert favoured.fragment_shares[place] > 2 * materials.fragment_shares[place]
    assert favoured.fragment_shares.sum() == pytest.approx(1.0)
    assert materials.favouring(np.zeros(2048)) is materials


def test_cumulated_bonds_and_bent_triple_bonds_are_not_plausible():
    for text, plausible in {
        "C=C=C": False,
        "C1#CCCCC1": False,
        "CC#N": True,
        "O=S=O": True,
    }.items():
        assert EditableGraph.from_smiles(text).is_plausible() == plausible


def test_a_front_is_dominated_by_none():
    values = np.array([[1.0, 5.0], [2.0, 4.0], [1.0, 4.0], [0.0, 0.0], [2.0, 4.0], [3.0, 0.0]])
    np.testing.assert_array_equal(fronts(values), [0, 0, 1, 2, 0, 0])


@given(
    arrays.arrays(np.int64, st.tuples(st.integers(1, 12), st.just(3)), elements=st.integers(0, 4))
)
def test_fronts_as_their_definition_has_them(values):
    values = values.astype(np.float64)
    found = fronts(values)

    def dominated(k, by):
        return (values[by] >= values[k]).all() and (values[by] > values[k]).any()

    for k in range(len(values)):
        above = [found[other] for other in range(len(values)) if dominated(k, other)]
        assert found[k] == (max(above) + 1 if above else 0)
    ranks = fitness(values)
    assert all(ranks[a] > ranks[b] for a in range(len(values)) for b in range(len(values))
               if found[a] < found[b])  # fmt: skip


def test_crowding_by_hand():
    values = np.array([[0.0, 4.0], [1.0, 3.0], [3.0, 1.0], [4.0, 0.0]])
    # Neighbours of the second are 3 of 4 apart in each objective, those of the third as well.
    np.testing.assert_allclose(crowding(values), [8.0, 1.5, 1.5, 8.0])
    weights = np.random.default_rng(0).dirichlet([1.0, 1.0])
    scaled = values / 4 * weights
    expected = scaled.min(axis=1) + 0.05 * scaled.sum(axis=1)
    np.testing.assert_allclose(scalarised(values, np.random.default_rng(0)), expected)


def features(smiles):
    rows = [features_of(parse_smiles(text)) for text in smiles]
    return Features(np.stack([b for b, _ in rows]), np.stack([d for _, d in rows]))


def test_tanimoto_counts_bits():
    bits = features(SMILES[:6]).bits
    ones = np.unpackbits(bits.view(np.uint8), axis=1).astype(np.int64)
    common = ones @ ones.T
    total = ones.sum(axis=1)
    expected = common / (total[:, None] + total - common)
    np.testing.assert_allclose(tanimoto(bits, bits), expected, rtol=1e-15)


def test_the_process_is_sure_of_what_it_knows_and_predicts_what_it_does_not():
    known, new = features(SMILES[:80]), features(SMILES[80:])
    task = GoalDirectedTask("osimertinib_mpo")
    values = task(SMILES[:80])
    surrogate = GaussianProcessSurrogate(known, values, np.random.default_rng(0))
    mean, sure = surrogate.predict(known)
    np.testing.assert_allclose(mean, values, atol=0.25 * values.std())
    mean, unsure = surrogate.predict(new)
    assert np.median(unsure) > 2 * np.median(sure)
    assert np.corrcoef(mean, task(SMILES[80:]))[0, 1] > 0.8


def search(objective, budget, *, start=SMILES[:60], **named):
    oracle = Oracle(objective, budget)
    optimize(GraphGenetic(start, **{"settings": QUICK, **named}), oracle)
    return oracle


def test_one_seed_gives_one_search_and_the_search_climbs():
    objective = Similarity("Cc1ccc(NC(=O)c2cccnc2)c(F)c1")
    one, again = (search(objective, 240, seed=3) for _ in range(2))
    assert one.history == again.history
    assert one.calls == 240
    assert [text for text, _ in one.history[:60]] == [canonical_smiles(t) for t in SMILES[:60]]
    start = max(value for _, value in one.history[:60])
    assert one.top(1)[0][1] > start + 0.15
    assert search(objective, 100, seed=4).history[60:] != one.history[60:100]


def test_a_search_goes_on_from_its_log_as_if_it_had_not_stopped(tmp_path):
    objective = Similarity("CCOC(=O)c1ccccc1")
    whole = search(objective, 160, seed=1)
    for budget in (100, 160):  # 60 starts and whole rounds of 20
        oracle = Oracle(objective, budget, log=tmp_path / "calls.csv")
        optimize(GraphGenetic(SMILES[:60], seed=1, settings=QUICK), oracle)
    assert oracle.history == whole.history


def test_filters_are_kept_to_and_one_lead_is_enough():
    lead = "CCOC(=O)c1ccc(NC(C)=O)cc1"
    filters = Filters(similar_to=lead, similarity=0.4, most_atoms=20, keep="c1ccccc1")
    oracle = search(parse_objective("plogp"), 150, start=[lead], filters=filters)
    assert oracle.calls == 150
    assert [text for text, _ in oracle.history if filters.accepts(text)] == []
    assert oracle.top(1)[0][1] > oracle.history[0][1] + 1


def test_objectives_kept_apart_spread_along_the_front():
    both = parse_objective("similarity:Cc1ccccc1, similarity:CC(=O)NC1CCCCC1")
    oracle = search(both, 260)
    first, found = oracle.values[:60], oracle.values
    assert (found.max(axis=0) > first.max(axis=0) + 0.1).all()
    assert len({tuple(row) for row in found[fronts(found) == 0]}) > 2


def test_failures_do_not_stop_the_search():
    class Picky:
        name = "picky"

        def __call__(self, smiles):
            return np.array([np.nan if "N" in text else len(text) / 100 for text in smiles])

    oracle = search(Picky(), 150)
    assert oracle.calls == 150
    assert all("N" not in text for text, _ in oracle.top(10))
    with pytest.raises(InputError, match="not a SMILES"):
        GraphGenetic(["C1CC"])


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"crossover": 1.5}, {"edited_again": 1.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        GeneticSettings(**wrong)


def test_a_generator_may_propose_children():
    smiles = ["CCO", "c1ccccc1", "C1CC1", "CC(C)O", "OCCO", "C1CCCC1"]
    corpus = Corpus.from_smiles(smiles, workers=1)
    torch.manual_seed(0)
    examples = FlowExamples(corpus)
    flow = Flow(corpus.vocabulary, size_counts=[1] * 6, slots=examples.slots, width=16, layers=1,
                heads=2, constrained=True).eval()  # fmt: skip
    proposals = LatentSteps(flow)
    made = proposals(["CCO", "BrCCBr"], 12, np.random.default_rng(0))
    assert len(made) > 5
    assert made == proposals(["CCO", "BrCCBr"], 12, np.random.default_rng(0))
    oracle = search(GoalDirectedTask("qed"), 60, start=smiles, proposer=proposals)
    assert oracle.calls == 60
    assert list(proposals(["BrCCBr"], 5, np.random.default_rng(0))) == []
