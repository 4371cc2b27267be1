"""Options of ``mechanisms equation`` as a newcomer gives them, right and wrong."""

import json

import numpy as np
import pandas
import pytest

from graphtide.dynamics.catalogue import CATALOGUE
from graphtide.dynamics.simulate import simulate
from graphtide.graph import Graph

GRAPH = Graph.from_source("barabasi_albert:16:2", seed=3)


@pytest.fixture(autouse=True)
def files(tmp_path):
    """Write two tables of states and their network."""
    GRAPH.write(tmp_path / "edges.csv")
    for k in range(2):
        times = np.linspace(0, 2, 60)
        states = simulate(CATALOGUE["heat"].equation, GRAPH, times, noise=0.01, seed=k)
        states.write(tmp_path / f"s{k}.csv")


def test_several_tables_a_library_and_node_effects(call, tmp_path):
    (tmp_path / "terms.txt").write_text("x^5\nsum_j A_ij*(x_j^2 - x_i^2)\n")
    code, out, err = call(
        "mechanisms", "equation", "s0.csv", "s1.csv", "--graph", "edges.csv", "--out", "run",
        "--library", "terms.txt", "--node-effects", "1", "--json",
    )  # fmt: skip
    assert code == 0, err
    printed = json.loads(out)
    assert printed["node_effects"] == ["1"]
    assert "sum_j A_ij*(x_j - x_i)" in printed["equation"]
    table = pandas.read_csv(tmp_path / "run" / "node_effects.csv")
    assert list(table.columns) == [
        "node", "variable", "term", "attribute", "value", "standard_error",
    ]  # fmt: skip
    assert (table["value"].abs() < 5 * table["standard_error"] + 0.05).all()  # heat has none
    terms = pandas.read_csv(tmp_path / "run" / "terms.csv")
    assert (terms["low"] < terms["coefficient"]).all()
    assert (terms["coefficient"] < terms["high"]).all()


@pytest.mark.slow
def test_inferred_network_is_written(call, tmp_path):
    tables = []
    for k in range(5):
        states = simulate(
            CATALOGUE["sis"].equation, GRAPH, np.linspace(0, 4, 80), noise=0.01, seed=k
        )
        states.write(tmp_path / f"t{k}.csv")
        tables.append(f"t{k}.csv")
    code, out, err = call(
        "mechanisms", "equation", *tables, "--infer-graph", "--out", "run", "--json"
    )
    assert code == 0, err
    printed = json.loads(out)
    edges = pandas.read_csv(tmp_path / "run" / "edges.csv")
    assert printed["network"]["edges"] == edges["kept"].sum() > 0
    assert edges["score"].is_monotonic_decreasing


BAD = {
    "no graph": (["s0.csv"], ["--graph is missing", "--infer-graph"]),
    "graph and inferring": (["s0.csv", "--graph", "edges.csv", "--infer-graph"], ["exclude"]),
    "graphs for two of three": (
        ["s0.csv", "s1.csv", "s0.csv", "--graph", "edges.csv", "--graph", "edges.csv"],
        ["2 times for 3"],
    ),
    "library missing": (["s0.csv", "--graph", "edges.csv", "--library", "no.txt"], ["no.txt"]),
    "library line": (
        ["s0.csv", "--graph", "edges.csv", "--library", "bad.txt"],
        ["bad.txt, line 2", "bracket"],
    ),
    "terms none alone": (["s0.csv", "--graph", "edges.csv", "--terms", "none"], ["nothing"]),
    "terms unknown": (["s0.csv", "--graph", "edges.csv", "--terms", "some"], ["some"]),
    "effect empty": (["s0.csv", "--graph", "edges.csv", "--node-effects", "1,"], ["empty"]),
    "effect unknown": (["s0.csv", "--graph", "edges.csv", "--node-effects", "q"], ["'q'"]),
    "robust unknown": (["s0.csv", "--graph", "edges.csv", "--robust", "maybe"], ["maybe"]),
    "other variables": (["s0.csv", "two.csv", "--graph", "edges.csv"], ["two.csv", "variables"]),
    "one series for many": (["short.csv", "--infer-graph"], ["give more tables"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_options_are_one_sentence_and_write_nothing(call, tmp_path, name):
    arguments, words = BAD[name]
    (tmp_path / "bad.txt").write_text("x\nx*(1 -\n")
    two = simulate(CATALOGUE["sir"].equation, GRAPH, np.linspace(0, 2, 40), seed=0)
    two.write(tmp_path / "two.csv")
    one = simulate(CATALOGUE["heat"].equation, GRAPH, np.linspace(0, 2, 30), noise=0.1, seed=0)
    one.write(tmp_path / "short.csv")
    before = sorted(entry.name for entry in tmp_path.iterdir())
    code, out, err = call("mechanisms", "equation", *arguments, "--out", "run")
    assert code == 2, (code, out, err)
    assert out == ""
    assert err.count("\n") == 1, err
    for word in words:
        assert word in err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == before
