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
        *("--work", tmp_path / "work"),
    ]
    monkeypatch.setattr(sys, "argv", ["zinc250k.py", *map(str, arguments)])
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    runpy.run_path(str(BENCHMARKS / "zinc250k.py"), run_name="__main__")
    found = json.loads((tmp_path / "zinc250k.json").read_text())[f"{model}, 0.001 minutes"]
    assert found["validity"] == 1.0
    assert found["number"] == 6
    assert ("steps_of_sampling" in found) == (model == "flow_matching")
    arguments += ["--add", "--steps", "3", "--distortion", "2"]
    monkeypatch.setattr(sys, "argv", ["zinc250k.py", *map(str, arguments)])
    runpy.run_path(str(BENCHMARKS / "zinc250k.py"), run_name="__main__")
    more = json.loads((tmp_path / "zinc250k.json").read_text())[f"{model}, 0.001 minutes"]
    if model == "flow_matching":
        assert list(more.pop("steps_of_sampling")) == ["2", "3, distortion 2"]
        assert list(found.pop("steps_of_sampling")) == ["2"]
    assert more == found  # nothing else was made anew


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


def test_the_benchmark_of_constrained_optimisation_keeps_its_figures(tmp_path, monkeypatch, capsys):
    (tmp_path / "molecules").mkdir()
    lines = "\n".join(f"{text} 0.0" for text in zinc250k_sample()["smiles"][:4]) + "\n"
    (tmp_path / "molecules/zinc_constrained_800.txt.gz").write_text(lines)
    arguments = [
        *("--data", tmp_path, "--work", tmp_path / "work", "--results", tmp_path),
        *("--leads", "1", "--budget", "6"),
    ]
    monkeypatch.setattr(sys, "argv", ["constrained.py", *map(str, arguments)])
    for _ in range(2):  # the second time nothing is run again
        runpy.run_path(str(BENCHMARKS / "constrained.py"), run_name="__main__")
        found = json.loads((tmp_path / "constrained_6.json").read_text())
        rows = (tmp_path / "work/constrained_6.jsonl").read_text().splitlines()
        assert len(rows) == 8
    for table in ("80 atoms", "38 atoms, SA <= 4.5"):
        bounds = [f"{table}, similarity {bound}" for bound in ("0.6", "0.4", "0.2", "0")]
        gains = [found[bound]["mean_gain"] for bound in bounds]
        assert gains == sorted(gains)
        assert found[f"{table}, similarity 0"]["calls_a_lead"] <= 25
    assert "MoFlow (published)" in capsys.readouterr().out
