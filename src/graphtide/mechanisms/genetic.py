"""Genetic programming: an expression that explains a column of numbers by others.

The work is done by the package `pyoperon`, the extra ``symbolic`` (Burlacu, Kronberger and
Kommenda, GECCO 2020).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import numpy as np

from graphtide.errors import InputError

__all__ = ["expression_of", "need_genetic_programming"]

EVALUATIONS = 100_000
DIGITS = 4


def need_genetic_programming() -> None:
    """Raise an InputError where the extra ``symbolic`` is not installed."""
    for package in ("pyoperon", "sklearn"):
        if importlib.util.find_spec(package) is None:
            raise InputError(
                "symbolic regression needs the extra `symbolic`: pip install 'graphtide[symbolic]'"
            )


def expression_of(
    features: np.ndarray,
    target: np.ndarray,
    names: Sequence[str],
    operations: str,
    *,
    length: int,
    seed: int,
) -> str:
    """Return the text of an expression in ``names`` that explains a target.

    Args:
        features: shape (R, F).
        target: shape (R,).
        names: of the F features.
        operations: symbols by commas, such as "add,mul,sin,constant,variable".
        length: the most symbols of the expression.
        seed: seed of the search.
    """
    from pyoperon.sklearn import SymbolicRegressor  # pyright: ignore[reportMissingImports]

    model = SymbolicRegressor(
        allowed_symbols=operations,
        max_length=length,
        max_evaluations=EVALUATIONS,
        optimizer_iterations=5,
        random_state=seed,
    )
    model.fit(features, target)
    return model.get_model_string(model.model_, names=list(names), precision=DIGITS)
