"""The free curve, Nelson-Aalen's estimate and the distances between laws and data."""

import numpy as np
import pytest
import torch
from distribution_laws import LAWS
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from graphtide.graph import Graph
from graphtide.mechanisms.distributions.bands import nelson_aalen
from graphtide.mechanisms.distributions.free_curve import fit_free_curve
from graphtide.mechanisms.distributions.goodness import (
    Empirical,
    anderson_darling,
    kolmogorov_smirnov,
    parametric_bootstrap,
)
from graphtide.mechanisms.distributions.likelihood import fit_family, summarise
from graphtide.mechanisms.distributions.nodes import Compressed
from graphtide.mechanisms.distributions.sample import Sample


def curve_of(sample, start=None):
    shift = 1.0 if sample.whole and sample.values[0] == 0.0 else 0.0
    return fit_free_curve(
        Compressed(sample).nodes(),
        sample.start if start is None else start,
        logarithmic=sample.positive,
        shift=shift,
    )


@pytest.mark.parametrize("name", ["weibull", "pareto"])
def test_a_power_hazard_needs_no_knot_and_has_its_exponent(name):
    law = LAWS[name]
    sample = Sample.of(law.draw(20_000))
    curve = curve_of(sample, start=1e-9 if name == "weibull" else law.start)
    assert len(curve.knots) == 0
    power, error = curve.exponent(np.array([3.0]))
    wanted = 1.0 if name == "pareto" else 1.0 - law.values[0]
    assert abs(power[0] - wanted) < 3.0 * error[0]


@pytest.mark.parametrize("name", LAWS)
def test_the_free_curve_follows_every_family(name):
    sample = Sample.of(LAWS[name].draw(10_000))
    distance = kolmogorov_smirnov(Empirical.of(sample), curve_of(sample).cumulative_hazard)
    # 1.36/sqrt(n) is the distance that a true law exceeds with probability 5 %.
    assert distance < 1.36 / 100


@pytest.mark.parametrize("counts", ["geometric", "zipf", "poisson"])
def test_the_free_curve_of_counts_is_that_of_their_cells(counts):
    generator = np.random.default_rng(0)
    drawn = {
        "geometric": lambda: generator.geometric(0.2, 5_000),
        "zipf": lambda: generator.zipf(2.2, 5_000),
        "poisson": lambda: generator.poisson(6.0, 5_000),
    }[counts]()
    sample = Sample.of(drawn)
    assert sample.whole
    distance = kolmogorov_smirnov(Empirical.of(sample), curve_of(sample).cumulative_hazard)
    assert distance < 1.36 / np.sqrt(5_000)


def test_equation_hazard_and_trajectory_are_one_law():
    curve = curve_of(Sample.of(LAWS["lognormal"].draw(20_000)))
    assert len(curve.knots) >= 2
    x = np.geomspace(0.3, 8.0, 40)
    rhs = curve.equation().compile().on(Graph.from_source("erdos_renyi:40:0"))
    growth = rhs(torch.tensor(0.0, dtype=torch.float64), torch.from_numpy(x)[:, None])
    np.testing.assert_allclose(growth.numpy()[:, 0], 1.0 / curve.hazard(x), rtol=1e-9)
    np.testing.assert_allclose(curve.trajectory(curve.cumulative_hazard(x)), x, rtol=1e-8)
    step = 1e-6 * x
    slope = (curve.cumulative_hazard(x + step) - curve.cumulative_hazard(x - step)) / (2 * step)
    np.testing.assert_allclose(slope, curve.hazard(x), rtol=1e-4)


def test_the_exponent_has_an_error_that_covers():
    # Weibull: f ~ x^(1 - shape) everywhere.
    law, inside = LAWS["weibull thin"], 0
    for seed in range(60):
        curve = curve_of(Sample.of(law.draw(500, seed=seed)), start=1e-6)
        power, error = curve.exponent(np.array([3.0]))
        inside += abs(power[0] - (1.0 - law.values[0])) <= 2.0 * error[0]
    assert 0.85 <= inside / 60 <= 1.0


def test_nelson_aalen_tends_to_the_cumulative_hazard():
    law = LAWS["lognormal"]
    errors = []
    for count in (1_000, 100_000):
        sample = Sample.of(law.draw(count))
        steps = nelson_aalen(Empirical.of(sample))
        known = steps.cumulative_hazard < 2.0
        gap = steps.cumulative_hazard[known] - law.cumulative(steps.size[known])
        errors.append(np.abs(gap).max())
        # -log(1 - F_n) is the same to order 1/n.
        own = -np.log1p(-np.arange(1, count + 1) / (count + 1.0))[known]
        assert np.abs(steps.cumulative_hazard[known] - own).max() < 10.0 / count
    assert errors[1] < 0.25 * errors[0]


def test_nelson_aalen_of_censored_rows_by_hand():
    values = np.arange(1.0, 9.0) + 0.25
    observed = np.array([1, 0, 1, 1, 0, 1, 1, 1])
    steps = nelson_aalen(Empirical.of(Sample.of(values, observed=observed)))
    wanted = np.cumsum([1 / 8, 1 / 6, 1 / 5, 1 / 3, 1 / 2, 1 / 1])
    np.testing.assert_allclose(steps.cumulative_hazard, wanted)
    np.testing.assert_allclose(steps.size, values[observed == 1])


def test_the_band_holds_the_whole_curve_in_95_percent():
    law, held = LAWS["exponential"], 0
    for seed in range(200):
        steps = nelson_aalen(Empirical.of(Sample.of(law.draw(400, seed=seed))))
        truth = law.cumulative(steps.size)
        held += bool(((steps.low <= truth) & (truth <= steps.high)).all())
    assert 0.91 <= held / 200 <= 0.995


@pytest.mark.parametrize("name", ["gaussian", "pareto", "weibull"])
@pytest.mark.parametrize("count", [50, 20_000])
def test_the_distance_is_the_exact_supremum(name, count):
    law, other = LAWS[name], LAWS[name]
    values = law.draw(count, seed=5)

    def chance(x):
        return -np.expm1(-other.cumulative(x))

    found = kolmogorov_smirnov(Empirical.of(Sample.of(values)), other.cumulative)
    assert found == pytest.approx(stats.kstest(values, chance).statistic, abs=1e-12)


def test_anderson_darling_is_that_of_the_formula():
    law, count = LAWS["gaussian"], 500
    values = np.sort(law.draw(count))
    chance = -np.expm1(-law.cumulative(values))
    order = 2 * np.arange(1, count + 1) - 1
    wanted = -count - np.mean(order * (np.log(chance) + np.log1p(-chance[::-1])))
    found = anderson_darling(Empirical.of(Sample.of(values)), law.cumulative)
    assert found == pytest.approx(wanted, rel=1e-9)


def test_p_values_are_small_for_a_wrong_law_and_spread_for_the_right_one():
    law = LAWS["weibull"]
    right, wrong = [], []
    for seed in range(12):
        sample = Sample.of(law.draw(400, seed=seed))
        nodes = Compressed(sample).nodes()
        for family, into in ((law.family, right), (LAWS["exponential"].family, wrong)):
            fit = fit_family(family, nodes, 0.0, family.guesses(summarise(sample)))
            into.append(parametric_bootstrap(fit, sample, repetitions=19, seed=seed).ks)
    assert max(wrong) == pytest.approx(1 / 20)
    assert np.mean(right) == pytest.approx(0.5, abs=0.3)
    assert np.ptp(right) > 0.2


def test_the_bootstrap_spreads_parameters_as_their_standard_errors():
    law = LAWS["weibull"]
    sample = Sample.of(law.draw(2_000))
    nodes = Compressed(sample).nodes()
    fit = fit_family(law.family, nodes, 0.0, law.family.guesses(summarise(sample)))
    found = parametric_bootstrap(fit, sample, repetitions=200, seed=0)
    # 200 samples give a spread to 5 %; counting in cells costs a little.
    np.testing.assert_allclose(found.standard_errors, fit.standard_errors, rtol=0.2)


def test_truncation_is_taken_off_before_laws_and_data_are_compared():
    law = LAWS["exponential"]
    values = law.draw(5_000) + 3.0  # an exponential law above 3
    sample = Sample.of(values, entry=np.full(5_000, 3.0))
    assert kolmogorov_smirnov(Empirical.of(sample), law.cumulative) < 1.63 / np.sqrt(5_000)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.booleans(), st.integers(1, 4)), min_size=10, max_size=60
    )
)
def test_shares_of_any_sample_rise_from_0_to_at_most_1(rows):
    values, observed, weights = (np.array(column) for column in zip(*rows, strict=True))
    if values.min() == values.max() or not observed.any():
        return
    empirical = Empirical.of(Sample.of(values + 0.5, observed=observed, weights=weights))
    assert empirical.before[0] == 0.0
    assert (np.diff(empirical.after) > 0.0).all()
    assert (empirical.after > empirical.before).all()
    assert empirical.after[-1] <= 1.0 + 1e-12
    assert (empirical.events <= empirical.at_risk + 1e-9).all()
