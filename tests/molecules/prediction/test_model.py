import numpy as np
import pytest
from rdkit import Chem

from graphtide.errors import InputError
from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.prediction import (
    PropertyModel,
    load_property_model,
    save_property_model,
)
from graphtide.molecules.prediction.inputs import make_inputs
from graphtide.run import Run


def molecules(count, seed=0):
    """Chains with rings and heteroatoms, each once."""
    generator = np.random.default_rng(seed)
    found = {}
    while len(found) < count:
        parts = generator.choice(["C", "O", "N", "CC", "C(C)", "c1ccccc1", "C(=O)"], size=4)
        text = "C" + "".join(parts) + "C"
        found.setdefault(Chem.MolToSmiles(parse_smiles(text)), None)
    return list(found)


@pytest.fixture(scope="module")
def fitted():
    smiles = molecules(70)
    carbons = np.array([text.upper().count("C") for text in smiles], dtype=float)
    noise = np.random.default_rng(1).normal(0.0, 0.3, len(smiles))
    second = np.where(np.arange(len(smiles)) % 3 == 0, np.nan, (carbons > 8).astype(float))
    values = np.column_stack([carbons + noise, second])
    model = PropertyModel.fit(smiles, values, ("carbons", "large"), epochs=1, seed=0)
    found = model.weights.copy()
    # Each member counts, so that the saving of each is tested.
    model.weights[:] = 0.2
    return smiles, values, model, found


def test_a_property_that_is_a_count_of_atoms_is_learned(fitted):
    smiles, _, model, _ = fitted
    known = set(smiles)
    new = [text for text in molecules(200, seed=5) if text not in known][:60]
    carbons = np.array([text.upper().count("C") for text in new], dtype=float)
    told = model.predict(new)
    assert told.values.shape == (60, 2)
    assert np.corrcoef(told.values[:, 0], carbons)[0, 1] > 0.95
    assert ((told.values[:, 1] >= 0) & (told.values[:, 1] <= 1)).all()
    assert (told.standard_deviations > 0).all()
    assert model.classes.tolist() == [False, True]
    inside = (told.lower[:, 0] <= carbons) & (carbons <= told.upper[:, 0])
    assert inside.mean() > 0.8


def test_a_saved_model_predicts_the_same(fitted, tmp_path):
    smiles, _, model, _ = fitted
    run = Run.create(tmp_path / "run", kind="molecules learn", configuration={})
    save_property_model(run, model)
    again = load_property_model(tmp_path / "run")
    one, two = model.predict(smiles[:9]), again.predict(smiles[:9])
    for name in ("values", "standard_deviations", "lower", "upper"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-9)
    assert again.targets == ("carbons", "large")


def test_a_molecule_is_predicted_alike_alone_and_among_others(fitted):
    smiles, _, model, _ = fitted
    together = model.predict(smiles[:5]).values
    alone = np.concatenate([model.predict([text]).values for text in smiles[:5]])
    np.testing.assert_allclose(together, alone, rtol=1e-4)


def test_a_saved_model_of_another_rdkit_is_refused(fitted, tmp_path):
    _, _, model, _ = fitted
    run = Run.create(tmp_path / "run", kind="molecules learn", configuration={})
    save_property_model(run, model)
    told = run.read_json("model.json")
    run.write_json("model.json", {**told, "descriptors": ["NoSuchDescriptor"]})
    with pytest.raises(InputError, match="NoSuchDescriptor"):
        load_property_model(run)


def test_a_finer_step_changes_the_networks_only(fitted):
    smiles, _, model, _ = fitted
    inputs = make_inputs([parse_smiles(text) for text in smiles[:4]])
    network = model.members.networks[0]
    coarse, fine = network.predict(inputs), network.predict(inputs, steps=64)
    finer = network.predict(inputs, steps=128)
    # First order: halving a small step about halves what is left to the limit.
    assert np.abs(finer - fine).max() < np.abs(fine - coarse).max()
    np.testing.assert_array_equal(coarse, network.predict(inputs))


def test_what_cannot_be_parsed_stays_in_its_place(fitted):
    _, _, model, _ = fitted
    told = model.predict(["CCCO", "C(C", "[Hg]C", ""])
    assert np.isnan(told.values[1]).all()
    assert np.isfinite(told.values[0]).all()
    assert told.in_domain.tolist()[1:] == [False, False, False]
    assert "not a SMILES" in told.reasons[1]
    assert told.reasons[2] == "no training molecule holds Hg"
    assert model.predict([]).values.shape == (0, 2)


def test_weights_are_a_mean_and_held_out_errors_are_told(fitted):
    _, values, model, weights = fitted
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert (weights >= 0).all()
    scores = model.scores["carbons"]
    assert scores["model"] <= min(scores["boosting"], scores["forest"])
    residuals = values[:, 0] - model.held_out[:, 0]
    assert np.sqrt(np.mean(residuals**2)) == pytest.approx(scores["model"])


def test_bad_calls_are_refused():
    with pytest.raises(InputError, match="values have shape"):
        PropertyModel.fit(["CCO"] * 12, np.zeros(11))
    with pytest.raises(InputError, match="at least 10 are needed"):
        PropertyModel.fit(["CCO"], np.zeros(1))
    with pytest.raises(InputError, match="not a SMILES"):
        PropertyModel.fit(["C(C"] * 12, np.zeros(12))
