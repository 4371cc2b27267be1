"""Runs that go on where they were interrupted: the same command finds its own checkpoints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphtide.run import Run

__all__ = ["begin", "checkpoints", "finish"]


def begin(path: Path, *, kind: str, configuration: Mapping[str, object]) -> Run:
    """Return the unfinished run of the very same command where there is one, else a new run.

    Raises:
        InputError: the folder holds other things than a run.
    """
    from graphtide.run import Run

    Run.check_target(path)
    if (path / "config.json").is_file() and checkpoints(path).is_dir():
        found = Run.open(path)
        # Compared as JSON writes them, so that tuples and lists are alike.
        same = json.dumps(found.configuration) == json.dumps(configuration)
        if found.kind == kind and same:
            return found
    return Run.create(path, kind=kind, configuration=configuration)


def checkpoints(path: Path) -> Path:
    """Return the folder of checkpoints within a run, there while the run is unfinished."""
    return path / "training"


def finish(run: Run) -> None:
    """Remove the checkpoints of a run that is complete."""
    folder = checkpoints(run.path)
    if folder.is_dir():
        shutil.rmtree(folder)
