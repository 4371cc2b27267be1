"""What the benchmarks of generation share: train, make molecules, score them, keep the figures.

The split of a corpus: 20,000 molecules drawn with seed 0 are held out, the first 10,000 as the
reference of every distance, the others for its floor (real against real); the rest is trained on.
The number of molecules made is the one denominator.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import graphtide
from graphtide.data.fetch import cache_folder
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.fitting import FitSettings, train_model
from graphtide.molecules.flow_matching import FlowMatching, Sampling
from graphtide.molecules.generator import Generator
from graphtide.molecules.metrics import score

RESULTS = Path(__file__).parent / "results"
HELD_OUT = 20_000
NUMBER = 10_000


@dataclass(frozen=True, slots=True)
class Split:
    """Molecules to train on, with their SMILES, and SMILES of those held out."""

    training: Corpus
    seen: list[str]
    reference: list[str]

    @staticmethod
    def of(smiles: Sequence[str], held_out: int = HELD_OUT) -> Split:
        """Encode molecules (once, then from the cache) and split them."""
        corpus = Corpus.from_smiles(smiles, cache=cache_folder() / "corpora")
        order = np.random.default_rng(0).permutation(len(corpus))
        training = np.sort(order[held_out:])
        texts = [corpus.smiles(k) for k in range(len(corpus))]
        reference = [texts[k] for k in order[:held_out]]
        return Split(corpus.subset(training), [texts[k] for k in training], reference)

    def score(self, smiles: Sequence[str], number: int = NUMBER) -> dict[str, object]:
        """Return all metrics of generated molecules against the reference."""
        cache = cache_folder() / "scores"
        found = score(list(smiles), self.reference, train=self.seen, number=number, cache=cache)
        return dict(found.metrics())


def parser(text: str) -> argparse.ArgumentParser:
    """Return the options that the benchmarks share."""
    made = argparse.ArgumentParser(description=text)
    made.add_argument("--data", type=Path, required=True)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--number", type=int, default=NUMBER, help="molecules to make")
    made.add_argument("--samples", type=Path, help="folder to write each model's samples to")
    made.add_argument("--work", type=Path, help="folder of checkpoints, to go on from when killed")
    made.add_argument("--results", type=Path, default=RESULTS, help="folder of the figures")
    made.add_argument("--device", default="cpu", help="cpu, cuda, ... to train and sample on")
    return made


def trained_model(
    name: str, split: Split, minutes: float, options: argparse.Namespace
) -> tuple[Generator, dict[str, object]]:
    """Train one generator, or go on from its checkpoint, and tell of the training."""
    busy = time.process_time()
    settings = FitSettings(model=name, minutes=minutes, seed=options.seed, device=options.device)
    checkpoint = None
    if options.work is not None:
        own = f"{name}_{minutes:g}_minutes_of_{len(split.training)}_seed_{options.seed}"
        checkpoint = options.work / own / "checkpoint.safetensors"
        checkpoint.parent.mkdir(exist_ok=True, parents=True)
    resumed = checkpoint is not None and checkpoint.exists()
    model, trained = train_model(split.training, settings, checkpoint=checkpoint, progress=tell)
    if trained.interrupted:
        raise SystemExit("interrupted; with --work FOLDER the same command goes on from there")
    times = {"training_seconds": trained.history[-1].seconds}  # over all resumptions
    if not resumed:  # what a killed process spent is not known
        times["training_cpu_seconds"] = time.process_time() - busy
    return model, {
        "seed": options.seed,
        "minutes": minutes,
        **times,
        "threads": torch.get_num_threads(),
        "steps": trained.history[-1].steps,
        "weights": model.weight_count,
        "held_out_loss": trained.best_score,
    }


def run_model(
    name: str, split: Split, minutes: float, options: argparse.Namespace, *, scored: bool = True
) -> tuple[Generator, dict[str, object]]:
    """Train one generator, and score what it makes where that is asked for."""
    model, figures = trained_model(name, split, minutes, options)
    model.sample(100, seed=1)  # compiles what is compiled
    made = model.sample(options.number, seed=options.seed)
    if options.samples is not None:
        options.samples.mkdir(exist_ok=True, parents=True)
        (options.samples / f"{name}.smi").write_text("\n".join(made.smiles) + "\n")
    return model, {
        **figures,
        "sampling_seconds": made.seconds,
        "molecules_per_second": options.number / made.seconds,
        **(split.score(made.smiles, options.number) if scored else {}),
        "validity_before_correction": float(np.mean(made.valid_before_correction)),
    }


def curve_of_steps(
    model: Generator,
    split: Split,
    steps: Sequence[int],
    options: argparse.Namespace,
    **settings: float,
) -> Iterator[dict[str, dict[str, float]]]:
    """Sample flow matching with each number of steps; yield the curve as it grows.

    Args:
        model: flow matching.
        split: to score against.
        steps: numbers of steps.
        options: of the command line.
        settings: of `Sampling`, in place of its own.
    """
    assert isinstance(model, FlowMatching)
    curve: dict[str, dict[str, float]] = {}
    for count in steps:
        how = Sampling(steps=count, **settings)  # pyright: ignore[reportArgumentType]
        made = model.sample(options.number, seed=options.seed, sampling=how)
        found = split.score(made.smiles, options.number)
        curve[", ".join([str(count), *(f"{k} {v:g}" for k, v in settings.items())])] = {
            "fcd": float(found["fcd"]),
            "validity_before_correction": float(np.mean(made.valid_before_correction)),
            "molecules_per_second": options.number / made.seconds,
        }
        yield curve


def tell(share: float, text: str) -> None:
    """Print progress, a line a piece of training."""
    print(f"{100 * share:5.1f} %  {text}", flush=True)


def kept(folder: Path, benchmark: str, name: str) -> dict[str, object] | None:
    """Return the figures of one entry that is there already."""
    path = folder / f"{benchmark}.json"
    return json.loads(path.read_text()).get(name) if path.exists() else None


def keep(folder: Path, benchmark: str, name: str, figures: dict[str, object]) -> None:
    """Write one entry's figures beside those of the others, and print them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{benchmark}.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results["graphtide"] = graphtide.__version__
    results["versions"] = {"python": platform.python_version(), "torch": torch.__version__}
    results[name] = figures
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps({name: figures}, indent=1), flush=True)
