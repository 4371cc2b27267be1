"""Neural fields: laws of the field itself, and fits of systems whose truth is known."""

import numpy as np
import pytest
import torch

from graphtide.dynamics.fit import load_field, predict
from graphtide.dynamics.holdout import Holdout
from graphtide.dynamics.intervals import Intervals, coverage
from graphtide.dynamics.latent import PARTS, LatentDiffusionField
from graphtide.dynamics.neural import MessagePassingField, output_of
from graphtide.dynamics.neural_data import NeuralSettings
from graphtide.dynamics.neural_fit import fit_neural
from graphtide.dynamics.neural_task import TrainingSettings
from graphtide.dynamics.surroundings import Inputs, Surroundings
from graphtide.dynamics.visited import CELLS, Visited
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.run import Run
from graphtide.trajectory import Trajectory

QUICK = TrainingSettings(weak_epochs=1, segment_epochs=1, iterations=3)
GRAPH = Graph.from_source("small_world:30:4:0.3", seed=1)


def visited(variables=1, low=0.0, high=2.0):
    pairs = np.ones((variables, CELLS, CELLS), dtype=bool)
    return Visited(np.full(variables, low), np.full(variables, high), pairs)


def field(message="factorised", *, variables=("x", "y"), layers=1, **options):
    torch.manual_seed(0)
    made = MessagePassingField(
        visited(len(variables)),
        variables=variables,
        message=message,
        width=7,
        pair_width=5,
        layers=layers,
        **options,
    )
    with torch.no_grad():
        for parameter in (made.own, made.pair):
            if parameter is not None:
                parameter.normal_()
    return made


def weighted_graph(seed=0):
    generator = np.random.default_rng(seed)
    dense = generator.random((8, 8)) * (generator.random((8, 8)) < 0.4)
    return Graph.from_scipy(dense - np.diag(np.diag(dense)))


def states(graph, *batch, variables=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (*batch, graph.node_count, variables)
    return 2 * torch.rand(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("message", ["factorised", "edge", "none"])
@pytest.mark.parametrize("layers", [1, 2])
def test_relabelling_the_nodes_relabels_the_rates(message, layers):
    graph, made = weighted_graph(), field(message, layers=layers, edge_weights=True)
    order = np.random.default_rng(3).permutation(8)
    other = Graph.from_scipy(graph.adjacency[order][:, order])
    x, time = states(graph), torch.tensor(0.0)
    with torch.no_grad():
        torch.testing.assert_close(
            made(time, x, graph)[order], made(time, x[order], other), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("message", ["factorised", "edge"])
def test_the_sum_over_neighbours_is_that_of_F_and_G(message):
    graph, made = weighted_graph(), field(message)
    x = states(graph)
    adjacency = torch.tensor(graph.adjacency.toarray())
    with torch.no_grad():
        expected = made.self_values(x)
        for i in range(8):
            pairs = made.pair_values(x[i].expand(8, -1), x)
            expected[i] += (adjacency[i][:, None] * pairs).sum(dim=0)
        found = made(torch.tensor(0.0), x, graph)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("message", ["factorised", "edge", "none"])
def test_the_rate_is_linear_in_the_output_weights(message):
    graph, made = weighted_graph(), field(message)
    bound, x = made.on(graph), states(graph, 3)
    with torch.no_grad():
        design = bound.design(torch.tensor(0.0), x)
        found = (design @ output_of(made)) * made.scale
        torch.testing.assert_close(found, bound(torch.tensor(0.0), x))
        bound.output = 2.0 * output_of(made)
        torch.testing.assert_close(bound(torch.tensor(0.0), x), 2.0 * found)


def test_a_batch_with_times_of_its_own_is_its_parts_side_by_side():
    graph = weighted_graph()
    moments = np.linspace(0.0, 1.0, 5)
    values = np.random.default_rng(0).standard_normal((5, 8, 1))
    inputs = Inputs(moments, values, ("u",))
    around = Surroundings((), ("u",), uses_time=True)
    bound = field(surroundings=around).on(graph, inputs)
    x, times = states(graph, 3), torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64)
    with torch.no_grad():
        together = bound(times, x)
        apart = torch.stack([bound(t, part) for t, part in zip(times, x, strict=True)])
    torch.testing.assert_close(together, apart)


def test_inputs_are_joined_by_straight_lines_and_held_outside():
    values = np.array([0.0, 2.0, -1.0])[:, None, None]
    inputs = Inputs(np.array([0.0, 1.0, 3.0]), values, ("u",))
    at = inputs.at(torch.tensor([-1.0, 0.25, 2.0, 9.0], dtype=torch.float64))
    assert at.flatten().tolist() == pytest.approx([0.0, 0.5, 0.5, -1.0])


@pytest.mark.parametrize("message", ["factorised", "edge", "none"])
def test_a_field_survives_saving(message):
    made = field(message, edge_weights=True, surroundings=Surroundings((), (), uses_time=True))
    again = MessagePassingField.restore(made.description(), made.tensors())
    graph = weighted_graph()
    x, time = states(graph), torch.tensor(0.7, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(made(time, x, graph), again(time, x, graph))


@pytest.mark.parametrize("without", [(), *((part,) for part in PARTS)])
def test_a_latent_model_survives_saving_and_its_steps_are_eulers(without):
    torch.manual_seed(0)
    made = LatentDiffusionField(visited(), variables=("x",), hidden=4, without=without, step=0.5)
    again = LatentDiffusionField.restore(made.description(), made.tensors())
    x = states(GRAPH, variables=1)
    with torch.no_grad():
        rolled = made.roll_out(GRAPH, np.array([0.0, 1.0]), x)
        assert torch.equal(rolled, again.roll_out(GRAPH, np.array([0.0, 1.0]), x))
        hidden = made.encoder(x - 1.0)
        for _ in range(2):
            hidden = hidden + 0.5 * made.on(GRAPH)(torch.tensor(0.0), hidden)
        torch.testing.assert_close(rolled[-1], made.decoder(hidden) + 1.0)


def test_the_chain_of_euler_steps_has_the_gradient_of_the_solver():
    torch.manual_seed(1)
    made = LatentDiffusionField(visited(), variables=("x",), hidden=5, step=0.07)
    times, x = np.array([0.0, 0.1, 0.3, 0.35]), states(GRAPH, variables=1).requires_grad_()
    wanted = torch.randn(4, 30, 1, generator=torch.Generator().manual_seed(2), dtype=x.dtype)
    found = []
    for gradient in ("direct", "checkpointed"):
        rolled = made.roll_out(GRAPH, times, x, gradient=gradient)
        loss = (rolled - wanted).square().sum()
        found.append([rolled, *torch.autograd.grad(loss, [x, *made.parameters()])])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def heat(times, start, graph=GRAPH, rate=0.6):
    """Return the exact states of dx/dt = -rate L x."""
    value, vector = np.linalg.eigh(graph.laplacian().toarray())
    return np.exp(-rate * np.outer(times, value)) @ (vector * (vector.T @ start)).T


TIMES = np.linspace(0.0, 2.0, 41)
START = np.random.default_rng(5).uniform(0.0, 4.0, 30)
TRUE = heat(TIMES, START)


def error(result, role):
    chosen = result.roles[0] == role
    true = TRUE[chosen]
    return np.abs(result.predicted[0].states[chosen, :, 0] - true).mean() / np.abs(true).mean()


@pytest.mark.parametrize("model", ["message_passing", "edge"])
def test_heat_is_learned_and_carried_to_another_network(model, tmp_path):
    result = fit_neural(
        Trajectory(TIMES, TRUE, graph=GRAPH),
        GRAPH,
        settings=NeuralSettings(model=model, training=QUICK),
    )
    assert error(result, "interpolate") < 2e-3
    assert error(result, "extrapolate") < 2e-3
    run = Run.create(tmp_path / "run", kind="dynamics fit", configuration={})
    result.save(run)
    same = predict(run, level=0.9)
    np.testing.assert_allclose(same.trajectory.states, result.predicted[0].states, atol=1e-9)
    low, high = (same.with_bounds().states[..., k] for k in (1, 2))
    assert ((low < same.trajectory.states[..., 0]) & (same.trajectory.states[..., 0] < high)).all()
    other = Graph.from_source("small_world:50:4:0.3", seed=8)
    start = np.random.default_rng(6).uniform(0.5, 3.5, 50)
    carried = predict(run, graph=other, start=start[:, None], level=0.9)
    truth = heat(TIMES, start, other)
    assert np.abs(carried.trajectory.states[..., 0] - truth).mean() / truth.mean() < 0.01


@pytest.mark.slow
def test_noise_is_covered_by_the_intervals():
    noisy = TRUE + 0.05 * np.random.default_rng(0).standard_normal(TRUE.shape)
    result = fit_neural(
        Trajectory(TIMES, noisy, graph=GRAPH), GRAPH, settings=NeuralSettings(training=QUICK)
    )
    assert error(result, "interpolate") < 0.02
    assert 0.8 < result.metrics["coverage_interpolation"] < 0.98
    assert result.metrics["noise"][0] == pytest.approx(0.05, rel=0.2)


def test_readings_at_times_of_their_own_and_missing_ones():
    generator = np.random.default_rng(2)
    times = np.linspace(0.0, 2.0, 81)
    readings = heat(times, START)
    mine = generator.integers(2, size=(81, 30))  # each node is read at about half of the times
    readings[1:][mine[1:] == 0] = np.nan
    result = fit_neural(
        Trajectory(times, readings, graph=GRAPH), GRAPH, settings=NeuralSettings(training=QUICK)
    )
    true = heat(times, START)
    wrong = np.abs(result.predicted[0].states[..., 0] - true).mean() / true.mean()
    assert wrong < 0.01


@pytest.mark.slow
def test_nodes_never_seen_have_their_starts_estimated():
    readings = TRUE.copy()
    hidden = [3, 11, 20]
    readings[:, hidden] = np.nan
    result = fit_neural(
        Trajectory(TIMES, readings, graph=GRAPH), GRAPH, settings=NeuralSettings(training=QUICK)
    )
    assert result.metrics["unseen_nodes"] == 3
    assert result.metrics["start"] == "weak"
    found = result.predicted[0].states[:, hidden, 0]
    mean = np.nanmean(readings, axis=1, keepdims=True)
    assert np.abs(found - TRUE[:, hidden]).mean() < 0.7 * np.abs(mean - TRUE[:, hidden]).mean()


def test_known_inputs_and_attributes_are_used():
    # dx_i/dt = -a_i x_i + u(t), a_i an attribute: no neighbour plays a part.
    rates = np.random.default_rng(1).uniform(0.5, 2.0, 30)
    graph = GRAPH.with_node_attributes(decay=rates)
    fine = np.linspace(0.0, 4.0, 4001)
    drive = np.sin(3.0 * fine)
    x = np.empty((len(fine), 30))
    x[0] = START
    for k in range(len(fine) - 1):
        middle = x[k] + 0.0005 * (-rates * x[k] + drive[k])
        x[k + 1] = x[k] + 0.001 * (-rates * middle + 0.5 * (drive[k] + drive[k + 1]))
    series = Trajectory(fine[::20], np.repeat(drive[::20, None], 30, axis=1), ("u",), graph=graph)
    seen = Trajectory(fine[::40], x[::40], graph=graph)
    settings = NeuralSettings(
        model="no_graph", width=80, attributes=("decay",), ensemble=0, training=QUICK
    )
    result = fit_neural(seen, graph, settings=settings, inputs=series)
    assert result.metrics["relative_error_extrapolation"] < 0.05
    blind = fit_neural(seen, GRAPH, settings=NeuralSettings(model="no_graph", training=QUICK))
    assert blind.metrics["relative_error_extrapolation"] > 0.3
    with pytest.raises(InputError, match="no attribute 'size'"):
        fit_neural(seen, graph, settings=NeuralSettings(attributes=("size",)))


def test_a_closed_form_is_the_start():
    result = fit_neural(
        Trajectory(TIMES, TRUE, graph=GRAPH),
        GRAPH,
        settings=NeuralSettings(ensemble=4, training=QUICK),
    )
    assert result.metrics["start"] == "closed_form"
    assert error(result, "extrapolate") < 2e-3
    assert result.metrics["ensemble"] == 4


def test_a_latent_model_learns_from_whole_roll_outs(tmp_path):
    settings = NeuralSettings(
        model="latent", width=8, epochs=60, training=TrainingSettings(loss="l1")
    )
    result = fit_neural(
        Trajectory(TIMES, TRUE, graph=GRAPH), GRAPH, settings=settings, holdout=Holdout(0.2, 0.2)
    )
    history = result.history
    assert history["loss"].iloc[-1] < 0.5 * history["loss"].iloc[0]
    run = Run.create(tmp_path / "run", kind="dynamics fit", configuration={})
    result.save(run)
    assert isinstance(load_field(run), LatentDiffusionField)
    np.testing.assert_allclose(predict(run).trajectory.states, result.predicted[0].states)


def test_intervals_hold_their_level_on_exchangeable_readings():
    generator = np.random.default_rng(0)
    spread = generator.uniform(0.5, 3.0, (100, 10, 1))
    made = Intervals.calibrated({}, [spread * generator.standard_normal(spread.shape)], [spread])
    again = Intervals.restore(made.tensors())
    test = generator.uniform(0.5, 3.0, (400, 10, 1))
    observed = test * generator.standard_normal(test.shape)
    for level in (0.5, 0.9):
        half = again.half_width(test, level)
        found = coverage(observed, np.zeros_like(test), half)
        # Two standard deviations of the calibration's and of the test's share.
        slack = 2.0 * np.sqrt(level * (1 - level) * (1 / 1000 + 1 / 4000))
        assert abs(found - level) < slack + 1e-3
    with pytest.raises(InputError, match="needs more than the 1000 readings"):
        again.factor(0.9999)


def test_three_scores_give_the_rank_that_the_theory_asks_for():
    made = Intervals({}, np.ones(1), np.array([1.0, 2.0, 3.0]), 3)
    assert made.factor(0.5) == 2.0  # the ceil(4 / 2)-th smallest
    assert made.factor(0.75) == 3.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "magic"}, "'magic' is no model"),
        ({"start": "cold"}, "neither auto, weak nor closed_form"),
        ({"level": 1.0}, "level"),
        ({"validation": 0.5}, "a share up to 0.3"),
    ],
)
def test_settings_out_of_range_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        NeuralSettings(**options)
