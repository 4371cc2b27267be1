"""Rates from readings of states: right to the order of the gap, with errors that fit."""

import numpy as np
import pytest

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.series_rates import rates_from_series
from graphtide.spread.epidemic import simulate_epidemic
from graphtide.spread.laws import EPIDEMIC_LAWS, seeded_start
from graphtide.trajectory import Trajectory

GRAPH = Graph.from_source("barabasi_albert:400:3", seed=0)
RATES = {
    "si": {"beta": 0.3},
    "sis": {"beta": 0.3, "delta": 1.0},
    "sir": {"beta": 0.5, "gamma": 1.0},
}


def series(name, gap, seed=0):
    """Return the states of one run: nodes=True of a single run holds zeros and ones."""
    law = EPIDEMIC_LAWS[name].equation(**RATES[name])
    times = np.arange(0.0, 4.0, gap)
    start = seeded_start(law, GRAPH, np.arange(0, 400, 20))
    return simulate_epidemic(law, GRAPH, times, start, runs=1, seed=seed, nodes=True).nodes


@pytest.mark.parametrize("name", RATES)
def test_rates_come_back_and_errors_fit(name):
    scores = []
    for seed in range(8):
        found = rates_from_series(series(name, 0.05, seed), GRAPH)
        true = list(RATES[name].values())
        assert len(found) == len(true)
        for rate, value in zip(found.values(), true, strict=True):
            scores.append((rate.value - value) / rate.standard_error)
            assert rate.low < rate.value < rate.high
    assert abs(np.mean(scores)) < 1.0
    assert 0.4 < np.std(scores) < 1.8


def test_readings_too_far_apart_hide_recoveries():
    """Who recovers and is infected again between two readings seems never to have recovered."""
    fine, coarse = (rates_from_series(series("sis", gap), GRAPH)["recovery"] for gap in (0.05, 1.9))
    assert coarse.value < 0.7
    assert abs(fine.value - 1.0) < 0.15


def test_bad_series_are_refused():
    good = series("si", 0.5)
    with pytest.raises(InputError, match=r"node '0' has x = 0.5 at time 0; states of 0 and 1"):
        rates_from_series(good.with_states(np.full(good.states.shape, 0.5)), GRAPH)
    with pytest.raises(InputError, match="nobody was infected"):
        rates_from_series(good.with_states(np.zeros(good.states.shape)), GRAPH)
    with pytest.raises(InputError, match="at least two readings"):
        rates_from_series(good.select(slice(0, 1)), GRAPH)
    with pytest.raises(InputError, match="one, or S, I, R"):
        rates_from_series(Trajectory(np.arange(2.0), np.ones((2, 400, 2)), graph=GRAPH), GRAPH)
