"""The whole explanation: the right family, ties to the simplest, tails, clocks, and words."""

import numpy as np
import pytest
from distribution_laws import LAWS
from scipy.special import zeta

from graphtide.errors import InputError
from graphtide.mechanisms.distributions import Sample, explain_distribution
from graphtide.mechanisms.distributions.candidates import fit_all
from graphtide.mechanisms.distributions.cohorts import COHORT_LAWS, fit_cohorts
from graphtide.mechanisms.distributions.comparison import HeldOut, choose, vuong
from graphtide.mechanisms.distributions.nodes import Compressed
from graphtide.mechanisms.distributions.tail import power_law_tail
from graphtide.mechanisms.distributions.words import cannot_be_known, headline, notes
from graphtide.ode.solve import solve


def quick(values, **options):
    return explain_distribution(values, repetitions=0, tail_repetitions=0, **options)


@pytest.mark.parametrize(
    "name",
    [
        *("exponential", "pareto", "rayleigh", "weibull", "gompertz", "gaussian", "lognormal"),
        *("generalised_pareto", "log_logistic", "double_power_law", "power_law_cutoff"),
    ],
)
def test_the_right_family_is_named_and_run_back_to_the_data(name):
    found = quick(LAWS[name].draw(10_000, seed=2))
    assert found.best == name
    assert found.family().ks < 1.63 / 100
    assert found.simulated_ks == pytest.approx(found.family().ks, abs=2e-3)


def test_a_family_that_holds_the_truth_does_not_beat_it():
    found = quick(LAWS["exponential"].draw(10_000))
    names = [r.name for r in found.families]
    assert found.best == "exponential"
    assert {"weibull", "gompertz", "generalised_pareto", "burr_xii"} <= set(names)
    rival = found.family("weibull")
    assert abs(rival.parameters["shape"] - 1.0) < 3.0 * rival.standard_errors["shape"]


def test_what_no_family_holds_is_left_to_the_free_curve():
    generator = np.random.default_rng(0)
    values = np.concatenate(
        [generator.lognormal(0, 0.3, 6_000), generator.lognormal(4, 0.3, 4_000)]
    )
    found = quick(values)
    assert found.best == "piecewise_power_law"
    assert found.nearest != found.best
    assert found.family(found.nearest).lost > 1.0
    assert any("No closed family holds" in note for note in notes(found))
    assert found.simulated_ks < 0.03


def test_one_cross_section_says_that_its_clock_is_free():
    values = LAWS["pareto"].draw(2_000)
    found = quick(values)
    assert found.clock == "free"
    assert any("only up to the clock" in line for line in cannot_be_known(found))
    timed = quick(values, age_rate=0.1)
    assert timed.clock == "ages"
    assert not any("only up to the clock" in line for line in cannot_be_known(timed))
    # The same sizes with units that die ten times more slowly grew ten times more slowly.
    x = np.array([5.0])
    rates = [growth_of(e.equation, x) for e in (found, timed)]
    assert rates[1] == pytest.approx(0.1 * rates[0])
    assert timed.simulated_ks == pytest.approx(found.simulated_ks, abs=1e-3)


def test_in_a_growing_population_the_hazard_of_ages_is_the_death_rate_plus_the_growth_rate():
    # Births at rate e^(r t) up to now, deaths at rate mu; the living grow by dx/dt = x from 1.
    growth, death, horizon = 0.3, 0.5, 40.0
    generator = np.random.default_rng(0)
    born = horizon + np.log(generator.random(60_000)) / growth  # density e^(r t), t <= now
    age = horizon - born
    living = generator.random(60_000) < np.exp(-death * age)
    found = quick(np.exp(age[living]))
    assert found.best == "pareto"
    parameters, errors = found.family().parameters, found.family().standard_errors
    assert abs(parameters["exponent"] - (growth + death)) < 3.0 * errors["exponent"]


def test_the_comparison_of_two_laws_knows_which_is_nearer():
    sample = Sample.of(LAWS["lognormal"].draw(3_000))
    nodes = Compressed(sample).nodes()
    fits = {f.family.name: f for f in fit_all(sample, nodes, None, ["lognormal", "weibull"])[0]}
    statistic, p = vuong(fits["lognormal"], fits["weibull"], nodes)
    assert statistic > 5.0
    assert p < 1e-6
    back, same = vuong(fits["weibull"], fits["lognormal"], nodes)
    assert back == pytest.approx(-statistic)
    assert same == pytest.approx(p)
    assert vuong(fits["weibull"], fits["weibull"], nodes) == (0.0, 1.0)


def test_ties_go_to_the_simplest_and_then_to_the_nearest():
    generator = np.random.default_rng(0)
    weight, noise = np.ones(1_000), generator.normal(size=1_000)
    best = HeldOut(-1.0 + 0.01 * noise, weight)
    near = HeldOut(-1.003 + 0.01 * generator.normal(size=1_000), weight)
    far = HeldOut(-1.2 + 0.01 * noise, weight)
    names, distance = ["best", "near", "far"], [0.01, 0.02, 0.03]
    assert choose(names, [3, 2, 1], [best, near, far], distance) == "near"
    assert choose(names, [2, 2, 1], [best, near, far], distance) == "best"
    assert choose(names, [3, 1, 1], [best, far, far], [0.0, 0.0, 0.0]) == "best"


def growth_of(equation, x):
    import torch

    from graphtide.graph import Graph

    rhs = equation.compile().on(Graph.from_source("single"))
    return float(rhs(torch.tensor(0.0, dtype=torch.float64), torch.from_numpy(x)[:, None])[0, 0])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("constant", (0.4,)),
        ("proportional", (0.3,)),
        ("affine", (2.0, -0.4)),
        ("power", (0.5, 0.4)),
        ("logistic", (0.9, 30.0)),
        ("gompertz", (0.4, 40.0)),
    ],
)
def test_two_cross_sections_of_a_cohort_give_the_law_with_its_absolute_clock(name, values):
    law = next(law for law in COHORT_LAWS if law.name == name)
    generator = np.random.default_rng(1)
    first = generator.lognormal(1.0, 0.8, 20_000)
    second = law.flow(generator.lognormal(1.0, 0.8, 20_000), 3.0, values)
    results = fit_cohorts([2000.0, 2003.0], [Sample.of(first), Sample.of(second)])
    assert results[0].law.name == name
    near = np.abs(results[0].values - values) < 3.0 * results[0].standard_errors
    assert near.all()
    assert results[0].p_value > 1e-3
    assert results[0].ks < 1.95 * np.sqrt(2 / 20_000)


@pytest.mark.parametrize("law", COHORT_LAWS, ids=lambda law: law.name)
def test_the_flow_of_each_law_solves_its_equation(law):
    import torch

    from graphtide.equation import Equation
    from graphtide.graph import Graph

    values = law.guesses(3.0, 0.2, 8.0)[0]
    constants = dict(zip(law.parameters, values, strict=True))
    rhs = Equation.parse(law.law, parameters=constants).compile()
    x = np.array([1.0, 2.0, 6.0])
    solution = solve(
        rhs.on(Graph.from_source("erdos_renyi:3:0")),
        torch.from_numpy(x)[:, None],
        torch.tensor([0.0, 1.5], dtype=torch.float64),
        relative_tolerance=1e-10,
        absolute_tolerance=1e-12,
    )
    carried = law.flow(x, 1.5, values)
    np.testing.assert_allclose(solution.states.numpy()[-1, :, 0], carried, rtol=1e-7)


def test_standard_errors_of_dated_rates_cover():
    inside = 0
    for seed in range(30):
        generator = np.random.default_rng(seed)
        groups = [
            Sample.of(generator.lognormal(1.0, 0.5, 400) * np.exp(0.2 * t)) for t in (0, 1, 2)
        ]
        found = {r.law.name: r for r in fit_cohorts([0.0, 1.0, 2.0], groups)}["proportional"]
        inside += abs(found.values[0] - 0.2) <= 2.0 * found.standard_errors[0]
    assert 0.8 <= inside / 30 <= 1.0


def test_dates_set_the_clock_of_the_whole_explanation():
    generator = np.random.default_rng(0)
    first, second = generator.lognormal(0, 0.6, (2, 3_000))
    sizes = np.concatenate([first, second * np.exp(0.25 * 4.0)])
    found = quick(sizes, dates=np.repeat([10.0, 14.0], 3_000))
    assert found.clock == "dates"
    assert found.cohorts[0].law.name == "proportional"
    assert growth_of(found.law, np.array([2.0])) == pytest.approx(0.5, rel=0.05)
    assert "proportion to size" in headline(found)
    assert not any("only up to the clock" in line for line in notes(found))


def test_dates_that_do_not_differ_are_refused():
    with pytest.raises(InputError, match="two dates or more"):
        quick(np.arange(1.0, 30.0), dates=np.ones(29))


@pytest.mark.parametrize("discrete", [False, True])
def test_the_tail_of_a_power_law_is_found_where_it_begins(discrete):
    # Uniform below 10, a power law of density exponent 2.5 above.
    generator = np.random.default_rng(0)
    body, tail = generator.uniform(1.0, 10.0, 5_000), 10.0 * (1 + generator.pareto(1.5, 5_000))
    values = np.concatenate([body, tail])
    found = power_law_tail(Sample.of(np.floor(values) if discrete else values), repetitions=20)
    assert found.x_min == pytest.approx(10.0, rel=0.25)
    assert abs(found.exponent - 2.5) < 0.1
    assert 0.0 < found.exponent_error < 0.2
    assert found.share == pytest.approx(np.mean(values >= found.x_min), abs=0.02)
    assert 0.5 < found.mass < 1.0


def test_counts_from_1_have_the_exact_discrete_exponent():
    # The continuous approximation is far off at x_min = 1; the zeta likelihood is not.
    counts = np.random.default_rng(0).zipf(2.5, 20_000).astype(float)
    found = power_law_tail(Sample.of(counts), repetitions=0)
    assert found.x_min == 1.0
    assert found.exponent == pytest.approx(2.5, abs=0.04)
    mean = np.log(counts).mean()
    step = 1e-5
    slope = (np.log(zeta(found.exponent + step, 1)) - np.log(zeta(found.exponent - step, 1))) / 2e-5
    assert -slope == pytest.approx(mean, rel=1e-4)


def test_censored_sizes_are_explained():
    generator = np.random.default_rng(0)
    true, limit = 3.0 * generator.weibull(1.7, 4_000), generator.exponential(4.0, 4_000)
    sample = Sample.of(np.minimum(true, limit), observed=true <= limit)
    found = quick(sample)
    assert found.best == "weibull"
    assert abs(found.family().parameters["shape"] - 1.7) < 0.15
    assert any("censored" in note for note in notes(found))


def test_few_samples_name_a_simple_family():
    found = quick(LAWS["exponential"].draw(30))
    assert len(found.family().parameters) <= 3


def test_unknown_families_are_refused():
    with pytest.raises(InputError, match="no family 'zipf'"):
        quick(np.arange(1.0, 40.0), families=["zipf"])
