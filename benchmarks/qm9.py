"""Generation on QM9: three generators, some minutes of training each, against molecules held out.

The split: 20,000 molecules drawn with seed 0 are held out, the first 10,000 as the reference of
every distance, the others for its floor (real against real); the rest is trained on. 10,000
molecules are made; the number made is the one denominator. Novelty is against the training part
only: QM9 enumerates nearly all small molecules of its kind, so that what is novel and of its
kind is mostly held-out molecules, and a perfect model's novelty is low.

    python benchmarks/qm9.py --data DATA [--minutes 15] [--models construction flow_matching flow]
    python benchmarks/qm9.py --data DATA --models peers round_trip

DATA holds molecules/qm9.csv.gz and molecules/peer_samples/digress_qm9.smi.gz. ``peers`` scores
DiGress's own published samples with the same metrics; ``round_trip`` turns all molecules into
typed graphs, and into actions, and back. Figures are printed and written to
benchmarks/results/qm9.json, one entry a model.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import torch

import graphtide
from graphtide.data.fetch import cache_folder
from graphtide.molecules.chemistry import canonical_smiles, to_smiles
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.files import read_molecules
from graphtide.molecules.fitting import FitSettings, train_model
from graphtide.molecules.metrics import score
from graphtide.molecules.traversal import Actions, Building, traverse, walk

RESULTS = Path(__file__).parent / "results"
HELD_OUT = 20_000
NUMBER = 10_000


def main() -> None:
    """Run what is asked for and keep each model's figures."""
    parser = argparse.ArgumentParser(description="Generation on QM9.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", nargs="+", default=["construction", "flow_matching", "flow"])
    parser.add_argument("--samples", type=Path, help="folder to write each model's samples to")
    options = parser.parse_args()
    cache = cache_folder()
    lines = read_molecules(options.data / "molecules" / "qm9.csv.gz")
    corpus = Corpus.from_smiles(lines.smiles, cache=cache / "corpora")
    order = np.random.default_rng(0).permutation(len(corpus))
    reference = [corpus.smiles(k) for k in order[:HELD_OUT]]
    training = corpus.subset(np.sort(order[HELD_OUT:]))
    for name in options.models:
        if name == "round_trip":
            figures = round_trip(lines.smiles, corpus)
        elif name == "peers":
            figures = peers(options.data, reference, training, cache)
        else:
            figures = run_model(name, training, reference, options, cache)
        keep(name, figures)


def run_model(
    name: str, training: Corpus, reference: list[str], options: argparse.Namespace, cache: Path
) -> dict[str, object]:
    """Train one generator and score what it makes."""
    began, busy = time.perf_counter(), time.process_time()
    settings = FitSettings(model=name, minutes=options.minutes, seed=options.seed)
    model, trained = train_model(training, settings, progress=tell)
    seconds, work = time.perf_counter() - began, time.process_time() - busy
    model.sample(100, seed=1)  # compiles what is compiled
    made = model.sample(NUMBER, seed=options.seed)
    if options.samples is not None:
        options.samples.mkdir(exist_ok=True, parents=True)
        (options.samples / f"{name}.smi").write_text("\n".join(made.smiles) + "\n")
    figures = scored(made.smiles, reference, training, cache)
    return {
        "seed": options.seed,
        "minutes": options.minutes,
        "training_seconds": seconds,
        "training_cpu_seconds": work,
        "steps": trained.history[-1].steps,
        "weights": model.weight_count,
        "held_out_loss": trained.best_score,
        "sampling_seconds": made.seconds,
        "molecules_per_second": NUMBER / made.seconds,
        **figures,
        "validity_before_correction": float(np.mean(made.valid_before_correction)),
    }


def scored(
    smiles: tuple[str, ...], reference: list[str], training: Corpus, cache: Path
) -> dict[str, object]:
    """Return the metrics that the tables show."""
    seen = [training.smiles(k) for k in range(len(training))]
    scores = score(list(smiles), reference, train=seen, number=NUMBER, cache=cache / "scores")
    return dict(scores.metrics())


def peers(data: Path, reference: list[str], training: Corpus, cache: Path) -> dict[str, object]:
    """Score DiGress's published samples (the file keeps the largest piece of each)."""
    lines = read_molecules(data / "molecules" / "peer_samples" / "digress_qm9.smi.gz")
    return scored(lines.smiles, reference, training, cache)


def round_trip(smiles: tuple[str, ...], corpus: Corpus) -> dict[str, object]:
    """Turn every molecule into a graph and into actions, and back."""
    lost, wrong = [], []
    lines = corpus.encoded.lines
    found = traverse(corpus)
    actions = Actions.of(corpus, found)
    rules, numbered = actions.rules(), actions.places(found)
    state = Building.empty(1, actions.most_atoms)
    for first in range(0, len(corpus), 2000):
        rows = np.arange(first, min(first + 2000, len(corpus)))
        state = Building.empty(len(rows), actions.most_atoms)
        walk(rules, state, numbered.padded(rows))
        for place, index in enumerate(rows):
            text = canonical_smiles(smiles[lines[index] - 1])
            if corpus.smiles(int(index)) != text:
                lost.append(text)
            types, bonds = state.molecule(place)
            if to_smiles([actions.vocabulary[k] for k in types], bonds) != text:
                wrong.append(text)
    return {
        "molecules": len(smiles),
        "encoded": len(corpus),
        "notices": len(corpus.notices),
        "graphs_not_the_same": lost,
        "actions_not_the_same": wrong,
    }


def tell(share: float, text: str) -> None:
    """Print progress, a line a piece of training."""
    print(f"{100 * share:5.1f} %  {text}", flush=True)


def keep(name: str, figures: dict[str, object]) -> None:
    """Write one model's figures beside those of the others, and print them."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "qm9.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results["graphtide"] = graphtide.__version__
    results["versions"] = {"python": platform.python_version(), "torch": torch.__version__}
    results[name] = figures
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps({name: figures}, indent=1), flush=True)


if __name__ == "__main__":
    main()
