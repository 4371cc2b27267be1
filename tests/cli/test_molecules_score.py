"""The command ``molecules score``: figures, page, and clear words."""

import json

import pytest

from graphtide.data import qm9_sample
from graphtide.report.molecule_figures import molecule_grid, molecule_svg

REAL = list(qm9_sample()["smiles"][:40])


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "new.smi").write_text("\n".join([*REAL[:19], "no molecule", "c1cccc1"]) + "\n")
    (tmp_path / "test.csv").write_text("smiles\n" + "\n".join(REAL[20:]) + "\n")
    (tmp_path / "train.smi").write_text("\n".join(REAL[:10]) + "\n")


def test_json_is_one_object_with_the_field_s_names(call, files):
    code, out, err = call(
        "molecules", "score", "new.smi", "--reference", "test.csv", "--train", "train.smi", "--json"
    )
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["validity"] == pytest.approx(19 / 21)
    assert found["uniqueness"] == 1.0
    assert found["novelty"] == pytest.approx(9 / 19)
    assert found["fcd"] > 0
    assert found["fcd_floor"] > 0
    assert found["unparseable_lines"] == ["new.smi, line 20: no", "new.smi, line 21: c1cccc1"]


def test_a_run_gets_a_page_that_names_what_failed(call, files, tmp_path):
    arguments = ("molecules", "score", "new.smi", "--reference", "test.csv", "--beside", "qm9")
    code, out, _ = call(*arguments, "--out", "run")
    assert code == 0
    assert "real against real" in out
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "c1cccc1" in page
    assert "published: DeFoG" in page
    assert page.count("<figure") == 2
    assert len(page.encode()) < 1_000_000
    assert len((tmp_path / "run/valid.smi").read_text().split()) == 19
    assert json.loads((tmp_path / "run/metrics.json").read_text())["number"] == 21
    # The second time the reference is not computed anew, and all figures are the same.
    again = call(*arguments, "--out", "again")
    assert again[0] == 0
    first, second = ((tmp_path / name / "metrics.csv").read_bytes() for name in ("run", "again"))
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.smi", "--reference", "test.csv"], "missing.smi: there is no such file"),
        (["new.smi", "--reference", "nothing.smi"], "nothing.smi: there is no such file"),
        (["new.smi", "--reference", "test.csv", "--beside", "zinc"], "qm9, zinc250k, moses"),
        (["new.smi", "--reference", "few.smi"], "the reference has 2 molecules"),
        (["new.pdb", "--reference", "test.csv"], "tells no format"),
    ],
)
def test_bad_input_ends_with_one_sentence_and_writes_nothing(
    call, files, tmp_path, arguments, words
):
    (tmp_path / "few.smi").write_text("C\nCC\nxx\n")
    code, out, err = call("molecules", "score", *arguments, "--out", "run")
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_drawings_are_small_transparent_and_take_the_colour_of_the_text():
    drug = "CC1=C(C(=O)Nc2ccc(S(N)(=O)=O)cc2)C(c2ccc(Cl)cc2)C(C(=O)OCCN2CCOCC2)=C(C)N1"
    svg = molecule_svg(drug, highlight=range(5))
    assert len(svg) < 10_000
    assert "currentColor" in svg
    assert "<rect" not in svg
    assert svg != molecule_svg(drug)


def test_what_cannot_be_drawn_is_told():
    with pytest.raises(ValueError, match="'xx' cannot be drawn"):
        molecule_svg("xx")
    with pytest.raises(ValueError, match="atom 7 cannot be marked: 'CCO' has 3 atoms"):
        molecule_svg("CCO", highlight=[7])
    with pytest.raises(ValueError, match="no molecule to draw"):
        molecule_grid([], caption="", finding="", name="none")


def test_labels_are_escaped():
    figure = molecule_grid(["CCO"], labels=["a < b & c"], caption="c", finding="f", name="n")
    assert "a &lt; b &amp; c" in figure.svg
