"""Complexity of a law: what it costs to solve, how many directions it moves in, how long it is.

Effective dimension of trajectories: (sum l)^2 / sum l^2 over the variances l along their principal
directions (participation ratio). Entropy of the linearisation: that of the shares |lambda| / sum
|lambda|, divided by log n. Participation of a mode v: the number of nodes 1 / sum_i p_i^2 it lives
on, p_i the share of |v|^2 on node i. Description length of an equation: bits to write its tree
(log2 of the alphabet a symbol) and its numbers (Rissanen, Automatica 14, 1978): a number known to
a standard error s takes log2(1 + |value| / s) + 1 bits, one without takes as many as its digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas
import torch

from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.linear import scale_of_rates
from graphtide.dynamics.analysis.part import Progress, untold
from graphtide.dynamics.analysis.search import long_run
from graphtide.dynamics.analysis.spectrum import Spectrum, leading_eigenvalues
from graphtide.equation import Equation
from graphtide.equation.expression import Number, Symbol, walk
from graphtide.ode.solve import solve

__all__ = ["Complexity", "complexity", "description_length", "effective_dimension"]


@dataclass(frozen=True, slots=True, eq=False)
class Complexity:
    """What was found.

    Args:
        law: the law.
        span: time of the solve whose evaluations are counted.
        evaluations: of the right-hand side, by Dormand-Prince 5(4) at a tolerance of 1e-6.
        stiffness: fastest over slowest rate of decay along the trajectory.
        dimension: effective dimension of the trajectories.
        variances: along principal directions, as shares, shape (K,).
        spectrum: of the linearisation at the end of the trajectory.
        participation: nodes that each leading mode lives on, shape (M,).
        entropy: of the linearisation's spectrum, in [0, 1]; not-a-number where a part is known.
        bits: description length; None for a learned field.
    """

    law: Law
    span: float
    evaluations: int
    stiffness: float
    dimension: float
    variances: np.ndarray
    spectrum: Spectrum
    participation: np.ndarray
    entropy: float
    bits: float | None

    def metrics(self) -> dict[str, object]:
        """Return the figures of the part."""
        nodes = self.law.shape[0]
        said = [
            f"A solve over {self.span:.4g} takes {self.evaluations} evaluations; the fastest rate "
            f"is {self.stiffness:.3g} times the slowest"
            + (": stiff." if self.stiffness > 1000 else ", not stiff."),
            f"Trajectories move in about {self.dimension:.2g} of {nodes * self.law.shape[1]} "
            "directions.",
        ]
        if self.bits is not None:
            said.append(f"The law is written down in {self.bits:.0f} bits.")
        return {
            "findings": said,
            "evaluations": self.evaluations,
            "evaluations_for": self.span,
            "stiffness": self.stiffness,
            "effective_dimension": self.dimension,
            "spectral_entropy": self.entropy,
            "nodes_of_leading_mode": float(self.participation[0]),
            "description_length_bits": self.bits,
        }

    def tables(self) -> dict[str, pandas.DataFrame]:
        """Return modes (eigenvalue and participation of each) and principal directions."""
        kept = len(self.participation)
        return {
            "modes": pandas.DataFrame(
                {
                    "number": range(kept),
                    "real": self.spectrum.values.real[:kept],
                    "imaginary": self.spectrum.values.imag[:kept],
                    "nodes": self.participation,
                }
            ),
            "principal_directions": pandas.DataFrame(
                {"number": range(len(self.variances)), "share_of_variance": self.variances}
            ),
        }


def complexity(law: Law, *, seed: int = 0, progress: Progress | None = None) -> Complexity:
    """Measure the complexity of a law along the trajectory of its start.

    Args:
        law: the law.
        seed: of the start.
        progress: told the share done.

    Raises:
        ComputationError: the law cannot be followed from its start.
    """
    told = progress or untold
    told(0.0, "counting evaluations")
    start = law.start(seed)
    end = long_run(law, start[None])[0][0]
    at = end if np.isfinite(end).all() else start
    span = 10.0 / scale_of_rates(law.jacobian(at))
    times = np.linspace(0.0, span, 101)
    with torch.no_grad():
        solution = solve(
            law.numeric, torch.from_numpy(start), times, method="dormand_prince5",
            maximum_steps=50_000,
        )  # fmt: skip
    states = solution.states.numpy()
    dimension, variances = effective_dimension(states.reshape(len(times), -1))
    size = start.size
    places = (0, len(times) // 4, -1) if size <= 600 else (-1,)
    stiffness, spectrum = 0.0, None
    for number, place in enumerate(places):
        told(0.3 + 0.6 * number / len(places), "spectrum of the linearisation")
        jacobian = law.jacobian(states[place])
        spectrum = leading_eigenvalues(jacobian, 10, block=law.shape[1])
        stiffness = max(stiffness, _stiffness(spectrum, float(abs(jacobian).sum(axis=1).max())))
    assert spectrum is not None  # there is at least one place
    entropy = math.nan
    if spectrum.whole and size > 1:
        shares = np.abs(spectrum.values)
        shares = shares[shares > 0] / (shares.sum() or 1.0)
        entropy = float(-(shares * np.log(shares)).sum() / math.log(size)) + 0.0
    modes = spectrum.modes[:, : min(50, spectrum.modes.shape[1])]
    by_node = (np.abs(modes) ** 2).reshape(*law.shape, -1).sum(axis=1)  # (N, M)
    by_node = by_node / by_node.sum(axis=0)
    equation = law.equation
    return Complexity(
        law,
        span,
        solution.statistics.evaluations,
        stiffness,
        dimension,
        variances,
        spectrum,
        1.0 / (by_node**2).sum(axis=0),
        entropy,
        None if equation is None else description_length(equation),
    )


def effective_dimension(states: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the participation ratio of states (T, n) and their shares of variance, falling."""
    moved = states - states.mean(axis=0)
    variances = np.linalg.svd(moved, compute_uv=False) ** 2
    total = float(variances.sum())
    if total == 0.0:
        return 0.0, np.zeros(1)
    shares = variances / total
    return float(1.0 / (shares**2).sum()), shares[:20]


def _stiffness(spectrum: Spectrum, largest: float) -> float:
    """Return the fastest over the slowest decay; the fastest is a bound where it is not known."""
    decay = -spectrum.values.real
    slow = decay[decay > 1e-8 * spectrum.rate]
    if not len(slow):
        return 1.0
    fast = float(np.abs(spectrum.values).max()) if spectrum.whole else largest
    return fast / float(slow.min())


def description_length(equation: Equation) -> float:
    """Return the bits in which an equation is written: its tree and its numbers."""
    parts = [part for expression in equation.expressions for part in walk(expression)]
    kinds = {(type(part).__name__, getattr(part, "name", "")) for part in parts if part is not None}
    alphabet = max(len(kinds), 8)
    bits = len(parts) * math.log2(alphabet)
    for part in parts:
        if isinstance(part, Number):
            bits += _digits(float(part.value))
    names = {p.name for p in parts if isinstance(p, Symbol) and p.kind == "parameter"}
    for name in names:
        parameter = equation.parameters[name]
        value, error = parameter.value, parameter.standard_error
        if value is not None and error:
            bits += math.log2(1.0 + abs(value) / error) + 1.0
        elif value is not None:
            bits += _digits(float(value))
    return bits


def _digits(value: float) -> float:
    """Return the bits of the decimal digits that write a number, with its sign."""
    written = f"{abs(value):.12g}".replace(".", "").strip("0")
    return len(written or "0") * math.log2(10.0) + 1.0
