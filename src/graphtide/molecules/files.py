"""Files of molecules in and out: SMILES lines, CSV and SDF, plain or compressed with gzip.

The format is read off the name: ``.smi``, ``.smiles`` or ``.txt`` (one SMILES a line, then perhaps
a name), ``.csv`` or ``.tsv`` (a header with a column of SMILES), ``.sdf`` (V2000 or V3000 records),
each also with ``.gz`` behind. Reading takes the SMILES as text and judges none: what is garbage
stays in its place, with its line number, for those who parse.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graphtide.errors import InputError
from graphtide.files import read_bytes, write_text

__all__ = ["MoleculeLines", "check_format", "read_molecules", "write_molecules"]

_FORMATS = {
    ".smi": "smiles",
    ".smiles": "smiles",
    ".txt": "smiles",
    ".csv": "csv",
    ".tsv": "tsv",
    ".sdf": "sdf",
}
_DELIMITERS = {"csv": ",", "tsv": "\t"}
_SMILES_COLUMNS = ("smiles", "canonical_smiles", "isomeric_smiles", "smile", "structure")
_RECORD_LINES = 64
"""The most lines that one record of a table may span by quoted line breaks."""


@dataclass(frozen=True, slots=True)
class MoleculeLines:
    """Molecules of a file as text, in the order of the file.

    Attributes:
        smiles: text of each molecule, not yet parsed; empty where a record holds none.
        lines: number of the line on which each stands (an SDF record: its first), from 1.
        columns: the file's other columns, text of the same length.
        source: the file's name, for messages.
        blank_lines: number of lines without anything on them, which are passed over.
    """

    smiles: tuple[str, ...]
    lines: tuple[int, ...]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: str = ""
    blank_lines: int = 0

    def __len__(self) -> int:
        return len(self.smiles)


def read_molecules(path: str | Path, *, column: str | None = None) -> MoleculeLines:
    """Read molecules as text; a line that makes no sense is kept as it stands.

    Bytes that are not UTF-8 become the replacement character. In a table, a row with too few cells
    is filled with empty ones; surplus cells stay joined to the last column.

    Args:
        path: file; its name tells the format.
        column: column of a table that holds the SMILES; None finds one named smiles,
            canonical_smiles, isomeric_smiles, smile or structure, in any case.

    Raises:
        InputError: the file is missing, a folder, empty, a damaged gzip file or of an unknown
            format; or the table has no such column.
    """
    path = Path(path)
    kind = _format(path)
    text = read_bytes(path).decode("utf-8-sig", errors="replace")
    if not text.strip():
        raise InputError(f"{path} is empty; molecules were expected")
    lines = re.split(r"\r\n|\r|\n", text)
    if lines[-1] == "":
        lines.pop()
    if kind == "smiles":
        return _read_smiles(lines, str(path))
    if kind == "sdf":
        return _read_sdf(lines, str(path))
    return _read_table(lines, _DELIMITERS[kind], column, str(path))


def write_molecules(
    path: str | Path,
    smiles: Sequence[str],
    columns: Mapping[str, Sequence[object]] | None = None,
) -> None:
    """Write molecules in the format of the file's name, atomically.

    Args:
        path: file to write.
        smiles: SMILES of each molecule.
        columns: further columns of the same length; a ``.smi`` file takes only ``name``. In SDF
            they become data fields, and atoms get coordinates in the plane.

    Raises:
        InputError: the format is unknown or cannot hold the columns, a column is of another length
            or holds a line break that the format has no place for, or (SDF) RDKit cannot parse a
            molecule.
    """
    path = Path(path)
    kind = _format(path)
    named = {name: [str(value) for value in values] for name, values in (columns or {}).items()}
    for name, values in named.items():
        if len(values) != len(smiles):
            raise InputError(
                f"column '{name}' has {len(values)} values for {len(smiles)} molecules"
            )
    if kind == "smiles":
        write_text(path, _smiles_text(path, smiles, named))
    elif kind == "sdf":
        write_text(path, _sdf_text(path, smiles, named))
    else:
        if "smiles" in named:
            raise InputError("a further column may not be named 'smiles'")
        stream = io.StringIO()
        writer = csv.writer(stream, delimiter=_DELIMITERS[kind], lineterminator="\n")
        writer.writerow(["smiles", *named])
        writer.writerows(zip(smiles, *named.values(), strict=True))
        write_text(path, stream.getvalue())


def check_format(path: str | Path) -> None:
    """Raise unless a file's name tells a format, so that work does not begin in vain.

    Raises:
        InputError: it tells none.
    """
    _format(Path(path))


def _format(path: Path) -> str:
    """Return the format that a file's name tells."""
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    kind = _FORMATS.get(plain.suffix.lower())
    if kind is None:
        raise InputError(
            f"{path}: the name tells no format of molecules; {', '.join(_FORMATS)} are known, "
            "each also with .gz"
        )
    return kind


def _read_smiles(lines: Sequence[str], source: str) -> MoleculeLines:
    smiles, numbers, names = [], [], []
    for number, line in enumerate(lines, start=1):
        parts = line.split(maxsplit=1)
        if not parts or (number == 1 and parts[0].casefold() in _SMILES_COLUMNS):
            continue
        smiles.append(parts[0])
        numbers.append(number)
        names.append(parts[1].strip() if len(parts) > 1 else "")
    columns = {"name": tuple(names)} if any(names) else {}
    blank = sum(not line.strip() for line in lines)
    return MoleculeLines(tuple(smiles), tuple(numbers), columns, source, blank)


def _read_table(
    lines: Sequence[str], delimiter: str, column: str | None, source: str
) -> MoleculeLines:
    records = _records(lines, delimiter)
    _, header = next(records)
    header = [name.strip() for name in header]
    place = _smiles_place(header, column, source)
    names = _distinct(header)
    cells: list[list[str]] = [[] for _ in header]
    numbers = []
    for number, record in records:
        if len(record) > len(header):
            last = len(header) - 1
            record = [*record[:last], delimiter.join(record[last:])]
        record = record + [""] * (len(header) - len(record))
        numbers.append(number)
        for values, cell in zip(cells, record, strict=True):
            values.append(cell.strip())
    columns = {
        name: tuple(values)
        for k, (name, values) in enumerate(zip(names, cells, strict=True))
        if k != place
    }
    blank = sum(not line.strip() for line in lines)
    return MoleculeLines(tuple(cells[place]), tuple(numbers), columns, source, blank)


def _records(lines: Sequence[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of each record, quoted line breaks included.

    A quotation mark that is never closed, or that stands inside a cell, spoils its own line only.
    """
    position = 0
    while position < len(lines):
        start, text = position, lines[position]
        position += 1
        if not text.strip():
            continue
        end = position
        while text.count('"') % 2 and end < min(len(lines), start + _RECORD_LINES):
            text = f"{text}\n{lines[end]}"
            end += 1
        try:
            if text.count('"') % 2:
                raise csv.Error("a quotation mark is never closed")
            cells = next(csv.reader([text], delimiter=delimiter))
            position = end
        except csv.Error:  # too, where a line ends outside of quotation marks
            cells = lines[start].split(delimiter)
        yield start + 1, cells


def _smiles_place(header: Sequence[str], column: str | None, source: str) -> int:
    """Return the position of the column that holds the SMILES."""
    if column is not None:
        if column in header:
            return header.index(column)
    else:
        folded = [name.casefold() for name in header]
        for name in _SMILES_COLUMNS:
            if name in folded:
                return folded.index(name)
    wanted = f"'{column}'" if column is not None else "of SMILES (such as 'smiles')"
    known = ", ".join(name or "(no name)" for name in header[:8])
    raise InputError(f"{source}: there is no column {wanted}; the columns are {known}")


def _distinct(header: Sequence[str]) -> list[str]:
    """Return names for all columns, each different."""
    names: list[str] = []
    for k, name in enumerate(header, start=1):
        wanted = name or f"column_{k}"
        while wanted in names:
            wanted = f"{wanted}_{k}"
        names.append(wanted)
    return names


def _read_sdf(lines: Sequence[str], source: str) -> MoleculeLines:
    from rdkit import rdBase

    blocks: list[tuple[int, list[str]]] = []
    start = 0
    for end, line in enumerate([*lines, "$$$$"]):
        if line.startswith("$$$$"):
            if any(text.strip() for text in lines[start:end]):
                blocks.append((start + 1, list(lines[start:end])))
            start = end + 1
    with rdBase.BlockLogs():
        smiles = tuple(_smiles_of_block(block) for _, block in blocks)
    fields = [_fields_of_block(block) for _, block in blocks]
    names = dict.fromkeys(name for own in fields for name in own)
    columns = {name: tuple(own.get(name, "") for own in fields) for name in names}
    return MoleculeLines(smiles, tuple(number for number, _ in blocks), columns, source)


def _smiles_of_block(block: Sequence[str]) -> str:
    """Return canonical SMILES; what chemistry forbids is written as it stands, garbage is empty."""
    from rdkit import Chem

    text = "\n".join(block)
    molecule = Chem.MolFromMolBlock(text)
    if molecule is None:
        molecule = Chem.MolFromMolBlock(text, sanitize=False)
    return "" if molecule is None else Chem.MolToSmiles(molecule)


def _fields_of_block(block: Sequence[str]) -> dict[str, str]:
    """Return the data fields of an SDF record: ``> <name>``, lines of value, a blank line."""
    fields: dict[str, str] = {}
    if block and block[0].strip():
        fields["name"] = block[0].strip()
    name = ""
    for line in block:
        opened = re.match(r">.*<([^>]+)>", line)
        if opened:
            name = str(opened.group(1))
            fields[name] = ""
        elif name and line.strip():
            fields[name] = f"{fields[name]}\n{line}" if fields[name] else line
        else:
            name = ""
    return fields


def _smiles_text(path: Path, smiles: Sequence[str], columns: Mapping[str, Sequence[str]]) -> str:
    surplus = [name for name in columns if name != "name"]
    if surplus:
        raise InputError(
            f"{path}: a file of SMILES lines holds a name besides, not '{surplus[0]}'; "
            "write .csv or .sdf"
        )
    names = columns.get("name", [""] * len(smiles))
    rows = []
    for text, name in zip(smiles, names, strict=True):
        if re.search(r"[\r\n]", text + name):
            raise InputError(f"{path}: {text!r} {name!r} holds a line break")
        rows.append(f"{text}\t{name}" if name else text)
    return "\n".join(rows) + "\n"


def _sdf_text(path: Path, smiles: Sequence[str], columns: Mapping[str, Sequence[str]]) -> str:
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDepictor

    records = []
    for k, text in enumerate(smiles):
        with rdBase.BlockLogs():
            molecule = Chem.MolFromSmiles(text)
        if molecule is None:
            raise InputError(f"{path}: molecule {k + 1}, {text!r}, cannot be parsed")
        rdDepictor.Compute2DCoords(molecule)
        values = {name: own[k] for name, own in columns.items()}
        molecule.SetProp("_Name", values.pop("name", ""))
        fields = "".join(f"> <{name}>\n{value}\n\n" for name, value in values.items())
        records.append(f"{Chem.MolToMolBlock(molecule)}{fields}$$$$\n")
    return "".join(records)
