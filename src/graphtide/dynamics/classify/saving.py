"""What a classification leaves in its run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas
import torch
from scipy.sparse import csr_array

from graphtide.dynamics.classify.networks import DiffusionNetwork, Shape, with_self_loops
from graphtide.errors import InputError
from graphtide.run import Run
from graphtide.sparse import SparseMatrix

if TYPE_CHECKING:
    from graphtide.dynamics.classify.classify import Classification

__all__ = ["Trained", "load", "save"]


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A classifier read back from its run.

    Args:
        network: the first seed's, with its weights.
        features: as it takes them, (N, F).
        target: class of each node (N,), -1 where unknown.
        test: numbers of the test nodes.
        classes: names of the classes.
    """

    network: DiffusionNetwork
    features: SparseMatrix
    target: np.ndarray
    test: np.ndarray
    classes: tuple[str, ...]


def save(result: Classification, run: Run) -> None:
    """Write a classification into a run.

    Files: metrics.json; predictions.csv (node, part, label, predicted, and the probability of each
    class); depth.csv (test accuracy of the networks read at other depths); seeds.csv; graph.npz;
    network.json, network.safetensors and features.safetensors (the first seed's network, to go on
    with).
    """
    task = result.task
    run.write_metrics(result.metrics)
    run.write_graph(task.graph)
    part = np.full(task.graph.node_count, "", dtype=object)
    for name in ("train", "validation", "test"):
        part[getattr(task, name)] = name
    columns: dict[str, object] = {"node": task.graph.names, "part": part}
    if task.is_regression:
        columns |= {"label": task.target, "predicted": result.said[:, 0]}
    else:
        names = np.array([*task.classes, ""], dtype=object)
        columns |= {"label": names[task.target], "predicted": names[result.said.argmax(axis=1)]}
        columns |= {f"probability_{name}": result.said[:, k] for k, name in enumerate(task.classes)}
    run.write_table("predictions", pandas.DataFrame(columns))
    run.write_table("depth", pandas.DataFrame(result.depth_curve, columns=["depth", "test"]))
    run.write_table(
        "seeds",
        pandas.DataFrame(
            {
                "test": result.test,
                "validation": result.validation,
                "gcn_test": result.baselines["gcn"],
                "seconds": result.seconds,
            }
        ),
    )
    run.write_tensors("rates", {"rates": result.rates})
    run.write_json("network.json", {**asdict(result.network.shape), "classes": list(task.classes)})
    weights = {name: value.cpu().numpy() for name, value in result.network.state_dict().items()}
    run.write_tensors("network", weights)
    features = result.features
    arrays = {"row": features.row, "column": features.column, "value": features.value}
    tensors = {name: value.detach().cpu().numpy() for name, value in arrays.items()}
    nodes = {"target": np.asarray(task.target), "test": np.asarray(task.test)}
    run.write_tensors("features", {**tensors, **nodes})


def load(run: Run) -> Trained:
    """Read the first seed's network back from a run of ``dynamics classify``.

    Raises:
        InputError: the run holds no network, or a file is damaged.
    """
    if not (run.path / "network.json").is_file():
        raise InputError(f"{run.path} holds no network; run `dynamics classify` again")
    described = run.read_json("network.json")
    if not isinstance(described, dict):
        raise InputError(f"{run.path / 'network.json'} describes no network")
    classes = tuple(map(str, described.pop("classes")))
    shape = Shape(**described)
    graph = run.read_graph()
    network = DiffusionNetwork(with_self_loops(graph), shape)
    try:
        weights = {k: torch.tensor(v) for k, v in run.read_tensors("network").items()}
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{run.path}: network.safetensors does not fit: {error}") from None
    stored = run.read_tensors("features")
    size = (graph.node_count, shape.features)
    matrix = csr_array((stored["value"], (stored["row"], stored["column"])), shape=size)
    features = SparseMatrix.from_scipy(matrix, dtype=torch.get_default_dtype())
    return Trained(network.eval(), features, stored["target"], stored["test"], classes)
