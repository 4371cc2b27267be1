"""Objectives made of objectives: weighted sums, products, geometric means, Pareto sets.

    sum: sum_i w_i f_i        product: prod_i f_i^(w_i)
    geometric mean: (prod_i f_i^(w_i))^(1 / sum_i w_i)

An undefined part makes the whole undefined, and so does a fractional power of a negative number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphtide.errors import InputError
from graphtide.molecules.objectives.base import Objective

__all__ = ["GeometricMean", "Pareto", "Product", "WeightedSum"]


@dataclass(frozen=True)
class _Combination:
    """Parts with weights.

    Args:
        parts: objectives that return one number a molecule.
        weights: one number for each.

    Raises:
        InputError: there is no part, another number of weights, a weight that is not finite, or a
            part that is itself a Pareto set.
    """

    parts: tuple[Objective, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_parts(self.parts)
        if len(self.weights) != len(self.parts):
            raise InputError(f"{len(self.weights)} weights for {len(self.parts)} objectives")
        if not np.isfinite(self.weights).all():
            raise InputError("a weight of an objective is not a finite number")

    @property
    def batch_size(self) -> int:
        """The most that one of its parts would like."""
        return _batch_size(self.parts)

    def _values(self, smiles: Sequence[str]) -> np.ndarray:
        return _stacked(self.parts, smiles)


@dataclass(frozen=True)
class WeightedSum(_Combination):
    """The weighted sum of objectives; weights are taken as they are, negative ones included."""

    @property
    def name(self) -> str:
        """Return "w1*name1 + w2*name2"."""
        return " + ".join(
            _bracketed(part) if weight == 1 else f"{weight!r}*{_bracketed(part)}"
            for part, weight in zip(self.parts, self.weights, strict=True)
        )

    def __call__(self, smiles: Sequence[str], /) -> np.ndarray:
        """Return the sum for each molecule, float64 (n,)."""
        return self._values(smiles) @ np.array(self.weights)


@dataclass(frozen=True)
class Product(_Combination):
    """The product of objectives, each to the power of its weight."""

    @property
    def name(self) -> str:
        """Return "name1 * name2^w2"."""
        return " * ".join(_powers(self.parts, self.weights))

    def __call__(self, smiles: Sequence[str], /) -> np.ndarray:
        """Return the product for each molecule, float64 (n,)."""
        return _powered(self._values(smiles), np.array(self.weights)).prod(axis=1)


@dataclass(frozen=True)
class GeometricMean(_Combination):
    """The weighted geometric mean of objectives; undefined where one is negative.

    Raises:
        InputError: also where a weight is not positive.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.weights) <= 0:
            raise InputError("a geometric mean takes positive weights only")

    @property
    def name(self) -> str:
        """Return "geometric(name1, name2^w2)"."""
        return f"geometric({', '.join(_powers(self.parts, self.weights))})"

    def __call__(self, smiles: Sequence[str], /) -> np.ndarray:
        """Return the geometric mean for each molecule, float64 (n,)."""
        values = self._values(smiles)
        values = np.where(values < 0, np.nan, values)
        shares = np.array(self.weights) / sum(self.weights)
        return _powered(values, shares).prod(axis=1)


@dataclass(frozen=True)
class Pareto:
    """Several objectives kept apart: what one gains is not weighed against what another loses.

    Args:
        parts: two or more objectives that return one number a molecule.

    Raises:
        InputError: there are fewer than two, one stands twice, or one is a Pareto set itself.
    """

    parts: tuple[Objective, ...]

    def __post_init__(self) -> None:
        _check_parts(self.parts)
        if len(set(self.names)) != len(self.parts) or len(self.parts) < 2:
            raise InputError(f"{self.name}: two or more different objectives were expected")

    @property
    def name(self) -> str:
        """Return "pareto(name1, name2)"."""
        return f"pareto({', '.join(self.names)})"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parts."""
        return tuple(part.name for part in self.parts)

    @property
    def batch_size(self) -> int:
        """The most that one of its parts would like."""
        return _batch_size(self.parts)

    def __call__(self, smiles: Sequence[str], /) -> np.ndarray:
        """Return the value of each part for each molecule, float64 (n, k)."""
        return _stacked(self.parts, smiles)


def _check_parts(parts: Sequence[Objective]) -> None:
    if not parts:
        raise InputError("a combination of no objectives; at least one was expected")
    if any(isinstance(part, Pareto) for part in parts):
        raise InputError("a Pareto set of objectives cannot be part of another objective")


def _batch_size(parts: Sequence[Objective]) -> int:
    return max(getattr(part, "batch_size", 1) for part in parts)


def _stacked(parts: Sequence[Objective], smiles: Sequence[str]) -> np.ndarray:
    return np.stack([np.asarray(part(smiles), dtype=np.float64) for part in parts], axis=1)


def _powered(values: np.ndarray, powers: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        powered = values**powers
    return np.where(np.isfinite(powered), powered, np.nan)


def _powers(parts: Sequence[Objective], weights: Sequence[float]) -> list[str]:
    return [
        _bracketed(part) if weight == 1 else f"{_bracketed(part)}^{weight!r}"
        for part, weight in zip(parts, weights, strict=True)
    ]


def _bracketed(part: Objective) -> str:
    return f"({part.name})" if isinstance(part, WeightedSum | Product) else part.name
