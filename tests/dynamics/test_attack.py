"""Attacks on a trained classifier: reloaded exactly, and never weaker than no attack."""

import json

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from graphtide.dynamics.classify import NodeTask, classify
from graphtide.dynamics.classify.attack import attack
from graphtide.dynamics.classify.reloading import load
from graphtide.dynamics.classify.training import Rules
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    generator = np.random.default_rng(0)
    label = np.arange(60) % 3
    chance = np.where(label[:, None] == label, 0.3, 0.03)
    upper = np.triu(generator.random((60, 60)) < chance, 1)
    graph = Graph(np.array(np.nonzero(upper | upper.T)), node_count=60)
    features = (generator.random((60, 12)) < 0.1 + 0.3 * np.eye(3)[label].repeat(4, 1)) * 1.0
    order = generator.permutation(60)
    parts = order[:12], order[12:30], order[30:]
    task = NodeTask(graph, csr_array(features), label, ("a", "b", "c"), *parts)
    found = classify(task, seeds=1, depth=2.0, rules=Rules(epochs=40, patience=20))
    made = Run.create(tmp_path_factory.mktemp("runs") / "run", kind="dynamics classify",
                      configuration={})  # fmt: skip
    found.save(made)
    return made, found


def test_the_network_is_read_back_with_its_weights(run):
    made, found = run
    trained = load(made)
    with torch.no_grad():
        again = trained.network(trained.features)
        before = found.network.eval()(found.features)
        encoded = trained.network.said_of(trained.features @ trained.network.encoder)
    assert torch.equal(again, before)
    torch.testing.assert_close(encoded, again)
    assert trained.classes == ("a", "b", "c")


def test_larger_attacks_leave_less_and_random_changes_more(run):
    trained = load(run[0])
    found = attack(trained, radii=(0.0, 0.1, 0.5, 2.0), steps=10)
    said = trained.network(trained.features)[torch.from_numpy(trained.test)].argmax(dim=1)
    right = float((said.numpy() == trained.target[trained.test]).mean())
    assert found.attacked[0] == found.random[0] == pytest.approx(right)
    assert (np.diff(found.attacked) <= 0).all()
    assert (found.attacked <= found.random + 1e-12).all()
    assert found.attacked[-1] < 0.5 * right


def test_the_changes_of_an_attack_stay_within_the_ball():
    from graphtide.dynamics.classify.attack import _projected

    change = torch.randn(50, 7)
    limit = torch.tensor(0.7)
    cut = _projected(change, limit)
    assert float(cut.norm(dim=1).max()) <= 0.7 + 1e-6
    inside = change.norm(dim=1) <= 0.7
    torch.testing.assert_close(cut[inside], change[inside])


def test_a_regression_is_refused(run):
    trained = load(run[0])
    values = type(trained)(trained.network, trained.features, trained.target, trained.test, ())
    with pytest.raises(InputError, match="values"):
        attack(values)


def test_the_command_attacks_a_run(run, tmp_path, monkeypatch, capsys):
    from graphtide.cli.main import run as call

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        call(["dynamics", "analyse", str(run[0].path), "--out", "out", "--json"])
    assert not ended.value.code
    found = json.loads(capsys.readouterr().out)["attack"]
    assert found["accuracy_attacked"][0] >= found["accuracy_attacked"][-1]
    assert "Attacks" in (tmp_path / "out/report.html").read_text(encoding="utf-8")
