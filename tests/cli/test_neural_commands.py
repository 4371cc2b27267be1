"""fit with a neural model, predict with intervals, distil: as a newcomer would run them."""

import json

import numpy as np
import pandas
import pytest

from graphtide.cli.main import run as graphtide

NETWORK = "small_world:24:4:0.3"


def call(capsys, *words):
    """Run a command; return its exit code, standard output and standard error."""
    code = 0
    try:
        graphtide(list(map(str, words)))
    except SystemExit as ended:
        code = ended.code or 0
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return a folder with states and a run fitted to them."""
    folder = tmp_path_factory.mktemp("neural")
    states, run = folder / "states.csv", folder / "run"
    simulate = ["dynamics", "simulate", "sis", "--graph", NETWORK, "--times", "0:4:41"]
    fit = ["dynamics", "fit", states, "--graph", NETWORK, "--model", "message_passing"]
    for words in ([*simulate, "--out", states], [*fit, "--out", run, "--json"]):
        with pytest.raises(SystemExit) as ended:
            graphtide(list(map(str, words)))
        assert not ended.value.code
    return folder


def test_fit_writes_the_run_its_metrics_and_its_page(fitted):
    metrics = json.loads((fitted / "run" / "metrics.json").read_text())
    assert metrics["relative_error_extrapolation"] < 0.01
    for key in ("coverage_interpolation", "coverage_extrapolation", "cpu_seconds", "model"):
        assert key in metrics
    page = (fitted / "run" / "report.html").read_text()
    for words in ("How far to trust it", "How it was trained", "The two halves"):
        assert words in page
    assert not (fitted / "run" / "checkpoints").exists()


def test_predict_adds_intervals_and_takes_another_network(fitted, capsys):
    out = fitted / "more.csv"
    code, said, _ = call(
        capsys, "dynamics", "predict", fitted / "run", "--times", "0:6:13",
        "--level", "0.9", "--out", out, "--json",
    )  # fmt: skip
    assert code == 0
    assert json.loads(said)["level"] == 0.9
    table = pandas.read_csv(out)
    assert list(table.columns) == ["time", "node", "x", "x_low", "x_high"]
    assert (table["x_low"] < table["x"]).all()
    assert (table["x"] < table["x_high"]).all()
    start = fitted / "start.csv"
    values = np.random.default_rng(0).uniform(0.1, 0.6, 30)
    pandas.DataFrame({"node": range(30), "x": values}).to_csv(start, index=False)
    code, said, _ = call(
        capsys, "dynamics", "predict", fitted / "run", "--graph", "small_world:30:4:0.3",
        "--start", start, "--out", fitted / "elsewhere.csv", "--json",
    )  # fmt: skip
    assert code == 0
    assert json.loads(said)["nodes"] == 30


def test_distil_reads_the_law_and_writes_its_page(fitted, capsys):
    out = fitted / "law"
    code, said, _ = call(capsys, "mechanisms", "distil", fitted / "run", "--out", out, "--json")
    assert code == 0
    found = json.loads(said)
    assert found["members"] == 8
    assert found["terms"] == 3
    assert (out / "equation.json").is_file()
    assert (out / "report.html").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "magic"], "'magic' is no model"),
        (["--model", "edge", "--transform", "log"], "closed_form only"),
        (["--model", "edge", "--loss", "cubic"], "square, l1 or gaussian"),
        (["--model", "edge", "--level", "1.5"], "level"),
        (["--model", "edge", "--resume"], "no such folder"),
        (["--model", "edge", "--attributes", "size"], "no attribute 'size'"),
        (["--with-time"], "needs a neural model"),
        (["--model", "latent", "--with-time"], "neither attributes nor inputs nor the time"),
    ],
)
def test_wrong_options_of_fit_end_with_one_sentence(fitted, capsys, words, message):
    out = fitted / "wrong"
    code, said, error = call(
        capsys, "dynamics", "fit", fitted / "states.csv", "--graph", NETWORK, "--out", out, *words
    )
    assert (code, said) == (2, "")
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_what_cannot_be_distilled_or_given_intervals_is_told(fitted, capsys):
    closed = fitted / "closed"
    fit = ["dynamics", "fit", fitted / "states.csv", "--graph", NETWORK, "--out", closed]
    assert call(capsys, *fit, "--json")[0] == 0
    predict = ["dynamics", "predict", closed, "--level", "0.9", "--out", fitted / "no.csv"]
    code, _, error = call(capsys, *predict)
    assert code == 2
    assert "has no intervals" in error
    code, _, error = call(capsys, "mechanisms", "distil", closed, "--out", closed)
    assert code == 2
    assert "choose another folder" in error
    code, said, _ = call(capsys, "mechanisms", "distil", closed, "--out", fitted / "law2", "--json")
    assert code == 0
    assert json.loads(said)["members"] == 0
