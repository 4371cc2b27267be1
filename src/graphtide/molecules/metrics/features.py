"""What the metrics look at in each molecule, computed once, over processes where asked.

Descriptors by RDKit; fingerprints of radius 2 (Rogers & Hahn 2010) folded to 1,024 bits; Murcko
scaffolds (Bemis & Murcko 1996) of molecules with at least two rings, as MOSES counts them; BRICS
fragments (Degen et al. 2008); synthetic accessibility (Ertl & Schuffenhauer 2009) and
drug-likeness (QED, Bickerton et al. 2012).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphtide.molecules.accessibility import synthetic_accessibility
from graphtide.molecules.metrics.neighbourhoods import FEATURES, neighbourhood_pairs

if TYPE_CHECKING:
    from rdkit import Chem
    from scipy.sparse import csr_array

__all__ = ["DESCRIPTORS", "Features", "canonical", "features_of", "parse_all"]

DESCRIPTORS = (
    *("complexity", "logp", "weight", "polar_surface"),
    *("acceptors", "donors", "rotatable_bonds", "aliphatic_rings", "aromatic_rings"),
    *("qed", "synthetic_accessibility"),
)
"""Columns of descriptors: the first four are continuous, the next five are counts."""

_CHUNK = 500
_WORDS = 16


@dataclass(frozen=True, slots=True)
class Features:
    """Features of n molecules, one row each.

    Attributes:
        smiles: canonical SMILES.
        descriptors: shape (n, 11), columns as in ``DESCRIPTORS``.
        fingerprints: shape (n, 16), words of 64 bits.
        scaffolds, fragments: names in each molecule.
        neighbourhoods: features of the graph kernel, shape (n, 65536).
    """

    smiles: tuple[str, ...]
    descriptors: np.ndarray
    fingerprints: np.ndarray
    scaffolds: tuple[tuple[str, ...], ...]
    fragments: tuple[tuple[str, ...], ...]
    neighbourhoods: csr_array


def canonical(text: str, *, stereo: bool = False) -> tuple[str, int] | None:
    """Return canonical SMILES and the number of pieces of a molecule, None where it is none.

    Args:
        text: SMILES. Empty text, what RDKit cannot read and what breaks a valence is no molecule.
        stereo: keep the marks of stereochemistry.
    """
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(text) if text.strip() else None
    if molecule is None or molecule.GetNumAtoms() == 0:
        return None
    if not stereo:
        Chem.RemoveStereochemistry(molecule)
    smiles = Chem.MolToSmiles(molecule)
    # What is written must be readable again, or it cannot be handed on.
    if smiles != text and Chem.MolFromSmiles(smiles) is None:
        return None
    return smiles, smiles.count(".") + 1


def parse_all(
    texts: Sequence[str], *, stereo: bool = False, workers: int = 1
) -> list[tuple[str, int] | None]:
    """Return :func:`canonical` of each text, in order."""
    chunks = [texts[k : k + _CHUNK] for k in range(0, len(texts), _CHUNK)]
    done = _mapped(functools.partial(_parse_chunk, stereo=stereo), chunks, workers)
    return [one for chunk in done for one in chunk]


def features_of(
    smiles: Sequence[str],
    *,
    workers: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Features:
    """Return features of molecules given as canonical SMILES; costs 3 to 6 ms a molecule.

    The result does not depend on the number of workers.
    """
    from scipy.sparse import csr_array

    chunks = [tuple(smiles[k : k + _CHUNK]) for k in range(0, len(smiles), _CHUNK)]
    rows: list[tuple[Any, ...]] = []
    for number, chunk in enumerate(_mapped(_features_chunk, chunks, workers), start=1):
        rows.extend(chunk)
        if progress is not None:
            progress(number / len(chunks))
    indices = [row[4][0] for row in rows]
    pointers = np.cumsum([0, *(len(index) for index in indices)])
    nothing = [np.empty(0, dtype=np.int64)]
    kernel = csr_array(
        (
            np.concatenate([row[4][1] for row in rows] or [np.empty(0, dtype=np.float32)]),
            np.concatenate(indices or nothing),
            pointers,
        ),
        shape=(len(rows), FEATURES),
    )
    return Features(
        tuple(smiles),
        np.array([row[0] for row in rows], dtype=np.float64).reshape(-1, len(DESCRIPTORS)),
        np.array([row[1] for row in rows], dtype=np.uint64).reshape(-1, _WORDS),
        tuple(row[2] for row in rows),
        tuple(row[3] for row in rows),
        kernel,
    )


def _mapped(function: Callable[..., Any], chunks: Sequence[Any], workers: int) -> Iterable[Any]:
    """Yield the function of each chunk, in order, over processes where there are several."""
    if workers <= 1 or len(chunks) <= 1:
        yield from map(function, chunks)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    # Started afresh, not forked: forking after OpenMP has run can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(chunks)), mp_context=context) as pool:
        yield from pool.map(function, chunks)


def _parse_chunk(texts: Sequence[str], *, stereo: bool) -> list[tuple[str, int] | None]:
    from rdkit import rdBase

    with rdBase.BlockLogs():
        return [canonical(text, stereo=stereo) for text in texts]


def _features_chunk(smiles: Sequence[str]) -> list[tuple[Any, ...]]:
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=64 * _WORDS)
    rows = []
    with rdBase.BlockLogs():
        for text in smiles:
            molecule = Chem.MolFromSmiles(text)
            words = np.packbits(generator.GetFingerprintAsNumPy(molecule)).view(np.uint64)
            rows.append(
                (
                    _descriptors(molecule),
                    words,
                    _scaffold(molecule),
                    _fragments(molecule),
                    neighbourhood_pairs(molecule),
                )
            )
    return rows


def _descriptors(molecule: Chem.Mol) -> list[float]:
    from rdkit.Chem import QED, Crippen, Descriptors, GraphDescriptors, rdMolDescriptors

    return [
        GraphDescriptors.BertzCT(molecule),
        Crippen.MolLogP(molecule),  # pyright: ignore[reportAttributeAccessIssue]
        Descriptors.MolWt(molecule),  # pyright: ignore[reportAttributeAccessIssue]
        rdMolDescriptors.CalcTPSA(molecule),
        rdMolDescriptors.CalcNumHBA(molecule),
        rdMolDescriptors.CalcNumHBD(molecule),
        rdMolDescriptors.CalcNumRotatableBonds(molecule),
        rdMolDescriptors.CalcNumAliphaticRings(molecule),
        rdMolDescriptors.CalcNumAromaticRings(molecule),
        QED.qed(molecule),
        synthetic_accessibility(molecule),
    ]


def _scaffold(molecule: Chem.Mol) -> tuple[str, ...]:
    from rdkit import Chem
    from rdkit.Chem.Scaffolds import MurckoScaffold

    scaffold = MurckoScaffold.GetScaffoldForMol(molecule)
    if scaffold.GetRingInfo().NumRings() < 2:
        return ()
    return (Chem.MolToSmiles(scaffold),)


def _fragments(molecule: Chem.Mol) -> tuple[str, ...]:
    from rdkit import Chem
    from rdkit.Chem import BRICS

    broken = BRICS.BreakBRICSBonds(molecule)
    return tuple(Chem.MolToSmiles(broken).split("."))
