"""The second look at a law: which terms do the readings themselves support?

The weak form finds laws in one sweep, but smoothed regressors are biased, and at high noise that
bias decides between near equals. Here the found law is fitted to the readings by its own path, and
the search is repeated on the responses of the states to every candidate around that path, where
the noise is white and of known size. A term is charged for as in the extended Bayesian information
criterion (Chen and Chen, Biometrika 95, 2008): log n + 2 log P for n readings and P candidates,
several times over once the readings are explained, because the neighbours' paths are themselves
estimates. A law of wrong terms bends its path: while the readings are not explained the search
may take more terms than it will keep, and path and law are improved in turn.

The law is taken only if its own path explains the readings to within their noise. Else the library
does not hold the truth, more readings would only add terms, and the weak form's law stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from graphtide.mechanisms.candidates import Candidate
from graphtide.mechanisms.families import trial_terms
from graphtide.mechanisms.inner import fitted_terms, own_polynomials
from graphtide.mechanisms.quasilinear import Model, PathFit, fit_path
from graphtide.mechanisms.rows import Sample
from graphtide.mechanisms.search import Support, best_supports, rivals

__all__ = ["Selection", "select"]

WITHIN_NOISE = 1.1
"""Largest mean square of readings minus path, in variances, of a law that explains them."""
STRETCH = 150
"""Readings in a stretch with its own start."""
ROUNDS = 8
STRICT = 4.0
"""Charges for a term once the readings are explained, in those of the criterion."""
ALIKE = 8.0
"""Sets of one size whose deviances differ by less are told apart by simplicity alone."""
FEW_PASSES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """A law that explains the readings, and what stands beside it.

    Attributes:
        fit: the law fitted to the readings.
        rivals: for each variable, other sets of as many terms that explain the readings alike.
    """

    fit: PathFit
    rivals: tuple[tuple[Support, ...], ...]


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def select(
    samples: Sequence[Sample],
    candidates: Sequence[Candidate],
    model: Model,
    *,
    inner: bool = False,
) -> Selection | None:
    """Return the law that the readings support, fitted to them; None where none explains them.

    Args:
        samples: the data.
        candidates: the library.
        model: a law to begin with.
        inner: whether terms with inner parameters may be taken (for one variable).
    """
    count = min(len(sample.observed.times) for sample in samples)
    stretches = max(1, round(count / STRETCH))
    trials = trial_terms(samples) if inner else []
    fit = fit_path(samples, model, stretches=stretches, passes=FEW_PASSES)
    searches: list[_Search | None] = [None] * len(model.variables)
    for _ in range(ROUNDS):
        if fit is None:
            return None
        explained = fit.misfit <= WITHIN_NOISE
        searches = [
            _search(fit, d, candidates, trials)
            if explained or fit.misfits[d] - 1.0 >= 0.5 * (fit.misfit - 1.0)
            else None  # this path suffers from another variable's law
            for d in range(len(model.variables))
        ]
        if not explained:
            fit = _improved(samples, fit, candidates, searches, stretches)
            continue
        better = None
        tried = [_texts(fit.model)]
        for strictness in (STRICT, 4.0 * STRICT, 16.0 * STRICT):
            other = _changed(fit.model, searches, strictness)
            if _texts(other) in tried:
                continue
            tried.append(_texts(other))
            changed = fit_path(samples, other, stretches=stretches, paths=fit.paths)
            if changed is not None and _score(changed, candidates) < _score(fit, candidates):
                better = changed
                break
        if better is None:
            break
        fit = better
    if fit is None:
        return None
    rounded = replace(
        fit.model, terms=tuple(tuple(t.rounded() for t in terms) for terms in fit.model.terms)
    )
    near = tuple(
        () if search is None else search.rivals(terms)
        for search, terms in zip(searches, fit.model.terms, strict=True)
    )
    fit = fit_path(samples, rounded, stretches=stretches, paths=fit.paths)
    return Selection(fit, near) if fit is not None and fit.misfit <= WITHIN_NOISE else None


def _improved(
    samples: Sequence[Sample],
    fit: PathFit,
    candidates: Sequence[Candidate],
    searches: Sequence[_Search | None],
    stretches: int,
) -> PathFit | None:
    """Return a fit of the searched law; where its path runs off, of laws that bend less."""
    found = searches
    for plain, strictness in ((False, 1.0), (False, STRICT), (True, 1.0), (True, STRICT)):
        if plain and found is searches:  # without a new term with inner parameters
            found = [
                None if search is None else _search(fit, d, candidates, [])
                for d, search in enumerate(searches)
            ]
        other = fit_path(
            samples,
            _changed(fit.model, found, strictness),
            stretches=stretches,
            paths=fit.paths,
            passes=FEW_PASSES,
        )
        if other is not None:
            return other
    return None


def _charge(readings: float, candidates: int) -> float:
    return math.log(readings) + 2.0 * math.log(candidates)


def _price(term: Candidate) -> float:
    """Return what a term costs: its inner parameters together half as much as a term."""
    return 1.5 if term.inner else 1.0


def _score(fit: PathFit, candidates: Sequence[Candidate]) -> float:
    """Return deviance plus charges over all variables; functions must earn ``ALIKE`` more."""
    return sum(
        float(fit.deviance[d])
        + STRICT * sum(map(_price, terms)) * _charge(fit.count[d], len(candidates))
        + ALIKE * sum(not term.polynomial for term in terms)
        for d, terms in enumerate(fit.model.terms)
    )


def _texts(model: Model) -> list[frozenset[str]]:
    return [
        frozenset("inner" if term.inner else term.text for term in terms) for terms in model.terms
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """The best supports of each size around a path, for the terms of one variable's law.

    Attributes:
        library: the terms.
        supports: the best set of each size.
        gram, cross, target: products of the terms' responses and of the readings.
        charge: what the criterion asks of a term.
    """

    library: list[Candidate]
    supports: list[Support]
    gram: np.ndarray
    cross: np.ndarray
    target: float
    charge: float

    @staticmethod
    def of(
        library: list[Candidate], rows: np.ndarray, target: np.ndarray, charge: float
    ) -> _Search:
        """Search the supports of a library."""
        gram, cross, total = rows.T @ rows, rows.T @ target, float(target @ target)
        supports = best_supports(gram, cross, total)
        return _Search(library, supports, gram, cross, total, charge)

    def scores(self, strictness: float) -> list[float]:
        """Return deviance plus charges of each size."""
        return [
            self.target * math.exp(support.log_residual)
            + strictness * self.charge * sum(_price(self.library[p]) for p in support.terms)
            for support in self.supports
        ]

    def law(self, strictness: float) -> tuple[tuple[Candidate, ...], np.ndarray]:
        """Return the terms with the best score, the simplest among equals, and coefficients."""
        best = self.supports[int(np.argmin(self.scores(strictness)))]
        within = ALIKE / (self.target * math.exp(best.log_residual))
        near = rivals(self.gram, self.cross, self.target, best, within=within, most=100)

        # Fewer functions are simpler, any being a polynomial over a short range.
        def cost(support: Support) -> tuple[int, int, float]:
            terms = [self.library[p] for p in support.terms]
            functions = sum(not term.polynomial for term in terms)
            return functions, sum(term.complexity for term in terms), support.log_residual

        places = list(min([best, *near], key=cost).terms)
        matrix = self.gram[np.ix_(places, places)]
        coefficients = np.linalg.lstsq(matrix, self.cross[places], rcond=1e-14)[0]
        return tuple(self.library[p] for p in places), coefficients

    def rivals(self, terms: Sequence[Candidate]) -> tuple[Support, ...]:
        """Return other sets of the library's terms that explain the readings alike."""
        places = [p for p, term in enumerate(self.library) if term in terms]
        if len(places) != len(terms) or not places or any(term.inner for term in self.library):
            return ()
        matrix = self.gram[np.ix_(places, places)]
        solved = np.linalg.lstsq(matrix, self.cross[places], rcond=1e-14)[0]
        left = self.target - float(self.cross[places] @ solved)
        chosen = Support(tuple(places), math.log(left / self.target))
        near = rivals(self.gram, self.cross, self.target, chosen, within=ALIKE / left)
        return tuple(near)


def _search(
    fit: PathFit, d: int, candidates: Sequence[Candidate], trials: Sequence[Sequence[Candidate]]
) -> _Search:
    """Search variable d's law around the fitted path, with a fitted inner term where that pays."""
    own = [term for term in fit.model.terms[d] if term.inner]
    library = [*candidates, *own]
    rows, target = fit.rows(d, library)
    if own:  # their inner parameters stay free
        slopes = fit.rows(d, [slope for term in own for slope in term.slopes()])[0]
        free = np.linalg.qr(slopes)[0]
        rows, target = rows - free @ (free.T @ rows), target - free @ (free.T @ target)
    charge = _charge(fit.count[d], len(candidates))
    found = _Search.of(library, rows, target, charge)
    if not trials or own or not _may_gain(found):
        return found

    def columns(made: Sequence[Candidate]) -> np.ndarray:
        return fit.rows(d, made)[0]

    places = own_polynomials(candidates)
    kept = sorted({*places, *(p for support in found.supports[:6] for p in support.terms)})
    for term in fitted_terms(columns, target, rows, [places], trials):
        few = np.column_stack([rows[:, kept], columns([term])])
        other = _Search.of([*(library[p] for p in kept), term], few, target, charge)
        if min(other.scores(STRICT)) < min(found.scores(STRICT)):
            found = other
    return found


def _may_gain(search: _Search) -> bool:
    """Tell whether a term with inner parameters may explain more, or as much with fewer terms."""
    size = int(np.argmin(search.scores(STRICT)))
    left = search.scores(0.0)
    functions = any(not search.library[p].polynomial for p in search.supports[size].terms)
    return left[size] - left[-1] > 2.0 * search.charge or (size > 2 and functions)


def _changed(model: Model, searches: Sequence[_Search | None], strictness: float) -> Model:
    """Return the law with the searched variables' terms chosen anew."""
    terms, coefficients = list(model.terms), list(model.coefficients)
    for d, search in enumerate(searches):
        if search is not None:
            terms[d], coefficients[d] = search.law(strictness)
    return replace(model, terms=tuple(terms), coefficients=tuple(coefficients))
