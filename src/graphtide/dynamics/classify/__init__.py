"""Classes and values of nodes from some that are known, by networks whose depth is time."""

from graphtide.dynamics.classify.classify import Classification, classify
from graphtide.dynamics.classify.data import NodeTask, read_task, read_task_npz, split_at_random

__all__ = [
    "Classification",
    "NodeTask",
    "classify",
    "read_task",
    "read_task_npz",
    "split_at_random",
]
