"""The training core of the flow lesson: what it returns, and what halving a step does."""

import itertools

import numpy as np
import pytest
import torch

from graphtide.errors import InputError
from graphtide.flows.continuous import ContinuousFlow
from graphtide.flows.flow import Flow
from graphtide.flows.hamiltonian import HamiltonianFlow
from graphtide.flows.mixing import Mixing
from graphtide.flows.registry import make_bijection
from graphtide.flows.residual import ResidualFlow
from graphtide.lessons.flow import flow_lesson, moons_in_a_ring, refined


@pytest.fixture(scope="module")
def lesson():
    return flow_lesson(share=0.02)


def test_points_lie_on_two_half_circles_and_a_ring():
    points = moons_in_a_ring(3_000, np.random.default_rng(0))
    moons = [
        np.abs(np.linalg.norm(sign * points + [0.5, 0.25], axis=1) - 1.0) for sign in (1.0, -1.0)
    ]
    ring = np.abs(np.linalg.norm(points, axis=1) - 2.5)
    nearest = np.minimum(np.minimum(*moons), ring)
    assert nearest.max() < 0.5
    assert np.mean(ring < 0.5) == pytest.approx(1 / 3, abs=0.03)


def test_every_kind_is_trained_and_looked_at(lesson):
    names = ["additive coupling", "affine coupling", "residual", "continuous", "hamiltonian"]
    assert [result.name for result in lesson.results] == names
    cell = (lesson.axis[1] - lesson.axis[0]) ** 2
    for result in lesson.results:
        assert np.isfinite(result.losses).all()
        assert result.density.shape == (100, 100)
        assert 0.8 < result.density.sum() * cell < 1.001  # what lies outside of the grid is missing
        assert result.path.shape[1:] == (200, 2)
        assert [part.factor for part in result.refinements] == [1, 2, 4]
        assert result.refinements[0].log_likelihood == pytest.approx(result.log_likelihood)
        assert max(part.inverse_error for part in result.refinements) < 1e-2


def test_training_beats_the_normal_distribution():
    lesson = flow_lesson(share=0.25, kinds=["additive coupling"])
    (result,) = lesson.results
    assert result.log_likelihood > lesson.normal_log_likelihood + 2.0 * result.standard_error


def test_the_path_ends_where_the_flow_does(lesson):
    starts = [result.path[0] for result in lesson.results]
    assert all(np.array_equal(start, starts[0]) for start in starts)
    assert all(np.abs(r.path[-1] - r.path[0]).max() > 1e-3 for r in lesson.results)


def test_the_lesson_repeats_and_leaves_the_random_state_alone(lesson):
    before = torch.get_rng_state()
    (again,) = flow_lesson(share=0.02, kinds=["additive coupling"]).results
    assert again.losses.tolist() == pytest.approx(lesson.results[0].losses.tolist())
    assert again.density == pytest.approx(lesson.results[0].density)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "order"),
    [("residual", 1), ("affine_coupling", 1), ("additive_coupling", 1), ("hamiltonian", 2)],
)
@torch.no_grad()
def test_refined_flows_converge_with_the_order_of_their_splitting(name, order):
    torch.manual_seed(0)
    bijection = make_bijection(name, 2, hidden=(16, 16)).double()
    for parameter in bijection.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    x = torch.randn(30, 2, dtype=torch.float64)
    values = [Flow(refined(bijection, factor)).log_prob(x) for factor in (4, 8, 16, 32)]
    changes = [float((b - a).norm()) for a, b in itertools.pairwise(values)]
    slopes = [np.log2(a / b) for a, b in itertools.pairwise(changes)]
    assert slopes == pytest.approx([order] * 2, abs=0.2)
    assert torch.equal(refined(bijection, 1)(x)[0], bijection(x)[0])
    before = bijection(x)[0]
    refined(bijection, 2)
    assert torch.equal(bijection(x)[0], before)  # the trained flow stays as it is


def test_what_cannot_be_refined():
    with pytest.raises(InputError, match="no step"):
        refined(Mixing(2), 2)
    with pytest.raises(InputError, match="no step"):
        refined(ContinuousFlow(None, 2), 2)  # its steps follow the error
    for bijection in (HamiltonianFlow(2), ResidualFlow(2)):
        with pytest.raises(InputError, match="factor"):
            refined(bijection, 0)
    with pytest.raises(InputError, match="factor"):
        ResidualFlow(2).refined(0)
    with pytest.raises(InputError, match="share"):
        flow_lesson(share=0.0)
    with pytest.raises(InputError, match="known are"):
        flow_lesson(kinds=["planar"])
