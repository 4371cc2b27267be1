"""Scores as files of a run."""

from __future__ import annotations

import numpy as np
import pandas

from graphtide.files import write_text
from graphtide.molecules.metrics.score import Scores
from graphtide.run import Run

__all__ = ["save_scores"]


def save_scores(scores: Scores, run: Run) -> None:
    """Write metrics.json, the table of metrics, the valid molecules and what was no molecule.

    Files: ``metrics.json``, ``metrics.csv``, ``valid.smi`` (canonical SMILES), ``unparseable.csv``
    (line, text), ``descriptors.safetensors`` and ``notes.json``.
    """
    run.write_metrics(scores.metrics())
    run.write_table("metrics", scores.table())
    write_text(run.path / "valid.smi", "".join(f"{text}\n" for text in scores.smiles))
    run.write_table(
        "unparseable", pandas.DataFrame(list(scores.unparseable), columns=["line", "text"])
    )
    run.write_tensors(
        "descriptors",
        {
            "generated": scores.descriptors.astype(np.float32),
            "reference": scores.reference_descriptors.astype(np.float32),
        },
    )
    run.write_json("notes.json", scores.notes)
