"""Throughput of the exact-likelihood flow, in a unit that carries from machine to machine.

The unit is the time of one product of two 1024 x 1024 matrices in float32 on the same single
thread; products, training steps and draws take turns, so that what else the machine does weighs on
all alike. A training step is loss, gradient and optimiser at batch 256; drawing is everything from
noise to typed graphs as tensors, 2,000 at once. CPU seconds; medians.

MoFlow's own code on QM9, measured in the same unit on another machine: 0.064 a molecule in training
(batch 256), 0.025 in sampling (1,000 at once). Goals: a third of those, 0.021 and 0.008.

    python benchmarks/flow_throughput.py [--molecules qm9.csv.gz] [--steps 300] [--repeats 15]

Without `--molecules` the sample of QM9 in the package is used. The flow is trained for `--steps`
first, because how many choices a molecule takes, and so the time, depends on what it has learned.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
import torch

from graphtide.data import qm9_sample
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.files import read_molecules
from graphtide.molecules.flow import Flow, FlowExamples, fit_flow

RESULTS = Path(__file__).parent / "results" / "flow_throughput.json"
BATCH, DRAWN = 256, 2000
PEER = {"training": 0.064, "sampling": 0.025}
GOAL = {"training": 0.021, "sampling": 0.008}


def throughput(model: Flow, examples: FlowExamples, *, repeats: int = 15) -> dict[str, object]:
    """Return CPU seconds a molecule in training and sampling, and in products of matrices.

    Weights change a little: pass a copy where that matters.

    Args:
        model: a trained flow, so that it draws what it will draw in use.
        examples: molecules to train on.
        repeats: number of turns; the medians count.
    """
    generator = np.random.default_rng(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5)
    matrices = torch.randn(2, 1024, 1024, generator=torch.Generator().manual_seed(0))

    def product() -> None:
        torch.mm(matrices[0], matrices[1])

    def step() -> None:
        chosen = generator.integers(0, len(examples.sizes), BATCH)
        optimiser.zero_grad()
        model(*examples.batch(chosen, generator)).mean().backward()
        optimiser.step()

    def draw() -> None:
        list(model.draw(DRAWN, seed=int(generator.integers(1 << 30))))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        taken: dict[str, list[float]] = {"product": [], "training": [], "sampling": []}
        for turn in range(repeats + 1):
            for name, work in (("product", product), ("training", step), ("sampling", draw)):
                seconds = _cpu_seconds(work)
                if turn:  # the first turn warms up
                    taken[name].append(seconds)
    finally:
        torch.set_num_threads(threads)
    unit = median(taken["product"])
    each = {
        "training": median(taken["training"]) / BATCH,
        "sampling": median(taken["sampling"]) / DRAWN,
    }
    return {
        "weights": model.weight_count,
        "product_seconds": unit,
        "seconds_per_molecule": each,
        "products_per_molecule": {name: seconds / unit for name, seconds in each.items()},
        "peer_products_per_molecule": PEER,
        "goal_products_per_molecule": GOAL,
    }


def _cpu_seconds(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Train, measure, print and record."""
    parser = argparse.ArgumentParser(description="Throughput of the exact-likelihood flow.")
    parser.add_argument("--molecules", type=Path, help="file of molecules")
    parser.add_argument("--steps", type=int, default=300, help="steps of training before")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    if options.molecules is None:
        source, smiles = "sample of QM9", list(qm9_sample()["smiles"])
    else:
        source, smiles = options.molecules.name, list(read_molecules(options.molecules).smiles)
    corpus = Corpus.from_smiles(smiles)
    model, _ = fit_flow(corpus, steps=options.steps)
    result = {
        "molecules": source,
        "training_steps_before": options.steps,
        **throughput(model, FlowExamples(corpus), repeats=options.repeats),
    }
    print(json.dumps(result, indent=2))
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
