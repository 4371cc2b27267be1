"""Rates from readings of states: right to the order of the gap, with errors that fit."""

import numpy as np
import pytest

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.series_rates import rates_from_series
from graphtide.mechanisms.spread_series import explain_series
from graphtide.spread.epidemic import simulate_epidemic
from graphtide.spread.laws import EPIDEMIC_LAWS, seeded_start
from graphtide.trajectory import Trajectory

GRAPH = Graph.from_source("barabasi_albert:400:3", seed=0)
RATES = {
    "si": {"beta": 0.3},
    "sis": {"beta": 0.3, "delta": 1.0},
    "sir": {"beta": 0.5, "gamma": 1.0},
    "seir": {"beta": 0.8, "sigma": 2.0, "gamma": 0.7},
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
        law = EPIDEMIC_LAWS[name]
        assert found.law == name
        assert found.values.keys() == RATES[name].keys()
        named = {
            law.infection: found.infection,
            law.recovery: found.recovery,
            law.incubation: found.incubation,
        }
        for parameter, value in RATES[name].items():
            rate = named[parameter]
            assert rate is not None
            scores.append((rate.value - value) / rate.standard_error)
            assert rate.low < rate.value < rate.high
    assert abs(np.mean(scores)) < 1.0
    assert 0.4 < np.std(scores) < 1.8


def test_readings_too_far_apart_hide_recoveries():
    """Who recovers and is infected again between two readings seems never to have recovered."""
    fine, coarse = (rates_from_series(series("sis", gap), GRAPH).recovery for gap in (0.05, 1.9))
    assert fine is not None
    assert coarse is not None
    assert coarse.value < 0.7
    assert abs(fine.value - 1.0) < 0.15


def test_runs_of_the_law_found_cover_the_readings_it_was_found_in():
    states = series("seir", 0.1, seed=3)
    result = explain_series(states, GRAPH, runs=60, influential=3, seed=0)
    curves = result.curves.table()
    inside = (curves["observed_mean"] >= curves["simulated_q05"] - 3) & (
        curves["observed_mean"] <= curves["simulated_q95"] + 3
    )
    assert inside.mean() > 0.8
    assert curves["observed_mean"].iloc[0] == 20
    assert len(result.metrics["influential_nodes"]) == 3
    assert not any("Read more often" in note for note in result.notes)
    coarse = explain_series(series("sis", 1.9), GRAPH, runs=2)
    assert any("Read more often" in note for note in coarse.notes)


def test_bad_series_are_refused():
    good = series("si", 0.5)
    with pytest.raises(InputError, match=r"node '0' has x = 0.5 at time 0; states of 0 and 1"):
        rates_from_series(good.with_states(np.full(good.states.shape, 0.5)), GRAPH)
    with pytest.raises(InputError, match="nobody was infected"):
        rates_from_series(good.with_states(np.zeros(good.states.shape)), GRAPH)
    with pytest.raises(InputError, match="at least two readings"):
        rates_from_series(good.select(slice(0, 1)), GRAPH)
    with pytest.raises(InputError, match="one, or S, I, R, or S, E, I, R"):
        rates_from_series(Trajectory(np.arange(2.0), np.ones((2, 400, 2)), graph=GRAPH), GRAPH)
    both = np.stack([np.ones((2, 400)), np.ones((2, 400)), np.zeros((2, 400))], axis=2)
    with pytest.raises(InputError, match="node '0' is in 2 states at time 0; one was expected"):
        rates_from_series(Trajectory(np.arange(2.0), both, ("S", "I", "R"), graph=GRAPH), GRAPH)
