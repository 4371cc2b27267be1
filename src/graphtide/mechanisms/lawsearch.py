"""One search for a law: library, supports on the Gram matrix, and the fit to the readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np

from graphtide.equation.grammar import parse_expression
from graphtide.equation.printing import expression_text
from graphtide.errors import ComputationError, InputError
from graphtide.mechanisms.bootstrap import node_sandwich
from graphtide.mechanisms.candidates import Candidate, TermSet
from graphtide.mechanisms.inner import refine
from graphtide.mechanisms.library import library
from graphtide.mechanisms.quasilinear import Model
from graphtide.mechanisms.rows import Sample, grams
from graphtide.mechanisms.search import (
    ELBOW,
    RELATIVE_FLOOR,
    Support,
    best_supports,
    chosen_size,
    rivals,
    simplest,
)
from graphtide.mechanisms.selection import Selection, select
from graphtide.weakform.gram import NodeGram

__all__ = ["Found", "WeakFit", "checked_terms", "find_law", "libraries", "noisy", "weak_fit"]

LEAST_NOISE = 1e-3
"""Noise, as a share of the spread, from which on a law is fitted to the readings themselves."""


@dataclass(frozen=True, slots=True, eq=False)
class WeakFit:
    """The weak form's coefficients of some terms.

    Attributes:
        coefficients: shape (P,).
        standard_errors: shape (P,), from the differences between nodes.
        log_residual: log of the share of the left-hand sides left unexplained.
    """

    coefficients: np.ndarray
    standard_errors: np.ndarray
    log_residual: float


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What one search found.

    Attributes:
        samples: the data that it learned on.
        candidates: the library.
        node_grams: one Gram for each variable.
        supports: for each variable the best set of each size.
        sizes: for each variable the size chosen.
        chosen: for each variable the terms.
        rivals: for each variable other sets of as many terms that explain nearly as much.
        selection: the law fitted to the readings; None where none explains them.
        weak: the weak form's fit of the chosen terms for each variable.
    """

    samples: list[Sample]
    candidates: list[Candidate]
    node_grams: list[NodeGram]
    supports: list[list[Support]]
    sizes: list[int]
    chosen: list[list[Candidate]]
    rivals: list[tuple[Support, ...]]
    selection: Selection | None
    weak: list[WeakFit]

    @property
    def model(self) -> Model:
        """The law with the best coefficients at hand."""
        if self.selection is not None:
            return self.selection.fit.model
        return Model(
            self.samples[0].observed.variables,
            tuple(map(tuple, self.chosen)),
            tuple(fit.coefficients for fit in self.weak),
        )


def checked_terms(terms: str, library: Sequence[Candidate]) -> TermSet:
    """Return which of the house's candidates are meant.

    Raises:
        InputError: there is no such set, or nothing would be left to search.
    """
    if terms not in get_args(TermSet):
        known = ", ".join(get_args(TermSet))
        raise InputError(f"terms '{terms}' are unknown; one of {known} was expected")
    if terms == "none" and not library:
        raise InputError("terms 'none' leave nothing to search; give a library of terms")
    return cast("TermSet", terms)


def find_law(
    samples: Sequence[Sample],
    terms: TermSet,
    extra: Sequence[Candidate] = (),
    *,
    quick: bool = False,
) -> Found:
    """Search the library, fit the law to the readings, refine what has inner parameters.

    Args:
        samples: the data.
        terms: which of the house's candidates.
        extra: further candidates.
        quick: stop at the weak form's law.

    Raises:
        ComputationError: the coefficients of the chosen terms cannot be told apart.
    """
    samples = list(samples)
    variables = samples[0].observed.variables
    candidates, node_grams, supports = _best_library(samples, terms, extra)
    sizes = [chosen_size(found) for found in supports]
    for d, size in enumerate(sizes):
        supports[d][size] = simplest(candidates, node_grams[d], supports[d][size])
    chosen = [
        [candidates[p] for p in found[size].terms]
        for found, size in zip(supports, sizes, strict=True)
    ]
    near = [
        tuple(rivals(*node_grams[d].total(), supports[d][sizes[d]])) for d in range(len(variables))
    ]
    # A path is fitted to laws of the states alone; known series stay with the weak form.
    quick = quick or any(sample.known for sample in samples)
    inner = terms == "all" and len(variables) == 1 and not quick
    selection = None
    if not quick and all(chosen) and all(noisy(sample) for sample in samples):
        first = tuple(weak_fit(samples, d, chosen[d]).coefficients for d in range(len(variables)))
        model = Model(variables, tuple(map(tuple, chosen)), first)
        selection = select(samples, candidates, model, inner=inner)
    if selection is not None:
        chosen = [list(found) for found in selection.fit.model.terms]
        near = list(selection.rivals)
    elif inner:
        places = [s.terms for s in supports[0]]
        chosen[0] = refine(samples, 0, candidates, places, places[sizes[0]])
    weak = [weak_fit(samples, d, chosen[d]) for d in range(len(variables))]
    return Found(samples, candidates, node_grams, supports, sizes, chosen, near, selection, weak)


def noisy(sample: Sample) -> bool:
    """Tell whether every variable has noise to speak of; else the weak form is exact."""
    spread = np.nanstd(sample.smoothed.states, axis=(0, 1))
    return bool((sample.smoothed.noise_sd > LEAST_NOISE * spread).all())


def libraries(
    samples: Sequence[Sample], terms: TermSet, extra: Sequence[Candidate] = ()
) -> list[list[Candidate]]:
    """Return the libraries to try: with sums and, for one variable, with means over neighbours.

    On regular graphs both are the same, and sums alone are tried.
    """
    variables = samples[0].observed.variables
    kinds: tuple[Literal["sum", "mean"], ...] = ("sum", "mean") if len(variables) == 1 else ("sum",)
    if all(np.ptp(sample.graph.degree) == 0 for sample in samples):
        kinds = ("sum",)
    result = []
    for kind in kinds:
        own = library(variables, kind, terms)
        known = {_canonical(candidate.text, variables) for candidate in own} if extra else set()
        result.append([*own, *(c for c in extra if c.text not in known)])
    return result


def _canonical(text: str, variables: tuple[str, ...]) -> str:
    return expression_text(parse_expression(text, variables))


def weak_fit(samples: Sequence[Sample], d: int, terms: Sequence[Candidate]) -> WeakFit:
    """Return the weak form's coefficients, their node-sandwich errors and the log residual.

    Raises:
        ComputationError: the terms cannot be told apart on these data.
    """
    if not terms:
        return WeakFit(np.empty(0), np.empty(0), 0.0)
    gram = grams(samples, terms)[d]
    matrix, cross, target = gram.total()
    try:
        coefficients = np.linalg.solve(matrix, cross)
    except np.linalg.LinAlgError:
        raise ComputationError(
            "the chosen terms cannot be told apart on these data: "
            + ", ".join(term.text for term in terms)
        ) from None
    left = target - 2.0 * cross @ coefficients + coefficients @ matrix @ coefficients
    residual = float(np.log(max(left / target, RELATIVE_FLOOR)))
    return WeakFit(coefficients, node_sandwich(gram, coefficients), residual)


def _best_library(
    samples: Sequence[Sample], terms: TermSet, extra: Sequence[Candidate]
) -> tuple[list[Candidate], list[NodeGram], list[list[Support]]]:
    """Search each library and keep the better.

    Means must be worth ``ELBOW`` more than sums, so that a nearly regular graph gives a sum.
    """
    tried = libraries(samples, terms, extra)
    together = list({c.text: c for candidates in tried for c in candidates}.values())
    place = {candidate.text: p for p, candidate in enumerate(together)}
    all_grams = grams(samples, together)
    best: tuple[list[Candidate], list[NodeGram], list[list[Support]]] | None = None
    best_score = np.inf
    for number, candidates in enumerate(tried):
        columns = [place[candidate.text] for candidate in candidates]
        node_grams = [gram.with_columns(columns) for gram in all_grams]
        supports = [best_supports(*gram.total()) for gram in node_grams]
        score = ELBOW * number + sum(
            found[chosen_size(found)].log_residual + ELBOW * chosen_size(found)
            for found in supports
        )
        if best is None or score < best_score:
            best, best_score = (candidates, node_grams, supports), score
    assert best is not None  # there is always the library of sums
    return best
