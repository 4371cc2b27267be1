"""The command ``dynamics control`` as a newcomer runs it."""

import json

import numpy as np
import pandas
import pytest

from graphtide.run import Run


def test_control_brings_a_gene_network_back_and_writes_its_page(call, tmp_path):
    code, out, err = call(
        "dynamics", "control", "gene", "--graph", "barabasi_albert:20:3", "--target", "high",
        "--drivers", "2", "--bound", "20", "--tolerance", "0.1", "--out", "run", "--json",
    )  # fmt: skip
    assert code == 0, err
    metrics = json.loads(out)
    assert metrics["reached"] is True
    assert metrics["cause"] == "reached"
    assert metrics["driver_count"] == len(metrics["drivers"]) == 2
    assert metrics["distance"] <= 0.1003
    assert metrics["distance_later"] < metrics["distance"]
    run = Run.open(tmp_path / "run", kind="dynamics control")
    inputs = run.read_table("inputs")
    assert list(inputs.columns) == ["from", "until", *metrics["drivers"]]
    widths = (inputs["until"] - inputs["from"]).to_numpy()
    energy = (inputs[metrics["drivers"]].to_numpy() ** 2 * widths[:, None]).sum()
    assert energy == pytest.approx(metrics["energy"])
    free = run.read_trajectory("free").states
    assert np.abs(free).max() == 0.0  # a dead network stays dead
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert metrics["verdict"] in page
    assert "<canvas" in page


def test_what_cannot_be_reached_is_said_with_the_nearest_state(call, tmp_path):
    (tmp_path / "edges.csv").write_text("source,target\na,b\nc,b\n")
    (tmp_path / "wanted.csv").write_text("node,x\nc,2\n")
    (tmp_path / "drivers.txt").write_text("a\n")
    code, out, err = call(
        "dynamics", "control", "dx/dt = -x + sum_j A_ij*x_j", "--graph", "edges.csv", "--directed",
        "--target", "wanted.csv", "--start", "0", "--drivers", "drivers.txt", "--out", "run",
        "--json",
    )  # fmt: skip
    assert code == 0, err
    metrics = json.loads(out)
    assert metrics["reached"] is False
    assert metrics["cause"] == "no_path"
    assert "(c)" in metrics["verdict"]
    nearest = pandas.read_csv(tmp_path / "run" / "target.csv").set_index("node")["x_reached"]
    assert nearest["c"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"--target": "middle"}, "--target middle: neither a file, nor a number"),
        ({"--graph": None}, "give --graph"),
        ({"--drivers": "0"}, "between 1 and 34 nodes"),
        ({"--drivers": "few"}, "neither a count, nor 'auto', nor a file"),
        ({"--horizon": "-1"}, "a positive number was expected"),
        ({"--bound": "0"}, "the bound is 0"),
        ({"--tolerance": "2"}, "--tolerance 2: a share between 0 and 1"),
        ({"--variable": "y"}, "--variable y: the law has x"),
        ({"--start": "nan"}, "a finite number was expected"),
        ({"--start": "1", "--target": "1"}, "the start is the target already"),
    ],
)
def test_bad_calls_end_with_one_sentence_and_write_nothing(call, tmp_path, changes, words):
    options = {"--graph": "karate", "--target": "high", "--drivers": "1", "--out": "run"}
    options |= changes
    line = [part for name, value in options.items() if value is not None for part in (name, value)]
    code, out, err = call("dynamics", "control", "gene", *line)
    assert code == 2
    assert words in err
    assert err.count("\n") <= 2
    assert out == ""
    assert not (tmp_path / "run").exists()
