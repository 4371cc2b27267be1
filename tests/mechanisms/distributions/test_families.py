"""Each family against SciPy, against its own derivative, and against the growth that makes it."""

import numpy as np
import pytest
import torch
from distribution_laws import LAWS
from scipy import stats

from graphtide.graph import Graph
from graphtide.mechanisms.distributions.goodness import Empirical, kolmogorov_smirnov
from graphtide.mechanisms.distributions.likelihood import log_likelihood
from graphtide.mechanisms.distributions.nodes import Compressed
from graphtide.mechanisms.distributions.proof import simulated_cross_section
from graphtide.mechanisms.distributions.sample import Sample

SCIPY = {
    "exponential": stats.expon(scale=2.0),
    "pareto": stats.pareto(1.5, scale=2.0),
    "rayleigh": stats.rayleigh(scale=2.0 / np.sqrt(2.0)),
    "weibull": stats.weibull_min(0.6, scale=3.0),
    "weibull thin": stats.weibull_min(2.5, scale=3.0),
    "generalised_pareto": stats.genpareto(0.4, scale=2.0),
    "generalised_pareto bounded": stats.genpareto(-0.2, scale=2.0),
    "gompertz": stats.gompertz(0.1 / 0.5, scale=1 / 0.5),
    "gaussian": stats.norm(5.0, 2.0),
    "logistic": stats.logistic(5.0, 1.5),
    "lognormal": stats.lognorm(0.8, scale=np.exp(0.5)),
    "log_logistic": stats.fisk(2.5, scale=3.0),
    "burr_xii": stats.burr12(2.0, 2.5, scale=3.0),
}
SHARES = np.array([1e-6, 0.01, 0.1, 0.3, 0.5, 0.8, 0.99, 1 - 1e-9])


@pytest.mark.parametrize("name", SCIPY)
def test_hazard_and_cumulative_hazard_are_those_of_scipy(name):
    law, peer = LAWS[name], SCIPY[name]
    x = peer.ppf(SHARES)
    np.testing.assert_allclose(law.cumulative(x), -peer.logsf(x), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(law.hazard(x), np.exp(peer.logpdf(x) - peer.logsf(x)), rtol=1e-6)


@pytest.mark.parametrize("name", LAWS)
def test_the_trajectory_inverts_the_cumulative_hazard(name):
    law = LAWS[name]
    ages = -np.log1p(-SHARES)
    x = law.family.trajectory(ages, law.values, law.start)
    assert (np.diff(x) > 0.0).all()
    np.testing.assert_allclose(law.cumulative(x), ages, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name", LAWS)
def test_the_hazard_is_the_slope_of_the_cumulative_hazard(name):
    law = LAWS[name]
    x = law.family.trajectory(np.array([0.05, 0.3, 0.9, 2.0, 4.0]), law.values, law.start)
    step = 1e-5 * np.maximum(np.abs(x - law.start), 1e-2)
    slope = (law.cumulative(x + step) - law.cumulative(x - step)) / (2 * step)
    np.testing.assert_allclose(law.hazard(x), slope, rtol=1e-5)


@pytest.mark.parametrize("name", LAWS)
def test_the_equation_is_the_reciprocal_of_the_hazard(name):
    law = LAWS[name]
    equation = law.family.equation(law.values, [None] * len(law.values), law.start)
    x = law.family.trajectory(np.array([0.05, 0.3, 0.9, 2.0, 4.0]), law.values, law.start)
    rhs = equation.compile().on(Graph.from_source("erdos_renyi:5:0"))
    growth = rhs(torch.tensor(0.0, dtype=torch.float64), torch.from_numpy(x)[:, None])
    np.testing.assert_allclose(growth.numpy()[:, 0], 1.0 / law.hazard(x), rtol=1e-9)


@pytest.mark.parametrize("name", LAWS)
def test_units_that_follow_the_equation_and_are_seen_at_random_ages_have_the_distribution(name):
    # One age in each of 1000 strata leaves at most 1/1000 of distance, beside the solver's error.
    law = LAWS[name]
    equation = law.family.equation(law.values, [None] * len(law.values), law.start)
    sizes = simulated_cross_section(
        equation,
        lambda ages: law.family.trajectory(ages, law.values, law.start),
        count=1000,
    )
    distance = kolmogorov_smirnov(Empirical.of(Sample.of(sizes)), law.cumulative)
    assert distance < 1.1e-3


def test_a_wrong_law_does_not_pass_the_simulation():
    law = LAWS["weibull"]
    equation = law.family.equation(law.values, [None, None], 0.0)
    sizes = simulated_cross_section(
        equation, lambda ages: law.family.trajectory(ages, law.values, 0.0), count=1000
    )
    other = LAWS["exponential"]
    assert kolmogorov_smirnov(Empirical.of(Sample.of(sizes)), other.cumulative) > 0.1


def mixed(law):
    """Return nodes with exact, censored and truncated rows, and nodes of cells."""
    values = law.draw(60, seed=3)
    observed = np.arange(60) % 4 != 0
    low = law.family.trajectory(np.array([1e-3]), law.values, law.start)[0]
    entry = np.minimum(np.where(np.arange(60) % 2 == 0, low, values), values)
    rows = Compressed(Sample.of(values, observed=observed, entry=entry)).nodes()
    counts = Sample.of(np.floor(np.maximum(values, 1.0)), discrete=True)
    return [
        (rows, min(law.start, float(entry.min())) or law.start),
        (Compressed(counts).nodes(), 1.0),
    ]


# The finite differences would step over the end of a bounded support.
@pytest.mark.parametrize("name", [name for name in LAWS if "bounded" not in name])
def test_derivatives_of_the_likelihood_are_those_of_finite_differences(name):
    law = LAWS[name]
    pairs = zip(law.family.parameters, law.values, strict=True)
    free = np.array([parameter.to_free(value) for parameter, value in pairs])
    samples = mixed(law)
    if name == "double_power_law":
        # The likelihood of exact rows jumps at each of them; that of cells does not.
        samples, free = samples[1:], free + np.array([0.0, 0.0, 0.1])
    for nodes, start in samples:
        value, gradient, hessian = log_likelihood(law.family, free, nodes, start)
        assert np.isfinite(value)
        step = 1e-5
        units = step * np.eye(len(free))
        both = [
            (
                log_likelihood(law.family, free + unit, nodes, start),
                log_likelihood(law.family, free - unit, nodes, start),
            )
            for unit in units
        ]
        slopes = np.array([(up[0] - down[0]) / (2 * step) for up, down in both])
        bends = np.array([(up[1] - down[1]) / (2 * step) for up, down in both])
        scale = 1.0 + np.abs(hessian).max()
        np.testing.assert_allclose(gradient, slopes, atol=1e-5 * scale)
        np.testing.assert_allclose(hessian, bends, atol=1e-5 * scale)
        np.testing.assert_allclose(hessian, hessian.T, atol=1e-9 * scale)
