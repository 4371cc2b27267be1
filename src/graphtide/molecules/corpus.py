"""A corpus: molecules encoded once, kept in memory-mapped files, and handed out in batches."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from graphtide.errors import InputError
from graphtide.molecules.chemistry import AtomType, TypedGraph, to_smiles
from graphtide.molecules.encoding import Encoded, Mixtures, Notice, encode

__all__ = ["Corpus", "batches_by_size"]

_ARRAYS = ("atoms", "atom_counts", "bonds", "bond_counts", "lines")
_FORMAT = 1


@dataclass(frozen=True)
class Corpus:
    """Molecules as typed graphs.

    Args:
        encoded: the molecules; see :class:`graphtide.molecules.encoding.Encoded`.

    Example:
        >>> corpus = Corpus.from_smiles(["CCO", "c1ccccc1", "not a molecule"])
        >>> len(corpus), [str(kind) for kind in corpus.vocabulary]
        (2, ['C(4)', 'O(2)'])
        >>> corpus.smiles(1)
        'c1ccccc1'
        >>> [(notice.line, notice.kept) for notice in corpus.notices]
        [(3, False)]
    """

    encoded: Encoded

    @staticmethod
    def from_smiles(
        smiles: Sequence[str],
        lines: Sequence[int] | None = None,
        *,
        mixtures: Mixtures = "largest",
        most_atoms: int | None = None,
        workers: int | None = None,
        cache: Path | None = None,
        progress: Callable[[float, str], None] | None = None,
    ) -> Corpus:
        """Encode SMILES; with a cache, only the first time.

        Args:
            smiles: one molecule each.
            lines: number of the line of each in its file; None numbers them from 1.
            mixtures: what becomes of molecules in several pieces.
            most_atoms: larger molecules are set aside; None takes all.
            workers: processes; None takes one for each core.
            cache: folder of encoded corpora; None encodes anew.
            progress: told the share done.

        Raises:
            InputError: no molecule can be read.
        """
        options: dict[str, object] = {"mixtures": mixtures, "most_atoms": most_atoms}
        folder = None if cache is None else cache / _key(smiles, lines, options)
        if folder is not None and (folder / "corpus.json").is_file():
            return Corpus.load(folder)
        encoded = encode(
            smiles,
            lines,
            mixtures=mixtures,
            most_atoms=most_atoms,
            workers=workers,
            progress=progress,
        )
        if not len(encoded.atom_counts):
            first = encoded.notices[0] if encoded.notices else None
            why = "it is empty" if first is None else f"line {first.line}: {first.reason}"
            raise InputError(f"no molecule could be read: {why}")
        corpus = Corpus(encoded)
        if folder is None:
            return corpus
        corpus.save(folder)
        return Corpus.load(folder)

    @staticmethod
    def load(folder: Path) -> Corpus:
        """Open what :meth:`save` wrote, memory-mapped.

        Raises:
            InputError: the folder holds no corpus of this version.
        """
        try:
            head = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
            if head["format"] != _FORMAT:
                raise InputError(f"{folder} holds a corpus of another version; delete it")
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
            vocabulary = tuple(AtomType.parse(text) for text in head["vocabulary"])
            notices = tuple(Notice(*row) for row in head["notices"])
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder} holds no whole corpus; delete it ({error})") from None
        return Corpus(Encoded(vocabulary=vocabulary, notices=notices, **arrays))

    def save(self, folder: Path) -> None:
        """Write the corpus into a folder, whole or not at all."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".corpus-"))
        try:
            for name in _ARRAYS:
                np.save(new / f"{name}.npy", getattr(self.encoded, name))
            head = {
                "format": _FORMAT,
                "vocabulary": [str(kind) for kind in self.vocabulary],
                "notices": [[n.line, n.text, n.reason, n.kept] for n in self.notices],
            }
            (new / "corpus.json").write_text(json.dumps(head), encoding="utf-8")
            if folder.exists():
                shutil.rmtree(folder)
            new.rename(folder)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise

    def __len__(self) -> int:
        """Return the number of molecules."""
        return len(self.encoded.atom_counts)

    @property
    def vocabulary(self) -> tuple[AtomType, ...]:
        """Types of atoms that occur, the most frequent first."""
        return self.encoded.vocabulary

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Lines that were not taken as they stand."""
        return self.encoded.notices

    @property
    def sizes(self) -> np.ndarray:
        """Number of nodes of each molecule, (K,)."""
        return self.encoded.atom_counts

    @cached_property
    def _starts(self) -> tuple[np.ndarray, np.ndarray]:
        counts = (self.encoded.atom_counts, self.encoded.bond_counts)
        atoms, bonds = (np.concatenate([[0], np.cumsum(c, dtype=np.int64)]) for c in counts)
        return atoms, bonds

    def atoms(self, index: int) -> np.ndarray:
        """Return the types of the nodes of a molecule, int16 (N,), places in the vocabulary."""
        starts = self._starts[0]
        return self.encoded.atoms[starts[index] : starts[index + 1]]

    def bonds(self, index: int) -> np.ndarray:
        """Return the bonds of a molecule, int16 (M, 3): two nodes and the order."""
        starts = self._starts[1]
        return self.encoded.bonds[starts[index] : starts[index + 1]]

    def graph(self, index: int) -> TypedGraph:
        """Return a molecule as typed nodes and bonds."""
        types = tuple(self.vocabulary[kind] for kind in self.atoms(index))
        return TypedGraph(types, np.array(self.bonds(index)))

    def smiles(self, index: int) -> str:
        """Return the canonical SMILES of a molecule."""
        graph = self.graph(index)
        return to_smiles(graph.types, graph.bonds)

    def subset(self, indices: np.ndarray) -> Corpus:
        """Return the corpus of some molecules, in the order given; the vocabulary stays.

        Args:
            indices: integers (K2,).
        """
        atoms, bonds = self._starts
        old = self.encoded
        chosen = np.asarray(indices, dtype=np.int64)
        return Corpus(
            Encoded(
                old.vocabulary,
                old.atoms[_ranges(atoms[chosen], old.atom_counts[chosen])],
                np.array(old.atom_counts[chosen]),
                old.bonds[_ranges(bonds[chosen], old.bond_counts[chosen])],
                np.array(old.bond_counts[chosen]),
                np.array(old.lines[chosen]),
                (),
            )
        )

    def with_vocabulary(self, vocabulary: tuple[AtomType, ...]) -> Corpus:
        """Return the same molecules with types numbered as in another vocabulary.

        Raises:
            InputError: a type occurs that the vocabulary does not hold.
        """
        places = {kind: place for place, kind in enumerate(vocabulary)}
        occurring = [self.vocabulary[k] for k in np.unique(self.encoded.atoms)]
        missing = [str(kind) for kind in occurring if kind not in places]
        if missing:
            raise InputError(
                f"the molecules hold {', '.join(missing)}; known are {', '.join(map(str, places))}"
            )
        new = np.array([places.get(kind, -1) for kind in self.vocabulary], dtype=np.int16)
        atoms = new[self.encoded.atoms]
        return Corpus(dataclasses.replace(self.encoded, vocabulary=vocabulary, atoms=atoms))


def batches_by_size(
    sizes: np.ndarray, batch: int, generator: np.random.Generator, *, window: int = 50
) -> Iterator[np.ndarray]:
    """Yield batches of indices of similar sizes, in random order, each index once.

    Args:
        sizes: size of each item, (K,).
        batch: items a batch.
        generator: of the order.
        window: batches that are shuffled together before they are sorted by size.
    """
    order = generator.permutation(len(sizes))
    for at in range(0, len(order), batch * window):
        part = order[at : at + batch * window]
        part = part[np.argsort(sizes[part], kind="stable")]
        pieces = [part[i : i + batch] for i in range(0, len(part), batch)]
        for place in generator.permutation(len(pieces)):
            yield pieces[place]


def _ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the indices of ranges, one after the other."""
    ends = np.cumsum(counts, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - (ends - counts), counts)


def _key(smiles: Sequence[str], lines: Sequence[int] | None, options: dict[str, object]) -> str:
    content = hashlib.sha256()
    content.update(json.dumps([_FORMAT, options]).encode())
    for text in smiles:
        content.update(text.encode() + b"\n")
    if lines is not None:
        content.update(np.asarray(lines, dtype=np.int64).tobytes())
    return content.hexdigest()[:24]
