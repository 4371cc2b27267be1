"""One table of all flows, put through all laws."""

import functools
import math

import pytest
import torch
from scipy.stats import ks_2samp
from torch import Tensor

from graphtide.errors import InputError
from graphtide.flows.bijection import Bijection, Composition, Inverse
from graphtide.flows.continuous import ContinuousFlow
from graphtide.flows.flow import DiagonalNormal, Flow
from graphtide.flows.hamiltonian import HamiltonianFlow
from graphtide.flows.registry import FLOWS, make_bijection

ALL = pytest.mark.parametrize("name", FLOWS)
CONDITIONAL = [name for name, entry in FLOWS.items() if entry.conditional]
CASES = [(name, 0, dimension) for name in FLOWS for dimension in (2, 4)]
CASES += [(name, 3, 2) for name in CONDITIONAL]
TABLE = pytest.mark.parametrize(("name", "given", "dimension"), CASES)
DOUBLE = torch.float64


def trained(name: str, dimension: int, given: int = 0, dtype: torch.dtype = DOUBLE) -> Bijection:
    """Return a flow away from its start, as training would leave it."""
    torch.manual_seed(0)
    bijection = make_bijection(name, dimension, given, hidden=(16, 16)).to(dtype).eval()
    with torch.no_grad():
        for parameter in bijection.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    for part in bijection.modules():
        if isinstance(part, ContinuousFlow):  # as exact as its steps, so they are many here
            part.method, part.step = "dormand_prince8", 1 / 24
            if dtype == torch.float32:
                part.step = 1 / 7
    return bijection


def coarse(bijection: Bijection) -> Bijection:
    """Let solves take few steps, where only gradients of the steps taken matter."""
    for part in bijection.modules():
        if isinstance(part, ContinuousFlow):
            part.method, part.step = "rk4", 1 / 4
        if isinstance(part, HamiltonianFlow):
            part.steps = 3
    return bijection


def points(count: int, dimension: int, given: int, dtype: torch.dtype = DOUBLE):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, dimension, generator=generator, dtype=dtype)
    condition = torch.randn(count, given, generator=generator, dtype=dtype) if given else None
    return x, condition


@TABLE
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (DOUBLE, 1e-10)], ids=str)
@torch.no_grad()
def test_inverse(name, given, dimension, dtype, tolerance):
    bijection = trained(name, dimension, given, dtype)
    x, condition = points(64, dimension, given, dtype)
    z, log_det = bijection(x, condition)
    back, back_log_det = bijection.inverse_with_log_det(z, condition)
    assert z.dtype == back.dtype == log_det.dtype == dtype
    scale = x.abs().clamp_min(1.0)
    assert float(((back - x).abs() / scale).max()) < tolerance
    torch.testing.assert_close(bijection.inverse(z, condition), back, rtol=0.0, atol=tolerance)
    assert float((log_det + back_log_det).abs().max()) < 10 * tolerance
    assert not torch.allclose(z, x, atol=1e-3)


@TABLE
def test_log_determinant_is_that_of_the_jacobian(name, given, dimension):
    bijection = trained(name, dimension, given)
    x, condition = points(5, dimension, given)
    x.requires_grad_()
    z, log_det = bijection(x, condition)
    rows = [
        torch.autograd.grad(z[:, index].sum(), x, retain_graph=True)[0]
        for index in range(dimension)
    ]
    exact = torch.linalg.slogdet(torch.stack(rows, dim=1))[1]
    assert log_det.shape == x.shape[:-1]
    torch.testing.assert_close(log_det, exact, rtol=0.0, atol=1e-10)
    if FLOWS[name].volume_preserving:
        assert torch.equal(log_det, torch.zeros_like(log_det))
    elif name != "mixing":
        assert float(log_det.detach().abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("name", "given"), [(name, given) for name, given, dimension in CASES if dimension == 2]
)
def test_gradients_of_points_and_conditions(name, given):
    """In two dimensions, which are enough for finite differences."""
    bijection = coarse(trained(name, 2, given))
    x, condition = points(2, 2, given)
    inputs: tuple[Tensor, ...] = (x.requires_grad_(),)
    if condition is not None:
        inputs = (*inputs, condition.requires_grad_())
    assert torch.autograd.gradcheck(bijection, inputs)
    assert torch.autograd.gradcheck(bijection.inverse_with_log_det, inputs)


@ALL
@pytest.mark.parametrize("way", ["log_prob", "rsample"])
def test_gradients_of_parameters(name, way):
    """Central differences along a random direction of all parameters: error h^2 f''' / 6."""
    flow = Flow(coarse(trained(name, 2)), DiagonalNormal(2)).to(DOUBLE)
    x, _ = points(4, 2, 0)

    def value() -> Tensor:
        if way == "log_prob":
            return flow.log_prob(x).sum()
        drawn, log_prob = flow.rsample_with_log_prob(4, torch.Generator().manual_seed(2))
        return drawn.sin().sum() + log_prob.sum()

    parameters = [parameter for parameter in flow.parameters() if parameter.requires_grad]
    generator = torch.Generator().manual_seed(3)
    along = [torch.randn(p.shape, generator=generator, dtype=DOUBLE) for p in parameters]
    found = torch.autograd.grad(value(), parameters, allow_unused=True)
    slope = sum(float((g * a).sum()) for g, a in zip(found, along, strict=True) if g is not None)
    size, values = 1e-5, []
    with torch.no_grad():
        for sign in (1.0, -1.0):
            for parameter, direction in zip(parameters, along, strict=True):
                parameter.add_(sign * size * direction)
            values.append(float(value()))
            for parameter, direction in zip(parameters, along, strict=True):
                parameter.sub_(sign * size * direction)
    assert slope == pytest.approx((values[0] - values[1]) / (2 * size), rel=1e-5, abs=1e-6)
    assert abs(slope) > 1e-3


@functools.cache
def density_on_grid(name: str) -> tuple[Flow, Tensor, Tensor, float]:
    """Return a flow, the centres of a grid (M, 2), the density there, and a cell's width."""
    flow = Flow(trained(name, 2)).to(DOUBLE)
    for part in flow.modules():
        if isinstance(part, ContinuousFlow):
            part.method, part.step = "rk4", 1 / 8
    edge, count = 9.0, 180
    width = 2.0 * edge / count
    line = torch.linspace(-edge + 0.5 * width, edge - 0.5 * width, count, dtype=DOUBLE)
    centres = torch.cartesian_prod(line, line)
    with torch.no_grad():
        density = flow.log_prob(centres).exp()
    return flow, centres, density, width


@ALL
def test_density_integrates_to_one(name):
    _, _, density, width = density_on_grid(name)
    assert float(density.sum()) * width**2 == pytest.approx(1.0, abs=1e-3)


def projections(points_: Tensor) -> list[Tensor]:
    angles = [0.0, math.pi / 4, math.pi / 2, 3 * math.pi / 4]
    return [math.cos(a) * points_[:, 0] + math.sin(a) * points_[:, 1] for a in angles]


def p_value(first: Tensor, second: Tensor) -> float:
    """Return the least p of four projections times four (Bonferroni)."""
    pairs = zip(projections(first), projections(second), strict=True)
    return 4.0 * min(float(ks_2samp(a.numpy(), b.numpy()).pvalue) for a, b in pairs)


@ALL
def test_samples_follow_the_density(name):
    """Kolmogorov-Smirnov on four projections, against points drawn from the density on a grid."""
    flow, centres, density, width = density_on_grid(name)
    generator = torch.Generator().manual_seed(5)
    count = 3_000
    cells = torch.multinomial(density, count, replacement=True, generator=generator)
    inside = torch.rand(count, 2, generator=generator, dtype=DOUBLE) - 0.5
    drawn = centres[cells] + width * inside
    samples = flow.sample(count, generator)
    assert samples.dtype == DOUBLE
    assert p_value(samples, drawn) > 0.01
    assert p_value(1.25 * samples, drawn) < 0.01  # the test can fail


@pytest.mark.parametrize("name", CONDITIONAL)
@torch.no_grad()
def test_conditions_broadcast_and_change_the_map(name):
    bijection = trained(name, 2, 3)
    x, _ = points(5, 2, 0)
    one = torch.tensor([0.5, -1.0, 2.0], dtype=DOUBLE)
    z, log_det = bijection(x, one)
    full, full_log_det = bijection(x, one.expand(5, 3))
    assert torch.equal(z, full)
    assert torch.equal(log_det, full_log_det)
    assert not torch.allclose(z, bijection(x, -one)[0], atol=1e-4)
    flow = Flow(bijection)
    drawn, log_prob = flow.rsample_with_log_prob(
        7, torch.Generator().manual_seed(0), full[:, :1] + one
    )
    assert drawn.shape == (7, 5, 2)
    expected = flow.log_prob(drawn, full[:, :1] + one)
    torch.testing.assert_close(log_prob, expected, rtol=0.0, atol=1e-8)


@ALL
@torch.no_grad()
def test_batch_shape_is_free(name):
    bijection = trained(name, 4)
    x, _ = points(6, 4, 0)
    z, log_det = bijection(x)
    other, other_log_det = bijection(x.view(2, 3, 4))
    torch.testing.assert_close(other.view(6, 4), z, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(other_log_det.view(6), log_det, rtol=0.0, atol=1e-12)
    assert bijection(x[0])[1].shape == ()


@ALL
@pytest.mark.parametrize(
    ("x", "condition", "message"),
    [
        (torch.zeros(4, 3), None, "last dimension of 2"),
        (torch.tensor(1.0), None, "last dimension of 2"),
        (torch.zeros(4, 2, dtype=torch.long), None, "floating-point"),
        (torch.zeros(4, 2), torch.zeros(4, 1), "condition of shape"),
    ],
    ids=["dimension", "scalar", "integers", "condition"],
)
def test_shapes_that_do_not_fit(name, x, condition, message):
    bijection = make_bijection(name, 2)
    for call in (bijection, bijection.inverse, bijection.inverse_with_log_det):
        with pytest.raises(InputError, match=message):
            call(x, condition)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_conditions_that_do_not_fit(name):
    bijection = make_bijection(name, 2, 3)
    with pytest.raises(InputError, match="a condition of 3 numbers"):
        bijection(torch.zeros(4, 2))
    with pytest.raises(InputError, match="does not broadcast"):
        bijection(torch.zeros(4, 2), torch.zeros(5, 3))


def test_parts_that_do_not_fit():
    with pytest.raises(InputError, match="at least one part"):
        Composition([])
    with pytest.raises(InputError, match="must agree"):
        Composition([make_bijection("mixing", 2), make_bijection("mixing", 3)])
    with pytest.raises(InputError, match="unknown"):
        make_bijection("planar", 2)
    with pytest.raises(InputError, match="takes no condition"):
        make_bijection("mixing", 2, 1)
    with pytest.raises(InputError, match="the base has 3"):
        Flow(make_bijection("mixing", 2), DiagonalNormal(3))
    with pytest.raises(InputError, match="at least one sample"):
        Flow(make_bijection("mixing", 2)).sample(0, torch.Generator())


@torch.no_grad()
def test_composition_and_inverse_cancel():
    bijection = trained("affine_coupling", 2)
    x, _ = points(5, 2, 0)
    z, log_det = Composition([bijection, Inverse(bijection)])(x)
    torch.testing.assert_close(z, x, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(log_det, torch.zeros_like(log_det), rtol=0.0, atol=1e-12)
