"""One training step of NDCN's own model, and the memory of one on a large network.

NDCN's model (Zang and Wang, KDD 2020): 400 nodes, 20 hidden channels, 80 times, one Euler step from
time to time, mean absolute error, forward and backward. Peers: torchdiffeq with the dense operator
that NDCN's code uses by default, and with PyTorch's own sparse operator. All in one process and one
thread, in turns, CPU time; the ratio of the medians is what counts. Memory: the peak of a process
that takes one such step on 10^5 nodes with `gradient="checkpointed"`, everything included.

    python benchmarks/training_step.py [--repeats 15] [--skip-memory]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.latent import LatentDiffusionField
from graphtide.dynamics.visited import CELLS, Visited
from graphtide.graph import Graph
from graphtide.ode.solve import Gradient

RESULTS = Path(__file__).parent / "results" / "training_step.json"
HIDDEN, TIMES = 20, 80


def make_model(step: float) -> LatentDiffusionField:
    """Return NDCN's model in single precision, as its code has it."""
    torch.manual_seed(0)
    seen = Visited(np.zeros(1), np.full(1, 25.0), np.ones((1, CELLS, CELLS), dtype=bool))
    return LatentDiffusionField(seen.float(), variables=("x",), hidden=HIDDEN, step=step)


def data(graph: Graph, count: int) -> tuple[np.ndarray, Tensor, Tensor]:
    """Return times, a start and readings."""
    generator = torch.Generator().manual_seed(1)
    start = 25.0 * torch.rand(graph.node_count, 1, generator=generator)
    readings = start.expand(count, -1, -1) * torch.linspace(1.0, 0.5, count)[:, None, None]
    return np.linspace(0.0, 5.0, count), start, readings


def step_of(states: Callable[[], Tensor], model: torch.nn.Module, readings: Tensor) -> float:
    """Take one step, forward and backward; return its CPU seconds."""
    began = time.process_time()
    model.zero_grad()
    loss = (states() - readings).abs().mean()
    loss.backward()
    return time.process_time() - began


def peers(model: LatentDiffusionField, graph: Graph, times: np.ndarray, start: Tensor) -> dict:
    """Return the same forward pass through torchdiffeq, with a dense and a sparse operator."""
    from torchdiffeq import odeint

    dense = torch.tensor(graph.laplacian("symmetric").toarray(), dtype=torch.float32)
    moments = torch.tensor(times, dtype=torch.float32)

    def with_operator(operator: Tensor) -> Callable[[], Tensor]:
        def field(time: Tensor, states: Tensor) -> Tensor:
            del time
            return torch.relu(model.control(torch.mm(operator, states)))

        def states() -> Tensor:
            hidden = model.encoder((start - 12.5) / 12.5)
            solved = odeint(field, hidden, moments, method="euler")
            return model.decoder(solved) * 12.5 + 12.5

        return states

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        sparse = dense.to_sparse_csr()
    return {
        "torchdiffeq, dense": with_operator(dense),
        "torchdiffeq, sparse": with_operator(sparse),
    }


def speed(repeats: int) -> dict[str, object]:
    """Compare the steps in turns."""
    graph = Graph.from_source("grid:20:20")
    times, start, readings = data(graph, TIMES)
    model = make_model(float(times[1] - times[0]))
    ways: dict[str, Callable[[], Tensor]] = {
        "graphtide": lambda: model.roll_out(graph, times, start),
        **peers(model, graph, times, start),
    }
    with torch.no_grad():
        answers = {name: way() for name, way in ways.items()}
    gap = max(float((a - answers["graphtide"]).abs().max()) for a in answers.values())
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 2):
        for name, way in ways.items():
            seconds = step_of(way, model, readings)
            if repeat >= 2:
                taken[name].append(seconds)
    medians = {name: median(values) for name, values in taken.items()}
    return {
        "nodes": graph.node_count,
        "times": TIMES,
        "hidden": HIDDEN,
        "largest_difference": gap,
        "median_cpu_seconds": medians,
        "ratio_to_dense": medians["graphtide"] / medians["torchdiffeq, dense"],
        "ratio_to_sparse": medians["graphtide"] / medians["torchdiffeq, sparse"],
    }


def large_step(gradient: Gradient) -> dict[str, float]:
    """Take one step on 10^5 nodes in this process; return its peak memory in GiB."""
    graph = Graph.from_source("barabasi_albert:100000:5", seed=0)
    times, start, readings = data(graph, TIMES)
    model = make_model(float(times[1] - times[0]))
    seconds = step_of(
        lambda: model.roll_out(graph, times, start, gradient=gradient), model, readings
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"nodes": graph.node_count, "cpu_seconds": seconds, "peak_gib": peak}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--skip-memory", action="store_true")
    parser.add_argument("--large", choices=("direct", "checkpointed"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.large:
        print(json.dumps(large_step(chosen.large)))
        return
    content: dict[str, object] = {"step": speed(chosen.repeats)}
    if not chosen.skip_memory:
        content["memory"] = {
            gradient: json.loads(
                subprocess.run(
                    [sys.executable, __file__, "--large", gradient],
                    capture_output=True,
                    check=True,
                    text=True,
                ).stdout
            )
            for gradient in ("direct", "checkpointed")
        }
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
