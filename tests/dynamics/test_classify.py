"""Classes and values of nodes: what is refused, what propagation is exactly, what is learned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from graphtide.dynamics.classify import NodeTask, classify, read_task, read_task_npz
from graphtide.dynamics.classify.networks import (
    Convolution,
    DiffusionNetwork,
    Shape,
    with_self_loops,
)
from graphtide.dynamics.classify.propagation import propagate_labels
from graphtide.dynamics.classify.training import Rules, prepared_features, train_network
from graphtide.errors import InputError
from graphtide.graph import Graph

RULES = Rules(epochs=60, patience=20)


def communities(count=90, seed=0):
    """Return three groups, more edges within than between, and features that are mostly noise."""
    generator = np.random.default_rng(seed)
    label = np.arange(count) % 3
    chance = np.where(label[:, None] == label, 0.25, 0.02)
    upper = np.triu(generator.random((count, count)) < chance, 1)
    graph = Graph(np.array(np.nonzero(upper | upper.T)), node_count=count)
    features = (generator.random((count, 30)) < 0.1 + 0.3 * np.eye(3)[label].repeat(10, 1)) * 1.0
    order = generator.permutation(count)
    return NodeTask(
        graph, csr_array(features), label, ("a", "b", "c"), order[:12], order[12:36], order[36:]
    )


def npz(path, **changes):
    task = communities()
    source, target = task.graph.edge_index
    table = task.features.tocoo()
    arrays = {
        "edges": np.stack([source, target], axis=1)[source < target],
        "feature_row": table.row,
        "feature_column": table.col,
        "feature_value": table.data,
        "shape": np.array(table.shape),
        "labels": task.target,
        "train": task.train,
        "validation": task.validation,
        "test": task.test,
    }
    arrays.update(changes)
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def test_a_file_gives_the_task_that_was_written(tmp_path):
    task, read = communities(), read_task_npz(npz(tmp_path / "task.npz"))
    np.testing.assert_array_equal(read.graph.adjacency.toarray(), task.graph.adjacency.toarray())
    np.testing.assert_array_equal(read.features.toarray(), task.features.toarray())
    for name in ("target", "train", "validation", "test"):
        np.testing.assert_array_equal(getattr(read, name), getattr(task, name))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": np.full(90, -1)}, "labels of all nodes are missing"),
        ({"train": np.zeros(0, dtype=int)}, "no training nodes"),
        ({"validation": np.zeros(0, dtype=int)}, "no validation nodes"),
        ({"labels": np.zeros(80, dtype=int)}, "80 targets were given for 90 nodes"),
        ({"labels": None}, "'labels' is missing"),
        ({"edges": np.array([[0, 90]])}, "node 90"),
        ({"train": np.array([0, 0])}, "twice"),
        ({"train": np.array([0, 95])}, "node 95"),
        ({"shape": np.array([80, 30])}, "task.npz"),
        ({"feature_value": None}, "feature_value"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        read_task_npz(npz(tmp_path / "task.npz", **changes))


def write_tables(folder, *, rows=90, part=True):
    task = communities()
    features = task.features.toarray()
    lines = [",".join(["node", *(f"f{k}" for k in range(30))])]
    lines += [",".join([str(i), *map(str, features[i])]) for i in range(rows)]
    (folder / "features.csv").write_text("\n".join(lines) + "\n")
    said = np.full(90, "", dtype=object)
    for name in ("train", "validation", "test"):
        said[getattr(task, name)] = name
    lines = [f"{i},{'abc'[task.target[i]]}" + (f",{said[i]}" if part else "") for i in range(90)]
    header = "node,label,part" if part else "node,label"
    (folder / "labels.csv").write_text("\n".join([header, *lines]) + "\n")
    return task


def test_tables_give_the_same_task(tmp_path):
    task = write_tables(tmp_path)
    read = read_task(task.graph, tmp_path / "features.csv", tmp_path / "labels.csv")
    assert read.classes == ("a", "b", "c")
    np.testing.assert_array_equal(read.target, task.target)
    np.testing.assert_array_equal(np.sort(read.train), np.sort(task.train))
    write_tables(tmp_path, part=False)
    drawn = read_task(task.graph, tmp_path / "features.csv", tmp_path / "labels.csv")
    assert [len(drawn.train), len(drawn.validation), len(drawn.test)] == [54, 18, 18]


def test_rows_that_do_not_match_the_nodes_are_refused(tmp_path):
    task = write_tables(tmp_path, rows=88)
    with pytest.raises(InputError, match="88 rows for 90 nodes: node '88' has no features"):
        read_task(task.graph, tmp_path / "features.csv", tmp_path / "labels.csv")
    with pytest.raises(InputError, match="'80' is not a node"):
        read_task(Graph.from_source("ring:80"), tmp_path / "features.csv", tmp_path / "labels.csv")


def test_propagation_solves_its_fixed_point():
    """After many rounds F = (1 - a) (I - a S)^(-1) Y up to a^60; classes then are its maxima."""
    task = communities()
    said = propagate_labels(task)
    np.testing.assert_allclose(said.sum(axis=1), 1.0)
    k = task.graph.degree
    matrix = task.graph.adjacency.toarray() / np.sqrt(np.outer(k, k))
    known = np.zeros((90, 3))
    known[task.train, task.target[task.train]] = 1.0
    exact = [np.linalg.solve(np.eye(90) - a * matrix, known) for a in (0.5, 0.8, 0.9)]
    exact = [values / values.sum(axis=1, keepdims=True) for values in exact]
    nearest = min(np.abs(values - said).max() for values in exact)
    assert nearest < 1e-3
    assert (said[task.test].argmax(1) == task.target[task.test]).mean() > 0.6


def test_without_step_size_error_a_layer_is_a_graph_convolution():
    """At rate one, Euler's step of one is h <- A' h."""
    task = communities()
    graph = with_self_loops(task.graph)
    network = DiffusionNetwork(graph, Shape(30, 3, width=4, depth=3.0)).double().eval()
    features = prepared_features(task, scale_rows=True).to(dtype=torch.float64)
    states = network.states(features)
    k = graph.degree
    smooth = torch.from_numpy(graph.adjacency.toarray() / np.sqrt(np.outer(k, k)))
    state = states[0]
    for depth in range(1, 4):
        state = smooth @ state
        torch.testing.assert_close(states[depth], state)
    assert len(states) == 4


@pytest.mark.parametrize("diffusion", ["diffusion", "attention"])
def test_relabelling_nodes_permutes_what_is_said(diffusion):
    task = communities()
    order = np.random.default_rng(1).permutation(90)
    number = np.argsort(order)
    moved = replace(
        task,
        graph=Graph(number[task.graph.edge_index], node_count=90),
        features=task.features[order],
        target=task.target[order],
        train=number[task.train],
        validation=number[task.validation],
        test=number[task.test],
    )
    shape = Shape(30, 3, width=4, depth=2.0, diffusion=diffusion, source=0.2)
    torch.manual_seed(0)
    one = DiffusionNetwork(with_self_loops(task.graph), shape).double().eval()
    other = DiffusionNetwork(with_self_loops(moved.graph), shape).double().eval()
    other.load_state_dict(one.state_dict())
    said = [
        network(prepared_features(data, scale_rows=True).to(dtype=torch.float64))
        for network, data in ((one, task), (other, moved))
    ]
    torch.testing.assert_close(said[0][torch.from_numpy(order)], said[1])


def test_communities_are_told_apart():
    task = communities(seed=2)
    result = classify(task, seeds=2, depth=2.0, rules=RULES)
    metrics = result.metrics
    assert metrics["accuracy"] > 0.85
    assert metrics["accuracy"] > metrics["baselines"]["gcn"]["accuracy"] - 0.05
    np.testing.assert_allclose(result.said.sum(axis=1), 1.0, rtol=1e-5)
    assert result.depth_curve[0, 1] < result.depth_curve[4, 1]  # without depth it is worse


def test_no_label_of_validation_or_test_nodes_reaches_the_loss():
    """Other test labels leave everything as it is; the loss knows the training nodes alone."""
    task = communities()
    wrong = task.target.copy()
    wrong[task.test] = (wrong[task.test] + 1) % 3
    features = prepared_features(task, scale_rows=True)
    graph = with_self_loops(task.graph)

    def build():
        return DiffusionNetwork(graph, Shape(30, 3, width=4, depth=2.0))

    said = [
        train_network(data, build, features, replace(RULES, epochs=10), seed=3).said
        for data in (task, replace(task, target=wrong))
    ]
    np.testing.assert_array_equal(said[0], said[1])


def test_values_are_learned_where_neighbours_share_them():
    task = communities()
    generator = np.random.default_rng(0)
    value = 10.0 * task.target + generator.standard_normal(90) + 100.0
    regression = replace(task, target=value, classes=())
    result = classify(regression, seeds=1, depth=2.0, rules=RULES)
    assert result.metrics["r2"] > 0.6
    assert result.metrics["baselines"]["label_propagation"]["r2"] > 0.2


def test_a_convolution_is_two_products_with_the_smoothing_matrix():
    task = communities()
    graph = with_self_loops(task.graph)
    network = Convolution(graph, Shape(30, 3, width=4)).double().eval()
    k = graph.degree
    smooth = torch.from_numpy(graph.adjacency.toarray() / np.sqrt(np.outer(k, k)))
    features = prepared_features(task, scale_rows=True).to(dtype=torch.float64)
    dense = torch.from_numpy(task.features.toarray())
    dense = dense / dense.sum(1, keepdim=True).clamp(min=1.0)
    hidden = torch.relu(smooth @ (dense @ network.first) + network.bias)
    torch.testing.assert_close(network(features), smooth @ network.second(hidden))
