"""Checkpoints: everything a training needs to go on bit for bit, in one safetensors file.

Tensors stand under names; what is not a tensor (positions, numbers, structure) is JSON in the
file's header, with numbers written so that they are read back exactly. The file is written
atomically: an interruption at any moment leaves the last good one. Nothing in it is code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from graphtide.errors import InputError
from graphtide.files import write_bytes

__all__ = ["Content", "read_checkpoint", "write_checkpoint"]

Content = None | bool | int | float | str | Tensor | Sequence["Content"] | Mapping["Key", "Content"]
"""What a checkpoint may hold, nested as deeply as wanted."""
Key = str | int

FORMAT_VERSION = 1


def write_checkpoint(path: str | Path, content: Mapping[str, object]) -> None:
    """Write nested lists, mappings, numbers, texts and tensors into one file.

    Raises:
        InputError: the file cannot be written, or a content is of another kind.
    """
    tensors: dict[str, Tensor] = {}
    text = json.dumps({"format_version": FORMAT_VERSION, "content": _packed(content, tensors)})
    write_bytes(path, save(tensors, metadata={"graphtide": text}))


def read_checkpoint(path: str | Path) -> dict[str, Content]:
    """Return what `write_checkpoint` wrote; tensors on the CPU.

    Raises:
        InputError: the file is missing, damaged, of another version or no checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies, for sums may come out otherwise where a tensor's memory is aligned otherwise.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        described = json.loads(metadata["graphtide"])
        version = described["format_version"]
        if version == FORMAT_VERSION:
            return cast("dict[str, Content]", _unpacked(described["content"], tensors))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path} is no checkpoint, or it is damaged: {error}") from None
    raise InputError(f"{path} has format version {version}; this graphtide reads {FORMAT_VERSION}")


def _packed(content: object, tensors: dict[str, Tensor]) -> object:
    """Return what JSON can hold: tensors by number, mappings as pairs, so that keys keep type."""
    if isinstance(content, Tensor):
        name = str(len(tensors))
        # A copy, for safetensors refuses tensors that share memory.
        tensors[name] = content.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(content, Mapping):
        return {"pairs": [[_key(k), _packed(v, tensors)] for k, v in content.items()]}
    if isinstance(content, list | tuple):
        kind = "list" if isinstance(content, list) else "tuple"
        return {kind: [_packed(item, tensors) for item in content]}
    if isinstance(content, np.generic):
        return content.item()
    if content is None or isinstance(content, bool | int | float | str):
        return content
    raise InputError(f"a checkpoint cannot hold a {type(content).__name__}")


def _key(key: object) -> str | int:
    if isinstance(key, str | int):
        return key
    raise InputError(f"a checkpoint cannot hold a mapping with the key {key!r}")


def _unpacked(packed: object, tensors: Mapping[str, Tensor]) -> object:
    if isinstance(packed, dict):
        if "tensor" in packed:
            return tensors[packed["tensor"]]
        if "pairs" in packed:
            return {key: _unpacked(value, tensors) for key, value in packed["pairs"]}
        kind, make = ("list", list) if "list" in packed else ("tuple", tuple)
        return make(_unpacked(item, tensors) for item in packed[kind])
    return packed
