"""Training of discrete flow matching on a corpus, within some minutes or some steps."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from graphtide.errors import InputError
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.flow_matching.examples import FlowMatchingExamples
from graphtide.molecules.flow_matching.model import FlowMatching, Precision, Start
from graphtide.molecules.flow_matching.sampler import Atoms
from graphtide.molecules.learning import Plan, held_out_split, plan_steps, train_generator
from graphtide.training.loop import Training

__all__ = ["DENSE_LIMIT", "fit_flow_matching"]

DENSE_LIMIT = 128
"""Atoms of the largest molecule taken: all pairs of atoms are variables here."""

_PAIRS_A_STEP = 18_000

_log = logging.getLogger(__name__)


def fit_flow_matching(
    corpus: Corpus,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
    properties: Mapping[str, np.ndarray] | None = None,
    start: Start = "marginal",
    atoms: Atoms = "composition",
    width: int = 96,
    pair_width: int = 24,
    heads: int = 4,
    layers: int = 5,
    training_distortion: float = 2.0,
    batch: int | None = None,
    learning_rate: float | None = None,
    device: torch.device | str | None = None,
    precision: Precision = "float32",
    compiled: bool = False,
) -> tuple[FlowMatching, Training]:
    """Train discrete flow matching on a corpus.

    Args:
        corpus: the molecules. Those of more than DENSE_LIMIT atoms are set aside, and told of.
        minutes: time of training on this machine; None and no ``steps`` take 15.
        steps: number of steps, in place of minutes.
        seed: of the first weights, the order of molecules and all noise.
        checkpoint: file from which an interrupted training goes on.
        progress: told the share done and the losses.
        properties: numbers (K,) for each of the K molecules, by name, that sampling may be
            conditioned on; NaN where not known.
        start: of the paths.
        atoms: whether types of atoms move along the chain.
        width: see :class:`FlowMatching` for this and the next four.
        pair_width: of the pairs' states.
        heads: of the attention.
        layers: of the network.
        training_distortion: of the times trained on.
        batch: molecules a step; None takes 32 to 256, fewer where molecules are large.
        learning_rate: largest one; None takes 0.002 sqrt(batch / 256).
        device: of the weights; None is the CPU.
        precision: of the products; bfloat16 suits a GPU.
        compiled: compile the network by torch.compile, which pays in long trainings on a GPU.

    Raises:
        InputError: both minutes and steps are given, or all molecules are too large.
        ComputationError: the loss is not finite.
    """
    if minutes is not None and steps is not None:
        raise InputError("minutes and steps of training exclude each other; one was expected")
    small = np.flatnonzero(corpus.sizes <= DENSE_LIMIT)
    if len(small) < len(corpus):
        aside = len(corpus) - len(small)
        word = f"{aside} molecules of more than {DENSE_LIMIT} atoms are set aside"
        if not len(small):
            raise InputError(
                f"all {aside} molecules have more than {DENSE_LIMIT} atoms; flow matching holds "
                "every pair of atoms and takes smaller ones"
            )
        _log.warning(word)
        if progress is not None:
            progress(0.0, word)
        corpus = corpus.subset(small)
        properties = {k: np.asarray(v)[small] for k, v in (properties or {}).items()}
    examples = FlowMatchingExamples(corpus, properties)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FlowMatching.for_examples(
            examples, start=start, atoms=atoms, width=width, pair_width=pair_width, heads=heads,
            layers=layers, training_distortion=training_distortion, precision=precision,
        )  # fmt: skip
    if device is not None:
        model.to(device)
    if compiled:
        model.network.compile(dynamic=True)
    sizes = corpus.sizes.astype(np.int64)
    if batch is None:
        pairs = max(1.0, float((sizes * (sizes - 1) / 2).mean()))
        batch = int(np.clip(_PAIRS_A_STEP / pairs, 32, 256))
    rate = 0.002 * (batch / 256) ** 0.5 if learning_rate is None else learning_rate
    if steps is None:
        steps = plan_steps(
            model,
            examples,
            minutes=15.0 if minutes is None else minutes,
            batch=batch,
            rate=rate,
            kept=checkpoint,
        )
    training, held_out = held_out_split(len(corpus), seed=seed)
    result = train_generator(
        model,
        examples,
        training=training,
        held_out=held_out,
        plan=Plan(steps, batch, rate, seed=seed),
        checkpoint=checkpoint,
        identity={"molecules": len(corpus), "model": json.dumps(model.settings()), "seed": seed},
        progress=progress,
    )
    return model, result
