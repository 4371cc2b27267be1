"""Summaries and sets of training molecules kept on disk, as they do not change between scores.

Each file is named by the hash of the molecules, of how they were read, and of the versions of what
computed them; a damaged or missing file is computed anew.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from graphtide.files import write_bytes
from graphtide.molecules.metrics.distances import Summary

__all__ = ["kept_codes", "kept_summary", "key_of", "molecule_codes"]

VERSION = 1
"""To be raised when what a summary holds, or how it is computed, changes."""

_ARRAYS = (
    *("descriptors", "fingerprints", "nearest", "similar", "neighbourhoods", "mean", "covariance"),
)


def key_of(texts: Sequence[str], *, stereo: bool) -> str:
    """Return the hash that names what is computed from these molecules."""
    from rdkit import rdBase

    state = hashlib.sha256(f"{VERSION} {rdBase.rdkitVersion} {stereo}\n".encode())
    state.update("\n".join(texts).encode())
    return state.hexdigest()[:32]


def kept_summary(folder: Path | None, key: str, compute: Callable[[], Summary]) -> Summary:
    """Return the summary of that key, computed and kept where the folder lacks it.

    Args:
        folder: where summaries are kept; None keeps nothing.
        key: :func:`key_of` the molecules.
        compute: makes the summary.
    """
    arrays = _read(folder, key)
    names = {"scaffolds", "fragments"}
    if arrays is not None and names | set(_ARRAYS) <= set(arrays):
        tables = {name: json.loads(arrays[name].tobytes()) for name in names}
        return Summary(**{name: arrays[name] for name in _ARRAYS}, **tables)
    summary = compute()
    if folder is not None:
        held = {name: getattr(summary, name) for name in _ARRAYS}
        for name in names:
            text = json.dumps(dict(getattr(summary, name)))
            held[name] = np.frombuffer(text.encode(), dtype=np.uint8)
        _write(folder, key, held)
    return summary


def kept_codes(folder: Path | None, key: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the sorted codes of a set of molecules, computed and kept where the folder lacks it.

    Args:
        folder: where they are kept; None keeps nothing.
        key: :func:`key_of` the molecules.
        compute: makes the codes.
    """
    arrays = _read(folder, f"codes-{key}")
    if arrays is not None and "codes" in arrays:
        return arrays["codes"]
    codes = compute()
    if folder is not None:
        _write(folder, f"codes-{key}", {"codes": codes})
    return codes


def molecule_codes(smiles: Sequence[str]) -> np.ndarray:
    """Return a 64-bit code of each canonical SMILES, shape (n,), uint64.

    Two different ones of two million share a code with a chance of about 1e-7.
    """
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in smiles)
    return np.frombuffer(digests, dtype=np.uint64)


def _read(folder: Path | None, key: str) -> dict[str, np.ndarray] | None:
    path = None if folder is None else folder / f"{key}.npz"
    if path is None or not path.is_file():
        return None
    try:
        # From memory: a damaged file would be left open.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError):
        return None


def _write(folder: Path, key: str, arrays: dict[str, np.ndarray]) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    write_bytes(folder / f"{key}.npz", stream.getvalue())
