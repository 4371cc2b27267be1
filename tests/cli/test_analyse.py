"""The command ``dynamics analyse``: its figures, files and page, and the calls it refuses."""

from __future__ import annotations

import json

import pytest

EDGES = "source,target\na,b\nb,c\nc,d\nd,a\na,c\n"


@pytest.fixture(autouse=True)
def edges(tmp_path):
    (tmp_path / "edges.csv").write_text(EDGES)


@pytest.mark.slow
def test_an_equation_is_analysed(call, tmp_path):
    code, out, err = call(
        "dynamics", "analyse", "sis", "--graph", "edges.csv", "--param", "beta=0.2",
        "--vary", "beta=0.05:0.6", "--out", "run", "--json",
    )  # fmt: skip
    assert code == 0, err
    metrics = json.loads(out)
    assert set(metrics) >= {"law", "nodes", "stability", "robustness", "complexity", "report"}
    stability = metrics["stability"]
    assert stability["kind"] == "stable node"
    # The diamond's largest eigenvalue is (1 + sqrt 17)/2.
    threshold = 2 / (1 + 17**0.5)
    changes = [b for b in stability["bifurcations"] if b["stability_changes"]]
    assert any(abs(b["value"] - threshold) < 1e-4 for b in changes)
    assert metrics["complexity"]["description_length_bits"] > 0
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Bifurcation" in page or "Branch point" in page
    for name in ("fixed_points", "eigenvalues", "branches", "node_sensitivity", "modes"):
        assert (tmp_path / "run" / f"{name}.csv").is_file()


def test_a_continuum_and_no_fixed_point_are_said_in_words(call):
    code, out, _ = call(
        "dynamics", "analyse", "dx/dt = 1 + x^2", "--graph", "edges.csv", "--what", "stability",
        "--out", "b",
    )  # fmt: skip
    assert code == 0
    assert "No fixed point was found" in " ".join(out.split())
    code, out, _ = call(
        "dynamics", "analyse", "dx/dt = 1 + x^2", "--graph", "edges.csv", "--out", "d", "--json"
    )
    assert code == 0  # what needs a trajectory says why there is none, the rest stays
    found = json.loads(out)
    assert found["stability"]["fixed_points"] == 0
    assert "step" in found["robustness"]["failed"]
    assert call(
        "dynamics", "analyse", "dx/dt = 1 + x^2", "--graph", "edges.csv", "--what", "robustness",
        "--out", "e",
    )[0] == 1  # fmt: skip
    code, out, _ = call(
        "dynamics", "analyse", "heat", "--graph", "edges.csv", "--what", "stability", "--out", "c"
    )
    assert code == 0
    assert "continuum" in out


def test_a_learned_run_is_analysed_on_its_own_network(call):
    law = "dx/dt = 1 - x - 0.2*sum_j A_ij*x_i*x_j"
    call("dynamics", "simulate", law, "--graph", "edges.csv", "--times", "0:4:50", "--out", "s.csv")
    code, _, err = call("dynamics", "fit", "s.csv", "--graph", "edges.csv", "--out", "fitted")
    assert code == 0, err
    figures = {}
    for source, extra in (("fitted", []), (law, ["--graph", "edges.csv"])):
        code, out, err = call(
            "dynamics", "analyse", source, *extra, "--what", "stability", "--out", "run2", "--json"
        )
        assert code == 0, err
        figures[source] = json.loads(out)["stability"]["leading_eigenvalue"]
    assert figures["fitted"] == pytest.approx(figures[law], rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sis", "--graph", "edges.csv", "--what", "beauty"], ["'beauty'", "stability"]),
        (["sis", "--graph", "edges.csv", "--what", ","], ["no part"]),
        (["sis", "--graph", "edges.csv", "--vary", "beta=1"], ["NAME=LOW:HIGH"]),
        (["sis", "--graph", "edges.csv", "--vary", "beta=2:1"], ["LOW must lie below"]),
        (["sis", "--graph", "edges.csv", "--vary", "beta=a:b"], ["must be numbers"]),
        (["sis", "--graph", "edges.csv", "--vary", "q=0:1"], ["'q'", "beta"]),
        (["sis", "--graph", "edges.csv", "--vary", "beta=1:2"], ["not inside its range"]),
        (["sis", "--graph", "edges.csv", "--vary", "beta=0:1", "--what", "complexity"], ["--vary"]),
        (["sis", "--graph", "edges.csv", "--param", "q=1"], ["no parameter 'q'"]),
        (["sis"], ["--graph"]),
        (["no_such_law", "--graph", "edges.csv"], ["no_such_law"]),
        (["sis", "--graph", "absent.csv"], ["absent.csv"]),
        (["dx/dt = -r*x", "--graph", "edges.csv"], ["'r' has no value"]),
    ],
)
def test_bad_calls(call, tmp_path, arguments, words):
    code, out, err = call("dynamics", "analyse", *arguments, "--out", "run")
    assert code == 2, (code, out, err)
    assert out == ""
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert not (tmp_path / "run").exists()


@pytest.fixture
def fitted(call):
    network = ("--graph", "barabasi_albert:10:3")
    call("dynamics", "simulate", "gene", *network, "--out", "states.csv")
    call("dynamics", "fit", "states.csv", *network, "--out", "fitted")


@pytest.mark.slow
def test_resilience_takes_a_learned_run(call, fitted):
    code, out, err = call(
        "dynamics", "analyse", "fitted", "--what", "resilience", "--out", "a", "--json"
    )
    assert code == 0, err
    found = json.loads(out)["resilience"]
    assert found["effective_state"] > 0
    assert any("learned field runs off" in said for said in found["findings"])


@pytest.mark.slow
def test_control_takes_a_learned_run(call, fitted):
    code, out, err = call(
        "dynamics", "control", "fitted", "--target", "high", "--start", "0.5", "--drivers", "2",
        "--out", "c", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["reached"] is True
