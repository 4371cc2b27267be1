import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from graphtide.errors import InputError
from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.prediction.descriptors import (
    DescriptorScale,
    descriptor_names,
    descriptor_table,
)
from graphtide.molecules.prediction.features import MolecularBatch, featurize
from graphtide.molecules.prediction.gaussian_process import fragment_similarity
from graphtide.molecules.prediction.intervals import (
    Spread,
    conformal_quantile,
    group_weights,
    label_sets,
)
from graphtide.molecules.prediction.pretrained import load_encoder
from graphtide.molecules.prediction.splits import split_molecules
from graphtide.molecules.prediction.stack import stack_weights
from graphtide.molecules.prediction.trees import TREE_KINDS, grow

SMILES = ["CC(=O)Oc1ccccc1C(=O)O", "C", "[Na+].[Cl-]", "C[N+](C)(C)CC(=O)[O-]", "FC(F)(Br)I"]


@pytest.mark.parametrize("smiles", SMILES)
def test_a_fingerprint_does_not_depend_on_the_order_of_atoms(smiles):
    molecule = parse_smiles(smiles)
    order = np.random.default_rng(0).permutation(molecule.GetNumAtoms()).tolist()
    turned = Chem.RenumberAtoms(molecule, order)
    Chem.SanitizeMol(turned)
    encoder = load_encoder().eval()
    with torch.no_grad():
        one = encoder(MolecularBatch.of([featurize(molecule)]))
        two = encoder(MolecularBatch.of([featurize(turned)]))
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def test_molecules_of_a_batch_do_not_see_each_other():
    encoder = load_encoder().eval()
    features = [featurize(parse_smiles(text)) for text in SMILES]
    with torch.no_grad():
        together = encoder(MolecularBatch.of(features))
        alone = torch.cat([encoder(MolecularBatch.of([one])) for one in features])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_one_euler_step_a_layer_is_directed_message_passing():
    encoder = load_encoder().eval()
    batch = MolecularBatch.of([featurize(parse_smiles(SMILES[0]))])
    with torch.no_grad():
        start = encoder.start(torch.cat([batch.atoms[batch.source], batch.bonds], dim=1))
        layer = encoder.depth.field.layer
        h = torch.relu(start)
        for _ in range(encoder.size.depth):
            message = torch.zeros_like(h)
            for k in range(len(h)):
                into = batch.target == batch.source[k]
                into[k ^ 1] = False  # not what comes back along the same bond
                message[k] = h[into].sum(dim=0)
            h = torch.relu(start + layer(message))
        arriving = torch.zeros(len(batch.atoms), h.shape[1]).index_add(0, batch.target, h)
        wanted = torch.relu(encoder.atoms(torch.cat([batch.atoms, arriving], dim=1)))
        found = encoder.atom_states(batch)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_the_encoder_knows_the_descriptors_better_than_chance():
    # A linear map from its fingerprint gives the polar surface and connectivity of molecules it was
    # not fitted on.
    from graphtide.data import qm9_sample

    texts = qm9_sample()["smiles"][:300].tolist()
    made = [parse_smiles(text) for text in texts]
    encoder = load_encoder().eval()
    with torch.no_grad():
        fingerprint = encoder(MolecularBatch.of([featurize(m) for m in made])).double().numpy()
    wanted = descriptor_table(made, ["TPSA", "Chi1v"])
    rows = np.column_stack([fingerprint, np.ones(300)])
    gram = rows[:200].T @ rows[:200] + 0.1 * np.eye(rows.shape[1])
    weights = np.linalg.solve(gram, rows[:200].T @ wanted[:200])
    for k in range(2):
        assert np.corrcoef(rows[200:] @ weights[:, k], wanted[200:, k])[0, 1] > 0.9


def test_descriptors_are_scaled_to_a_bound_and_missing_ones_are_zero():
    table = np.array([[1.0, 5.0, 0.0], [2.0, 5.0, np.nan], [3.0, 5.0, 1.0], [1e9, 5.0, 2.0]])
    scale, columns = DescriptorScale.fit(table, ["a", "b", "c"])
    assert scale.names == ("a", "c")
    scaled = scale.apply(table[:, columns])
    assert np.abs(scaled).max() <= 5.0
    assert scaled[1, 1] == 0.0


def test_descriptors_by_several_processes_are_the_same():
    made = [parse_smiles("C" * k) for k in range(1, 140)]
    names = ["MolWt", "MolLogP"]
    np.testing.assert_array_equal(
        descriptor_table(made, names, workers=2), descriptor_table(made, names)
    )
    assert len(descriptor_names()) > 200


@given(st.lists(st.lists(st.integers(0, 8), min_size=5, max_size=5), min_size=1, max_size=6))
def test_the_similarity_of_fragments_is_min_over_max(rows):
    counts = np.array(rows, dtype=np.uint8)
    found = fragment_similarity(counts, counts)
    for i in range(len(rows)):
        for j in range(len(rows)):
            most = np.maximum(counts[i], counts[j]).sum()
            wanted = np.minimum(counts[i], counts[j]).sum() / max(most, 1)
            assert found[i, j] == pytest.approx(wanted)


@pytest.mark.parametrize("kind", TREE_KINDS)
def test_trees_as_arrays_predict_as_scikit_learn_does(kind, monkeypatch):
    import sklearn.ensemble

    from graphtide.molecules.prediction.inputs import make_inputs

    kept = []
    for name in ("GradientBoostingRegressor", "RandomForestRegressor", "ExtraTreesRegressor"):
        maker = getattr(sklearn.ensemble, name)

        def made(*arguments, maker=maker, **options):
            kept.append(maker(*arguments, **options))
            return kept[-1]

        monkeypatch.setattr(sklearn.ensemble, name, made)
    made_of = [parse_smiles("C" * k + "O" * (k % 3)) for k in range(1, 40)]
    inputs = make_inputs(made_of, names=["MolWt", "MolLogP", "TPSA", "MolMR"])
    values = inputs.descriptors[:, 1] ** 2
    trees = grow(kind, inputs, values, seed=0)
    wanted = kept[0].predict(inputs.descriptors.astype(np.float32))
    np.testing.assert_allclose(trees.predict(inputs)[0], wanted, rtol=1e-10)


def test_stacked_weights_find_the_member_that_is_right():
    generator = np.random.default_rng(0)
    values = generator.normal(size=400)
    good, bad = values + 0.1 * generator.normal(size=400), generator.normal(size=400)
    weights = stack_weights(np.column_stack([bad, good]), values)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[1] > 0.98
    # Two members with equal independent errors count alike.
    other = values + 0.1 * generator.normal(size=400)
    weights = stack_weights(np.column_stack([good, other]), values)
    assert weights[0] == pytest.approx(0.5, abs=0.08)


def test_conformal_intervals_cover_what_they_promise():
    generator = np.random.default_rng(0)
    hard = generator.uniform(0.2, 2.0, 3000)
    residuals = hard * generator.standard_t(4, size=3000)  # heavy tails, of unequal size
    signs = hard[:, None]
    spread = Spread.fit(residuals[:1000], signs[:1000])
    new = np.abs(residuals[1000:])
    for level in (0.5, 0.9):
        inside = new <= spread.half_widths(signs[1000:], level)
        # The binomial error of 2,000 is 0.011 at most, that of the quantile of 1,000 0.016.
        assert inside.mean() == pytest.approx(level, abs=0.05)
    low, high = hard[1000:] < 0.6, hard[1000:] > 1.6
    covered = new <= spread.half_widths(signs[1000:], 0.9)
    assert covered[low].mean() == pytest.approx(covered[high].mean(), abs=0.08)
    assert spread.deviations(signs[1000:]).std() > 0.3


def test_a_quantile_of_too_few_is_infinite():
    assert conformal_quantile(np.arange(8.0), 0.9) == np.inf
    assert conformal_quantile(np.arange(1.0, 10.0), 0.9) == 9.0
    with pytest.raises(InputError, match="level"):
        conformal_quantile(np.arange(9.0), 1.5)


def test_sets_of_labels_hold_the_class_as_often_as_promised():
    generator = np.random.default_rng(0)
    chances = generator.uniform(size=4000)
    labels = (generator.uniform(size=4000) < chances).astype(float)
    least, most = label_sets(chances[2000:], chances[:2000], labels[:2000], 0.9)
    held = (least <= labels[2000:]) & (labels[2000:] <= most)
    assert held.mean() == pytest.approx(0.9, abs=0.03)
    assert (least <= most).all()


@pytest.mark.parametrize("kind", ["random", "scaffold", "cluster"])
def test_splits_are_disjoint_and_complete(kind):
    rings = ["c1ccccc1", "c1ccncc1", "C1CCCCC1", "c1ccoc1", "c1ccsc1", "C1CCNCC1", "C1CC1"]
    texts = [f"{'C' * k}{ring}" for ring in rings for k in range(1, 8)]
    made = [parse_smiles(text) for text in texts]
    parts = split_molecules(kind, made, seed=3)
    every = np.concatenate([parts.training, parts.validation, parts.test])
    np.testing.assert_array_equal(np.sort(every), np.arange(len(made)))
    assert len(parts.training) >= len(parts.test) > 0
    if kind == "scaffold":
        ring_of = np.repeat(np.arange(7), 7)
        assert not set(ring_of[parts.training]) & set(ring_of[parts.test])


def test_splits_by_columns():
    made = [parse_smiles("C" * k) for k in range(1, 21)]
    days = [f"2021-03-{day:02d}" for day in range(20, 0, -1)]
    parts = split_molecules("time", made, column=days)
    np.testing.assert_array_equal(parts.test, [0, 1])
    own = ["Train"] * 10 + ["valid"] * 4 + ["test"] * 6
    parts = split_molecules("column", made, column=own)
    np.testing.assert_array_equal(parts.test, np.arange(14, 20))
    with pytest.raises(InputError, match="'maybe'"):
        split_molecules("column", made, column=["maybe"] * 20)
    with pytest.raises(InputError, match="--split-column"):
        split_molecules("time", made)
    with pytest.raises(InputError, match="random, scaffold"):
        split_molecules("magic", made)


def test_a_scaffold_split_takes_equal_groups_from_the_end_of_the_table():
    """Six benzenes train; of four rings seen once, the later ones come first: 8, 9 then 7, 6."""
    benzenes = ["c1ccccc1" + "C" * k for k in range(6)]
    rings = ["C1CC1", "C1CCC1", "C1CCCC1", "C1CCCCC1"]
    found = split_molecules("scaffold", [parse_smiles(text) for text in benzenes + rings])
    assert found.training.tolist() == [0, 1, 2, 3, 4, 5, 8, 9]
    assert found.validation.tolist() == [7]
    assert found.test.tolist() == [6]


def test_groups_count_alike_in_intervals_that_are_held_out_as_groups():
    generator = np.random.default_rng(0)
    # One group is large and easy, the others are single molecules and hard; what comes is new.
    groups = np.concatenate([np.zeros(400, dtype=int), np.arange(1, 401)])
    residuals = np.where(groups == 0, 0.1, 1.0) * generator.normal(size=800)
    new = np.abs(generator.normal(size=4000))
    none = np.zeros((800, 1))
    plain, fair = Spread.fit(residuals, none), Spread.fit(residuals, none, group_weights(groups))
    covered = [
        float((new <= spread.half_widths(np.zeros((4000, 1)), 0.9)).mean())
        for spread in (plain, fair)
    ]
    assert covered[0] < 0.85
    assert covered[1] == pytest.approx(0.9, abs=0.03)
    assert fair.deviations(none[:1])[0] == pytest.approx(1.0, rel=0.1)


def test_weights_of_groups():
    weights = group_weights(np.array([7, 7, 7, 2]))
    np.testing.assert_allclose(weights, [2 / 3, 2 / 3, 2 / 3, 2.0])
    np.testing.assert_array_equal(group_weights(np.arange(5)), np.ones(5))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40), st.sampled_from([0.5, 0.8, 0.9]))
def test_a_weighted_quantile_of_equal_weights_is_the_plain_one(scores, level):
    told = np.array(scores)
    rank = math.ceil(round((len(told) + 1) * level, 9))
    plain = np.inf if rank > len(told) else np.sort(told)[rank - 1]
    assert conformal_quantile(told, level) == plain
    assert conformal_quantile(told, level, np.full(len(told), 0.3)) == plain
