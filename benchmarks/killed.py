"""Trainings killed at random moments and resumed: the same weights as without a disturbance?

    python benchmarks/killed.py [--kills 10] [--only construction,...]

Each training runs once undisturbed in a process of its own; then again, where the process is killed
(SIGKILL) at random moments, ten times, and started anew until it ends. Checkpoints are written at
most each second in place of each half minute, so that most of the work survives a kill that comes
after seconds. The weights of both are compared bit for bit. What is there is not run again; figures
go to benchmarks/results/killed.json.
"""

from __future__ import annotations

import argparse
import functools
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "killed.json"
_PIECES = 12
"""A life is at most this part of the undisturbed training, beside what starting takes."""


def _generator(kind: str, steps: int) -> Callable[[Path], dict[str, object]]:
    def train(folder: Path) -> dict[str, object]:
        from graphtide.data import qm9_sample
        from graphtide.molecules import learning
        from graphtide.molecules.corpus import Corpus
        from graphtide.molecules.fitting import FitSettings, train_model

        learning.Checkpoint = functools.partial(learning.Checkpoint, seconds=1.0)
        settings = FitSettings(model=kind, steps=steps, device="cpu")
        corpus = Corpus.from_smiles(list(qm9_sample()["smiles"])[:1500])
        print("begins", flush=True)
        model, _ = train_model(corpus, settings, checkpoint=folder / "checkpoint.safetensors")
        return model.state_dict()

    return train


def _field(folder: Path) -> dict[str, object]:
    import numpy as np

    from graphtide import Graph
    from graphtide.dynamics import neural_training
    from graphtide.dynamics.catalogue import CATALOGUE
    from graphtide.dynamics.neural_data import NeuralSettings
    from graphtide.dynamics.neural_fit import fit_neural
    from graphtide.dynamics.simulate import simulate

    neural_training.Checkpoint = lambda path, _seconds, identity: _often(path, identity)
    graph = Graph.from_source("barabasi_albert:60:3", seed=0)
    start = np.random.default_rng(0).uniform(0.0, 5.0, (60, 1))
    times = np.linspace(0.0, 5.0, 40)
    states = simulate(CATALOGUE["gene"].equation, graph, times, start, noise=0.02, seed=0)
    print("begins", flush=True)
    settings = NeuralSettings(model="message_passing", ensemble=2)
    fit = fit_neural(states, graph, settings=settings, checkpoints=folder)
    return fit.field.state_dict()


def _often(path: Path, identity: object) -> object:
    from graphtide.training.loop import Checkpoint

    return Checkpoint(path, 1.0, identity)  # pyright: ignore[reportArgumentType]


TRAININGS: dict[str, Callable[[Path], dict[str, object]]] = {
    "construction": _generator("construction", 50),
    "flow_matching": _generator("flow_matching", 60),
    "flow": _generator("flow", 80),
    "message_passing": _field,
}


def child(name: str, folder: Path) -> None:
    """Train, and write the weights once all is done."""
    import torch

    torch.set_num_threads(1)
    weights = TRAININGS[name](folder)
    torch.save(weights, folder / "weights.partial")
    (folder / "weights.partial").replace(folder / "weights.pt")


def life(name: str, folder: Path, seconds: float | None) -> tuple[bool, float]:
    """Run a process, killed so many seconds after its training began; return whether it was."""
    command = [sys.executable, __file__, "--child", name, "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        began = time.perf_counter()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
    killed = process.returncode == -signal.SIGKILL
    if not killed and process.returncode:
        raise SystemExit(f"{name} failed with exit code {process.returncode}")
    return killed, time.perf_counter() - began


def compared(name: str, kills: int) -> dict[str, object]:
    """Return how a training fared that was killed so many times."""
    import torch

    with tempfile.TemporaryDirectory() as place:
        quiet, disturbed = Path(place, "quiet"), Path(place, "disturbed")
        quiet.mkdir()
        disturbed.mkdir()
        _, whole = life(name, quiet, None)
        draw = random.Random(0)
        count = 0
        while count < kills:
            killed, _ = life(name, disturbed, draw.uniform(0.0, 2 * whole / _PIECES))
            if not killed:
                break
            count += 1
        if not (disturbed / "weights.pt").is_file():
            life(name, disturbed, None)
        one, other = (torch.load(f / "weights.pt", weights_only=True) for f in (quiet, disturbed))
    same = one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
    return {
        "kills": count,
        "weights": sum(tensor.numel() for tensor in one.values()),
        "same_weights": same,
        "undisturbed_seconds": whole,
    }


def main() -> None:
    """Run what is not there yet."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--kills", type=int, default=10)
    options.add_argument("--only", default=",".join(TRAININGS))
    options.add_argument("--child")
    options.add_argument("--folder", type=Path)
    asked = options.parse_args()
    if asked.child:
        child(asked.child, asked.folder)
        return
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in asked.only.split(","):
        if results.get(name, {}).get("kills", 0) >= asked.kills:
            continue
        results[name] = compared(name, asked.kills)
        print(name, results[name], flush=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
