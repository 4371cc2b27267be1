"""The work of ``molecules fit``: molecules in, a run with a generator out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast, get_args

import numpy as np
import pandas
import torch

from graphtide.data.fetch import cache_folder
from graphtide.errors import InputError
from graphtide.molecules.construction import fit_construction
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.encoding import Mixtures
from graphtide.molecules.extras import write_extras
from graphtide.molecules.files import MoleculeLines
from graphtide.molecules.generator import Generator, save_generator
from graphtide.molecules.learning import chosen_device, held_out_split
from graphtide.molecules.metrics import score
from graphtide.molecules.recurrence import CellName
from graphtide.run import Run
from graphtide.training.loop import Training

__all__ = ["FitSettings", "check_settings", "encode_lines", "fit_generator", "train_model"]

Progress = Callable[[float, str], None]


class Common(TypedDict):
    """What all models are told."""

    minutes: float | None
    steps: int | None
    seed: int
    device: torch.device
    checkpoint: Path | None
    progress: Progress | None


MODELS = ("construction", "flow_matching", "flow")
"""Names of the models."""
_LIMITS = {"flow_matching": 128, "flow": 80}
"""Atoms of the largest molecules that models on all pairs of nodes take."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """What ``molecules fit`` may be told.

    Args:
        model: which generator.
        minutes: of training; ignored where steps are given.
        steps: of training; equal ones give equal weights on any machine of one kind.
        mixtures: what becomes of molecules in several pieces.
        most_atoms: larger molecules are set aside; None takes the model's own limit.
        random_orders: share of the batches in random orders (construction).
        cell: of the recurrent layers: gru or differential (construction).
        properties: names of properties, or of columns, that samples may be conditioned on
            (flow_matching).
        samples: molecules made after the training, to be scored and shown.
        seed: of everything random.
        device: to train on, such as cpu or cuda; auto takes a GPU where there is one.
    """

    model: str = "construction"
    minutes: float = 15.0
    steps: int | None = None
    mixtures: str = "largest"
    most_atoms: int | None = None
    random_orders: float = 0.0
    cell: str = "gru"
    properties: tuple[str, ...] = ()
    samples: int = 1000
    seed: int = 0
    device: str = "auto"

    def configuration(self) -> dict[str, object]:
        """Return the settings as JSON can hold them."""
        return {**dataclasses.asdict(self), "properties": list(self.properties)}


def check_settings(settings: FitSettings) -> None:
    """Raise where a setting is out of its range, before any work begins.

    Raises:
        InputError: a name is unknown, a number out of its range, or an option of another model.
    """
    for name, value, known in (
        ("model", settings.model, MODELS),
        ("mixtures", settings.mixtures, get_args(Mixtures)),
        ("cell", settings.cell, get_args(CellName)),
    ):
        if value not in known:
            raise InputError(f"--{name} is '{value}'; {', '.join(known)} are known")
    chosen_device(settings.device)
    if not settings.minutes > 0:
        raise InputError(f"--minutes is {settings.minutes:g}; a positive number was expected")
    if settings.properties and settings.model != "flow_matching":
        raise InputError("--properties, to condition samples on, needs --model flow_matching")
    if settings.random_orders and settings.model != "construction":
        raise InputError("--random-orders needs --model construction")
    if settings.cell != "gru" and settings.model != "construction":
        raise InputError("--cell needs --model construction")


def encode_lines(
    lines: MoleculeLines, settings: FitSettings, *, progress: Progress | None = None
) -> Corpus:
    """Turn the molecules of a file into a corpus, kept in the user's cache.

    Raises:
        InputError: no molecule can be read.
    """
    return Corpus.from_smiles(
        lines.smiles,
        lines.lines,
        mixtures=cast("Mixtures", settings.mixtures),
        most_atoms=_LIMITS.get(settings.model)
        if settings.most_atoms is None
        else settings.most_atoms,
        cache=cache_folder() / "corpora",
        progress=progress,
    )


def fit_generator(
    corpus: Corpus,
    settings: FitSettings,
    run: Run,
    *,
    checkpoint: Path,
    conditions: Mapping[str, np.ndarray] | None = None,
    progress: Progress | None = None,
) -> dict[str, object]:
    """Learn a generator from molecules, write everything into the run, and return the figures.

    The run holds the model, ``training.csv`` (the losses), ``notices.csv`` (lines that were not
    taken as they stand), ``samples.smi``, ``held_out.smi``, ``scores.csv`` and ``metrics.json``.

    Raises:
        InputError: an option does not fit the model or the corpus.
        KeyboardInterrupt: it was interrupted; the same call goes on from the checkpoint.
    """
    began = time.perf_counter()
    tell = progress if progress is not None else lambda _share, _text: None
    model, training = train_model(
        corpus,
        settings,
        conditions=conditions,
        checkpoint=checkpoint,
        progress=lambda share, text: tell(0.85 * share, text),
    )
    if training.interrupted:
        raise KeyboardInterrupt
    save_generator(run, model)
    run.write_table(
        "training", pandas.DataFrame([dataclasses.asdict(line) for line in training.history])
    )
    write_notices(run, corpus)
    metrics = describe(corpus, model, training, settings)
    write_extras(run, model, settings.seed)
    metrics |= _scored(corpus, model, settings, run, lambda s, text: tell(0.85 + 0.15 * s, text))
    metrics["seconds"] = time.perf_counter() - began
    run.write_metrics(metrics)
    return metrics


def train_model(
    corpus: Corpus,
    settings: FitSettings,
    *,
    conditions: Mapping[str, np.ndarray] | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Generator, Training]:
    """Train the generator that the settings ask for.

    Args:
        corpus: the molecules.
        settings: which model, and for how long.
        conditions: properties (K,) by name, for flow matching.
        checkpoint: file from which an interrupted training goes on.
        progress: told the share done.

    Raises:
        InputError: an option does not fit the model or the corpus.
    """
    minutes = None if settings.steps is not None else settings.minutes
    common: Common = {
        "minutes": minutes,
        "steps": settings.steps,
        "seed": settings.seed,
        "device": chosen_device(settings.device),
        "checkpoint": checkpoint,
        "progress": progress,
    }
    if settings.model == "flow_matching":
        from graphtide.molecules.flow_matching import fit_flow_matching

        return fit_flow_matching(corpus, properties=conditions or None, **common)
    if settings.model == "flow":
        from graphtide.molecules.flow import fit_flow

        return fit_flow(corpus, **common)
    cell = cast("CellName", settings.cell)
    return fit_construction(corpus, random_orders=settings.random_orders, cell=cell, **common)


def describe(
    corpus: Corpus, model: Generator, training: Training, settings: FitSettings
) -> dict[str, object]:
    """Return the figures of the corpus, the model and its training."""
    lost = sum(not notice.kept for notice in corpus.notices)
    unique = len(
        {(corpus.atoms(k).tobytes(), corpus.bonds(k).tobytes()) for k in range(len(corpus))}
    )
    return {
        "model": settings.model,
        "lines": len({*corpus.encoded.lines.tolist(), *(n.line for n in corpus.notices)}),
        "molecules": len(corpus),
        "duplicates": len(corpus) - unique,
        "lines_set_aside": lost,
        "mixtures": len(corpus.notices) - lost,
        "types": [str(kind) for kind in corpus.vocabulary],
        "most_atoms": int(corpus.sizes.max()),
        "weights": model.weight_count,
        "steps": training.history[-1].steps,
        "held_out_loss": training.best_score,
        "training_seconds": training.history[-1].seconds,
    }


def write_notices(run: Run, corpus: Corpus) -> None:
    """Write the lines that were not taken as they stand, where there are any."""
    if not corpus.notices:
        return
    rows = [
        {"line": n.line, "smiles": n.text, "kept": "part" if n.kept else "no", "reason": n.reason}
        for n in corpus.notices
    ]
    run.write_table("notices", pandas.DataFrame(rows))


def _scored(
    corpus: Corpus, model: Generator, settings: FitSettings, run: Run, progress: Progress
) -> dict[str, object]:
    """Make some molecules, score them against those held out, and write both."""
    if settings.samples < 1:
        return {}
    sample = model.sample(
        settings.samples, seed=settings.seed, progress=lambda s, text: progress(0.4 * s, text)
    )
    training, held_out = held_out_split(len(corpus), seed=settings.seed)
    reference = [corpus.smiles(int(k)) for k in held_out]
    seen = [corpus.smiles(int(k)) for k in training[:200_000]]
    _write_smiles(run, "samples", sample.smiles)
    _write_smiles(run, "held_out", reference)
    figures: dict[str, object] = {
        "samples": settings.samples,
        "molecules_per_second": settings.samples / max(sample.seconds, 1e-9),
        "validity_before_correction": float(np.mean(sample.valid_before_correction)),
    }
    if len(reference) < 4:
        valid = [text for text in sample.smiles if text]
        return figures | {
            "validity": len(valid) / settings.samples,
            "uniqueness": len(set(valid)) / len(valid) if valid else None,
            "note": "too few molecules to compare distributions with",
        }
    scores = score(
        list(sample.smiles),
        reference,
        train=seen,
        seed=settings.seed,
        progress=lambda s, text: progress(0.4 + 0.6 * s, text),
    )
    run.write_table("scores", scores.table())
    run.write_tensors(
        "descriptors",
        {"generated": scores.descriptors, "reference": scores.reference_descriptors},
    )
    found = scores.metrics()
    wanted = (
        *("validity", "connectivity", "uniqueness", "novelty", "fcd", "fcd_floor"),
        *("neighbourhood_mmd", "reference_number"),
    )
    return figures | {name: found.get(name) for name in wanted}


def _write_smiles(run: Run, name: str, smiles: tuple[str, ...] | list[str]) -> None:
    from graphtide.molecules.files import write_molecules

    write_molecules(run.path / f"{name}.smi", [text for text in smiles if text])
