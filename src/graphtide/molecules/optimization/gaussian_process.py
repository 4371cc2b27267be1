"""A Gaussian process on molecules that says which proposals are worth a call.

    k(m, m') = s T(m, m') + (1 - s) exp(-|d - d'|^2 / 2 l^2),        y ~ N(0, k + noise)

T is Tanimoto's similarity of counted neighbourhoods of atoms, d are standardised descriptors. The
share s, the length l and the noise are the best of a small grid by marginal likelihood. Sources:
Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, algorithm 2.1; the Tanimoto
kernel: Ralaivola et al., Neural Networks 18 (2005); as a prescreen within a genetic algorithm:
Tripp, Simm, Hernández-Lobato, arXiv:2106.11840.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator, rdMolDescriptors
from scipy.linalg import cho_solve, solve_triangular
from threadpoolctl import ThreadpoolController

__all__ = ["Features", "GaussianProcessSurrogate", "features_of"]

BITS = 4096
_WORDS = BITS // 64
_MOST_COUNT = 8
_ELEMENTS = ("C", "H", "N", "O", "F", "S", "Cl", "Br", "P")
_ELEMENT = re.compile(r"([A-Z][a-z]?)(\d*)")
_ROTATABLE = rdMolDescriptors.NumRotatableBondsOptions.NonStrict
_GENERATOR = rdFingerprintGenerator.GetMorganGenerator(radius=2)
_SHARES = (0.95, 0.75, 0.5, 0.25)
_LENGTHS = (2.0, 5.0)
_NOISES = (1e-4, 1e-2, 1e-1)
_SUBSET = 160
# Matrices of some hundred rows gain nothing from more threads, and where other work has the
# processors, threads that wait for one another take many times as long.
_LIBRARIES = ThreadpoolController()


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the process knows of n molecules.

    Attributes:
        bits: counted neighbourhoods, one bit for each count, as words of 64 bits: uint64 (n, w).
        descriptors: float64 (n, d), not standardised.
    """

    bits: np.ndarray
    descriptors: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Features:
        return Features(self.bits[rows], self.descriptors[rows])


def features_of(molecule: Chem.Mol) -> tuple[np.ndarray, np.ndarray]:
    """Return words (w,) and descriptors (d,) of a sanitised molecule; costs about 0.4 ms."""
    ones = np.zeros(BITS, dtype=np.uint8)
    counts = _GENERATOR.GetSparseCountFingerprint(molecule).GetNonzeroElements()
    ones[
        [
            (name + level * 40503) % BITS
            for name, count in counts.items()
            for level in range(min(count, _MOST_COUNT))
        ]
    ] = 1
    logp, refractivity = rdMolDescriptors.CalcCrippenDescriptors(molecule)
    formula = rdMolDescriptors.CalcMolFormula(molecule)
    elements = {name: int(number or 1) for name, number in _ELEMENT.findall(formula)}
    descriptors = [
        logp,
        refractivity / 20,
        rdMolDescriptors.CalcTPSA(molecule) / 20,
        rdMolDescriptors.CalcNumHBD(molecule),
        rdMolDescriptors.CalcNumLipinskiHBA(molecule) / 2,
        rdMolDescriptors.CalcNumRings(molecule),
        rdMolDescriptors.CalcNumAromaticRings(molecule),
        rdMolDescriptors.CalcNumRotatableBonds(molecule, _ROTATABLE) / 2,
        *(elements.get(element, 0) / (4 if element in "CH" else 1) for element in _ELEMENTS),
    ]
    return np.packbits(ones).view(np.uint64), np.array(descriptors, dtype=np.float64)


class GaussianProcessSurrogate:
    """A Gaussian process fitted to the values of molecules.

    Args:
        known: features of n molecules.
        values: float64 (n,), finite.
        random: draws the molecules that the kernel's numbers are chosen on.
    """

    @_LIBRARIES.wrap(limits=1, user_api="blas")
    def __init__(self, known: Features, values: np.ndarray, random: np.random.Generator) -> None:
        self._known = known
        self._middle = known.descriptors.mean(axis=0)
        self._scale = known.descriptors.std(axis=0) + 0.1
        self._mean = values.mean()
        self._spread = values.std() + 1e-12
        y = (values - self._mean) / self._spread
        near = self._tanimoto(known, known)
        apart = self._apart(known, known)
        few = np.sort(random.permutation(len(y))[:_SUBSET])
        square = np.ix_(few, few)
        self._share, self._length, self._noise = max(
            itertools.product(_SHARES, _LENGTHS, _NOISES),
            key=lambda numbers: _evidence(
                _kernel(near[square], apart[square], *numbers[:2]), numbers[2], y[few]
            ),
        )
        covariance = _kernel(near, apart, self._share, self._length)
        covariance[np.diag_indices_from(covariance)] += self._noise
        self._factor = np.linalg.cholesky(covariance)
        self._weights = cho_solve((self._factor, True), y, check_finite=False)

    @_LIBRARIES.wrap(limits=1, user_api="blas")
    def predict(self, new: Features) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of each of m molecules, (m,) and (m,)."""
        cross = _kernel(
            self._tanimoto(new, self._known),
            self._apart(new, self._known),
            self._share,
            self._length,
        )
        mean = cross @ self._weights
        solved = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        variance = np.maximum(1.0 - (solved**2).sum(axis=0), 1e-10)
        return self._mean + self._spread * mean, self._spread * np.sqrt(variance)

    def _tanimoto(self, one: Features, other: Features) -> np.ndarray:
        from graphtide.molecules.metrics.similarity import tanimoto

        return tanimoto(one.bits, other.bits)

    def _apart(self, one: Features, other: Features) -> np.ndarray:
        """Return the squared distances of standardised descriptors."""
        a = (one.descriptors - self._middle) / self._scale
        b = (other.descriptors - self._middle) / self._scale
        squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
        return np.maximum(squares, 0.0)


def _kernel(near: np.ndarray, apart: np.ndarray, share: float, length: float) -> np.ndarray:
    return share * near + (1 - share) * np.exp(apart * (-0.5 / length**2))


def _evidence(covariance: np.ndarray, noise: float, y: np.ndarray) -> float:
    """Return the log marginal likelihood, up to a constant."""
    factor = np.linalg.cholesky(covariance + (noise + 1e-8) * np.eye(len(y)))
    solved = solve_triangular(factor, y, lower=True, check_finite=False)
    return float(-0.5 * solved @ solved - np.log(np.diag(factor)).sum())
