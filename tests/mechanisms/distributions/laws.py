"""Every family with parameters that tests draw from."""

from dataclasses import dataclass

import numpy as np

from graphtide.mechanisms.distributions.families import ONE_SCALE
from graphtide.mechanisms.distributions.family import Family
from graphtide.mechanisms.distributions.scales import SEVERAL_SCALES, hazard_sum, mechanism_sum

NAMED = {family.name: family for family in (*ONE_SCALE, *SEVERAL_SCALES)}


@dataclass(frozen=True)
class Law:
    family: Family
    values: tuple[float, ...]
    start: float = 0.0

    def draw(self, count, seed=0):
        ages = np.random.default_rng(seed).exponential(size=count)
        return self.family.trajectory(ages, self.values, self.start)

    def hazard(self, x):
        return self.family.hazard(x, self.values, self.start)

    def cumulative(self, x):
        return self.family.cumulative_hazard(x, self.values, self.start)


def law(name, *values, start=0.0):
    return Law(NAMED[name], values, start)


LAWS = {
    "exponential": law("exponential", 0.5),
    "pareto": law("pareto", 1.5, start=2.0),
    "rayleigh": law("rayleigh", 2.0),
    "weibull": law("weibull", 0.6, 3.0),
    "weibull thin": law("weibull", 2.5, 3.0),
    "generalised_pareto": law("generalised_pareto", 2.0, 0.4),
    "generalised_pareto bounded": law("generalised_pareto", 2.0, -0.2),
    "gompertz": law("gompertz", 0.1, 0.5),
    "gaussian": law("gaussian", 5.0, 2.0),
    "logistic": law("logistic", 5.0, 1.5),
    "lognormal": law("lognormal", 0.5, 0.8),
    "log_logistic": law("log_logistic", 2.5, 3.0),
    "burr_xii": law("burr_xii", 2.0, 2.5, 3.0),
    "power_law_cutoff": law("power_law_cutoff", 1.2, 0.1, start=1.0),
    "two_exponentials": law("two_exponentials", 0.3, 0.2, 2.0),
    "four_parameter": law("four_parameter", 3.0, 0.3, 0.6, start=1.0),
    "four_parameter thin": law("four_parameter", 0.3, 2.0, -0.8, start=1.0),
    "double_power_law": law("double_power_law", 0.8, 2.0, 5.0, start=1.0),
    "hazard_sum": Law(hazard_sum((-1.0, 1.0)), (0.5, 0.3), 1.0),
    "mechanism_sum": Law(mechanism_sum((-1.0, 0.5)), (2.0, 0.5), 1.0),
}
