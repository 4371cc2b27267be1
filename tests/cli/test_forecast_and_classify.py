"""The commands forecast and classify as a newcomer runs them, with bad input, and interrupted."""

import dataclasses
import functools
import importlib
import json

import numpy as np
import pandas
import pytest

from graphtide.dynamics.classify.training import Rules
from graphtide.dynamics.forecast.learned import LEARNED

EDGES = "source,target\na,b\nb,c\nc,d\nd,a\n"


@pytest.fixture(autouse=True)
def good_files(tmp_path, monkeypatch):
    """Write a network, states, features and labels that are as they should be."""
    for name, (builder, settings) in LEARNED.items():
        short = dataclasses.replace(settings, epochs=2, least_steps=1, width=4)
        monkeypatch.setitem(LEARNED, name, (builder, short))
    quick = functools.partial(Rules, epochs=60)
    classifying = importlib.import_module("graphtide.dynamics.classify.classify")
    monkeypatch.setattr(classifying, "Rules", quick)
    monkeypatch.setattr(classifying, "_GCN", Rules(1, 0.0, epochs=60))
    time = np.arange(80)
    waves = np.sin(2 * np.pi * time[:, None] / 10 + np.arange(4))
    frame = pandas.DataFrame(waves, columns=list("abcd"))
    frame.insert(0, "time", time)
    frame.to_csv(tmp_path / "states.csv", index=False)
    (tmp_path / "edges.csv").write_text(EDGES)
    nodes = [f"{k}" for k in range(20)]
    ring = [f"{k},{(k + 2) % 20}" for k in range(20)]
    (tmp_path / "ring.csv").write_text("\n".join(["source,target", *ring]) + "\n")
    rows = [f"{name},{k % 2},{1 - k % 2}" for k, name in enumerate(nodes)]
    (tmp_path / "features.csv").write_text("\n".join(["node,f,g", *rows]) + "\n")
    labels = [f"{name},{'odd' if k % 2 else 'even'}" for k, name in enumerate(nodes)]
    (tmp_path / "labels.csv").write_text("\n".join(["node,label", *labels]) + "\n")


FORECAST = ("dynamics", "forecast", "states.csv", "--graph", "edges.csv", "--history", "4",
            "--horizon", "3", "--out", "run")  # fmt: skip
CLASSIFY = ("dynamics", "classify", "--graph", "ring.csv", "--features", "features.csv",
            "--labels", "labels.csv", "--seeds", "1", "--depth", "2", "--out", "run")  # fmt: skip


def test_forecast_prints_one_object_and_writes_its_page(call, tmp_path):
    code, out, err = call(*FORECAST, "--period", "10", "--json")
    assert code == 0, err
    said = json.loads(out)
    assert {"mae", "rmse", "by_step", "baselines", "coverage"} <= set(said)
    assert [line["step"] for line in said["by_step"]] == [1, 2, 3]
    assert {"last_value", "seasonal_mean", "graph_autoregression", "lstm_gnn"} <= set(
        said["baselines"]
    )
    for baseline in said["baselines"].values():
        assert len(baseline["by_step"]) == 3
        assert baseline["mae"] >= 0
    text = (tmp_path / "run" / "report.html").read_text()
    assert "Errors beside the baselines" in text
    assert text.count("<figure") >= 5
    table = pandas.read_csv(tmp_path / "run" / "forecast.csv")
    assert list(table["time"].unique()) == [80.0, 81.0, 82.0]
    assert (table["lower"] <= table["upper"]).all()
    assert not (tmp_path / "run" / "training").exists()


def test_forecast_prints_a_table_beside_the_baselines(call):
    code, out, err = call(*FORECAST, "--model", "autoregression", "--no-recurrent")
    assert code == 0, err
    for word in ("MAE", "RMSE", "last value", "autoregression (chosen)", "coverage"):
        assert word in out


def test_classify_writes_probabilities_for_all_nodes(call, tmp_path):
    code, out, err = call(*CLASSIFY, "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["accuracy"] == 1.0
    assert set(said["baselines"]) == {"gcn", "label_propagation"}
    table = pandas.read_csv(tmp_path / "run" / "predictions.csv")
    assert len(table) == 20
    np.testing.assert_allclose(table["probability_even"] + table["probability_odd"], 1.0, rtol=1e-5)
    assert "Beside the baselines" in (tmp_path / "run" / "report.html").read_text()


def refused(call, tmp_path, arguments, *words):
    before = sorted(entry.name for entry in tmp_path.iterdir())
    code, out, err = call(*arguments)
    assert code == 2, (code, out, err)
    assert out == ""
    assert err.count("\n") == 1, err
    for word in words:
        assert word in err, (word, err)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--horizon", "100"], ["horizon of 100"]),
        (["--history", "0"], ["history"]),
        (["--split", "1.5"], ["split", "1.5"]),
        (["--model", "oracle"], ["oracle", "auto"]),
        (["--model", "seasonal_mean"], ["period"]),
        (["--level", "2"], ["level"]),
        (["--period", "1"], ["period"]),
    ],
)
def test_bad_calls_of_forecast(call, tmp_path, extra, words):
    refused(call, tmp_path, [*FORECAST, *extra], *words)


def test_bad_states_of_forecast(call, tmp_path):
    states = tmp_path / "states.csv"
    good = states.read_text()
    states.write_text(good.replace("\n40,", "\n40.5,"))
    refused(call, tmp_path, FORECAST, "not regular", "40.5")
    states.write_text(good.replace("time,a,b,c,d", "time,a,b,c,stranger"))
    refused(call, tmp_path, FORECAST, "stranger", "not in the graph")
    states.write_text("\n".join(["time,a,b,c,d", *(f"{k},,,," for k in range(80))]) + "\n")
    refused(call, tmp_path, FORECAST, "all readings", "missing")


def test_bad_files_of_classify(call, tmp_path):
    features, labels = tmp_path / "features.csv", tmp_path / "labels.csv"
    good = labels.read_text()
    labels.write_text("node,label\n0,\n1,\n")
    refused(call, tmp_path, CLASSIFY, "labels of all nodes are missing")
    labels.write_text("node,label,part\n0,even,test\n1,odd,validation\n")
    refused(call, tmp_path, CLASSIFY, "no training nodes")
    labels.write_text(good.replace("\n7,", "\nstranger,"))
    refused(call, tmp_path, CLASSIFY, "labels.csv, row 9", "stranger")
    labels.write_text(good)
    features.write_text("\n".join(features.read_text().split("\n")[:15]) + "\n")
    refused(call, tmp_path, CLASSIFY, "14 rows for 20 nodes")
    refused(call, tmp_path, ["dynamics", "classify", "absent.npz", "--out", "run"], "absent.npz")
    refused(call, tmp_path, ["dynamics", "classify", "--out", "run"], "--graph")


def test_an_interrupted_forecast_goes_on_to_the_same_result(call, tmp_path, monkeypatch):
    """Interrupt before the last fit; the same command then ends as an undisturbed one does."""
    from graphtide.dynamics.forecast import learned

    line = [*FORECAST, "--model", "graph_ode_rnn", "--no-recurrent", "--json"]
    whole = json.loads(call(*line)[1])
    real, calls = learned.train, []

    def train(*arguments, **options):
        calls.append(options["epochs"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(learned, "train", train)
    line[line.index("run")] = "other"
    code, _, err = call(*line)
    assert code == 130, err
    kept = [entry.name for entry in (tmp_path / "other" / "training").iterdir()]
    assert kept == ["graph_ode_rnn_0_first.safetensors"]
    monkeypatch.setattr(learned, "train", real)
    again = json.loads(call(*line)[1])
    assert again["mae"] == whole["mae"]
    assert again["coverage"] == whole["coverage"]
