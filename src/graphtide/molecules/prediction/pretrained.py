"""The encoder that ships inside the package, trained to predict RDKit's descriptors.

``benchmarks/pretrain_descriptors.py`` made it from ZINC250k, QM9 and fragments; it has seen no
measured property. Weights are kept in half precision.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from graphtide.errors import InputError
from graphtide.files import write_bytes
from graphtide.molecules.prediction.network import Encoder, EncoderSize

__all__ = ["SHIPPED", "load_encoder", "save_encoder"]

SHIPPED = Path(__file__).parent / "encoder.safetensors"
"""The weights in the package."""


def save_encoder(path: str | Path, encoder: Encoder, *, held_out_error: float) -> None:
    """Write an encoder in half precision.

    Args:
        path: file to write.
        encoder: the encoder.
        held_out_error: mean square error of the scaled descriptors of molecules held out.
    """
    size = json.dumps({**dataclasses.asdict(encoder.size), "held_out_error": held_out_error})
    tensors = {
        name: value.detach().cpu().half().contiguous()
        for name, value in encoder.state_dict().items()
    }
    write_bytes(path, save(tensors, metadata={"size": size}))


def load_encoder(path: str | Path = SHIPPED, *, dropout: float = 0.0) -> Encoder:
    """Return an encoder as :func:`save_encoder` wrote it, in single precision.

    Args:
        path: the file; the shipped one where not given.
        dropout: as for :class:`Encoder`.

    Raises:
        InputError: the file is missing, damaged or no encoder.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with safe_open(path, framework="pt") as file:
            size = json.loads((file.metadata() or {})["size"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        size.pop("held_out_error", None)
        encoder = Encoder(EncoderSize(**size), dropout=dropout)
        encoder.load_state_dict({name: value.to(torch.float32) for name, value in tensors.items()})
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{path} is no encoder, or it is damaged: {error}") from None
    return encoder
