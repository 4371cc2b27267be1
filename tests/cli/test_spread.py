"""Commands of spread: stochastic simulation."""

import json

import pandas
import pytest


def test_stochastic_simulation_writes_quantiles_beside_the_mean_field(call, tmp_path):
    code, out, _ = call(
        *("dynamics", "simulate", "sir", "--graph", "complete:60", "--stochastic", "--runs", "40"),
        *("--param", "beta=0.02", "--times", "0:6:7", "--out", "runs.csv", "--json"),
    )
    assert code == 0
    metrics = json.loads(out)
    assert metrics["runs"] == 40
    assert metrics["law"] == "sir"
    table = pandas.read_csv(tmp_path / "runs.csv")
    means = table[["S_mean", "I_mean", "R_mean"]]
    assert means.sum(axis=1).to_numpy() == pytest.approx(60)
    assert (table["I_q05"] <= table["I_q50"]).all()
    assert (table["I_q50"] <= table["I_q95"]).all()
    # On a complete graph the mean of runs follows the mean field.
    assert (means["S_mean"] - table["S_mean_field"]).abs().max() < 6


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
