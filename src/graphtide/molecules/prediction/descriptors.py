"""RDKit's descriptors of molecules as a table, scaled so that no outlier rules.

Where a descriptor cannot be worked out (a charge at a metal) it is missing (NaN) until it is
scaled; a scaled value is

    z = clip((f(x) - median) / spread, -limit, limit),   missing: 0,

with f(x) = sign(x) log(1 + |x|) for the few that grow exponentially (Ipc) and the identity else,
and the spread the standard deviation of what lies between the 1st and the 99th percentile.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from rdkit import Chem
from rdkit.rdBase import BlockLogs

__all__ = ["DescriptorScale", "descriptor_names", "descriptor_table", "morgan_counts"]

_EXPONENTIAL = ("Ipc",)
_CHUNK = 64


@functools.cache
def _functions() -> dict[str, Callable[[Chem.Mol], float]]:
    from rdkit.Chem import Descriptors

    return dict(Descriptors._descList)


def descriptor_names() -> tuple[str, ...]:
    """Return the names of RDKit's descriptors, about 217; they depend on RDKit's version."""
    return tuple(_functions())


def descriptor_table(
    molecules: Sequence[Chem.Mol], names: Sequence[str] | None = None, *, workers: int = 1
) -> np.ndarray:
    """Return descriptors of molecules, float64 (M, D); NaN where one cannot be worked out.

    All of them cost about 5 ms a molecule.

    Args:
        molecules: M sanitised molecules.
        names: D of :func:`descriptor_names`; None takes all.
        workers: processes that share the work.
    """
    wanted = descriptor_names() if names is None else tuple(names)
    if workers > 1 and len(molecules) > 2 * _CHUNK:
        parts = [molecules[k : k + _CHUNK] for k in range(0, len(molecules), _CHUNK)]
        with ProcessPoolExecutor(workers) as pool:
            tables = list(pool.map(functools.partial(_table, names=wanted), parts))
        return np.concatenate(tables)
    return _table(molecules, wanted)


def _table(molecules: Iterable[Chem.Mol], names: Sequence[str]) -> np.ndarray:
    functions = [_functions()[name] for name in names]
    rows = []
    with BlockLogs():
        rows = [[_value(function, molecule) for function in functions] for molecule in molecules]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(functions))


def _value(function: Callable[[Chem.Mol], float], molecule: Chem.Mol) -> float:
    try:
        value = float(function(molecule))
    except (ValueError, ArithmeticError, RuntimeError):  # such as no partial charge for a metal
        return math.nan
    return value if abs(value) < 1e30 else math.nan


def morgan_counts(
    molecules: Sequence[Chem.Mol], *, radius: int = 2, size: int = 2048
) -> np.ndarray:
    """Return how often each circular fragment occurs, hashed to ``size`` places; float32 (M, size).

    Source: Rogers, Hahn, J. Chem. Inf. Model. 50 (2010).
    """
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=size)
    rows = [generator.GetCountFingerprintAsNumPy(molecule) for molecule in molecules]
    return np.array(rows, dtype=np.float32).reshape(len(rows), size)


@dataclass(frozen=True, slots=True, eq=False)
class DescriptorScale:
    """How descriptors are scaled; made from a training set alone.

    Args:
        names: of the D descriptors that vary.
        centre: float64 (D,), medians.
        spread: float64 (D,), positive.
        limit: scaled values are clipped to this.
    """

    names: tuple[str, ...]
    centre: np.ndarray
    spread: np.ndarray
    limit: float = 5.0

    @staticmethod
    def fit(
        table: np.ndarray, names: Sequence[str], *, limit: float = 5.0
    ) -> tuple[DescriptorScale, np.ndarray]:
        """Return the scale of a table, and which of its columns it keeps, int64 (D,).

        A column that is missing everywhere or takes one value only is dropped.

        Args:
            table: float64 (M, len(names)).
            names: of its columns.
            limit: of scaled values.
        """
        kept, centre, spread = [], [], []
        for k, name in enumerate(names):
            column = _shaped(table[:, k], name)
            column = column[np.isfinite(column)]
            if not len(column) or column.min() == column.max():
                continue
            low, high = np.percentile(column, [1.0, 99.0])
            width = float(np.clip(column, low, high).std())
            kept.append(k)
            centre.append(float(np.median(column)))
            # Where but a few molecules differ from all others, these few are what counts.
            spread.append(width if width > 1e-9 else float(column.std()))
        scale = DescriptorScale(
            tuple(str(names[k]) for k in kept), np.array(centre), np.array(spread), limit
        )
        return scale, np.array(kept, dtype=np.int64)

    def apply(self, table: np.ndarray) -> np.ndarray:
        """Return scaled descriptors, float32 (M, D), from those of ``names``."""
        shaped = np.stack([_shaped(table[:, k], name) for k, name in enumerate(self.names)], axis=1)
        scaled = np.clip((shaped - self.centre) / self.spread, -self.limit, self.limit)
        return np.nan_to_num(scaled, nan=0.0).astype(np.float32)


def _shaped(values: np.ndarray, name: str) -> np.ndarray:
    return np.sign(values) * np.log1p(np.abs(values)) if name in _EXPONENTIAL else values
