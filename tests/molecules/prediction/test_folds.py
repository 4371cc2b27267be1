import os
import signal

import numpy as np
import pytest

from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.files import MoleculeLines
from graphtide.molecules.prediction import members
from graphtide.molecules.prediction.explain import AtomContributions
from graphtide.molecules.prediction.finetune import TuningPlan
from graphtide.molecules.prediction.inputs import make_inputs
from graphtide.molecules.prediction.members import fit_members, fold_numbers
from graphtide.molecules.prediction.quality import quality
from graphtide.molecules.prediction.table import property_table
from graphtide.molecules.prediction.trees import Trees

SMILES = ["C" * a + "OC" + "C" * b for a in range(1, 9) for b in range(a, 9)]


def constant(_kind, _inputs, values, *, seed):
    del seed
    return Trees(
        np.array([-1]), np.zeros(1), np.zeros(1, int), np.zeros(1, int),
        np.array([values.mean()]), np.array([0]), 0.0,
    )  # fmt: skip


def test_groups_stay_together_and_folds_are_of_about_equal_size():
    groups = np.repeat(np.arange(25), [1, 2, 3, 4, 5] * 5)
    folds = fold_numbers(groups, 5, seed=0)
    for group in range(25):
        assert len(np.unique(folds[groups == group])) == 1
    assert np.ptp(np.bincount(folds)) <= 2


def test_of_many_molecules_one_small_fold_is_held_out(monkeypatch):
    monkeypatch.setattr(members, "MANY", 30)
    monkeypatch.setattr(members, "grow", constant)
    inputs = make_inputs([parse_smiles(text) for text in SMILES], names=["MolWt", "MolLogP"])
    values = inputs.descriptors[:, [1]]
    folds = fold_numbers(np.arange(len(SMILES)), 5, seed=0)
    assert np.bincount(folds + 1).tolist() == [len(SMILES) - 2, 2]
    fitted, held = fit_members(inputs, values, np.array([False]), folds, plan=TuningPlan(1), seed=0)
    np.testing.assert_array_equal(np.isfinite(held.predictions[:, 0, 0]), folds == 0)
    assert len(fitted.networks) == 1
    # The members that were judged are those that predict.
    out = np.flatnonzero(folds == 0)
    told, _ = fitted.predict(inputs.take(out), np.ones((1, len(members.MEMBERS)), dtype=bool))
    np.testing.assert_allclose(told, held.predictions[out], rtol=1e-6)


def test_an_interrupted_fit_goes_on_to_the_same_networks(tmp_path, monkeypatch):
    monkeypatch.setattr(members, "grow", constant)
    inputs = make_inputs(
        [parse_smiles(text) for text in SMILES], names=["MolWt", "TPSA", "MolLogP"]
    )
    values = inputs.descriptors[:, [2]]
    folds = np.arange(len(SMILES)) % 2
    classes = np.array([False])

    def run(folder, stop):
        def progress(_share, text):
            if stop and text.startswith("network 2: epoch 1"):
                os.kill(os.getpid(), signal.SIGINT)

        return fit_members(
            inputs, values, classes, folds, plan=TuningPlan(3, seed=0), checkpoints=folder,
            progress=progress,
        )  # fmt: skip

    _, held = run(tmp_path / "one", stop=True)
    assert held.interrupted
    _, resumed = run(tmp_path / "one", stop=False)
    _, straight = run(tmp_path / "two", stop=False)
    assert not resumed.interrupted
    np.testing.assert_array_equal(resumed.predictions, straight.predictions)


def test_what_is_held_out_plays_no_part(monkeypatch):
    monkeypatch.setattr(members, "grow", constant)
    inputs = make_inputs(
        [parse_smiles(text) for text in SMILES], names=["MolWt", "TPSA", "MolLogP"]
    )
    values = inputs.descriptors[:, [2]].copy()
    folds = np.arange(len(SMILES)) % 2
    classes = np.array([False])
    out = np.flatnonzero(folds == 0)
    _, before = fit_members(inputs, values, classes, folds, plan=TuningPlan(1), seed=0)
    changed = values.copy()
    changed[out] = -100.0
    _, after = fit_members(inputs, changed, classes, folds, plan=TuningPlan(1), seed=0)
    np.testing.assert_array_equal(before.predictions[out], after.predictions[out])
    np.testing.assert_array_equal(before.deviations[out], after.deviations[out])


def test_contributions_of_atoms_add_up_to_an_additive_property():
    # Molar refractivity is a sum over atoms (Crippen), so an additive model tells all of it.
    texts = [*SMILES, *(text.replace("O", "S") for text in SMILES)]
    made = [parse_smiles(text) for text in texts]
    inputs = make_inputs(made, names=["MolMR"])
    wanted = inputs.descriptors[:, 0]
    told = AtomContributions.fit(inputs.take(np.arange(0, 72, 2)), wanted[::2])
    assert told.fidelity > 0.95
    added = told.of(made[1::2])
    assert [len(one) for one in added] == [m.GetNumAtoms() for m in made[1::2]]
    sums = np.array([one.sum() for one in added]) + told.offset
    assert np.corrcoef(sums, wanted[1::2])[0, 1] > 0.97


def test_figures_of_quality_are_those_of_the_field():
    measured = np.array([0.0, 1.0, 2.0, 3.0])
    found = quality(measured, measured[::-1], is_class=False)
    assert found["rmse"] == pytest.approx(np.sqrt(5.0))
    assert found["r2"] == pytest.approx(-3.0)
    assert found["rank_correlation"] == pytest.approx(-1.0)
    labels, chances = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.6, 0.4, 0.9])
    # Three of the four pairs are ordered rightly.
    assert quality(labels, chances, is_class=True)["roc_auc"] == pytest.approx(0.75)
    assert np.isnan(quality(np.ones(3), np.ones(3), is_class=True)["roc_auc"])


def lines(smiles, **columns):
    cells = {name: tuple(map(str, values)) for name, values in columns.items()}
    return MoleculeLines(tuple(smiles), tuple(range(2, len(smiles) + 2)), cells, "t.csv")


def test_rows_of_one_molecule_are_averaged_and_classes_outvote():
    texts = ["OCC", "CCO", *SMILES[:34], "C(C)O"]
    values = [1.0, 2.0, *range(34), 6.0]
    labels = [1, 1, *([0, 1] * 17), 0]
    table = property_table(lines(texts, y=values, active=labels), ["y", "active"])
    assert len(table) == 35
    assert table.values[0].tolist() == [3.0, 1.0]
    assert table.classes.tolist() == [False, True]
    assert "lines 2, 3, 38, values 5 apart: averaged" in table.notices[0].reason


def test_a_tie_of_labels_and_rows_without_values_are_set_aside():
    texts = ["OCC", "CCO", *SMILES[:34], "CCCCN"]
    labels = [1, 0, *([0, 1] * 17), ""]
    table = property_table(lines(texts, active=labels), ["active"])
    assert len(table) == 34
    assert [notice.kept for notice in table.notices] == [False, False]
    assert "as many 0 as 1" in table.notices[0].reason
