"""The commands ``molecules fit`` and ``sample``: a run, a page, new molecules, clear words."""

import json

import pytest

from graphtide.data import qm9_sample
from graphtide.molecules.chemistry import canonical_smiles

REAL = list(qm9_sample()["smiles"][:60])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHTIDE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def corpus(tmp_path):
    lines = [*REAL, "garbage", "CC(=O)[O-].[Na+]", REAL[0]]
    path = tmp_path / "corpus.smi"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_run_is_fitted_and_new_molecules_are_made(call, corpus, tmp_path):
    fit = ("molecules", "fit", corpus, "--steps", "3", "--samples", "20", "--out", "run", "--json")
    code, out, err = call(*fit)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["lines"], found["molecules"]) == (63, 62)
    assert (found["lines_set_aside"], found["mixtures"], found["duplicates"]) == (1, 1, 1)
    assert found["validity"] == found["validity_before_correction"] == 1.0
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "garbage" in page
    assert len(page) < 2_000_000
    assert not (tmp_path / "run/training").exists()
    again = ("molecules", "sample", "run", "--number", "30", "--out")
    code, out, _ = call(*again, "new.csv", "--json")
    assert code == 0
    assert json.loads(out)["validity"] == 1.0
    rows = (tmp_path / "new.csv").read_text().split("\n")[1:-1]
    assert len(rows) == 30
    assert all(canonical_smiles(smiles) == smiles for smiles in rows)
    assert call(*again, "same.csv")[0] == 0
    assert (tmp_path / "same.csv").read_text() == (tmp_path / "new.csv").read_text()


@pytest.mark.parametrize(
    "lines",
    [["CCO"], ["[Fe]", "[Cu]", "[Zn]"], ["C" * 500, "CC"], ["[Na+].[Cl-]", "CC.O"]],
    ids=["one molecule", "only metals", "500 atoms", "salts and mixtures"],
)
def test_odd_corpora_are_learned(call, tmp_path, lines):
    (tmp_path / "odd.smi").write_text("\n".join(lines) + "\n")
    arguments = ("molecules", "fit", "odd.smi", "--steps", "2", "--samples", "3", "--out", "run")
    code, out, err = call(*arguments, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["validity"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing.smi"], "there is no such file"),
        (["bad.smi"], "no molecule could be read: line 1"),
        (["qm9"], "graphtide data get qm9"),
        (["qm9_sample", "--model", "gan"], "construction"),
        (["qm9_sample", "--minutes", "0"], "positive"),
        (["qm9_sample", "--mixtures", "all"], "largest, split, skip"),
        (["qm9_sample", "--properties", "qed"], "flow_matching"),
    ],
)
def test_bad_input_ends_with_one_sentence(call, tmp_path, arguments, sentence):
    (tmp_path / "bad.smi").write_text("garbage\nmore\n")
    code, out, err = call("molecules", "fit", *arguments, "--out", "run")
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_samples_that_cannot_be_made_are_refused(call, corpus, tmp_path):
    call("molecules", "fit", corpus, "--steps", "1", "--samples", "0", "--out", "run")
    for arguments, sentence in (
        (["--out", "new.xyz"], "tells no format"),
        (["--out", "new.smi", "--scaffold", "c1ccccc1"], "flow_matching"),
        (["--out", "new.smi", "--condition", "qed"], "name=number"),
        (
            ["--out", "new.smi", "--distortion", "2", "--guidance", "1"],
            "a construction model takes no distortion or guidance",
        ),
    ):
        code, _, err = call("molecules", "sample", "run", "--number", "2", *arguments)
        assert code == 2
        assert sentence in err
    assert not (tmp_path / "new.smi").exists()
