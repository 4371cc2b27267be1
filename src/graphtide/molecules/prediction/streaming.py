"""Predictions of a file of any size: read, predicted and written in pieces.

Tables (.csv, .tsv) and SMILES lines (.smi, .smiles, .txt) are streamed, plain or with .gz; of an
SDF the text is held in memory. The output keeps the input's columns and order and replaces an old
file only when it is complete.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from graphtide.errors import InputError
from graphtide.molecules.files import check_format, read_molecules
from graphtide.molecules.prediction.model import Prediction, PropertyModel

__all__ = ["predict_file"]

_PIECE = 512
_SMILES = ("smiles", "canonical_smiles", "isomeric_smiles", "smile", "structure")
Row = list[str]


def predict_file(
    model: PropertyModel,
    source: str | Path,
    out: str | Path,
    *,
    column: str | None = None,
    level: float = 0.9,
    steps: int | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> dict[str, int]:
    """Predict each molecule of a file; return counts of rows, predicted, unparseable, outside.

    For each target t the output has ``t_predicted``, ``t_lower``, ``t_upper``,
    ``t_standard_deviation``, then ``in_domain`` (yes or no) and ``reason``. A row whose molecule
    cannot be parsed keeps its place, with empty values and the reason.

    Args:
        model: the model.
        source: table, SMILES lines or SDF.
        out: table to write, .csv or .tsv, also with .gz.
        column: the column of SMILES; None finds one.
        level: of the intervals.
        steps: of the networks' message passing.
        progress: told the share done.

    Raises:
        InputError: the file cannot be read, has no such column, or the output no such format.
    """
    path, target = Path(source), Path(out)
    check_format(path)
    delimiter = _delimiter(target)
    if path.resolve() == target.resolve():
        raise InputError(f"{target} is the input itself; write to another file")
    with contextlib.ExitStack() as stack:
        opened = _opened(path, column, stack)
        _check_names(path, opened.header, _names(model))
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(descriptor)
        try:
            with _writer(temporary, compressed=target.suffix == ".gz") as stream:
                writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
                writer.writerow([*opened.header, *_names(model)])
                counts = {"rows": 0, "predicted": 0, "unparseable": 0, "outside": 0}
                for piece in _pieces(opened.rows):
                    smiles = [row[opened.place] for row in piece]
                    told = model.predict(smiles, level=level, steps=steps)
                    for k, row in enumerate(piece):
                        writer.writerow([*row, *_cells(told, k)])
                    known = np.isfinite(told.values[:, 0])
                    counts["rows"] += len(piece)
                    counts["predicted"] += int(known.sum())
                    counts["unparseable"] += int((~known).sum())
                    counts["outside"] += int((known & ~told.in_domain).sum())
                    if progress is not None:
                        progress(opened.position(), f"{counts['rows']} molecules")
            if counts["rows"] == 0:
                raise InputError(f"{path} has a header but no rows")
            Path(temporary).chmod(0o644)
            Path(temporary).replace(target)
        except (csv.Error, EOFError, OSError, zlib.error) as error:
            Path(temporary).unlink(missing_ok=True)
            raise InputError(f"{path} cannot be read to its end: {error}") from None
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    return counts


_COLUMNS = ("predicted", "lower", "upper", "standard_deviation")


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file that is being read: its header, its rows, the place of the SMILES, the share read."""

    header: Row
    rows: Iterator[Row]
    place: int
    position: Callable[[], float]


def _names(model: PropertyModel) -> Row:
    return [f"{t}_{what}" for t in model.targets for what in _COLUMNS] + ["in_domain", "reason"]


def _check_names(path: Path, header: Row, names: Row) -> None:
    for name in names:
        if name in header:
            raise InputError(f"{path}: it has a column '{name}' already, which is to be written")


def _cells(told: Prediction, k: int) -> Row:
    cells = []
    for t in range(told.values.shape[1]):
        numbers = (told.values, told.lower, told.upper, told.standard_deviations)
        cells += [f"{x[k, t]:.6g}" if np.isfinite(x[k, t]) else "" for x in numbers]
    inside = "yes" if told.in_domain[k] else "no"
    parsed = np.isfinite(told.values[k]).any()
    return [*cells, inside if parsed else "", told.reasons[k]]


def _delimiter(path: Path) -> str:
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    found = {".csv": ",", ".tsv": "\t"}.get(plain.suffix.lower())
    if found is None:
        raise InputError(f"{path}: predictions are written as .csv or .tsv, also with .gz")
    return found


def _opened(path: Path, column: str | None, stack: contextlib.ExitStack) -> _Opened:
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    kind = plain.suffix.lower()
    if kind == ".sdf":
        lines = read_molecules(path)
        others = list(lines.columns)
        found = zip(lines.smiles, *(lines.columns[name] for name in others), strict=True)
        return _Opened(["smiles", *others], (list(row) for row in found), 0, lambda: 0.0)
    stream, position = _reader(path, stack)
    if kind in (".csv", ".tsv"):
        reader = csv.reader(stream, delimiter="," if kind == ".csv" else "\t")
        header = _stripped(next(reader, []))
        if not any(header):
            raise InputError(f"{path} is empty")
        place = _place(header, column, path)
        return _Opened(header, _filled(reader, header), place, position)
    first = next((line for line in stream if line.strip()), "")
    if not first:
        raise InputError(f"{path} is empty")
    return _Opened(["smiles", "name"], _smiles_rows(first, stream), 0, position)


def _reader(path: Path, stack: contextlib.ExitStack) -> tuple[TextIO, Callable[[], float]]:
    if path.is_dir():
        raise InputError(f"{path} is a folder; a file was expected")
    try:
        raw = stack.enter_context(path.open("rb"))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    size = max(1, path.stat().st_size)
    packed = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    data = gzip.GzipFile(fileobj=raw) if packed else raw
    text = io.TextIOWrapper(data, "utf-8-sig", errors="replace", newline="")
    stack.callback(text.close)
    return text, lambda: min(1.0, raw.tell() / size)


def _place(header: Row, column: str | None, path: Path) -> int:
    if column is not None and column in header:
        return header.index(column)
    folded = [name.casefold() for name in header]
    for name in _SMILES if column is None else ():
        if name in folded:
            return folded.index(name)
    wanted = f"'{column}'" if column is not None else "of SMILES (such as 'smiles')"
    raise InputError(
        f"{path}: there is no column {wanted}; the columns are {', '.join(header[:8])}"
    )


def _filled(reader: Iterator[Row], header: Row) -> Iterator[Row]:
    """Yield rows with as many cells as the header; what is too much stays in the last one."""
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > len(header):
            row = [*row[: len(header) - 1], ",".join(row[len(header) - 1 :])]
        yield row + [""] * (len(header) - len(row))


def _smiles_rows(first: str, rest: Iterator[str]) -> Iterator[Row]:
    if first.split()[0].casefold() not in _SMILES:
        yield _parts(first)
    yield from (_parts(line) for line in rest if line.strip())


def _parts(line: str) -> Row:
    return [*line.strip().split(maxsplit=1), ""][:2]


def _stripped(row: Sequence[str]) -> Row:
    return [cell.strip() for cell in row]


def _pieces(rows: Iterator[Row]) -> Iterator[list[Row]]:
    piece: list[Row] = []
    for row in rows:
        piece.append(row)
        if len(piece) == _PIECE:
            yield piece
            piece = []
    if piece:
        yield piece


def _writer(path: str, *, compressed: bool) -> TextIO:
    if compressed:
        return io.TextIOWrapper(gzip.GzipFile(path, "wb", mtime=0), "utf-8", newline="")
    return Path(path).open("w", encoding="utf-8", newline="")
