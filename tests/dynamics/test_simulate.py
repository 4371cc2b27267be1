"""Simulation against analytic solutions, conserved quantities, and itself in other forms."""

import numpy as np
import pytest
from scipy.linalg import expm

from graphtide.dynamics.catalogue import CATALOGUE, resolve
from graphtide.dynamics.simulate import simulate, with_default_attributes
from graphtide.equation import Equation
from graphtide.errors import InputError
from graphtide.graph import Graph

TIMES = np.linspace(0.0, 2.0, 9)
TIGHT = {"relative_tolerance": 1e-10, "absolute_tolerance": 1e-12}


def test_heat_is_the_matrix_exponential() -> None:
    graph = Graph.from_source("erdos_renyi:30:0.15", seed=2)
    start = np.random.default_rng(0).uniform(0, 25, 30)
    result = simulate(resolve("heat").with_parameters(k=0.7), graph, TIMES, start, **TIGHT)
    laplacian = graph.laplacian().toarray()
    exact = np.stack([expm(-0.7 * t * laplacian) @ start for t in TIMES])
    np.testing.assert_allclose(result.states[:, :, 0], exact, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(result.states.sum((1, 2)), start.sum(), rtol=1e-10)
    assert result.graph is graph
    assert result.variables == ("x",)


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("exponential", lambda x, t: x * np.exp(0.5 * t)),
        ("power_law", lambda x, t: (np.sqrt(x) + 0.5 * t) ** 2),
        ("logistic", lambda x, t: 10.0 / (1.0 + (10.0 / x - 1.0) * np.exp(-t))),
    ],
)
def test_laws_of_growth(name: str, exact) -> None:
    graph = Graph.from_source("single")
    result = simulate(resolve(name), graph, TIMES, np.array([0.8]), **TIGHT)
    np.testing.assert_allclose(result.states[:, 0, 0], exact(0.8, TIMES), rtol=1e-8)


def test_newton_cooling_towards_the_ambient_node() -> None:
    law = resolve("newton_cooling").with_parameters(k=1.3)
    pair = simulate(law, Graph.from_source("path:2"), TIMES, np.array([20.0, 90.0]), **TIGHT)
    np.testing.assert_allclose(pair.states[:, 0, 0], 20.0, rtol=1e-12)
    np.testing.assert_allclose(pair.states[:, 1, 0], 20 + 70 * np.exp(-1.3 * TIMES), rtol=1e-8)
    graph = Graph.from_source("path:4").with_node_attributes(ambient=np.array([0.0, 0, 0, 1]))
    start = np.array([90.0, 80.0, 70.0, 20.0])
    row = simulate(law, graph, TIMES, start, **TIGHT)
    rates = -1.3 * graph.laplacian().toarray()
    rates[3] = 0.0
    exact = np.stack([expm(t * rates) @ start for t in TIMES])
    np.testing.assert_allclose(row.states[:, :, 0], exact, rtol=1e-7)


def test_a_law_that_reads_the_time_starts_at_the_first_time() -> None:
    law = Equation.parse("dx/dt = 2*t")
    result = simulate(law, Graph.from_source("single"), np.array([1.0, 3.0]), np.array([1.0]))
    assert result.states[:, 0, 0] == pytest.approx([1.0, 9.0])


def test_sir_keeps_everyone_and_infection_spreads() -> None:
    graph = Graph.from_source("barabasi_albert:60:3", seed=1)
    result = simulate(resolve("sir"), graph, np.linspace(0, 15, 31), seed=2)
    np.testing.assert_allclose(result.states.sum(-1), 1.0, rtol=1e-9)
    assert result.states.min() > -1e-6
    assert np.all(np.diff(result.states[:, :, 0], axis=0) < 1e-8), "nobody turns susceptible again"
    assert result.states[-1, :, 2].mean() > 0.5


def test_predators_and_prey_keep_their_integral() -> None:
    graph = Graph.from_source("ring:5")
    result = simulate(resolve("predator_prey"), graph, np.linspace(0, 20, 41), **TIGHT)
    prey, predator = result.states[..., 0], result.states[..., 1]
    kept = 0.5 * prey - 0.5 * np.log(prey) + predator - np.log(predator)
    np.testing.assert_allclose(kept, np.broadcast_to(kept[0], kept.shape), rtol=1e-7)
    assert np.ptp(prey) > 0.5


def test_consensus_keeps_the_sum_of_opinions() -> None:
    graph = Graph.from_source("karate")
    result = simulate(resolve("saturating_consensus"), graph, TIMES, seed=1)
    total = result.states.sum((1, 2))
    np.testing.assert_allclose(total, total[0], atol=1e-7)
    assert result.states[-1].std() < 0.2 * result.states[0].std()


def swing_energy(states: np.ndarray, graph: Graph) -> np.ndarray:
    """Return sum omega^2/2 - sum P theta - k/2 sum_ij A_ij cos(theta_j - theta_i), m = k = 1."""
    angle, speed = states[..., 0], states[..., 1]
    source, target = graph.edge_index
    coupling = np.cos(angle[:, source] - angle[:, target]).sum(-1) / 2
    return (speed**2 / 2 - graph.node_attributes["P"] * angle).sum(-1) - coupling


def test_swing_without_damping_keeps_its_energy() -> None:
    law = resolve("swing").substituted({"d": 0.0})
    assert law.structure == "hamiltonian"
    graph = with_default_attributes(resolve("swing"), Graph.from_source("karate"), seed=3)
    start = np.random.default_rng(1).normal(0, 0.5, (34, 2))
    result = simulate(law, graph, np.linspace(0, 10, 21), start, **TIGHT)
    energy = swing_energy(result.states, graph)
    np.testing.assert_allclose(energy, energy[0], rtol=1e-8)
    assert np.ptp((result.states[..., 1] ** 2).sum(-1)) > 1.0
    damped = simulate(resolve("swing"), graph, np.linspace(0, 10, 21), start)
    assert np.all(np.diff(swing_energy(damped.states, graph)) < 0)
    for method, bound in (("leapfrog", 1e-2), ("yoshida4", 1e-4)):
        near = simulate(law, graph, np.linspace(0, 10, 21), start, method=method, step=0.02)
        kept = swing_energy(near.states, graph)
        assert np.ptp(kept) < bound * np.abs(kept[0])
        np.testing.assert_allclose(near.states, result.states, atol=30 * bound)


def test_symplectic_methods_refuse_other_equations() -> None:
    with pytest.raises(InputError, match="leapfrog takes two variables"):
        simulate(resolve("heat"), Graph.from_source("karate"), TIMES, method="leapfrog", step=0.1)


@pytest.mark.parametrize("name", ["heat", "mutualistic", "fitzhugh_nagumo", "swing"])
def test_back_ends_give_one_trajectory(name: str) -> None:
    graph = Graph.from_source("small_world:40:4:0.3", seed=1)
    one = simulate(resolve(name), graph, TIMES, seed=3, back_end="torch")
    other = simulate(resolve(name), graph, TIMES, seed=3, back_end="numba")
    np.testing.assert_allclose(one.states, other.states, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_law_runs_over_its_own_times(name: str) -> None:
    entry = CATALOGUE[name]
    first, last, _ = entry.times
    times = np.linspace(first, last, 7)
    result = simulate(entry.equation, Graph.from_source("barabasi_albert:50:3"), times, seed=1)
    assert result.states.shape == (7, 50, len(entry.equation.variables))
    assert np.isfinite(result.states).all()
    assert np.abs(result.states[-1] - result.states[0]).max() > 1e-3


def test_noise_has_the_spread_asked_for_and_seeds_repeat() -> None:
    graph = Graph.from_source("ring:200")
    law = Equation.parse("dx/dt = 0, dy/dt = 0")
    start = np.random.default_rng(0).normal([0.0, 5.0], [1.0, 10.0], (200, 2))
    times = np.arange(50.0)
    clean = simulate(law, graph, times, start)
    noisy = simulate(law, graph, times, start, noise=0.1, seed=7)
    error = (noisy.states - clean.states).std((0, 1)) / clean.states.std((0, 1))
    np.testing.assert_allclose(error, 0.1, rtol=0.05)
    again = simulate(law, graph, times, start, noise=0.1, seed=7)
    assert np.array_equal(noisy.states, again.states)
    assert not np.array_equal(noisy.states, simulate(law, graph, times, start, noise=0.1).states)
    assert np.array_equal(simulate(law, graph, times, seed=1).states[0], clean_start(law, graph))


def clean_start(law: Equation, graph: Graph) -> np.ndarray:
    return simulate(law, graph, np.array([0.0]), seed=1).states[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": np.array([0.0, 1.0, 1.0])}, "times must increase, but 1 follows 1"),
        ({"times": np.array([])}, "times must be a row"),
        ({"times": np.array([0.0, np.nan])}, "times must be a row"),
        ({"start": np.ones((3, 1))}, r"\(3, 1\); \(34, 1\) was expected"),
        ({"start": np.full(34, np.inf)}, "the start of node '0' is not a finite number"),
        ({"noise": -0.1}, "the noise is -0.1"),
        ({"back_end": "fortran"}, "there is no back end 'fortran'"),
        ({"equation": Equation.parse("dx/dt = q*x")}, "the parameter 'q' has no value"),
        ({"equation": Equation.parse("dx/dt = a_i*x")}, "reads the node attribute 'a'"),
    ],
)
def test_bad_calls(change: dict[str, object], message: str) -> None:
    call = {"equation": resolve("heat"), "graph": Graph.from_source("karate"), "times": TIMES}
    with pytest.raises(InputError, match=message):
        simulate(**{**call, **change})
