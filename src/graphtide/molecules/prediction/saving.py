"""Models of properties as files of a run: ``model.safetensors`` with arrays, ``model.json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np

from graphtide.errors import InputError
from graphtide.molecules.prediction.applicability import Domain
from graphtide.molecules.prediction.descriptors import descriptor_names
from graphtide.molecules.prediction.finetune import FineTuned
from graphtide.molecules.prediction.gaussian_process import GaussianProcess
from graphtide.molecules.prediction.intervals import Spread
from graphtide.molecules.prediction.members import MEMBERS, Members
from graphtide.molecules.prediction.model import PropertyModel
from graphtide.molecules.prediction.network import EncoderSize
from graphtide.molecules.prediction.trees import TREE_KINDS, Trees
from graphtide.run import Run

__all__ = ["RUN_KIND", "load_property_model", "save_property_model"]

RUN_KIND = "molecules learn"


def save_property_model(run: Run, model: PropertyModel) -> None:
    """Write a model into a run."""
    tensors: dict[str, np.ndarray] = {
        "weights": model.weights,
        "held_out": model.held_out,
        "labels": model.labels,
        "held_out_weights": model.held_out_weights,
    }
    members = model.members
    tensors |= _prefixed("domain", model.domain.tensors())
    needed = model.weights > 0
    for k, spread in enumerate(model.spreads):
        tensors |= _prefixed(
            f"spread.{k}",
            {
                "coefficients": spread.coefficients,
                "factor": np.array([spread.factor]),
                "ratios": spread.ratios,
                "weights": spread.weights,
            },
        )
        if needed[k, 0]:
            tensors |= _prefixed(f"process.{k}", members.processes[k].tensors())
        for place, kind in enumerate(TREE_KINDS, start=2):
            if needed[k, place]:
                tensors |= _prefixed(f"{kind}.{k}", members.trees[kind][k].tensors())
    networks = members.networks if needed[:, 1].any() else []
    for fold, network in enumerate(networks):
        tensors |= _prefixed(f"network.{fold}", network.tensors())
    run.write_tensors("model", tensors)
    run.write_json(
        "model.json",
        {
            "targets": list(model.targets),
            "classes": model.classes.tolist(),
            "members": list(MEMBERS),
            "descriptors": list(model.names),
            "scores": model.scores,
            "networks": len(networks),
            "encoder": dataclasses.asdict(networks[0].encoder_size) if networks else None,
        },
    )


def load_property_model(run: Run | str | Path) -> PropertyModel:
    """Read the model of a run of ``graphtide molecules learn``.

    Args:
        run: the run, or its folder.

    Raises:
        InputError: the folder is no such run, it is unfinished or damaged, or its descriptors are
            not those of the installed RDKit.
    """
    opened = run if isinstance(run, Run) else Run.open(run, kind=RUN_KIND)
    if not (opened.path / "model.json").is_file():
        raise InputError(f"{opened.path} holds no finished model; the same command finishes it")
    tensors = opened.read_tensors("model")
    try:
        found = cast("dict[str, object]", opened.read_json("model.json"))
        targets = tuple(cast("list[str]", found["targets"]))
        names = tuple(cast("list[str]", found["descriptors"]))
        unknown = sorted(set(names) - set(descriptor_names()))
        if unknown:
            raise InputError(
                f"{opened.path}: the installed RDKit has no descriptor '{unknown[0]}'; the model "
                "was made with another version, learn it again"
            )
        if found["members"] != list(MEMBERS) or "held_out_weights" not in tensors:
            raise InputError(f"{opened.path} is of another version of graphtide; learn it again")
        return _model(tensors, found, targets, names)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{opened.path} is damaged: {error}") from None


def _model(
    tensors: Mapping[str, np.ndarray],
    found: Mapping[str, object],
    targets: tuple[str, ...],
    names: tuple[str, ...],
) -> PropertyModel:
    weights = tensors["weights"]
    needed = weights > 0
    networks = []
    if found["networks"]:
        size = EncoderSize(**cast("dict[str, int]", found["encoder"]))
        count = int(cast("int", found["networks"]))
        networks = [FineTuned.of(_part(tensors, f"network.{k}"), names, size) for k in range(count)]
    members = Members(
        {
            k: GaussianProcess.of(_part(tensors, f"process.{k}"), names)
            for k in range(len(targets))
            if needed[k, 0]
        },
        {
            kind: {
                k: Trees.of(_part(tensors, f"{kind}.{k}"))
                for k in range(len(targets))
                if needed[k, place]
            }
            for place, kind in enumerate(TREE_KINDS, start=2)
        },
        networks,
        len(targets),
    )
    spreads = []
    for k in range(len(targets)):
        part = _part(tensors, f"spread.{k}")
        spreads.append(
            Spread(part["coefficients"], float(part["factor"][0]), part["ratios"], part["weights"])
        )
    return PropertyModel(
        targets,
        np.array(found["classes"], dtype=bool),
        members,
        weights,
        tuple(spreads),
        Domain.of(_part(tensors, "domain"), names),
        names,
        tensors["held_out"],
        tensors["labels"],
        tensors["held_out_weights"],
        cast("Mapping[str, Mapping[str, float]]", found["scores"]),
    )


def _prefixed(name: str, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{name}.{key}": value for key, value in tensors.items()}


def _part(tensors: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    start = f"{name}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
