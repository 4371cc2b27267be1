"""What differs from node to node beside a shared law: constants and slopes of each node's own.

dx_i/dt = F(x_i) + sum_j A_ij G(x_i, x_j) + sum_q a_iq e_q(x_i): the terms e_q (a constant, say)
have a coefficient for each node. They are projected out of every node's rows before the search
(Frisch and Waugh, Econometrica 1, 1933), so that the shared law is found as if they were known;
afterwards they follow from what the law leaves. In the equation they are node attributes effect1_i,
effect2_i, ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas

from graphtide.equation import Equation
from graphtide.equation.expression import add
from graphtide.equation.grammar import parse_expression
from graphtide.errors import InputError
from graphtide.mechanisms.candidates import Candidate
from graphtide.mechanisms.lawsearch import Found
from graphtide.mechanisms.quasilinear import weak_effects
from graphtide.mechanisms.rows import Sample
from graphtide.mechanisms.user_terms import term_of

__all__ = ["NodeEffects", "node_effects_of", "parse_effects", "with_attributes"]

MOST_EFFECTS = 4


@dataclass(frozen=True, slots=True, eq=False)
class NodeEffects:
    """The coefficients of each node's own terms, for the nodes of one graph.

    Attributes:
        terms: text of each term.
        variables: the variables whose equations they stand in.
        values: shape (N, D, Q); NaN for nodes that were not learned on.
        standard_errors: shape (N, D, Q).
    """

    terms: tuple[str, ...]
    variables: tuple[str, ...]
    values: np.ndarray
    standard_errors: np.ndarray

    def names(self) -> list[tuple[str, int, int]]:
        """Return (attribute, number of the variable, number of the term) of each effect."""
        places = [(d, q) for d in range(len(self.variables)) for q in range(len(self.terms))]
        return [(f"effect{k}", d, q) for k, (d, q) in enumerate(places, start=1)]

    def added_to(self, equation: Equation) -> Equation:
        """Return an equation with the effects as node attributes."""
        parts = list(equation.expressions)
        for name, d, q in self.names():
            parts[d] = add(
                parts[d], parse_expression(f"{name}_i*({self.terms[q]})", equation.variables)
            )
        return Equation(equation.variables, tuple(parts), equation.parameters)

    def attributes(self) -> dict[str, np.ndarray]:
        """Return the node attributes; nodes that were not learned on get the others' mean."""
        result = {}
        for name, d, q in self.names():
            column = self.values[:, d, q]
            result[name] = np.where(np.isnan(column), np.nanmean(column), column)
        return result

    def table(self, names: Sequence[str]) -> pandas.DataFrame:
        """Return one row a node and effect: node, variable, term, attribute, value, error."""
        rows = [
            {
                "node": node,
                "variable": self.variables[d],
                "term": self.terms[q],
                "attribute": name,
                "value": self.values[i, d, q],
                "standard_error": self.standard_errors[i, d, q],
            }
            for name, d, q in self.names()
            for i, node in enumerate(names)
        ]
        return pandas.DataFrame(rows)


def parse_effects(texts: Sequence[str], variables: Sequence[str]) -> tuple[Candidate, ...]:
    """Return the terms whose coefficients differ from node to node.

    Raises:
        InputError: a text is no term of the node's own, stands twice, or there are too many.
    """
    terms: list[Candidate] = []
    for text in texts:
        try:
            term = term_of(text, variables)
        except InputError as error:
            raise InputError(f"node effect '{text}': {error}") from None
        if term.coupling != "none":
            raise InputError(
                f"node effect '{text}' sums over neighbours; a term of the node's own was "
                f"expected, such as 1 or {variables[0]}"
            )
        if term.text in (other.text for other in terms):
            raise InputError(f"node effect '{text}' is given twice")
        terms.append(term)
    if len(terms) > MOST_EFFECTS:
        raise InputError(f"{len(terms)} node effects are too many; at most {MOST_EFFECTS} are read")
    return tuple(terms)


def node_effects_of(found: Found) -> NodeEffects | None:
    """Return the effects beside a law; None where none were projected out.

    Several trajectories of one graph are averaged, weighted by their precision.
    """
    samples = found.samples
    terms = samples[0].effects
    if not terms:
        return None
    graph = samples[0].graph
    variables = samples[0].observed.variables
    shape = (graph.node_count, len(variables), len(terms))
    total, weight = np.zeros(shape), np.zeros(shape)
    for sample, values, errors in _estimates(found):
        if sample.graph is graph:
            precision = 1.0 / np.maximum(errors, 1e-150) ** 2
            total[sample.usable] += precision * values
            weight[sample.usable] += precision
    known = weight > 0
    values = np.full(shape, np.nan)
    values[known] = total[known] / weight[known]
    errors = np.full(shape, np.nan)
    errors[known] = 1.0 / np.sqrt(weight[known])
    return NodeEffects(tuple(term.text for term in terms), variables, values, errors)


def with_attributes(samples: Sequence[Sample], effects: NodeEffects) -> list[Sample]:
    """Return the samples on their graph with the effects as node attributes."""
    graph = samples[0].graph.with_node_attributes(**effects.attributes())
    return [replace(sample, graph=graph) for sample in samples]


def _estimates(found: Found) -> list[tuple[Sample, np.ndarray, np.ndarray]]:
    """Return (sample, values, standard errors), each (n, D, Q), of every sample or stretch."""
    if found.selection is not None:
        fit = found.selection.fit
        return [
            (each.sample, own, part.effect_errors())
            for each, own, part in zip(fit.readings, fit.effects, fit.linearised(), strict=True)
        ]
    result = []
    for sample in found.samples:
        values = weak_effects(sample, found.model)
        own = sample.own_rows(sample.effects).transpose(1, 0, 2)
        spread = np.linalg.pinv(own.transpose(0, 2, 1) @ own, hermitian=True)
        diagonal = np.sqrt(np.clip(np.diagonal(spread, axis1=1, axis2=2), 0.0, None))
        errors = np.empty_like(values)
        for d, terms in enumerate(found.model.terms):
            left = sample.left(d)
            if len(terms):
                left = left - sample.rows(terms) @ found.model.coefficients[d]
            degrees = max(len(left) - len(sample.effects), 1)
            errors[:, d] = np.sqrt((left**2).sum(axis=0) / degrees)[:, None] * diagonal
        result.append((sample, values, errors))
    return result
