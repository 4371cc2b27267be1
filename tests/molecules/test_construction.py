"""Building molecules action by action: exact probabilities, and nothing but legal actions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from graphtide.data import qm9_sample, zinc250k_sample
from graphtide.errors import InputError
from graphtide.molecules.building import END, Building, advance, views, walk
from graphtide.molecules.chemistry import canonical_smiles, to_smiles
from graphtide.molecules.construction import Construction, ConstructionExamples, fit_construction
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.recurrence import DifferentialRecurrence
from graphtide.molecules.traversal import Actions, traverse


@pytest.fixture(scope="module")
def corpus():
    smiles = [*qm9_sample()["smiles"][:300], *zinc250k_sample()["smiles"][:60]]
    return Corpus.from_smiles(smiles, workers=1)


def smiles_of(actions, state, row):
    types, bonds = state.molecule(row)
    return to_smiles([actions.vocabulary[k] for k in types], bonds)


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_every_order_of_actions_is_legal_and_builds_the_molecule(corpus, seed):
    order = None if seed is None else np.random.default_rng(seed)
    found = traverse(corpus, order=order)
    actions = Actions.of(corpus, found)
    rows = actions.places(found).padded(np.arange(len(corpus)))
    state = Building.empty(len(rows), actions.most_atoms)
    legal, _, _ = walk(actions.rules(), state, rows)
    taken = np.take_along_axis(legal, np.maximum(rows, 0)[..., None], 2)[..., 0]
    assert taken.all()
    assert state.done.all()
    for row in range(len(rows)):
        assert smiles_of(actions, state, row) == corpus.smiles(row)


def random_walk(actions, count, seed):
    rules, state = actions.rules(), Building.empty(count, actions.most_atoms)
    generator = np.random.default_rng(seed)
    while not state.done.all():
        legal, _, _ = views(rules, state)
        assert legal.any(axis=1).all(), "a state from which no action leads on"
        draws = generator.random(legal.shape) * legal
        advance(rules, state, draws.argmax(axis=1))
    return state


def test_any_legal_actions_end_in_a_valid_connected_molecule(corpus):
    actions = Actions.of(corpus, traverse(corpus))
    state = random_walk(actions, 500, seed=3)
    assert (state.atoms <= actions.most_atoms).all()
    for row in range(500):
        smiles = smiles_of(actions, state, row)
        assert Chem.MolFromSmiles(smiles) is not None
        assert "." not in smiles


ODD = ["O=C=O", "FS(F)(F)(F)(F)F", "[Fe]", "C#N", "C1CC1", "[NH4+]", "N#N", "O=P(O)(O)O", "B1OO1"]


@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from(ODD), min_size=1))
def test_no_corpus_leads_into_a_dead_end(smiles):
    corpus = Corpus.from_smiles(sorted(smiles), workers=1)
    actions = Actions.of(corpus, traverse(corpus))
    state = random_walk(actions, 50, seed=0)
    for row in range(50):
        assert "." not in smiles_of(actions, state, row)


def test_the_actions_of_benzene_are_those_of_the_text():
    corpus = Corpus.from_smiles(["c1ccccc1"])
    found = traverse(corpus)
    actions = Actions.of(corpus, found)
    rules = actions.rules()
    taken = actions.places(found).actions
    assert len(taken) == 6 + 1 + 1  # atoms, one ring, the end
    assert rules.distance[taken[6]] == 5
    assert taken[-1] == END


def test_probabilities_of_all_molecules_sum_to_one():
    corpus = Corpus.from_smiles(["CO", "OC=O", "C1CO1"])
    torch.manual_seed(0)
    actions = Actions.of(corpus, traverse(corpus))
    model = Construction(actions, width=8, layers=1, embedding=4).double()
    rows = every_sequence(actions)
    padded = np.full((len(rows), max(map(len, rows))), -1)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    masks, features, types = walk(
        actions.rules(), Building.empty(len(rows), actions.most_atoms), padded
    )
    with torch.no_grad():
        losses = model(
            torch.from_numpy(padded),
            torch.from_numpy(masks),
            torch.from_numpy(features).double(),
            torch.from_numpy(types),
            torch.zeros(len(rows), dtype=torch.int64),
        )
    assert len(rows) > 20
    assert float(torch.exp(-losses).sum()) == pytest.approx(1.0, abs=1e-12)


def every_sequence(actions):
    """Return all sequences of legal actions from the start to the end."""
    rules, whole = actions.rules(), []
    open_rows = [[]]
    while open_rows:
        state = Building.empty(len(open_rows), actions.most_atoms)
        for step in range(len(open_rows[0])):
            advance(rules, state, np.array([row[step] for row in open_rows]))
        legal, _, _ = views(rules, state)
        longer = [
            [*row, int(a)]
            for row, may in zip(open_rows, legal, strict=True)
            for a in np.flatnonzero(may)
        ]
        whole += [row for row in longer if row[-1] == END]
        open_rows = [row for row in longer if row[-1] != END]
    return whole


@pytest.fixture(scope="module")
def fitted(corpus):
    return fit_construction(corpus, steps=40, width=48, layers=1, batch=64, seed=1)


def test_training_raises_the_likelihood_and_samples_are_valid(fitted, corpus):
    model, training = fitted
    losses = [line.score for line in training.history]
    assert losses[-1] < 0.8 * losses[0]
    sample = model.sample(200, seed=5)
    assert sample.valid_before_correction.all()
    for smiles in sample.smiles:
        assert canonical_smiles(smiles) == smiles
        assert "." not in smiles
    assert model.sample(200, seed=5).smiles == sample.smiles
    assert model.sample(200, seed=6).smiles != sample.smiles


def test_the_likelihood_of_a_molecule_does_not_depend_on_its_batch(fitted, corpus):
    model, _ = fitted
    together = model.log_likelihood(corpus.subset(np.arange(40)))
    alone = [model.log_likelihood(corpus.subset(np.array([k])))[0] for k in range(0, 40, 13)]
    np.testing.assert_allclose(together[::13], alone, rtol=1e-4)


def test_samples_have_the_frequencies_of_the_probabilities(fitted):
    corpus = Corpus.from_smiles(["C"] * 3 + ["CC"] * 6 + ["O"] * 11)
    model, _ = fit_construction(corpus, steps=200, width=16, layers=1, batch=20, learning_rate=1e-2)
    drawn = model.sample(2000, seed=0).smiles
    for smiles, share in (("C", 0.15), ("CC", 0.3), ("O", 0.55)):
        one = Corpus.from_smiles([smiles])
        probability = float(np.exp(model.log_likelihood(one)[0]))
        assert probability == pytest.approx(share, abs=0.1)
        assert drawn.count(smiles) / 2000 == pytest.approx(probability, abs=0.04)


def test_an_interrupted_training_goes_on_to_the_same_weights(corpus, tmp_path):
    import signal

    def stop_at(share):
        def progress(done, _text):
            if done >= share:
                signal.raise_signal(signal.SIGINT)

        return progress

    few = {"steps": 20, "width": 24, "layers": 1, "batch": 16, "seed": 2}
    straight, _ = fit_construction(corpus, **few)
    kept = tmp_path / "checkpoint.safetensors"
    for share in (0.2, 0.6):
        _, part = fit_construction(corpus, checkpoint=kept, progress=stop_at(share), **few)
        assert part.interrupted
    resumed, whole = fit_construction(corpus, checkpoint=kept, **few)
    assert not whole.interrupted
    for one, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_random_orders_are_learned_beside_the_canonical_one(corpus):
    examples = ConstructionExamples(corpus, random_orders=0.5)
    generator = np.random.default_rng(0)
    kinds = {int(examples.batch(np.arange(8), generator)[-1][0]) for _ in range(20)}
    assert kinds == {0, 1}


def test_what_the_model_cannot_do_is_refused(fitted):
    model, _ = fitted
    with pytest.raises(InputError, match="flow_matching"):
        model.sample(3, scaffold="c1ccccc1")
    with pytest.raises(InputError, match=r"P\(5\)"):
        model.log_likelihood(Corpus.from_smiles(["FP(F)(F)(F)F"]))
    with pytest.raises(InputError, match="one of them"):
        fit_construction(Corpus.from_smiles(["C"]))


def test_the_differential_cell_goes_on_from_its_memory():
    torch.manual_seed(0)
    network = DifferentialRecurrence(5, 7, 2).double()
    told = torch.randn(3, 6, 5, dtype=torch.float64)
    whole, last = network(told)
    states, memory = [], None
    for place in range(6):
        one, memory = network(told[:, place : place + 1], memory)
        states.append(one)
    torch.testing.assert_close(torch.cat(states, dim=1), whole)
    torch.testing.assert_close(memory, last)
    assert whole.abs().max() <= 1.0  # the gated field and the update keep the state bounded


def test_a_construction_with_the_differential_cell_learns_and_is_kept(corpus, tmp_path):
    model, training = fit_construction(
        corpus, steps=16, width=16, layers=1, batch=8, cell="differential", seed=0
    )
    assert training.history[-1].score < training.history[0].score
    made = model.sample(12, seed=1)
    assert all(canonical_smiles(text) for text in made.smiles)
    again = Construction.from_settings(
        {"vocabulary": [str(kind) for kind in model.vocabulary], **model.settings()}
    )
    again.load_state_dict(model.state_dict())
    assert again.sample(12, seed=1).smiles == made.smiles
    with pytest.raises(InputError, match="'lstm' is no cell"):
        fit_construction(corpus, steps=1, cell="lstm")
