"""Where a family has run to the edge of its parameters, and which simpler law it has become there.

At such an edge some parameters are not determined by any amount of data: of the four-parameter law
with theta 0, for instance, the scale is free.
"""

from __future__ import annotations

import numpy as np

from graphtide.mechanisms.distributions.likelihood import Fit
from graphtide.mechanisms.distributions.sample import Sample

__all__ = ["limit_of"]

_NEGLIGIBLE = 1e-3


def limit_of(fit: Fit, sample: Sample) -> str:
    """Return the limit that a fit has reached, in words, or an empty text.

    Args:
        fit: a family at its maximum of the likelihood.
        sample: the cross-section, whose quantiles say what is small and large.
    """
    values = dict(zip([p.name for p in fit.family.parameters], fit.values.tolist(), strict=True))
    middle = float(np.median(sample.values))
    spread = float(np.quantile(sample.values, 0.9)) - sample.start
    errors = fit.standard_errors
    undetermined = not fit.converged or bool(np.isnan(errors).any())
    match fit.family.name:
        case "gompertz" if values["slowing"] * spread < _NEGLIGIBLE:
            return "slowing 0: exponential"
        case "burr_xii" if values["outer_shape"] > 1e3:
            return "outer shape without bound: weibull"
        case "burr_xii" if values["inner_shape"] > 1e3:
            return "inner shape without bound: pareto"
        case "four_parameter":
            return _four_limit(values, middle - sample.start, spread, undetermined)
        case "power_law_cutoff" if values["rate"] * spread < _NEGLIGIBLE * values["exponent"]:
            return "rate 0: pareto"
        case "power_law_cutoff" if values["exponent"] < _NEGLIGIBLE * values["rate"] * middle:
            return "exponent 0: exponential from x_min"
        case "two_exponentials" if min(values["share"], 1.0 - values["share"]) < 1e-6:
            return "one kind of unit: exponential"
        case "two_exponentials" if values["rate_gap"] < _NEGLIGIBLE * values["slow_rate"]:
            return "equal rates: exponential"
        case "hazard_sum" | "mechanism_sum" if undetermined:
            return "one term alone"
    return "parameters not determined" if undetermined else ""


def _four_limit(values: dict[str, float], middle: float, spread: float, undetermined: bool) -> str:
    if values["scale"] < 1e-4 * middle:
        return "scale 0: a power of x - x_min (weibull from x_min)"
    if values["theta"] > 1.0 - 1e-6:
        return "theta 1: a constant plus a proportional growth (generalised_pareto from x_min)"
    if values["scale"] > 1e2 * spread:
        steep = abs(values["theta"]) * spread / values["scale"]
        return (
            "scale without bound: exponential" if steep < 0.1 else "scale without bound: gompertz"
        )
    return "theta 0: exponential, whose scale is free" if undetermined else ""
