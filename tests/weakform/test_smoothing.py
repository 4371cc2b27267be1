"""The smoother: it leaves quadratics alone, finds the noise, and bridges gaps."""

import numpy as np
import pytest

from graphtide.errors import InputError
from graphtide.weakform.gram import node_gram
from graphtide.weakform.smoothing import smooth
from graphtide.weakform.test_functions import bumps


def waves(times, nodes=40):
    return np.stack([np.sin(times * (1 + i / nodes)) for i in range(nodes)], axis=1)[:, :, None]


@pytest.fixture
def times():
    return np.sort(np.random.default_rng(0).uniform(0, 6, 150))


def test_quadratic_motion_is_left_as_it_is(times):
    exact = (1 + 2 * times - 0.3 * times**2)[:, None, None] * np.ones((1, 3, 1))
    noise = 0.01 * np.random.default_rng(1).normal(size=exact.shape)
    # The third differences of a quadratic vanish, so only the noise is smoothed.
    smoothed = smooth(times, exact + noise).states
    assert np.abs(smoothed - exact).max() < 0.01


def test_noise_is_measured_and_mostly_removed(times):
    exact = waves(times)
    noisy = exact + 0.1 * np.random.default_rng(2).normal(size=exact.shape)
    smoothed = smooth(times, noisy)
    # The standard deviation of 6,000 residuals is known to about one per cent.
    assert smoothed.noise_sd[0] == pytest.approx(0.1, rel=0.05)
    assert np.sqrt(((smoothed.states - exact) ** 2).mean()) < 0.04


def test_gaps_are_bridged(times):
    exact = waves(times)
    generator = np.random.default_rng(3)
    noisy = exact + 0.1 * generator.normal(size=exact.shape)
    noisy[generator.random(noisy.shape) < 0.2] = np.nan
    smoothed = smooth(times, noisy)
    assert np.isfinite(smoothed.states).all()
    assert np.sqrt(((smoothed.states - exact) ** 2).mean()) < 0.045


def test_a_node_never_seen_stays_unknown(times):
    states = waves(times)
    states[:, 5] = np.nan
    smoothed = smooth(times, states).states
    assert np.isnan(smoothed[:, 5]).all()
    assert np.isfinite(np.delete(smoothed, 5, axis=1)).all()


def test_too_few_times_are_refused():
    with pytest.raises(InputError, match="7 times are too few"):
        smooth(np.arange(7.0), np.zeros((7, 2, 1)))


def test_partial_integration_holds_for_every_bump():
    tests = bumps(0.0, 3.0, 600)
    values, slopes = np.sin(2 * tests.times), 2 * np.cos(2 * tests.times)
    # The trapezoid rule is spectrally exact for bumps that vanish at both ends.
    np.testing.assert_allclose(-tests.derivative @ values, tests.value @ slopes, atol=1e-8)


def test_grams_of_nodes_add_up_to_the_rows_own():
    generator = np.random.default_rng(4)
    rows, left = generator.normal(size=(30, 5, 3)), generator.normal(size=(30, 5))
    matrix, cross, target = node_gram(rows, left).total()
    flat = rows.reshape(-1, 3)
    np.testing.assert_allclose(matrix, flat.T @ flat)
    np.testing.assert_allclose(cross, flat.T @ left.ravel())
    assert target == pytest.approx((left**2).sum())
