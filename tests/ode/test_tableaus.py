"""Butcher's order conditions of every tableau, over rooted trees and in exact fractions.

A method has order p if sum_i b_i Phi_i(tree) = 1 / gamma(tree) for every rooted tree of at most p
nodes; a dense output has order q if sum_i b_i(s) Phi_i(tree) = s^n / gamma(tree) for every tree of
n <= q nodes. Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I (1993), II.2
theorem 2.13 and II.6 (6.14).
"""

import dataclasses
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from math import prod

import pytest

from graphtide.errors import InputError
from graphtide.ode.tableaus import TABLEAUS, Tableau

Tree = tuple["Tree", ...]  # the subtrees at the root, sorted
ORDERS = {
    "euler": 1,
    "midpoint": 2,
    "heun": 2,
    "rk4": 4,
    "bogacki_shampine3": 3,
    "dormand_prince5": 5,
    "tsitouras5": 5,
    "dormand_prince8": 8,
}
EMBEDDED = {"bogacki_shampine3": 2, "dormand_prince5": 4, "tsitouras5": 4, "dormand_prince8": 5}
DENSE = {**ORDERS, "rk4": 3, "dormand_prince5": 4, "tsitouras5": 4, "dormand_prince8": 7}
# Published digits: fractions are exact, Tsitouras and DOP853 are given in double precision, and the
# coefficients of the dense output of DOP853 reach 500.
ROUND_OFF = {"tsitouras5": 1e-13, "dormand_prince8": 2e-13}
NAMES = pytest.mark.parametrize("name", TABLEAUS)


@cache
def trees(size: int) -> tuple[Tree, ...]:
    """Return all rooted trees with `size` nodes."""
    return tuple(sorted(set(_forests(size - 1, size - 1))))


def _forests(total: int, largest: int) -> Iterator[Tree]:
    if total == 0:
        yield ()
    for first in range(1, min(total, largest) + 1):
        for tree in trees(first):
            for rest in _forests(total - first, first):
                yield tuple(sorted((tree, *rest)))


def nodes_of(tree: Tree) -> int:
    return 1 + sum(map(nodes_of, tree))


def density(tree: Tree) -> int:
    return nodes_of(tree) * prod(map(density, tree))


def dot(row: Sequence[Fraction], values: Sequence[Fraction]) -> Fraction:
    """Return the sum of products over the shorter of both."""
    return sum((a * x for a, x in zip(row, values, strict=False)), Fraction(0))


def elementary(tree: Tree, rows: Sequence[Sequence[Fraction]]) -> list[Fraction]:
    """Return Phi_i of the tree for each stage i."""
    below = [elementary(child, rows) for child in tree]
    return [prod((dot(row, child) for child in below), start=Fraction(1)) for row in rows]


def fractions(rows: Sequence[Sequence[Fraction | float]]) -> list[list[Fraction]]:
    return [[Fraction(x) for x in row] for row in rows]


def worst_residuals(
    rows: Sequence[Sequence[Fraction | float]],
    weights: Sequence[Fraction | float],
    most: int,
    share: Fraction = Fraction(1),
) -> list[Fraction]:
    """Return the largest |sum_i b_i Phi_i - s^n / gamma| over the trees of n nodes, n = 1..most."""
    exact, (row,) = fractions(rows), fractions([weights])
    worst = []
    for size in range(1, most + 1):
        residuals = []
        for tree in trees(size):
            total = sum(
                (b * x for b, x in zip(row, elementary(tree, exact), strict=False)), Fraction(0)
            )
            residuals.append(abs(total - share**size / density(tree)))
        worst.append(max(residuals))
    return worst


def dense_weights(tableau: Tableau, share: Fraction) -> list[Fraction]:
    return [
        sum((d * share ** (m + 1) for m, d in enumerate(row)), Fraction(0))
        for row in fractions(tableau.dense)
    ]


def test_trees_are_counted_as_published():
    """1, 1, 2, 4, 9, 20, 48, 115 trees (Hairer, Norsett, Wanner, table 2.1)."""
    assert [len(trees(size)) for size in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]


def test_every_method_is_listed_here():
    assert {name: tableau.order for name, tableau in TABLEAUS.items()} == ORDERS
    assert {name for name, tableau in TABLEAUS.items() if tableau.error} == set(EMBEDDED)


@NAMES
def test_order_conditions(name):
    tableau, order = TABLEAUS[name], ORDERS[name]
    worst = worst_residuals(tableau.stages, tableau.weights, min(order + 1, 8))
    assert max(worst[:order]) <= ROUND_OFF.get(name, 0)
    if order < 8:  # the 286 trees of nine nodes would only repeat the point
        assert worst[order] > 1e-5


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_order_conditions(name):
    """The solution that the error is measured against has its order, and no more."""
    tableau, order = TABLEAUS[name], EMBEDDED[name]
    embedded = [b - e for b, e in zip(tableau.weights, tableau.error, strict=True)]
    worst = worst_residuals(tableau.stages, embedded, order + 1)
    assert max(worst[:order]) <= ROUND_OFF.get(name, 0)
    assert worst[order] > 1e-6


def test_second_estimate_of_dormand_prince8_has_order_3():
    tableau = TABLEAUS["dormand_prince8"]
    cruder = [b - e for b, e in zip(tableau.weights, tableau.second_error, strict=True)]
    worst = worst_residuals(tableau.stages, cruder, 4)
    assert max(worst[:3]) <= 1e-13
    assert worst[3] > 1e-4


@NAMES
@pytest.mark.parametrize("share", [Fraction(1, 3), Fraction(7, 8)])
def test_dense_order_conditions(name, share):
    tableau, order = TABLEAUS[name], DENSE[name]
    rows = (*tableau.stages, *tableau.extra_stages)
    worst = worst_residuals(rows, dense_weights(tableau, share), min(order + 1, 7), share)
    assert max(worst[:order]) <= ROUND_OFF.get(name, 0)
    if order < 7:
        assert worst[order] > 1e-5


def test_a_wrong_coefficient_breaks_the_conditions():
    right = TABLEAUS["dormand_prince5"]
    row = list(right.stages[4])
    row[1], row[2] = row[1] + Fraction(1, 1000), row[2] - Fraction(1, 1000)  # still sums to c_5
    wrong = dataclasses.replace(right, stages=(*right.stages[:4], tuple(row), *right.stages[5:]))
    worst = worst_residuals(wrong.stages, wrong.weights, 5)
    assert worst[0] == worst[1] == 0
    assert max(worst) > 1e-6


@NAMES
def test_first_same_as_last(name):
    fsal = {"bogacki_shampine3", "dormand_prince5", "tsitouras5", "dormand_prince8"}
    assert TABLEAUS[name].first_same_as_last == (name in fsal)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": (Fraction(0), Fraction(1, 3))}, "row 2 of the stages sums to 0.5"),
        ({"weights": (Fraction(1, 2), Fraction(1))}, "row of weights sums to 1.5"),
        ({"error": (Fraction(1), Fraction(1, 2))}, "row of error weights sums to 1.5"),
        ({"dense": ((Fraction(1), Fraction(0)), (Fraction(0), Fraction(1)))}, "row 1 of the dense"),
        ({"stages": ((), ())}, "do not have lengths"),
    ],
)  # fmt: skip
def test_inconsistent_tableaus_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(TABLEAUS["midpoint"], **change)
