"""Fitting the flow to a corpus."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from graphtide.errors import InputError
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.flow.model import Flow
from graphtide.molecules.flow.rows import MOST_ATOMS, FlowExamples
from graphtide.molecules.learning import Plan, held_out_split, plan_steps, train_generator
from graphtide.training.loop import Training

__all__ = ["fit_flow"]


def fit_flow(
    corpus: Corpus,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    checkpoint: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
    most_atoms: int = MOST_ATOMS,
    width: int = 96,
    layers: int = 3,
    batch: int = 256,
    learning_rate: float = 2.5e-3,
) -> tuple[Flow, Training]:
    """Fit a flow to a corpus by maximum likelihood.

    Args:
        corpus: the molecules.
        minutes: of training; they become a number of steps on this machine.
        steps: of training, where no minutes are given.
        seed: of weights, held-out molecules and the order of batches.
        device: to train on.
        checkpoint: file from which an interrupted training goes on.
        progress: told the share done and the losses.
        most_atoms: larger molecules are set aside, which is logged.
        width: of the conditioner.
        layers: of the conditioner.
        batch: molecules a step.
        learning_rate: the largest one.

    Returns:
        The flow and its history; losses are nats a molecule.

    Raises:
        InputError: neither or both of minutes and steps are given, or they are not positive.
    """
    if (minutes is None) == (steps is None):
        raise InputError("either minutes or steps of training must be given")
    if steps is not None and steps < 1:
        raise InputError(f"steps must be at least 1; they are {steps}")
    examples = FlowExamples(corpus, most_atoms=most_atoms)
    training, held_out = held_out_split(len(examples.sizes), seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Flow(
            corpus.vocabulary,
            size_counts=examples.size_counts(training),
            slots=examples.slots,
            width=width,
            layers=layers,
        ).to(device)
    batch = min(batch, len(training))
    if steps is None:
        assert minutes is not None
        steps = plan_steps(
            model, examples, minutes=minutes, batch=batch, rate=learning_rate, kept=checkpoint
        )
    result = train_generator(
        model,
        examples,
        training=training,
        held_out=held_out,
        plan=Plan(steps=steps, batch=batch, learning_rate=learning_rate, seed=seed),
        checkpoint=checkpoint,
        identity={
            "model": Flow.kind,
            "settings": json.dumps(model.settings()),
            "corpus": _digest(corpus),
            "seed": seed,
            "batch": batch,
            "learning_rate": learning_rate,
        },
        progress=progress,
    )
    return model, result


def _digest(corpus: Corpus) -> str:
    """Return a fingerprint of the molecules."""
    content = hashlib.sha256(" ".join(map(str, corpus.vocabulary)).encode())
    for array in (corpus.encoded.atoms, corpus.encoded.atom_counts, corpus.encoded.bonds):
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:24]
