"""Nodes stand for rows; maxima are maxima; standard errors cover; one likelihood for all rows."""

import numpy as np
import pytest
from distribution_laws import LAWS, NAMED
from hypothesis import given, settings
from hypothesis import strategies as st

from graphtide.errors import InputError
from graphtide.mechanisms.distributions.candidates import fit_all, fit_jump, location
from graphtide.mechanisms.distributions.likelihood import fit_family, log_likelihood, summarise
from graphtide.mechanisms.distributions.nodes import Compressed
from graphtide.mechanisms.distributions.sample import Sample, rounding_step


def fitted(name, sample):
    jump = fit_jump(sample)
    breaks = () if jump is None else (float(jump.values[2]),)
    fits, _ = fit_all(sample, Compressed(sample, breaks=breaks).nodes(), jump, [name])
    return fits[0]


@pytest.mark.parametrize("name", ["weibull", "lognormal", "gaussian", "pareto", "burr_xii"])
def test_nodes_keep_the_likelihood_of_the_rows(name):
    law = LAWS[name]
    values = np.sort(law.draw(20_000))
    sample = Sample.of(values)
    nodes = Compressed(sample).nodes()
    assert len(nodes.value) < 1_500
    direct = float(np.sum(np.log(law.hazard(values)) - law.cumulative(values)))
    free = np.array([p.to_free(v) for p, v in zip(law.family.parameters, law.values, strict=True)])
    through = log_likelihood(law.family, free, nodes, law.start)[0]
    assert through == pytest.approx(direct, abs=1e-3)


def test_folds_make_up_the_whole():
    sample = Sample.of(LAWS["lognormal"].draw(5_000))
    compressed = Compressed(sample)
    parts = [compressed.nodes(only=fold).size for fold in range(5)]
    rests = [compressed.nodes(without=fold).size for fold in range(5)]
    assert sum(parts) == 5_000
    assert [a + b for a, b in zip(parts, rests, strict=True)] == pytest.approx([5_000] * 5)


@pytest.mark.parametrize("name", [n for n in LAWS if "sum" not in n])
def test_the_maximum_is_at_least_the_truth_and_near_it(name):
    law = LAWS[name]
    sample = Sample.of(law.draw(4_000, seed=1))
    fit = fitted(law.family.name, sample)
    below = np.sum(np.log(law.hazard(sample.values)) - law.cumulative(sample.values))
    assert fit.log_likelihood >= below - 1e-6
    # Twice the difference is chi-squared: 20 is exceeded with probability below 5e-4.
    assert fit.log_likelihood - below < 10.0 + (3.0 if law.family.located else 0.0)


def test_standard_errors_cover_the_truth_as_often_as_they_say():
    inside, total = 0, 0
    names = ("exponential", "weibull", "gaussian", "lognormal", "pareto", "log_logistic")
    for number, name in enumerate(names):
        law = LAWS[name]
        for seed in range(80):
            sample = Sample.of(law.draw(300, seed=(number, seed)))
            fit = fitted(name, sample)
            near = np.abs(fit.values - law.values) <= 2.0 * fit.standard_errors
            inside, total = inside + int(near.sum()), total + len(near)
    # 95.4 % nominal; 480 samples give it an error of about 1 %.
    assert 0.93 < inside / total < 0.98


def test_the_start_of_growth_is_estimated_with_its_error():
    law = LAWS["pareto"]
    inside = 0
    for seed in range(200):
        sample = Sample.of(law.draw(100, seed=seed))
        place, error = location(fitted("pareto", sample), sample)
        assert place < sample.values[0]
        inside += abs(place - law.start) <= 2.0 * error
    # The lowest of n values is exponential: within two errors with probability 1 - e^-3 = 0.95.
    assert 0.90 < inside / 200 < 0.99


def test_the_cross_over_has_an_error_that_shrinks_as_one_over_n():
    law = LAWS["double_power_law"]
    errors, inside = [], 0
    for count in (1_000, 4_000, 16_000):
        found = [fit_jump(Sample.of(law.draw(count, seed=seed))) for seed in range(20)]
        errors.append(np.mean([fit.standard_errors[2] for fit in found]))
        inside += sum(abs(f.values[2] - 5.0) <= 2.0 * f.standard_errors[2] for f in found)
    slope = np.polyfit(np.log([1, 4, 16]), np.log(errors), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.2)
    assert 0.85 < inside / 60 <= 1.0


def test_censored_rows_count_as_survivors():
    # Exponential: the rate is events over the sum of all sizes.
    generator = np.random.default_rng(0)
    true, limit = generator.exponential(2.0, 500), generator.exponential(3.0, 500)
    sample = Sample.of(np.minimum(true, limit), observed=true <= limit)
    fit = fitted("exponential", sample)
    assert fit.values[0] == pytest.approx(np.sum(true <= limit) / np.minimum(true, limit).sum())


def test_truncated_rows_do_not_bias():
    # Exponential: only what lies above each entry counts.
    generator = np.random.default_rng(0)
    true, entry = generator.exponential(2.0, 3_000), generator.exponential(1.0, 3_000)
    seen = true > entry
    sample = Sample.of(true[seen], entry=entry[seen])
    fit = fitted("exponential", sample)
    assert fit.values[0] == pytest.approx(seen.sum() / (true - entry)[seen].sum(), rel=1e-5)


def test_counts_have_the_geometric_law_where_the_continuous_one_is_exponential():
    counts = np.random.default_rng(0).geometric(0.3, 3_000)
    fit = fitted("exponential", Sample.of(counts))
    assert -np.expm1(-fit.values[0]) == pytest.approx(1.0 / counts.mean(), rel=1e-6)


def test_weights_count_units():
    counts = np.random.default_rng(0).geometric(0.3, 3_000).astype(float)
    distinct, times = np.unique(counts, return_counts=True)
    plain = fitted("weibull", Sample.of(counts))
    packed = fitted("weibull", Sample.of(distinct, weights=times))
    np.testing.assert_allclose(packed.values, plain.values, rtol=1e-7)
    np.testing.assert_allclose(packed.standard_errors, plain.standard_errors, rtol=1e-5)


def test_sampling_weights_count_for_their_effective_number():
    weights = np.where(np.arange(1_000) % 2 == 0, 0.5, 1.5)
    sample = Sample.of(LAWS["exponential"].draw(1_000), weights=weights)
    assert sample.size == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


@pytest.mark.parametrize("step", [0.1, 0.5, 1.0])
def test_rounded_values_have_the_likelihood_of_their_cells(step):
    law = LAWS["gaussian"]
    rounded = np.round(law.draw(4_000) / step) * step
    sample = Sample.of(np.round(rounded, 6))
    assert 0.0 < sample.step <= step + 1e-12
    fit = fitted("gaussian", sample)
    assert (np.abs(fit.values - law.values) < 3.0 * fit.standard_errors + 0.5 * (step == 1.0)).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(-3, 3), st.lists(st.integers(-999, 999), min_size=120, max_size=200))
def test_the_step_of_rounded_values_is_found(digits, whole):
    # Numbers with a last digit that is not 0, so that no coarser step fits.
    values = np.sort(np.array([10 * k + 1 for k in whole], dtype=float) * 10.0**digits)
    if len(np.unique(values)) < 2:
        return
    step = rounding_step(values)
    assert step == 0.0 or step == pytest.approx(10.0**digits)
    assert digits < 0 or step > 0.0


def test_a_lattice_of_tied_values_is_found():
    # Shares of a census scaled up: multiples of an odd number, truncated below.
    counts = 5 + np.random.default_rng(0).geometric(0.1, 2_000)
    sample = Sample.of(np.round(2487.1 * counts, 1))
    assert sample.step == pytest.approx(2487.1, rel=1e-5)
    assert sample.below == pytest.approx(sample.step / 2)


def test_powers_of_rounded_magnitudes_have_cells_on_the_logarithmic_scale():
    magnitude = np.random.default_rng(0).exponential(0.8, 5_000)
    sample = Sample.of(10.0 ** np.round(magnitude, 1))
    assert sample.step == 0.0
    assert sample.ratio == pytest.approx(10.0**0.1)
    assert sample.tied
    np.testing.assert_allclose(
        sample.upper(sample.values) / sample.lower(sample.values), sample.ratio
    )
    fit = fitted("weibull", Sample.of(np.round(magnitude + 0.0, 1)))
    assert np.isfinite(fit.log_likelihood)


def test_continuous_values_have_no_step():
    assert not Sample.of(LAWS["lognormal"].draw(2_000)).tied


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        ([1.0, 2.0], {}, "2 samples"),
        ([3.0] * 20, {}, "all 20 values equal 3"),
        ([1.0, np.nan] * 10, {}, "must be finite"),
        (np.arange(1.5, 30), {"discrete": True}, "not a whole number"),
        (np.arange(1, 30), {"weights": -np.ones(29)}, "weights must be above 0"),
        (np.arange(1, 30), {"weights": np.ones(3)}, "3 entries"),
        (np.arange(1, 30), {"observed": np.zeros(29)}, "every row is censored"),
        (np.arange(1, 30), {"entry": np.full(29, 5)}, "lies above its value"),
    ],
)
def test_bad_samples_are_refused_in_one_sentence(values, options, said):
    with pytest.raises(InputError, match=said):
        Sample.of(np.asarray(values), **options)


def test_positive_families_refuse_negative_sizes():
    sample = Sample.of(np.linspace(-1.0, 5.0, 50) ** 3)
    with pytest.raises(InputError, match="positive sizes only"):
        fit_all(sample, Compressed(sample).nodes(), None, ["weibull"])
    fits, left_out = fit_all(sample, Compressed(sample).nodes(), None, None)
    assert {fit.family.name for fit in fits} <= {"gaussian", "logistic"}
    assert "weibull" in left_out


def test_a_family_is_fitted_the_same_from_several_guesses():
    sample = Sample.of(LAWS["burr_xii"].draw(3_000))
    nodes = Compressed(sample).nodes()
    family = NAMED["burr_xii"]
    fits = [fit_family(family, nodes, 0.0, [g]) for g in family.guesses(summarise(sample))]
    values = [fit.values for fit in fits if fit is not None and fit.converged]
    assert len(values) >= 2
    np.testing.assert_allclose(values[0], values[1], rtol=1e-4)
