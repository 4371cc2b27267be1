"""Metrics of molecules: small cases by hand, the packages they agree with, and their laws."""

import itertools

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator
from scipy import linalg, stats

from graphtide.data import qm9_sample, zinc250k_sample
from graphtide.errors import InputError
from graphtide.molecules.files import MoleculeLines
from graphtide.molecules.metrics import DEFINITIONS, score
from graphtide.molecules.metrics import features as features_module
from graphtide.molecules.metrics.chemnet import embed, frechet_distance, mean_and_covariance
from graphtide.molecules.metrics.distances import (
    DISTANCES,
    _density,
    _exp_minus_kl,
    _histogram,
    cosine,
    distances,
    resampled_errors,
    summarise,
)
from graphtide.molecules.metrics.features import (
    DESCRIPTORS,
    canonical,
    features_of,
    parse_all,
)
from graphtide.molecules.metrics.neighbourhoods import neighbourhood_pairs
from graphtide.molecules.metrics.similarity import highest_and_total
from graphtide.molecules.metrics.store import kept_summary, key_of, molecule_codes

ZINC = [one[0] for one in parse_all(list(zinc250k_sample()["smiles"][:60])) if one is not None]
REAL = list(qm9_sample()["smiles"][:16])


def descriptor(smiles, name):
    return features_of([smiles]).descriptors[0, DESCRIPTORS.index(name)]


# What is a molecule, and what is counted over what.


@pytest.mark.parametrize("text", ["", " ", "xx", "C(", "C(C)(C)(C)(C)C", "c1cccc1", "None"])
def test_what_is_no_molecule(text):
    assert canonical(text) is None


def test_one_molecule_has_one_name():
    assert canonical("OCC") == canonical("C(O)C") == ("CCO", 1)
    assert canonical("C[C@H](N)O") == canonical("CC(N)O")
    assert canonical("C[C@H](N)O", stereo=True) != canonical("C[C@@H](N)O", stereo=True)
    assert canonical("[Na+].[Cl-]") == ("[Cl-].[Na+]", 2)


def test_shares_have_the_denominators_of_their_definitions():
    lines = MoleculeLines(("C", "CC", "CC", "xx", "C.O", ""), (1, 2, 3, 5, 6, 7))
    scores = score(lines, REAL[:6], train=["C"], before_correction=["C", "x", "y"], draws=2)
    found = scores.metrics()
    assert found["number"] == 6
    assert found["validity"] == 4 / 6
    assert found["connectivity"] == 3 / 6
    assert found["uniqueness"] == 3 / 4
    assert found["novelty"] == 2 / 3
    assert found["valid_unique"] == 3 / 6
    assert found["valid_unique_novel"] == 2 / 6
    assert found["validity_before_correction"] == 1 / 6
    assert found["validity_standard_error"] == pytest.approx(np.sqrt(4 / 6 * 2 / 6 / 6))
    assert scores.unparseable == ((5, "xx"), (7, ""))


def test_molecules_that_are_missing_count_as_failed_and_those_beyond_are_left_out():
    assert score(["C", "CC"], REAL, number=4, draws=2).metrics()["validity"] == 0.5
    assert score(["x", "C", "CC"], REAL, number=2, draws=2).metrics()["validity"] == 0.5


def test_nothing_but_garbage_gives_zeros_and_no_distance():
    found = score(["xx", "yy"], REAL).metrics()
    assert (found["validity"], found["connectivity"], found["valid_unique"]) == (0, 0, 0)
    assert found["uniqueness"] is None
    assert all(found[name] is None for name in DISTANCES)
    assert found["fcd_floor"] > 0


def test_odd_molecules_are_scored_and_what_is_undefined_is_none():
    alone = score(["CCO"], REAL, draws=2).metrics()
    assert alone["weight_distance"] > 0
    assert alone["fcd"] is alone["internal_diversity"] is alone["scaffold_similarity"] is None
    odd = ["[Fe]", "[Na+].[Cl-]", "C" * 500, "[13CH4]", "*CC", "CCO", "CCO"]
    found = score(odd, REAL, draws=2).metrics()
    assert (found["validity"], found["connectivity"], found["uniqueness"]) == (1, 6 / 7, 6 / 7)
    assert found["fcd"] > 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"molecules": []}, "no molecule to score"),
        ({"reference": ["C", "xx"]}, "the reference has 1 molecules"),
        ({"number": 0}, "number is 0"),
        ({"draws": 1}, "draws is 1"),
        ({"reconstruction": 1.5}, "a share between 0 and 1"),
    ],
)
def test_bad_calls_get_one_sentence(changes, words):
    arguments = {"molecules": ["C"], "reference": REAL, **changes}
    with pytest.raises(InputError, match=words):
        score(**arguments)


def test_a_set_against_itself_is_at_distance_zero():
    scores = score(ZINC, ZINC, draws=2)
    found = scores.metrics()
    assert found["validity"] == found["connectivity"] == found["uniqueness"] == 1.0
    assert found["fcd"] == pytest.approx(0.0, abs=1e-4)
    assert found["neighbourhood_mmd"] == pytest.approx(0.0, abs=1e-12)
    for name in ("descriptor_kl", "nearest_neighbour_similarity"):
        assert found[name] == pytest.approx(1.0, abs=1e-6)
    for name in ("scaffold_similarity", "fragment_similarity"):
        assert found[name] == pytest.approx(1.0)
    for name in ("qed", "logp", "weight", "synthetic_accessibility"):
        assert found[f"{name}_distance"] == pytest.approx(0.0, abs=1e-9)
    assert found["fcd_floor"] > 1.0
    assert list(scores.table()["metric"]) == list(DEFINITIONS)


# ChemNet and its distance.


def test_the_frechet_distance_is_that_of_the_matrix_root():
    generator = np.random.default_rng(0)
    first, second = (one @ one.T for one in generator.normal(size=(2, 5, 5)))
    shift = generator.normal(size=5)
    root = linalg.sqrtm(first @ second)
    wanted = shift @ shift + np.trace(first + second - 2 * root.real)
    found = frechet_distance((shift, first), (np.zeros(5), second))
    assert found == pytest.approx(wanted, rel=1e-10)


@pytest.mark.filterwarnings("ignore")  # the package calls what NumPy 2 has deprecated
def test_the_embedding_is_that_of_the_package():
    from fcd.fcd import get_predictions, load_ref_model

    wanted = get_predictions(load_ref_model(), ZINC[:12], n_jobs=0)
    assert embed(ZINC[:12]) == pytest.approx(wanted, abs=1e-5)


def test_weights_of_molecules_count_as_repetitions():
    rows = np.random.default_rng(0).normal(size=(4, 3))
    repeated = rows[[0, 0, 3, 1]]
    mean, covariance = mean_and_covariance(rows, np.array([2.0, 1.0, 0.0, 1.0]))
    assert mean == pytest.approx(repeated.mean(axis=0))
    assert covariance == pytest.approx(np.cov(repeated.T))


# Features.


def test_descriptors_of_aspirin():
    aspirin = "CC(=O)Oc1ccccc1C(=O)O"
    assert descriptor(aspirin, "weight") == pytest.approx(180.16, abs=0.01)
    assert descriptor(aspirin, "polar_surface") == pytest.approx(63.60, abs=0.01)
    assert descriptor(aspirin, "qed") == pytest.approx(0.550, abs=0.001)  # Bickerton et al. 2012
    assert descriptor(aspirin, "aromatic_rings") == 1
    morphine = "CN1CC[C@]23c4c5ccc(O)c4O[C@H]2[C@@H](O)C=C[C@H]3[C@H]1C5"
    assert 1 <= descriptor("c1ccccc1", "synthetic_accessibility") < 2
    assert descriptor(morphine, "synthetic_accessibility") > 4


def test_scaffolds_need_two_rings_and_fragments_break_at_their_bonds():
    found = features_of(["Cc1ccccc1", "Cc1ccc(-c2ccccc2)cc1", "CNC(C)=O"])
    assert found.scaffolds == ((), ("c1ccc(-c2ccccc2)cc1",), ())
    assert set(found.fragments[2]) == {"[1*]C(C)=O", "[5*]NC"}


def test_neighbourhood_pairs_of_methane_by_hand_and_in_any_order_of_atoms():
    indices, values = neighbourhood_pairs(Chem.MolFromSmiles("C"))
    # One atom with itself, at distance 0, for each of three radii.
    assert len(indices) == 3
    assert values == pytest.approx(np.full(3, 1 / np.sqrt(3)))
    molecule = Chem.MolFromSmiles(ZINC[0])
    order = np.random.default_rng(0).permutation(molecule.GetNumAtoms())
    shuffled = Chem.RenumberAtoms(molecule, order.tolist())
    for mine, theirs in zip(
        neighbourhood_pairs(molecule), neighbourhood_pairs(shuffled), strict=True
    ):
        assert mine == pytest.approx(theirs)
    assert np.linalg.norm(neighbourhood_pairs(molecule)[1]) == pytest.approx(1.0)


def test_features_do_not_depend_on_the_processes(monkeypatch):
    monkeypatch.setattr(features_module, "_CHUNK", 8)
    alone, together = features_of(ZINC[:16]), features_of(ZINC[:16], workers=2)
    assert (alone.descriptors == together.descriptors).all()
    assert (alone.fingerprints == together.fingerprints).all()
    assert alone.fragments == together.fragments
    assert (alone.neighbourhoods != together.neighbourhoods).nnz == 0


# Distances.


def test_similarities_are_those_of_rdkit():
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    prints = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in ZINC]
    matrix = np.array([DataStructs.BulkTanimotoSimilarity(one, prints) for one in prints])
    words = features_of(ZINC).fingerprints
    highest, total = highest_and_total(words[:20], words[20:], False)
    assert highest == pytest.approx(matrix[:20, 20:].max(axis=1))
    assert total == pytest.approx(matrix[:20, 20:].sum(axis=1))
    highest, total = highest_and_total(words, words, True)
    off = matrix - np.diag(np.ones(len(matrix)))
    assert highest == pytest.approx(off.max(axis=1))
    assert total == pytest.approx(off.sum(axis=1))


def test_the_cosine_of_counts():
    assert cosine({"a": 3.0, "b": 4.0}, {"b": 5.0}) == pytest.approx(0.8)
    assert cosine({"a": 1.0}, {"b": 1.0}) == 0.0
    assert np.isnan(cosine({}, {"b": 1.0}))


def test_divergence_of_counts_by_hand():
    mine, theirs = np.array([0.0, 0, 1, 1]), np.array([0.0, 1, 1, 1])
    found = _exp_minus_kl(*_histogram(mine, theirs, np.ones((1, 4))))
    divergence = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)
    assert found == pytest.approx(np.exp(-divergence), abs=1e-6)


def test_densities_are_those_of_scipy():
    values = np.random.default_rng(0).normal(size=200)
    grid = np.linspace(-3, 3, 50)
    found = _density(values, grid, np.ones((1, 200)))[0]
    assert found == pytest.approx(stats.gaussian_kde(values)(grid), rel=1e-10)


def test_distances_of_two_alcohols_by_hand():
    ethanol, propanol = (
        summarise(features_of([text] * 3), np.zeros((3, 4))) for text in ("CCO", "CCCO")
    )
    found = distances(ethanol, propanol)
    assert found["weight_distance"] == pytest.approx(14.027, abs=1e-3)
    assert found["internal_diversity"] == pytest.approx(0.0)  # three times the same molecule
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    pair = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in ("CCO", "CCCO")]
    similarity = DataStructs.TanimotoSimilarity(*pair)
    assert found["nearest_neighbour_similarity"] == pytest.approx(similarity)


def test_standard_errors_agree_with_theory():
    features = features_of(ZINC)
    generator = np.random.default_rng(1)
    embedding = generator.normal(size=(len(ZINC), 3))
    own = summarise(features, embedding)
    reference = summarise(features_of(REAL), generator.normal(5.0, 1.0, size=(len(REAL), 3)))
    found = resampled_errors(
        features, embedding, own, reference, draws=400, generator=np.random.default_rng(0)
    )
    assert set(found) == set(DISTANCES)
    nearest, _ = highest_and_total(own.fingerprints, reference.fingerprints, False)
    wanted = nearest.std() / np.sqrt(len(ZINC))
    assert found["nearest_neighbour_similarity"] == pytest.approx(wanted, rel=0.12)
    # All of ZINC is heavier than all of QM9: the distance is the difference of the means.
    weight = own.descriptors[:, DESCRIPTORS.index("weight")]
    assert found["weight_distance"] == pytest.approx(weight.std() / np.sqrt(len(ZINC)), rel=0.12)


# What is kept on disk.


def test_a_kept_summary_comes_back_the_same_and_a_damaged_one_is_computed_anew(tmp_path):
    made = []

    def compute():
        made.append(1)
        return summarise(features_of(ZINC[:5]), np.arange(20.0).reshape(5, 4))

    first, second = (kept_summary(tmp_path, "key", compute) for _ in range(2))
    assert len(made) == 1
    assert second.fragments == first.fragments
    assert (second.covariance == first.covariance).all()
    assert distances(second, first) == distances(first, first)
    file = tmp_path / "key.npz"
    file.write_bytes(file.read_bytes()[:100])
    kept_summary(tmp_path, "key", compute)
    assert len(made) == 2


def test_keys_and_codes_tell_molecules_apart():
    keys = [key_of(texts, stereo=s) for texts in (["C"], ["C", "O"]) for s in (True, False)]
    assert len(set(keys)) == 4
    smiles = ["".join(letters) for letters in itertools.product("CNO", repeat=6)]
    assert len(np.unique(molecule_codes(smiles))) == 729
