"""Corpora: nothing is lost without a word, and what is kept comes back."""

import numpy as np
import pytest

from graphtide.errors import InputError
from graphtide.molecules.chemistry import canonical_smiles
from graphtide.molecules.corpus import Corpus, batches_by_size

SMILES = ["CCO", "c1ccccc1", "garbage", "CC(=O)[O-].[Na+]", "CCO", "[Fe]"]


def test_every_line_is_a_molecule_or_a_notice():
    corpus = Corpus.from_smiles(SMILES)
    assert [corpus.smiles(i) for i in range(len(corpus))] == [
        canonical_smiles(s) for s in ["CCO", "c1ccccc1", "CC(=O)[O-]", "CCO", "[Fe]"]
    ]
    assert corpus.encoded.lines.tolist() == [1, 2, 4, 5, 6]
    assert [(n.line, n.kept) for n in corpus.notices] == [(3, False), (4, True)]


def test_mixtures_are_split_or_skipped_when_asked():
    split = Corpus.from_smiles(["CCO.N.O"], mixtures="split")
    assert sorted(split.smiles(i) for i in range(3)) == ["CCO", "N", "O"]
    with pytest.raises(InputError, match="mixture of 3 pieces"):
        Corpus.from_smiles(["CCO.N.O"], mixtures="skip")


def test_large_molecules_are_set_aside_by_size():
    corpus = Corpus.from_smiles(["CCO", "C" * 500], most_atoms=100)
    assert len(corpus) == 1
    assert "100 atoms" in corpus.notices[0].reason
    assert Corpus.from_smiles(["C" * 500]).sizes.tolist() == [500]


def test_a_cached_corpus_is_the_same(tmp_path):
    first = Corpus.from_smiles(SMILES, cache=tmp_path)
    again = Corpus.from_smiles(SMILES, cache=tmp_path)
    assert isinstance(again.encoded.atoms, np.memmap)
    assert first.vocabulary == again.vocabulary
    assert first.notices == again.notices
    assert [first.smiles(i) for i in range(5)] == [again.smiles(i) for i in range(5)]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_cache_is_told(tmp_path):
    corpus = Corpus.from_smiles(SMILES)
    corpus.save(tmp_path / "one")
    (tmp_path / "one" / "atoms.npy").write_bytes(b"")
    with pytest.raises(InputError, match="delete it"):
        Corpus.load(tmp_path / "one")


def test_processes_give_what_one_gives():
    many = [("C" * (1 + k % 7)) + "O" for k in range(6100)]
    one = Corpus.from_smiles(many, workers=1).encoded
    two = Corpus.from_smiles(many, workers=2).encoded
    assert one.vocabulary == two.vocabulary
    for name in ("atoms", "atom_counts", "bonds", "bond_counts", "lines"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_a_subset_holds_the_molecules_asked_for():
    corpus = Corpus.from_smiles(SMILES)
    part = corpus.subset(np.array([4, 1, 1]))
    assert [part.smiles(i) for i in range(3)] == ["[Fe]", "c1ccccc1", "c1ccccc1"]


def test_batches_hold_each_index_once_and_like_sizes():
    sizes = np.random.default_rng(0).integers(1, 40, 1000)
    batches = list(batches_by_size(sizes, 32, np.random.default_rng(1)))
    assert sorted(np.concatenate(batches).tolist()) == list(range(1000))
    assert np.mean([np.ptp(sizes[b]) for b in batches]) < 5
