"""Text files and tables in and out, with one clear sentence where something is wrong.

Reading takes UTF-8 with or without a byte-order mark, any line ending, and gzip (recognised by its
first bytes, whatever the name). Writing is atomic: a temporary file in the same folder replaces the
old one only when it is complete and on disk, so an interruption leaves the last good file.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import InputError

if TYPE_CHECKING:
    import pandas

__all__ = [
    "numeric_column",
    "read_bytes",
    "read_table",
    "read_text",
    "write_bytes",
    "write_table",
    "write_text",
]

_GZIP_MAGIC = b"\x1f\x8b"
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})


def read_bytes(path: str | Path) -> bytes:
    """Return the bytes of a file, decompressed where it is gzip.

    Raises:
        InputError: the file is missing, a folder, or damaged.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; a file was expected")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if data.startswith(_GZIP_MAGIC):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            raise InputError(f"{path} is a damaged gzip file") from None
    return data


def read_text(path: str | Path) -> str:
    """Return the text of a file, plain or compressed with gzip.

    Raises:
        InputError: the file is missing, a folder, empty, damaged, or not UTF-8 text.
    """
    data = read_bytes(path)
    if b"\x00" in data[:65536]:
        raise InputError(f"{path} is a binary file; UTF-8 text was expected")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from None
    if not text.strip():
        raise InputError(f"{path} is empty")
    return text


def read_table(path: str | Path) -> pandas.DataFrame:
    """Return a CSV file as a frame of text cells, header and cells stripped of outer blanks.

    Row numbers in messages count the header as row 1, as a spreadsheet shows them; the frame's
    index holds the row number of each record. Blank lines are passed over.

    Raises:
        InputError: as :func:`read_text`; or a column name is empty or stands twice, the table has
            no row below its header, or a row has more or fewer cells than the header.
    """
    import pandas

    path = Path(path)
    try:
        rows = list(csv.reader(io.StringIO(read_text(path), newline=None), strict=True))
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV table: {error}") from None
    numbered = [(i, row) for i, row in enumerate(rows, start=1) if any(c.strip() for c in row)]
    header_row, *records = numbered
    header = [cell.strip() for cell in header_row[1]]
    for position, name in enumerate(header, start=1):
        if not name:
            raise InputError(f"{path}: column {position} of the header has no name")
        if header.index(name) != position - 1:
            first = header.index(name) + 1
            raise InputError(f"{path}: column '{name}' stands twice (columns {first}, {position})")
    if not records:
        raise InputError(f"{path} has a header but no rows")
    for number, row in records:
        if len(row) != len(header):
            raise InputError(
                f"{path}, row {number}: {len(row)} cells where the header has {len(header)} columns"
            )
    cells = [[cell.strip() for cell in row] for _, row in records]
    return pandas.DataFrame(cells, columns=header, index=[i for i, _ in records], dtype=object)


def numeric_column(frame: pandas.DataFrame, column: str, *, source: str | Path) -> np.ndarray:
    """Return one column of :func:`read_table` as float64, shape (rows,); missing cells are NaN.

    Empty cells and NA, N/A, NaN, null, none (in any case) count as missing.

    Args:
        frame: a frame of text cells whose index holds row numbers.
        column: the column's name.
        source: the file named in messages.

    Raises:
        InputError: the column does not exist, or a cell is text or infinite.
    """
    if column not in frame.columns:
        known = ", ".join(map(str, frame.columns[:8]))
        raise InputError(f"{source}: column '{column}' is missing; the columns are {known}")
    cells = frame[column].to_numpy()
    values = np.empty(len(cells))
    for position, cell in enumerate(cells):
        if cell.casefold() in _MISSING:
            values[position] = np.nan
            continue
        try:
            values[position] = float(cell)
        except ValueError:
            row = frame.index[position]
            raise InputError(
                f"{source}, row {row}, column '{column}': '{cell}' is not a number"
            ) from None
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        row = frame.index[infinite[0]]
        raise InputError(f"{source}, row {row}, column '{column}': infinity is not a finite number")
    return values


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file atomically; a name that ends in ``.gz`` is compressed (without a time stamp)."""
    path = Path(path)
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically (see :func:`write_bytes`)."""
    write_bytes(path, text.encode("utf-8"))


def write_table(path: str | Path, frame: pandas.DataFrame) -> None:
    """Write a frame as CSV without its index, atomically; numbers keep every digit."""
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))
