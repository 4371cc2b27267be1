"""A classifier read back from its run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array

from graphtide.dynamics.classify.networks import DiffusionNetwork, Shape, with_self_loops
from graphtide.errors import InputError
from graphtide.run import Run
from graphtide.sparse import SparseMatrix

__all__ = ["Trained", "load"]


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
