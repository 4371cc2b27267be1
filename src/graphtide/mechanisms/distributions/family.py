"""A family of distributions as a law of growth: hazard h, cumulative hazard H, dx/dt = 1/h(x).

Units that start low, grow by dx/dt = f(x) and are seen at ages of hazard 1 have the survival
function S(x) = exp(-H(x)) with H(x) the time from the start to x, so h = 1/f (derivation: the age
at x has survival e^-t, and t(x) is the integral of 1/f). A family is given by log h and H; all
else, the likelihood, its derivatives and the trajectory, follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import numpy as np

from graphtide.mechanisms.distributions.jet import Jet, Value, parameters

if TYPE_CHECKING:
    from graphtide.equation import Equation

__all__ = ["Family", "Parameter", "Summary", "Support", "values_of"]

Support: TypeAlias = Literal["real", "nonnegative", "positive", "start"]
"""Where a family lives: all numbers, x >= 0, x > 0, or from the sample's own start upwards."""

Kind: TypeAlias = Literal["positive", "real", "share", "at most one"]
Formula: TypeAlias = Callable[[np.ndarray, Sequence[Value], float], Value]

_LARGEST_LOGARITHM = 300.0
_BISECTIONS = 200


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter and where it may lie; fits move in a free variable that keeps it there."""

    name: str
    kind: Kind = "positive"

    def to_free(self, value: float) -> float:
        """Return the free variable of a value."""
        match self.kind:
            case "positive":
                return float(np.log(value))
            case "share":
                return float(np.log(value / (1.0 - value)))
            case "at most one":
                return float(np.log(1.0 - value))
        return value

    def from_free(self, free: float) -> tuple[float, float, float]:
        """Return the value and its first two derivatives by the free variable."""
        bounded = float(np.clip(free, -_LARGEST_LOGARITHM, _LARGEST_LOGARITHM))
        match self.kind:
            case "positive":
                value = float(np.exp(bounded))
                return value, value, value
            case "share":
                value = float(1.0 / (1.0 + np.exp(-bounded)))
                slope = value * (1.0 - value)
                return value, slope, slope * (1.0 - 2.0 * value)
            case "at most one":
                rest = float(np.exp(bounded))
                return 1.0 - rest, -rest, -rest
        return free, 1.0, 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """What first guesses are made from.

    Attributes:
        start: where growth is seen to begin.
        mean, deviation: of the values.
        log_mean, log_deviation: of the logarithms of positive values.
        log_excess: mean of log(x/start), for a positive start.
        quantiles: values at the shares of :attr:`shares`.
        largest: the largest value.
    """

    start: float
    mean: float
    deviation: float
    log_mean: float
    log_deviation: float
    log_excess: float
    quantiles: np.ndarray
    largest: float
    shares: np.ndarray


@dataclass(frozen=True, slots=True)
class Family:
    """A named law of growth with P parameters.

    Attributes:
        name: of the distribution.
        parameters: names and ranges, in the order of the formulas' arguments.
        support: where it lives.
        log_hazard: log h(x) from x, parameters and start; on arrays and on jets.
        cumulative: H(x) from the same.
        guesses: first parameters from a summary; the best after fitting is kept.
        law: text of the equation dx/dt = 1/h(x) in the parameters' names.
        mechanism: the growth in plain words.
        inverse: x at cumulative hazards t, in closed form; None where it is solved for.
        located: whether the sample's start is itself a parameter (reported as x_min).
        choices: how many choices from a list (of powers) were made beside the parameters.
        largest: greatest value that parameters allow, where the support has an end.
    """

    name: str
    parameters: tuple[Parameter, ...]
    support: Support
    log_hazard: Formula
    cumulative: Formula
    guesses: Callable[[Summary], list[tuple[float, ...]]]
    law: str
    mechanism: str
    inverse: Callable[[np.ndarray, Sequence[float], float], np.ndarray] | None = None
    located: bool = False
    choices: int = 0
    largest: Callable[[Sequence[float]], float] | None = None

    @property
    def complexity(self) -> int:
        """Number of fitted parameters, choices of powers included."""
        return len(self.parameters) + self.choices

    def jets(self, free: np.ndarray) -> list[Jet]:
        """Return the parameters as jets of the free variables (P,)."""
        triples = np.array(
            [p.from_free(float(v)) for p, v in zip(self.parameters, free, strict=True)]
        ).reshape(-1, 3)
        return parameters(triples[:, 0], triples[:, 1], triples[:, 2])

    def natural(self, free: np.ndarray) -> np.ndarray:
        """Return the parameters (P,) at free variables (P,)."""
        pairs = zip(self.parameters, free, strict=True)
        return np.array([p.from_free(float(v))[0] for p, v in pairs])

    def hazard(self, x: np.ndarray, values: Sequence[float], start: float) -> np.ndarray:
        """Return h(x)."""
        with np.errstate(all="ignore"):
            return np.exp(values_of(self.log_hazard(x, list(values), start), x))

    def cumulative_hazard(self, x: np.ndarray, values: Sequence[float], start: float) -> np.ndarray:
        """Return H(x), 0 below the support and infinite above it; the time at which x is passed."""
        x = np.asarray(x, dtype=np.float64)
        inside = x
        if self.support in ("positive", "nonnegative"):
            inside = np.maximum(x, 1e-290 if self.support == "positive" else 0.0)
        elif self.support == "start":
            inside = np.maximum(x, start)
        end = np.inf if self.largest is None else self.largest(values)
        with np.errstate(all="ignore"):
            total = values_of(
                self.cumulative(np.minimum(inside, end * (1 - 1e-12)), list(values), start), x
            )
        return np.where(inside >= end, np.inf, np.maximum(total, 0.0))

    def trajectory(self, ages: np.ndarray, values: Sequence[float], start: float) -> np.ndarray:
        """Return x(t) at ages t > 0 (of hazard 1), shape of `ages`: the inverse of H."""
        if self.inverse is not None:
            with np.errstate(all="ignore"):
                return self.inverse(np.asarray(ages, dtype=np.float64), list(values), start)
        return self._solved(np.asarray(ages, dtype=np.float64), values, start)

    def equation(
        self, values: Sequence[float], errors: Sequence[float | None], start: float
    ) -> Equation:
        """Return dx/dt = 1/h(x) with the parameters' values and standard errors."""
        from graphtide.equation import Equation
        from graphtide.equation.equation import Parameter as Constant

        constants = {
            p.name: Constant(float(v), None if e is None or not np.isfinite(e) else float(e))
            for p, v, e in zip(self.parameters, values, errors, strict=True)
        }
        if "x_min" in self.law:
            constants["x_min"] = Constant(start)
        return Equation.parse(self.law, parameters=constants)

    def _solved(self, ages: np.ndarray, values: Sequence[float], start: float) -> np.ndarray:
        """Bisect H(x) = t in an arsinh coordinate, which has even resolution near 0 and far out."""
        base = start if self.support == "start" else 0.0
        low = np.full(ages.shape, -700.0 if self.support == "real" else 0.0)
        if self.support in ("positive", "nonnegative", "start"):
            low = np.full(ages.shape, -690.0)
        high = np.full(ages.shape, 690.0)

        def place(u: np.ndarray) -> np.ndarray:
            return np.sinh(u) if self.support == "real" else base + np.exp(u)

        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            beyond = self.cumulative_hazard(place(middle), values, start) > ages
            high = np.where(beyond, middle, high)
            low = np.where(beyond, low, middle)
            if float(np.max(high - low, initial=0.0)) < 1e-13:
                break
        return place(0.5 * (low + high))


def values_of(value: Value, like: np.ndarray) -> np.ndarray:
    """Return a plain array of the shape of `like` from a formula's value."""
    plain = cast("np.ndarray", value.value if isinstance(value, Jet) else value)
    return np.broadcast_to(np.asarray(plain, dtype=np.float64), np.shape(like))
