"""Runs: everything written is read again, and no folder of anybody else's is touched."""

import json

import numpy as np
import pandas
import pytest

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.run import Run
from graphtide.trajectory import Trajectory


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", kind="dynamics fit", configuration={"seed": 7})


def test_a_run_gives_back_what_it_got(run):
    graph = Graph.from_source("karate")
    states = np.random.default_rng(0).normal(size=(3, 34, 2))
    tensors = {"weight": states, "index": np.arange(4)}
    run.write_metrics({"error": np.float64(0.1), "count": np.int64(3), "missing": None})
    run.write_table("errors", pandas.DataFrame({"time": [0.5, 1.0], "role": ["train", "Ω"]}))
    run.write_tensors("model", tensors)
    run.write_graph(graph)
    run.write_trajectory("observed", Trajectory([0, 1, 2], states, graph=graph))
    again = Run.open(run.path, kind="dynamics fit")
    assert again.configuration == {"seed": 7}
    assert again.read_metrics() == {"error": 0.1, "count": 3, "missing": None}
    assert again.read_table("errors")["role"].tolist() == ["train", "Ω"]
    for name, value in again.read_tensors("model").items():
        assert np.array_equal(value, tensors[name])
    assert abs(again.read_graph().adjacency - graph.adjacency).max() == 0
    assert np.array_equal(again.read_trajectory("observed").states, states)


def test_a_run_tells_with_what_it_was_made(run):
    config = json.loads((run.path / "config.json").read_text())
    assert {"graphtide", "python", "packages", "created", "format_version"} <= set(config)
    assert {"torch", "numpy", "scipy"} <= set(config["packages"])


def test_a_run_replaces_a_run_and_nothing_else(run, tmp_path):
    (run.path / "old.txt").write_text("of the run before")
    Run.create(run.path, kind="dynamics fit", configuration={})
    assert not (run.path / "old.txt").exists()
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds other things than a run"):
        Run.create(thesis, kind="demo", configuration={})
    assert (thesis / "chapter.txt").read_text() == "years of work"
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text('{"kind": 3}')
    with pytest.raises(InputError, match="not a run"):
        Run.create(foreign, kind="demo", configuration={})
    assert (foreign / "config.json").exists()


def test_what_is_no_run_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        Run.open(tmp_path / "absent")
    with pytest.raises(InputError, match=r"holds no config\.json"):
        Run.open(tmp_path)
    with pytest.raises(InputError, match="run of 'dynamics fit'; 'demo' was expected"):
        Run.open(run.path, kind="demo")
    config = json.loads((run.path / "config.json").read_text())
    (run.path / "config.json").write_text(json.dumps({**config, "format_version": 999}))
    with pytest.raises(InputError, match="format version 999"):
        Run.open(run.path)
    (run.path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json"):
        Run.open(run.path)
