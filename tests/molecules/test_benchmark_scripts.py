"""The benchmark of ZINC250k as its user runs it, on a few molecules; a GPU takes the same path."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from graphtide.data import zinc250k_sample

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize("model", ["construction", "flow_matching"])
def test_the_benchmark_of_zinc_writes_its_figures(model, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHTIDE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "molecules").mkdir()
    smiles = "\n".join(zinc250k_sample()["smiles"][:60]) + "\n"
    (tmp_path / "molecules/zinc250k.smi.gz").write_text(smiles)
    arguments = [
        *("--data", tmp_path, "--minutes", "0.001", "--models", model, "--steps", "2"),
        *("--number", "6", "--held-out", "20", "--results", tmp_path, "--device", "cpu"),
    ]
    monkeypatch.setattr(sys, "argv", ["zinc250k.py", *map(str, arguments)])
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    runpy.run_path(str(BENCHMARKS / "zinc250k.py"), run_name="__main__")
    found = json.loads((tmp_path / "zinc250k.json").read_text())[f"{model}, 0.001 minutes"]
    assert found["validity"] == 1.0
    assert found["number"] == 6
    assert ("steps_of_sampling" in found) == (model == "flow_matching")


def test_the_benchmark_of_goal_directed_tasks_keeps_its_figures(tmp_path, monkeypatch, capsys):
    (tmp_path / "molecules").mkdir()
    smiles = "\n".join(zinc250k_sample()["smiles"][:40]) + "\n"
    (tmp_path / "molecules/zinc250k.smi.gz").write_text(smiles)
    arguments = [
        *("--data", tmp_path, "--tasks", "median1", "--seeds", "0", "--methods", "genetic"),
        *("--budget", "60", "--results", tmp_path),
    ]
    monkeypatch.setattr(sys, "argv", ["goal_directed.py", *map(str, arguments)])
    for run in range(2):
        runpy.run_path(str(BENCHMARKS / "goal_directed.py"), run_name="__main__")
        said = capsys.readouterr().out
        assert ("median1, genetic, seed 0" in said) == (run == 0)  # what is there is not run again
        assert "published sums over 23 tasks" in said
    found = json.loads((tmp_path / "goal_directed_60.json").read_text())
    figures = found["median1"]["genetic"]["0"]
    assert figures["calls"] == 60
    assert 0 < figures["area_under_top_10"] < figures["best"]
