"""What a classification leaves in its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas

from graphtide.run import Run

if TYPE_CHECKING:
    from graphtide.dynamics.classify.classify import Classification

__all__ = ["save"]


def save(result: Classification, run: Run) -> None:
    """Write a classification into a run.

    Files: metrics.json; predictions.csv (node, part, label, predicted, and the probability of each
    class); depth.csv (test accuracy of the networks read at other depths); seeds.csv; graph.npz.
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
