"""Commands of spread: stochastic simulation."""

import json

import numpy as np
import pandas
import pytest


def test_stochastic_simulation_writes_quantiles_beside_the_mean_field(call, tmp_path):
    code, out, _ = call(
        *("dynamics", "simulate", "sir", "--graph", "complete:200", "--stochastic", "--runs", "40"),
        *("--param", "beta=0.01", "--times", "0:6:7", "--out", "runs.csv", "--json"),
    )
    assert code == 0
    metrics = json.loads(out)
    assert metrics["runs"] == 40
    assert metrics["law"] == "sir"
    table = pandas.read_csv(tmp_path / "runs.csv")
    means = table[["S_mean", "I_mean", "R_mean"]]
    assert means.sum(axis=1).to_numpy() == pytest.approx(200)
    assert (table["I_q05"] <= table["I_q50"]).all()
    assert (table["I_q50"] <= table["I_q95"]).all()
    # On a complete graph the mean of runs follows the mean field.
    assert (means["S_mean"] - table["S_mean_field"]).abs().max() < 20


def test_all_runs_and_their_infections_agree(call, tmp_path):
    code, _, _ = call(
        *("dynamics", "simulate", "sis", "--graph", "karate", "--stochastic", "--runs", "3"),
        *("--times", "0:2:5", "--all-runs", "--out", "runs.csv", "--cascades", "cascades.csv"),
    )
    assert code == 0
    table = pandas.read_csv(tmp_path / "runs.csv")
    infections = pandas.read_csv(tmp_path / "cascades.csv")
    assert list(infections.columns) == ["cascade", "node", "time", "parent", "recovery"]
    for k, run in table.groupby("run"):
        mine = infections[infections["cascade"] == k]
        sick = (mine["recovery"].isna() | (mine["recovery"] > 2.0)).sum()
        assert run["I"].iloc[-1] == sick


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["heat", "--stochastic"], ["mean field", "sir"]),
        (["sir", "--stochastic", "--param", "beta=-1"], ["beta is -1"]),
        (["sir", "--stochastic", "--noise", "0.1"], ["--noise"]),
        (["sir", "--stochastic", "--method", "rk4"], ["--method"]),
        (["sir", "--all-runs"], ["--stochastic"]),
        (["sir", "--stochastic", "--cascades", "c.txt"], ["c.txt", ".csv"]),
    ],
)
def test_bad_stochastic_calls(call, tmp_path, arguments, words):
    code, out, err = call("dynamics", "simulate", *arguments, "--graph", "karate", "--out", "o.csv")
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert not list(tmp_path.iterdir())


def test_states_of_nodes_tell_the_law(call, tmp_path):
    from graphtide import Graph
    from graphtide.spread.epidemic import simulate_epidemic
    from graphtide.spread.laws import EPIDEMIC_LAWS, seeded_start

    graph = Graph.from_source("barabasi_albert:300:3", seed=0)
    law = EPIDEMIC_LAWS["seir"].equation(beta=0.8, sigma=2.0, gamma=0.7)
    times, start = np.arange(0.0, 4.0, 0.1), seeded_start(law, graph, np.arange(0, 300, 20))
    simulate_epidemic(law, graph, times, start, runs=1, nodes=True).nodes.write(
        tmp_path / "states.csv"
    )
    arguments = ("mechanisms", "spread", "states.csv", "--graph", "barabasi_albert:300:3")
    code, out, _ = call(*arguments, "--out", "run", "--runs", "20", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["law"] == "seir"
    for name, true in (("infection", 0.8), ("incubation", 2.0), ("recovery", 0.7)):
        assert found["rates"][name]["low"] < true < found["rates"][name]["high"]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "in 40 readings" in page
    code, out, err = call("mechanisms", "spread", "states.csv", "--out", "other")
    assert (code, out) == (2, "")
    assert "needs a network, --graph" in err
    code, _, err = call(*arguments, "--until", "3", "--out", "other")
    assert code == 2
    assert "--until" in err
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_seir_cascades_are_written_and_read_with_their_incubation(call, tmp_path):
    code, _, _ = call(
        *("dynamics", "simulate", "seir", "--graph", "karate", "--stochastic", "--runs", "60"),
        *("--param", "beta=0.4", "--param", "sigma=1.5", "--param", "gamma=0.5", "--seed", "1"),
        *("--times", "0:30:4", "--out", "runs.csv", "--cascades", "cascades.csv"),
    )
    assert code == 0
    columns = list(pandas.read_csv(tmp_path / "cascades.csv").columns)
    assert columns == ["cascade", "node", "time", "parent", "infectious", "recovery"]
    code, out, _ = call(
        *("mechanisms", "spread", "cascades.csv", "--graph", "karate", "--until", "30"),
        *("--runs", "20", "--out", "run", "--json"),
    )
    assert code == 0
    found = json.loads(out)
    assert found["law"] == "seir"
    for name, true in (("infection", 0.4), ("incubation", 1.5), ("recovery", 0.5)):
        rate = found["rates"][name]
        assert abs(rate["value"] - true) < 3.5 * rate["standard_error"]


def growth_curve(path):
    rows = [f"{k},{1000 / (1 + 99 * 0.7**k):.3f},{2 * k * k + 5}" for k in range(1, 31)]
    path.write_text("time,users,links\n" + "\n".join(rows) + "\n")


def test_growth_writes_a_law_a_forecast_and_a_page(call, tmp_path):
    growth_curve(tmp_path / "curve.csv")
    arguments = ("mechanisms", "growth", "curve.csv", "--links", "links", "--horizon", "7")
    code, out, _ = call(*arguments, "--out", "run", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["best"] == "logistic"
    law = found["laws"][0]
    assert law["parameters"]["N"] == pytest.approx(1000, rel=1e-3)
    assert len(found["forecast"]["time"]) == 7
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "logistic" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    code, _, _ = call(
        *("dynamics", "simulate", "run", "--times", "1:30:30", "--out", "again.csv"),
    )
    assert code == 0


def test_a_shrinking_curve_is_refused(call, tmp_path):
    (tmp_path / "curve.csv").write_text(
        "time,size\n" + "".join(f"{k},{100 - 3 * k}\n" for k in range(12))
    )
    code, out, err = call("mechanisms", "growth", "curve.csv", "--out", "run")
    assert code == 2
    assert out == ""
    assert "curve.csv, row 9: the size falls from 100 to 79" in err
    assert not (tmp_path / "run").exists()


def outbreaks(call):
    code, _, _ = call(
        *("dynamics", "simulate", "sir", "--graph", "barabasi_albert:80:2", "--stochastic"),
        *("--runs", "30", "--times", "0:10:3", "--out", "runs.csv", "--cascades", "cascades.csv"),
    )
    assert code == 0


def test_spread_reads_what_the_simulation_wrote(call, tmp_path):
    outbreaks(call)
    arguments = ("mechanisms", "spread", "cascades.csv", "--graph", "barabasi_albert:80:2")
    code, out, _ = call(*arguments, "--until", "10", "--seeds", "2", "--out", "run", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["law"] == "sir"
    for name, true in (("infection", 0.2), ("recovery", 0.5)):
        rate = found["rates"][name]
        assert abs(rate["value"] - true) < 4 * rate["standard_error"]
    assert len(found["influential_nodes"]) == 2
    assert found["influence_guarantee"] > 0.58
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "structural virality" in page
    assert "The most influential nodes" in page
    assert page.count("<figcaption>") >= 3


def test_spread_infers_the_network_where_none_is_given(call, tmp_path):
    outbreaks(call)
    code, out, _ = call("mechanisms", "spread", "cascades.csv", "--out", "run", "--json")
    assert code == 0
    assert json.loads(out)["inferred_edges"] > 0
    edges = pandas.read_csv(tmp_path / "run" / "network.csv")
    assert {"source", "target", "weight", "standard_error"} <= set(edges.columns)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a,0,0\na,99,1\n", ["c.csv, row 3", "'99'"]),
        ("a,0,1\na,1,0\n", ["c.csv, row 3", "order of time"]),
    ],
)
def test_bad_cascades_end_in_one_sentence(call, tmp_path, rows, words):
    (tmp_path / "c.csv").write_text("cascade,node,time\n" + rows)
    code, out, err = call("mechanisms", "spread", "c.csv", "--graph", "karate", "--out", "run")
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert not (tmp_path / "run").exists()
