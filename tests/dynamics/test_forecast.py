"""Forecasts: what may be seen, what the plain forecasters are exactly, and what coverage means."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphtide.dynamics.forecast import forecast
from graphtide.dynamics.forecast.alignment import align
from graphtide.dynamics.forecast.baselines import (
    Autoregression,
    HistoryMean,
    LastValue,
    VectorAutoregression,
)
from graphtide.dynamics.forecast.errors import Errors
from graphtide.dynamics.forecast.intervals import Intervals, coverage
from graphtide.dynamics.forecast.learned import LEARNED, LearnedForecaster, Settings
from graphtide.dynamics.forecast.networks import Inputs, Regions, Sizes
from graphtide.dynamics.forecast.season import Season
from graphtide.dynamics.forecast.windows import make_windows, regular_times
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.nn.averaging import AveragedModel
from graphtide.trajectory import Trajectory

GRAPH = Graph.from_source("small_world:8:4:0.3", seed=1)


def wave(count=160, nodes=8, period=16, seed=0, noise=0.1):
    """Return a season with a shape of its own at each node, and noise."""
    generator = np.random.default_rng(seed)
    time = np.arange(count)
    phase = generator.uniform(0, 2 * np.pi, nodes)
    states = np.sin(2 * np.pi * time[:, None] / period + phase) + 3
    return Trajectory(5.0 * time, states + noise * generator.standard_normal(states.shape))


@given(st.integers(1, 6), st.integers(1, 5), st.floats(0.4, 0.9), st.integers(60, 120))
def test_parts_never_share_a_target_with_what_was_learned_from(history, horizon, split, count):
    windows = make_windows(wave(count), history=history, horizon=horizon, split=split)
    targets = {
        part: {int(i) + j for i in windows.part(part) for j in range(horizon)}
        for part in ("train", "validation", "whole_train", "test")
    }
    assert max(targets["train"]) < windows.validation_start <= min(targets["validation"])
    assert max(targets["whole_train"]) < windows.split == min(targets["test"])
    assert max(targets["test"]) == count - 1
    assert min(windows.part("train")) == history


def test_nothing_of_the_test_readings_reaches_scaling_filling_or_season():
    states = wave().states.copy()
    states[5:9, 2] = np.nan
    times = np.arange(len(states))
    made = {}
    for name, factor in (("as is", 1.0), ("test changed", 1e6)):
        changed = states.copy()
        changed[128:] *= factor
        windows = make_windows(
            Trajectory(times, changed), history=4, horizon=3, split=0.8, period=16
        )
        season = Season.of(windows, windows.split)
        assert season is not None
        made[name] = (windows.mean, windows.deviation, windows.filled[:128], season.smooth)
    for one, other in zip(made["as is"], made["test changed"], strict=True):
        np.testing.assert_array_equal(one, other)


def test_missing_readings_are_carried_forward_and_never_backward():
    states = np.array([[np.nan, 1.0], [2.0, np.nan], [np.nan, np.nan], [4.0, 5.0]] * 10)
    windows = make_windows(Trajectory(np.arange(40), states), history=2, horizon=1, split=0.8)
    np.testing.assert_allclose(
        windows.filled[:4, :, 0], [[3.0, 1.0], [2.0, 1.0], [2.0, 1.0], [4, 5]]
    )


def test_a_number_may_stand_for_missing():
    states = wave().states.copy()
    states[3, 1] = 0.0
    windows = make_windows(Trajectory(np.arange(160), states), history=2, horizon=2, missing=0.0)
    assert not windows.mask[3, 1, 0]
    assert windows.mask.sum() == states.size - 1


def test_absent_rows_become_missing_and_uneven_steps_are_refused():
    times, states = regular_times(np.array([0.0, 0.1, 0.4, 0.5]), np.arange(4.0)[:, None])
    np.testing.assert_allclose(times, np.arange(6) / 10)
    np.testing.assert_array_equal(np.isnan(states[:, 0]), [0, 0, 1, 1, 0, 0])
    with pytest.raises(InputError, match=r"time 2\.5 follows 1"):
        regular_times(np.array([0.0, 1.0, 2.5, 3.0, 4.0, 5.0]), np.zeros((6, 1)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"horizon": 70}, "need at least"),
        ({"horizon": 40}, "does not fit"),
        ({"history": 0}, "history"),
        ({"split": 1.0}, "split"),
        ({"period": 1}, "period"),
    ],
)
def test_windows_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        make_windows(wave(), **{"history": 4, "horizon": 3, **changes})


def test_all_missing_is_refused():
    states = wave().states.copy()
    states[:128] = np.nan
    with pytest.raises(InputError, match="before the split"):
        make_windows(Trajectory(np.arange(160), states), history=4, horizon=3)
    states = wave().states.copy()
    states[128:] = np.nan
    with pytest.raises(InputError, match="after the split"):
        make_windows(Trajectory(np.arange(160), states), history=4, horizon=3)


def test_few_nodes_without_edges_are_isolated_and_many_are_refused():
    names = tuple(map(str, range(21)))
    states = Trajectory(np.arange(3), np.zeros((3, 21)), names=names)
    ring = Graph.from_source("ring:20")
    aligned, graph, isolated = align(states, ring)
    assert isolated == ("20",)
    assert graph.names == aligned.names
    assert graph.degree[20] == 0
    with pytest.raises(InputError, match="not in the graph"):
        align(states, Graph.from_source("ring:18"))


def test_last_value_and_history_mean_are_what_they_say():
    windows = make_windows(wave(), history=4, horizon=3)
    numbers = windows.part("test")
    last = LastValue().predict(windows, numbers)
    mean = HistoryMean().predict(windows, numbers)
    for b, j in itertools.product((0, 5), range(3)):
        np.testing.assert_array_equal(last[b, j], windows.readings[numbers[b] - 1])
        np.testing.assert_allclose(
            mean[b, j], windows.readings[numbers[b] - 4 : numbers[b]].mean(axis=0)
        )


@pytest.mark.parametrize("missing", [False, True])
def test_a_linear_law_on_a_graph_is_recovered(missing):
    """x(t+1) = 0.6 x(t) + 0.3 A x(t) + noise of 1e-3: one step ahead errs by the noise alone."""
    generator = np.random.default_rng(0)
    matrix = GRAPH.matrix("mean_adjacency")
    states = [generator.standard_normal(8)]
    for _ in range(400):
        drive = generator.standard_normal(8)
        states.append(0.6 * states[-1] + 0.3 * (matrix @ states[-1]) + 1e-3 * drive)
    states = np.array(states) + 0.0
    if missing:
        states[50, 3] = states[200:203, 1] = np.nan
    windows = make_windows(Trajectory(np.arange(401), states), history=2, horizon=1)
    errors = {}
    for forecaster in (Autoregression(GRAPH), Autoregression(), VectorAutoregression()):
        forecaster.fit(windows, windows.part("train"), windows.part("validation"))
        forecaster.fit(windows, windows.part("whole_train"), None)
        numbers = windows.part("test")
        error = forecaster.predict(windows, numbers) - windows.targets(numbers)
        errors[forecaster.name] = float(np.sqrt(np.mean(np.square(error))))
    assert errors["graph_autoregression"] < 1.15e-3
    assert errors["graph_autoregression"] < errors["autoregression"]
    assert errors["vector_autoregression"] < 2e-3


def test_the_season_is_exact_where_cycles_repeat():
    windows = make_windows(wave(noise=0.0), history=4, horizon=3, period=16)
    season = Season.of(windows, windows.split)
    assert season is not None
    numbers = windows.part("test")
    for said in (season.mean(numbers, 3), season.alike(numbers, 3)):
        np.testing.assert_allclose(said, windows.targets(numbers), atol=1e-12)
    past, onward = np.split(season.alike(numbers, 3, history=4), [4], axis=1)
    np.testing.assert_allclose(past, windows.histories(numbers), atol=1e-12)
    np.testing.assert_array_equal(onward, season.alike(numbers, 3))


def test_a_cycle_is_not_its_own_counterpart():
    """A reading far off all others is not found again by the window it belongs to."""
    states = wave(noise=0.0).states.copy()
    states[40] += 100.0
    windows = make_windows(Trajectory(np.arange(160), states), history=4, horizon=3, period=16)
    season = Season.of(windows, windows.split)
    assert season is not None
    assert np.abs(season.mean(np.array([40]), 1)).max() < 10
    assert np.abs(season.mean(np.array([56]), 1)).max() > 10


def test_the_cycles_most_alike_count_most():
    """Even and odd cycles differ; the history tells which kind a window belongs to."""
    time = np.arange(160)
    kind = (time // 16) % 2
    states = np.repeat((np.sin(2 * np.pi * time / 16) + 5.0 * kind)[:, None], 8, axis=1)
    windows = make_windows(Trajectory(time, states), history=4, horizon=3, period=16)
    season = Season.of(windows, windows.split)
    assert season is not None
    numbers = windows.part("test")[20:25]
    truth = windows.targets(numbers)
    alike = np.abs(season.alike(numbers, 3) - truth).mean()
    assert alike < 0.5 * np.abs(season.mean(numbers, 3) - truth).mean()


def test_intervals_cover_what_they_promise():
    generator = np.random.default_rng(0)
    scale = generator.uniform(0.5, 3.0, size=(1, 4, 8, 1))
    residuals = scale * (generator.exponential(size=(400, 4, 8, 1)) - 1.0)  # skewed
    intervals = Intervals.of(residuals, 0.9)
    fresh = scale * (generator.exponential(size=(400, 4, 8, 1)) - 1.0)
    lower, upper = intervals.fixed(np.zeros_like(fresh))
    np.testing.assert_allclose(coverage(lower, upper, fresh), 0.9, atol=0.02)
    by_node = ((fresh >= lower) & (fresh <= upper)).mean(axis=(0, 1, 3))
    np.testing.assert_allclose(by_node, 0.9, atol=0.06)


def test_widths_follow_a_drift_and_see_no_target_early():
    generator = np.random.default_rng(0)
    intervals = Intervals.of(generator.standard_normal((300, 3, 8, 1)), 0.9)
    observed = 3.0 * generator.standard_normal((300, 3, 8, 1))  # errors have grown threefold
    said = np.zeros_like(observed)
    lower, upper, _ = intervals.following(said, observed)
    assert coverage(*intervals.fixed(said), observed).max() < 0.5
    np.testing.assert_allclose(coverage(lower[150:], upper[150:], observed[150:]), 0.9, atol=0.03)
    later = observed.copy()
    later[40:] = 1e6
    changed = intervals.following(said, later)
    # Window 40 and its step j are known to windows 41 + j and later.
    np.testing.assert_array_equal(changed[0][:41], lower[:41])
    np.testing.assert_array_equal(changed[1][:43, 2], upper[:43, 2])
    assert not np.array_equal(changed[1][41, 0], upper[41, 0])


def test_errors_leave_missing_readings_and_zeros_out():
    said = np.array([1.0, 2.0, 3.0, 8.0]).reshape(4, 1, 1, 1)
    observed = np.array([2.0, np.nan, 0.0, 4.0]).reshape(4, 1, 1, 1)
    errors = Errors.of(said, observed)
    assert errors.all[0] == pytest.approx((1 + 3 + 4) / 3)
    assert errors.all[1] == pytest.approx(np.sqrt((1 + 9 + 16) / 3))
    assert errors.all[2] == pytest.approx((0.5 + 1.0) / 2)


def test_regions_are_a_row_stochastic_adjacency():
    regions = Regions(8, 3).double()
    dense = regions(torch.eye(8, dtype=torch.float64))
    assert bool((dense > 0).all())
    torch.testing.assert_close(dense.sum(1), torch.ones(8, dtype=torch.float64))
    assert int(torch.linalg.matrix_rank(dense)) == 3


@pytest.mark.parametrize("name", LEARNED)
def test_networks_see_the_graph_and_follow_a_change_of_level(name):
    """Shapes; and a forecaster on last value + change moves with the level of its readings."""
    torch.manual_seed(0)
    sizes = Sizes(4, 3, 2, 4, season=True, width=8, embedding=4, regions=3, dropout=0.1)
    network = LEARNED[name][0](GRAPH, sizes).eval()
    history = torch.randn(5, 4, 8, 2)
    inputs = Inputs(history, torch.ones_like(history), torch.randn(5, 4), torch.randn(5, 7, 8, 2))
    said = network(inputs)
    assert said.shape == (5, 3, 8, 2)
    moved = history.clone()
    neighbour = int(GRAPH.edge_index[0][GRAPH.edge_index[1] == 0][0])
    moved[:, :, neighbour] += 1.0
    other = network(Inputs(moved, inputs.read, inputs.phase, inputs.alike))
    assert not torch.allclose(other[:, :, 0], said[:, :, 0])
    said.square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_the_mean_of_weights_is_their_mean():
    model = torch.nn.Linear(2, 1)
    averaged = AveragedModel(model, decay=0.5)
    start = [w.detach().clone() for w in model.parameters()]
    averaged.update()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 1.0
    averaged.update()  # after one step: decay 2 / 11
    for mean, first in zip(averaged.means(), start, strict=True):
        torch.testing.assert_close(mean, first + 9 / 11)
    x = torch.ones(3, 2)
    torch.testing.assert_close(averaged.train()(x), model(x))
    averaged.eval()
    expected = x @ averaged.means()[0].T + averaged.means()[1]
    torch.testing.assert_close(averaged(x), expected)


@pytest.mark.slow
def test_a_network_learns_more_than_plain_forecasters_know():
    """A season that each node has for itself, learned without being told of it."""
    trajectory = wave(count=300, noise=0.05)
    windows = make_windows(trajectory, history=6, horizon=2)
    network = LearnedForecaster(
        "direct_network", GRAPH, settings=Settings(width=32, epochs=25, learning_rate=1e-2)
    )
    network.fit(windows, windows.part("train"), windows.part("validation"))
    numbers = windows.part("test")
    truth = windows.targets(numbers)
    last = np.abs(LastValue().predict(windows, numbers) - truth).mean()
    assert np.abs(network.predict(windows, numbers) - truth).mean() < 0.35 * last


@pytest.fixture
def short_training(monkeypatch):
    for name, (builder, settings) in LEARNED.items():
        short = dataclasses.replace(settings, epochs=6, least_steps=1, width=8)
        monkeypatch.setitem(LEARNED, name, (builder, short))


@pytest.mark.usefixtures("short_training")
def test_the_choice_is_made_before_the_split_and_tested_after_it():
    result = forecast(
        wave(count=200), GRAPH, history=4, horizon=3, period=16, model="auto", recurrent=False,
    )  # fmt: skip
    metrics = result.metrics
    assert result.model == min(result.validation, key=lambda name: result.validation[name])
    assert metrics["mae"] < metrics["baselines"]["last_value"]["mae"]
    assert [line["step"] for line in metrics["by_step"]] == [1, 2, 3]
    assert metrics["rmse"] == pytest.approx(
        np.sqrt(np.mean([line["rmse"] ** 2 for line in metrics["by_step"]]))
    )
    assert result.next[0].shape == (3, 8, 1)
    assert bool(np.all(result.next[1] <= result.next[2]))
    assert 0.8 < metrics["coverage"] < 1.0


def test_relabelling_nodes_changes_nothing_but_their_order():
    order = np.random.default_rng(0).permutation(8)
    trajectory = wave()
    names = tuple(trajectory.names[i] for i in order)
    shuffled = Trajectory(trajectory.times, trajectory.states[:, order], names=names)
    one = forecast(trajectory, GRAPH, history=4, horizon=2, model="graph_autoregression",
                   recurrent=False)  # fmt: skip
    other = forecast(shuffled, GRAPH, history=4, horizon=2, model="graph_autoregression",
                     recurrent=False)  # fmt: skip
    np.testing.assert_allclose(one.predicted, other.predicted)
