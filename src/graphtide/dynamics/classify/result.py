"""What a classification found, and what it leaves in its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas

from graphtide.dynamics.classify.data import NodeTask
from graphtide.dynamics.classify.networks import DiffusionNetwork
from graphtide.dynamics.classify.training import goodness
from graphtide.run import Run
from graphtide.sparse import SparseMatrix

__all__ = ["Classification"]


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """What `classify` returns.

    Args:
        task: the nodes and what is known of them.
        said: class probabilities (N, C), or values (N, 1); the mean over seeds.
        test: (S,) accuracy (R^2 for values) on the test nodes, by seed.
        validation: (S,) the same on the validation nodes.
        baselines: test accuracies of each baseline, one a seed (label propagation has no seed).
        depth: T that was chosen.
        depth_scores: validation accuracy of each depth tried.
        depth_curve: (K, 2) depth, and mean test accuracy of the trained networks there.
        seconds: of each seed's network.
        rates: (H,) learned diffusion rates of the first seed, in 1 / unit of depth.
        network: the first seed's.
        features: as the networks take them, (N, F).
    """

    task: NodeTask
    said: np.ndarray
    test: np.ndarray
    validation: np.ndarray
    baselines: Mapping[str, np.ndarray]
    depth: float
    depth_scores: Mapping[float, float]
    depth_curve: np.ndarray
    seconds: np.ndarray
    rates: np.ndarray
    network: DiffusionNetwork
    features: SparseMatrix

    @property
    def metrics(self) -> dict[str, object]:
        """Figures by name, as they are printed and written."""
        task = self.task
        name = "r2" if task.is_regression else "accuracy"
        figures: dict[str, object] = {
            name: float(self.test.mean()),
            f"{name}_deviation": _deviation(self.test),
            f"{name}_by_seed": self.test.tolist(),
            f"{name}_of_mean": goodness(task, self.said, task.test),
            f"{name}_validation": float(self.validation.mean()),
            "baselines": {
                baseline: {name: float(values.mean()), f"{name}_deviation": _deviation(values)}
                for baseline, values in self.baselines.items()
            },
            "depth": self.depth,
            "depth_validation": {f"{depth:g}": v for depth, v in self.depth_scores.items()},
            "seeds": len(self.test),
            "seconds_by_seed": self.seconds.tolist(),
            "nodes": task.graph.node_count,
            "train_nodes": len(task.train),
            "validation_nodes": len(task.validation),
            "test_nodes": len(task.test),
        }
        if task.is_regression:
            error = self.said[task.test, 0] - task.target[task.test]
            figures["mae_of_mean"] = float(np.abs(error).mean())
            figures["rmse_of_mean"] = float(np.sqrt(np.square(error).mean()))
        return figures

    def save(self, run: Run) -> None:
        """Write a classification into a run.

        Files: metrics.json; predictions.csv (node, part, label, predicted, and the probability of
        each class); depth.csv (test accuracy of the networks read at other depths); seeds.csv;
        graph.npz; network.json, network.safetensors and features.safetensors (the first seed's
        network, to go on with).
        """
        task = self.task
        run.write_metrics(self.metrics)
        run.write_graph(task.graph)
        part = np.full(task.graph.node_count, "", dtype=object)
        for name in ("train", "validation", "test"):
            part[getattr(task, name)] = name
        columns: dict[str, object] = {"node": task.graph.names, "part": part}
        if task.is_regression:
            columns |= {"label": task.target, "predicted": self.said[:, 0]}
        else:
            names = np.array([*task.classes, ""], dtype=object)
            columns |= {"label": names[task.target], "predicted": names[self.said.argmax(axis=1)]}
            columns |= {
                f"probability_{name}": self.said[:, k] for k, name in enumerate(task.classes)
            }
        run.write_table("predictions", pandas.DataFrame(columns))
        run.write_table("depth", pandas.DataFrame(self.depth_curve, columns=["depth", "test"]))
        run.write_table(
            "seeds",
            pandas.DataFrame(
                {
                    "test": self.test,
                    "validation": self.validation,
                    "gcn_test": self.baselines["gcn"],
                    "seconds": self.seconds,
                }
            ),
        )
        run.write_tensors("rates", {"rates": self.rates})
        run.write_json(
            "network.json", {**asdict(self.network.shape), "classes": list(task.classes)}
        )
        weights = {name: value.cpu().numpy() for name, value in self.network.state_dict().items()}
        run.write_tensors("network", weights)
        features = self.features
        arrays = {"row": features.row, "column": features.column, "value": features.value}
        tensors = {name: value.detach().cpu().numpy() for name, value in arrays.items()}
        nodes = {"target": np.asarray(task.target), "test": np.asarray(task.test)}
        run.write_tensors("features", {**tensors, **nodes})


def _deviation(values: np.ndarray) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None
