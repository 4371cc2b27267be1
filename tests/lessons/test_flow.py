"""The training core of the flow lesson: what it returns, and what halving a step does."""

import itertools

import numpy as np
import pytest
import scipy.stats
import torch

from graphtide.errors import InputError
from graphtide.flows.continuous import ContinuousFlow
from graphtide.flows.flow import Flow
from graphtide.flows.hamiltonian import HamiltonianFlow
from graphtide.flows.mixing import Mixing
from graphtide.flows.registry import make_bijection
from graphtide.flows.residual import ResidualFlow
from graphtide.lessons import flow
from graphtide.lessons.flow import moons_in_a_ring, refined


def taught(descents, kinds=tuple(flow.KINDS)):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "KINDS", {name: flow.KINDS[name] for name in kinds})
        return flow.teach(0, descents=descents, progress=lambda share, text: None)


@pytest.fixture(scope="module")
def lesson():
    return taught(12)


def test_points_lie_on_two_half_circles_and_a_ring():
    points, shape = moons_in_a_ring(3_000, np.random.default_rng(0))
    centre = np.array([0.5, 0.25])
    away = np.stack(
        [
            np.linalg.norm(points + centre, axis=1) - 1.0,
            np.linalg.norm(points - centre, axis=1) - 1.0,
            np.linalg.norm(points, axis=1) - 2.5,
        ]
    )
    assert np.abs(away[shape, np.arange(len(points))]).max() < 0.5
    assert np.bincount(shape) / len(points) == pytest.approx([1 / 3] * 3, abs=0.03)


@pytest.mark.parametrize("name", flow.KINDS)
def test_every_kind_is_trained_and_looked_at(lesson, name):
    losses = lesson.tables["losses"].set_index("network").loc[name, "loss"]
    assert len(losses) == max(1, round(12 * flow.KINDS[name][1])) + 1
    assert np.isfinite(losses).all()
    axis, density = lesson.arrays["axis"], lesson.arrays[f"density_{name}"]
    assert density.shape == (81, 81)
    cell = (axis[1] - axis[0]) ** 2
    assert 0.8 < density.sum() * cell < 1.001  # what lies outside of the grid is missing
    halving = lesson.tables["halving"].set_index("network").loc[name]
    assert halving["factor"].tolist() == [1, 2, 4]
    assert halving["inverse_error"].max() < 1e-2


def test_density_has_its_first_coordinate_across(lesson):
    """Where the density is high there are points: the picture is not turned over."""
    axis, points = lesson.arrays["axis"], lesson.arrays["points"]
    trained = taught(120, ["additive coupling"]).arrays["density_additive coupling"]
    column, row = (np.abs(axis - points[:, [k]]).argmin(1) for k in (0, 1))
    assert trained[row, column].mean() > 1.05 * trained[column, row].mean()


def test_the_normal_distribution_is_the_best_one(lesson):
    points = lesson.arrays["points"]
    plain = (-0.5 * (points**2).sum(1) - np.log(2 * np.pi)).mean()
    own = scipy.stats.multivariate_normal(points.mean(0), np.cov(points.T, bias=True))
    best = own.logpdf(points).mean()  # no normal distribution is likelier on these very points
    assert plain - 0.01 < lesson.metrics["log_likelihood_normal"] <= best


def test_training_beats_the_normal_distribution():
    metrics = taught(150, ["additive coupling"]).metrics
    gain = metrics["log_likelihood_additive_coupling"] - metrics["log_likelihood_normal"]
    assert gain > 2.0 * metrics["standard_error_additive_coupling"]


def test_the_path_starts_at_the_points_and_ends_elsewhere(lesson):
    for name in flow.KINDS:
        path = lesson.arrays[f"path_{name}"]
        assert path[0] == pytest.approx(lesson.arrays["points"][: len(path[0])], abs=1e-6)
        assert np.abs(path[-1] - path[0]).max() > 1e-3


def test_the_lesson_repeats_and_leaves_the_random_state_alone(lesson):
    before = torch.get_rng_state()
    name = "additive coupling"
    again = taught(12, [name])
    assert again.arrays[f"density_{name}"] == pytest.approx(lesson.arrays[f"density_{name}"])
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
