"""The commands ``molecules learn`` and ``predict``: a run, a page, predictions, clear words."""

import csv
import gzip
import json

import numpy as np
import pytest

from graphtide.data import qm9_sample

FRAME = qm9_sample()[:60]


def write(path, columns):
    names = list(columns)
    rows = [names, *zip(*columns.values(), strict=True)]
    path.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n", encoding="utf-8")


@pytest.fixture
def columns():
    gap = [f"{value:.6g}" for value in FRAME["gap"]]
    dipole = [f"{value:.6g}" if k % 4 else "" for k, value in enumerate(FRAME["mu"])]
    return {"id": list(range(60)), "smiles": list(FRAME["smiles"]), "gap": gap, "mu": dipole}


def test_a_table_is_learned_and_a_file_predicted(call, columns, tmp_path):
    columns = {name: [*cells] for name, cells in columns.items()}
    for cells, extra in zip(
        columns.values(), ([60, 61], [columns["smiles"][0], "garbage"], [0.3, 0.2], ["", ""]),
        strict=True,
    ):  # fmt: skip
        cells += extra
    write(tmp_path / "table.csv", columns)
    learn = ("molecules", "learn", "table.csv", "--smiles", "smiles", "--target", "gap")
    options = ("--target", "mu", "--epochs", "1", "--out", "run", "--json")
    code, out, err = call(*learn, *options)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["molecules"], found["duplicates"], found["rows_set_aside"]) == (60, 1, 1)
    assert len(found["notices"]) == 2
    assert "line 2: the same molecule on lines 2, 62" in found["notices"][0]
    assert "line 63: 'garbage' is not a SMILES" in found["notices"][1]
    wanted = ("rmse", "mae", "r2", "rank_correlation", "baseline_rmse", "coverage", "chosen")
    for target in ("gap", "mu"):
        assert all(name in found["targets"][target] for name in wanted)
        test = list(csv.DictReader((tmp_path / "run/test.csv").read_text().splitlines()))
        own = [row for row in test if row["target"] == target]
        errors = [float(row["predicted"]) - float(row["measured"]) for row in own]
        rmse = float(np.sqrt(np.mean(np.square(errors))))
        assert found["targets"][target]["rmse"] == pytest.approx(rmse)
        inside = [float(r["lower"]) <= float(r["measured"]) <= float(r["upper"]) for r in own]
        assert found["targets"][target]["coverage"] == pytest.approx(np.mean(inside))
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "garbage" in page
    assert len(page) < 2_000_000
    assert not (tmp_path / "run/training").exists()

    body = 'name;x,SMILES,note\r\na,CCO,"with, comma"\r\nb,C(C,\r\n\r\nc,[U],z\r\nd,CCN\r\n'
    with gzip.open(tmp_path / "new.csv.gz", "wt", newline="") as stream:
        stream.write(body)
    predict = ("molecules", "predict", "run", "new.csv.gz", "--out", "told.csv", "--json")
    code, out, err = call(*predict)
    assert (code, err) == (0, "")
    counts = json.loads(out)
    assert [counts[n] for n in ("rows", "predicted", "unparseable", "outside")][:3] == [4, 3, 1]
    rows = list(csv.DictReader((tmp_path / "told.csv").read_text().splitlines()))
    assert list(rows[0])[:3] == ["name;x", "SMILES", "note"]
    assert [row["name;x"] for row in rows] == ["a", "b", "c", "d"]
    assert rows[0]["note"] == "with, comma"
    assert float(rows[0]["gap_lower"]) < float(rows[0]["gap_predicted"])
    assert float(rows[0]["mu_standard_deviation"]) > 0
    assert rows[1]["gap_predicted"] == rows[1]["in_domain"] == ""
    assert "not a SMILES" in rows[1]["reason"]
    assert rows[2]["in_domain"] == "no"
    assert rows[2]["reason"] == "no training molecule holds U"

    code, _, err = call("molecules", "predict", "run", "new.csv.gz", "--out", "told.smi")
    assert code == 2
    assert "written as .csv or .tsv" in err
    write(tmp_path / "other.csv", {"a": [1], "gap_predicted": [2]})
    whole = (tmp_path / "new.csv.gz").read_bytes()
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "head.csv").write_text("smiles,x\n")
    (tmp_path / "lines.smi").write_text("SMILES name\nCCO first one\n\nC#N\n")
    code, _, _ = call("molecules", "predict", "run", "lines.smi", "--out", "l.tsv.gz", "--json")
    assert code == 0
    lines = gzip.decompress((tmp_path / "l.tsv.gz").read_bytes()).decode().split("\n")
    assert [line.split("\t")[:2] for line in lines[:3]] == [
        ["smiles", "name"], ["CCO", "first one"], ["C#N", ""],
    ]  # fmt: skip
    for arguments, words in (
        (("cut.csv.gz", "--out", "o.csv"), "cannot be read to its end"),
        (("head.csv", "--out", "o.csv"), "a header but no rows"),
        (("other.csv", "--out", "o.csv"), "no column of SMILES"),
        (("other.csv", "--smiles", "a", "--out", "o.csv"), "has a column 'gap_predicted' already"),
        (("missing.csv", "--out", "o.csv"), "there is no such file"),
        (("new.csv.gz", "--level", "1.5", "--out", "o.csv"), "between 0 and 1"),
    ):
        code, out, err = call("molecules", "predict", "run", *arguments)
        assert (code, out) == (2, "")
        assert words in " ".join(err.split())
        assert not (tmp_path / "o.csv").exists()


def bad_tables(columns):
    count = len(columns["smiles"])
    text = [*columns["gap"][:-1], "high"]
    yield "gap", {**columns, "gap": text}, "line 61, column 'gap': 'high' is not a number"
    yield "gap", {**columns, "gap": [1.5] * count}, "is 1.5 in every row"
    yield "gap", {**columns, "gap": ["NA"] * count}, "holds no value at all"
    yield "nothing", columns, "there is no column 'nothing'"
    yield "gap", {**columns, "gap": ["inf", *columns["gap"][1:]]}, "infinity is no value"
    few = {name: cells[:9] for name, cells in columns.items()}
    yield "gap", few, "at least 30 are needed"
    rare = {**columns, "gap": [1, *[0] * (count - 1)]}
    yield "gap", rare, "1 molecules of its rarer class"


def test_bad_tables_are_refused_in_one_sentence(call, columns, tmp_path):
    for target, table, words in bad_tables(columns):
        write(tmp_path / "table.csv", table)
        code, out, err = call("molecules", "learn", "table.csv", "--target", target, "--out", "run")
        assert (code, out) == (2, "")
        assert words in " ".join(err.split())
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--split", "magic"), "random, scaffold, cluster, time, column are known"),
        (("--split", "time"), "needs the name of its column"),
        (("--split-column", "id"), "fits --split time and column"),
        (("--split", "time", "--split-column", "no"), "no column 'no' to split by"),
        (("--split", "column", "--split-column", "id"), "train, validation and test were expected"),
        (("--smiles", "no"), "there is no column 'no'"),
        (("--level", "0"), "between 0 and 1"),
        (("--target", "gap"), "named twice"),
    ],
)
def test_bad_options_are_refused_in_one_sentence(call, columns, tmp_path, options, words):
    write(tmp_path / "table.csv", columns)
    code, out, err = call(
        "molecules", "learn", "table.csv", "--target", "gap", *options, "--out", "run"
    )
    assert (code, out) == (2, "")
    assert words in " ".join(err.split())
    assert not (tmp_path / "run").exists()
