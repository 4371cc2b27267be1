"""The commands as a user runs them: simulate, learn, predict, discover, and close the loop."""

import gzip
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import typer
from rich.text import Text

from graphtide.cli.console import show_metrics
from graphtide.cli.main import app
from graphtide.trajectory import Trajectory

GRAPH = "grid:6:6"
HEAT = "dx/dt = k*sum_j A_ij*(x_j - x_i)"


def figures(outcome):
    """Return the one JSON object that a command printed, and nothing else there."""
    code, out, err = outcome
    assert code == 0, err
    return json.loads(out)


def write_start(path, names, states):
    rows = [f"{name},{x!r}" for name, x in zip(names, states.tolist(), strict=True)]
    path.write_text("\n".join(["node,x", *rows]) + "\n")


@pytest.fixture
def simulated(call):
    figures(
        call("dynamics", "simulate", HEAT, "--graph", GRAPH, "--param", "k=0.5", "--times",
             "0:4:81", "--seed", "3", "--out", "states.csv", "--json")
    )  # fmt: skip


def test_one_seed_gives_one_simulation(call, tmp_path):
    line = ("dynamics", "simulate", "sir", "--graph", "karate", "--times", "0:5:11", "--noise",
            "0.05", "--json", "--out")  # fmt: skip
    said = [
        figures(call(*line, f"{name}.csv", "--seed", seed)) for name, seed in ("a0", "b0", "c1")
    ]
    assert said[0]["nodes"] == 34
    one, same, other = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert one == same != other


def test_the_seed_of_a_command_does_not_change_its_network(call):
    law = ("dynamics", "simulate", HEAT, "--graph", "barabasi_albert:60:2", "--param", "k=0.5",
           "--times", "0:4:81")  # fmt: skip
    call(*law, "--seed", "3", "--out", "states.csv")
    found = figures(
        call("mechanisms", "equation", "states.csv", "--graph", "barabasi_albert:60:2", "--out",
             "run", "--json")
    )  # fmt: skip
    assert found["equation"] == "dx/dt = 0.5*sum_j A_ij*(x_j - x_i)"


def test_a_learned_field_predicts_what_the_law_does(call, simulated):
    learned = figures(
        call("dynamics", "fit", "states.csv", "--graph", GRAPH, "--out", "run", "--json",
             "--holdout", "interpolate=0.2,extrapolate=0.2")
    )  # fmt: skip
    assert learned["relative_error_interpolation"] < 1e-4
    assert learned["relative_error_extrapolation"] < 1e-4
    assert learned["last_value_relative_error_extrapolation"] > 1e-3
    told = figures(
        call("dynamics", "predict", "run", "--times", "0:8:5", "--out", "p.csv", "--json")
    )
    assert (told["nodes"], told["times"]) == (36, 5)
    call("dynamics", "simulate", HEAT, "--graph", GRAPH, "--param", "k=0.5", "--times", "0:8:5",
         "--seed", "3", "--out", "truth.npz")  # fmt: skip
    predicted, truth = Trajectory.read("p.csv"), Trajectory.read("truth.npz")
    assert np.abs(predicted.states - truth.states).mean() < 1e-4 * np.abs(truth.states).mean()


def test_a_learned_field_predicts_another_graph_from_a_start(call, simulated, tmp_path):
    call("dynamics", "fit", "states.csv", "--graph", GRAPH, "--out", "run")
    call("dynamics", "simulate", HEAT, "--graph", "small_world:50:4:0.3", "--param", "k=0.5",
         "--times", "0:4:9", "--seed", "5", "--out", "truth.csv")  # fmt: skip
    truth = Trajectory.read("truth.csv")
    low, high = (float(f(Trajectory.read("states.csv").states)) for f in (np.min, np.max))
    inside = np.clip(truth.states[0, :, 0], low, high)
    write_start(tmp_path / "start.csv", truth.names, inside)
    law = ("--graph", "small_world:50:4:0.3", "--start", "start.csv", "--times", "0:4:9", "--out")
    call("dynamics", "predict", "run", *law, "p.csv")
    call("dynamics", "simulate", HEAT, "--param", "k=0.5", *law, "truth.csv")
    predicted, truth = Trajectory.read("p.csv"), Trajectory.read("truth.csv")
    assert np.abs(predicted.states - truth.states).mean() < 1e-3 * np.abs(truth.states).mean()


def test_a_discovered_law_simulates_the_data_again(call, simulated, tmp_path):
    found = figures(
        call("mechanisms", "equation", "states.csv", "--graph", GRAPH, "--out", "law", "--json")
    )
    assert found["equation"].startswith("dx/dt = ")
    assert "sum_j A_ij*(x_j - x_i)" in found["equation"]
    states = Trajectory.read("states.csv")
    write_start(tmp_path / "start.csv", states.names, states.states[0, :, 0])
    code, out, err = call(
        "dynamics", "simulate", "law/equation.json", "--graph", GRAPH, "--times", "0:4:81",
        "--start", "start.csv", "--out", "again.csv"
    )  # fmt: skip
    assert code == 0, err
    assert "again.csv" in out
    again = Trajectory.read("again.csv")
    assert np.abs(again.states - states.states).mean() < 1e-3 * np.abs(states.states).mean()


def test_a_report_is_written_again(call, simulated, tmp_path):
    call("mechanisms", "equation", "states.csv", "--graph", GRAPH, "--out", "law")
    page = (tmp_path / "law" / "report.html").read_bytes()
    (tmp_path / "law" / "report.html").unlink()
    assert figures(call("report", "law", "--json"))["report"] == "law/report.html"
    assert (tmp_path / "law" / "report.html").read_bytes() == page


def test_untidy_files_just_work(call, simulated, tmp_path):
    """A byte-order mark, CRLF, gzip, names in any script, a self-loop, holes, a lonely node."""
    names = ["Łódź", "北京", "a, b", "Ψ", "lonely"]
    edges = ["source,target,weight", "Łódź,北京,1", '北京,"a, b",2', "Ψ,Ψ,1", '"a, b",Ψ,1']
    edges.append("lonely,lonely,0")
    (tmp_path / "edges.csv").write_bytes(("\ufeff" + "\r\n".join(edges) + "\r\n").encode())
    generator = np.random.default_rng(0)
    times = np.linspace(0, 3, 40)
    states = np.exp(-np.outer(times, generator.uniform(0.2, 1.0, 5))) + 1.0
    rows = ["time," + ",".join(f'"{name}"' for name in names)]
    rows += [
        f"{t!r}," + ",".join(map(repr, row))
        for t, row in zip(times.tolist(), states.tolist(), strict=True)
    ]
    rows[5] = rows[5].rsplit(",", 1)[0] + ","
    (tmp_path / "states.csv.gz").write_bytes(gzip.compress(("\ufeff" + "\r\n".join(rows)).encode()))
    data = ("states.csv.gz", "--graph", "edges.csv", "--json", "--out")
    assert figures(call("dynamics", "fit", *data, "run"))["relative_error_train"] < 0.2
    assert figures(call("mechanisms", "equation", *data, "law"))["nodes_used"] == 5
    assert "北京" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_the_doctor_finds_the_machine_in_health(call):
    assert figures(call("doctor", "--json"))["healthy"] is True


def test_no_help_loses_words_in_brackets_as_markup():
    def every(command):
        yield command
        for name in getattr(command, "commands", {}):
            yield from every(command.commands[name])

    texts = [
        text
        for command in every(typer.main.get_command(app))
        for text in [command.help, *(getattr(option, "help", None) for option in command.params)]
        if text
    ]
    assert len(texts) > 200
    for text in texts:
        shown = Text.from_markup(text).plain
        assert shown == text.replace("\\[", "["), text


def test_brackets_in_figures_are_no_markup(capsys):
    show_metrics({"extra": "graphtide[pyg]"}, json=False, title="a table")
    assert "graphtide[pyg]" in capsys.readouterr().out


def test_a_long_smiles_stays_on_its_line_where_there_is_no_terminal(capsys):
    chain = "C" * 500
    show_metrics({"best": [f"1.5  {chain}", "0.5  CC"]}, json=False, title="a table")
    assert f"1.5  {chain}\n" in capsys.readouterr().out


@pytest.mark.slow
def test_the_demonstration_learns_real_data_and_finds_a_known_law(call, tmp_path):
    told = figures(call("demo", "--out", "demo", "--json"))
    error = "forecast_relative_error_"
    assert told[f"{error}graphtide"] < 0.9 * told[f"{error}last value"]
    assert told[f"{error}graphtide"] < 0.9 * told[f"{error}linear trend"]
    assert told["heat_law_found"] == told["heat_law_true"]
    assert (tmp_path / "demo" / "report.html").stat().st_size < 2_000_000


def test_an_interrupted_command_says_so_and_leaves_nothing(tmp_path):
    """Send the signal of Ctrl-C once the process has begun to read its states."""
    os.mkfifo(tmp_path / "states.csv")
    command = [sys.executable, "-m", "graphtide", "dynamics", "fit", "states.csv"]
    process = subprocess.Popen(
        [*command, "--graph", "karate", "--out", "run"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with (tmp_path / "states.csv").open("w"):  # opens only when the command opens it, too
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "graphtide: interrupted\n")
    assert not (tmp_path / "run").exists()
