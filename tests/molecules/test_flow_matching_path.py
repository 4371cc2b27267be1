"""The probability path and its Markov chain, on spaces small enough to be enumerated."""

import itertools
import math

import numpy as np
import pytest
import torch

from graphtide.errors import InputError
from graphtide.molecules.flow_matching.pairs import Pairs
from graphtide.molecules.flow_matching.path import (
    conditional_path,
    distorted,
    draw,
    noised,
    rates,
    transition,
)
from graphtide.molecules.flow_matching.sampler import Atoms, Graphs, Sampling, run_chain

STARTS = {
    "marginal": torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
    "masked": torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64),
}


def _ends(start: torch.Tensor, clean: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(clean), len(start)).double()


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@pytest.mark.parametrize("stochasticity", [0.0, 0.7, 10.0])
@pytest.mark.parametrize("time", [0.0, 0.3, 0.9, 0.999])
def test_rates_satisfy_the_forward_equation(
    start: torch.Tensor, stochasticity: float, time: float
) -> None:
    for clean in range(3):
        end = _ends(start, clean)
        now = conditional_path(torch.tensor(clean), time, start)
        into = rates(end, time, start, stochasticity=stochasticity)
        generator = into.expand(len(start), -1).clone()
        generator.fill_diagonal_(0.0)
        generator -= torch.diag(generator.sum(1))
        # The path is straight, so its derivative is end - start at every time.
        torch.testing.assert_close(now @ generator, end - start, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_stochastic_part_is_in_detailed_balance(start: torch.Tensor) -> None:
    end = _ends(start, 1)
    now = conditional_path(torch.tensor(1), 0.4, start)
    part = rates(end, 0.4, start, stochasticity=3.0) - rates(end, 0.4, start)
    flow = now[:, None] * part
    torch.testing.assert_close(flow, flow.t(), rtol=1e-14, atol=1e-14)


def _joint(start: torch.Tensor) -> torch.Tensor:
    """Return a correlated distribution of two variables over the states of the start."""
    data = torch.tensor([[0.4, 0.02, 0.05], [0.01, 0.2, 0.07], [0.1, 0.05, 0.1]]).double()
    masks = len(start) - 3
    return torch.nn.functional.pad(data / data.sum(), (0, masks, 0, masks))


def _path_of_two(data: torch.Tensor, time: float, start: torch.Tensor) -> torch.Tensor:
    kernel = conditional_path(torch.arange(len(start)), time, start)  # (x1, x)
    return kernel.t() @ data @ kernel


def _chain(
    data: torch.Tensor, start: torch.Tensor, times: list[float], stochasticity: float
) -> torch.Tensor:
    """Return the joint distribution at the last time, by enumeration, with the true posterior."""
    count = len(start)
    now = _path_of_two(data, times[0], start)
    for time, later in itertools.pairwise(times):
        kernel = conditional_path(torch.arange(count), time, start)
        after = torch.zeros_like(now)
        for a, b in itertools.product(range(count), repeat=2):
            both = data * kernel[:, a, None] * kernel[None, :, b]  # (x1, y1)
            if not both.sum() > 0:
                continue
            both = both / both.sum()
            steps = [
                transition(
                    posterior,
                    torch.tensor(state),
                    time,
                    later,
                    start,
                    stochasticity=stochasticity,
                )
                for posterior, state in ((both.sum(1), a), (both.sum(0), b))
            ]
            after += now[a, b] * steps[0][:, None] * steps[1][None, :]
        now = after
    return now


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@pytest.mark.parametrize("times", [(0.0, 0.5), (0.3, 0.35), (0.6, 0.99), (0.8, 1.0)])
def test_one_step_gives_the_marginals_of_the_path(
    start: torch.Tensor, times: tuple[float, float]
) -> None:
    data = _joint(start)
    after = _chain(data, start, list(times), 0.0)
    wanted = _path_of_two(data, times[1], start)
    for dim in (0, 1):
        torch.testing.assert_close(after.sum(dim), wanted.sum(dim), rtol=1e-13, atol=1e-13)
    # The joint distribution is not met in one step, for the variables move independently.
    assert (after - wanted).abs().sum() > 1e-4


def _slope(start: torch.Tensor, stochasticity: float, exponent: float) -> float:
    """Return the order at which the chain's end tends to the data as steps grow."""
    data = _joint(start)
    counts = [16, 32, 64, 128]
    errors = []
    for count in counts:
        levels = torch.linspace(0, 1, count + 1, dtype=torch.float64)
        end = _chain(data, start, distorted(levels, exponent).tolist(), stochasticity)
        torch.testing.assert_close(end.sum().item(), 1.0, rtol=1e-12, atol=0.0)
        errors.append(0.5 * (end - data).abs().sum().item())
    assert errors[-1] < 0.02
    return float(-np.polyfit(np.log(counts), np.log(errors), 1)[0])


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@pytest.mark.parametrize(
    ("stochasticity", "exponent"), [(0.0, 1.0), (0.0, 3.0), (1.0, 3.0), (4.0, 2.0), (4.0, 3.0)]
)
def test_many_steps_give_the_data_at_order_one(
    start: torch.Tensor, stochasticity: float, exponent: float
) -> None:
    assert _slope(start, stochasticity, exponent) == pytest.approx(1.0, abs=0.1)


def test_even_steps_resolve_the_end_worse() -> None:
    # What the chain takes back at the end falls into the last steps: an error of h log(1 / h).
    assert _slope(STARTS["marginal"], 4.0, 1.0) < 0.8


def test_noise_follows_the_path() -> None:
    start = STARTS["marginal"].float()
    count = 60_000
    torch.manual_seed(0)
    clean = torch.full((count,), 2)
    got = torch.bincount(noised(clean, torch.full((count,), 0.25), start), minlength=3) / count
    wanted = conditional_path(torch.tensor(2), 0.25, start)
    assert ((got - wanted).abs() < 5 * (wanted * (1 - wanted) / count).sqrt()).all()


def test_draw_follows_the_weights_and_never_takes_an_impossible_state() -> None:
    weights = torch.tensor([0.0, 3.0, 0.0, 1.0, 0.0])
    generator = torch.Generator().manual_seed(0)
    got = torch.bincount(draw(weights.expand(40_000, -1), generator), minlength=5) / 40_000
    assert got[[0, 2, 4]].sum() == 0
    assert abs(got[1] - 0.75) < 5 * (0.75 * 0.25 / 40_000) ** 0.5


def test_distortion_must_be_positive() -> None:
    with pytest.raises(InputError, match="distortion of time must be positive"):
        distorted(torch.tensor(0.5), 0.0)


class _Constant:
    """Predicts the same posterior whatever the state."""

    atoms: Atoms = "composition"
    type_start = torch.tensor([1.0])
    bond_start = torch.tensor([0.4, 0.3, 0.2, 0.1])
    valences = torch.tensor([4.0])

    def __init__(self, logits: torch.Tensor) -> None:
        self._logits = logits

    def logits(
        self,
        types: torch.Tensor,
        bonds: torch.Tensor,
        time: torch.Tensor,
        pairs: Pairs,
        padding: torch.Tensor | None = None,
        condition: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(*types.shape, 1), self._logits.expand(*bonds.shape, 4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_is_a_power_of_the_posterior(temperature: float) -> None:
    # A posterior p that knows nothing of the state is the law of the chain's end: p^(1/T) / Z.
    posterior = torch.tensor([0.1, 0.2, 0.3, 0.4])
    types, bonds = torch.zeros(2, 40_000, dtype=torch.int64), torch.zeros(1, 40_000).long()
    graphs = Graphs(types, bonds, types.bool(), bonds.bool())
    how = Sampling(steps=3, mode=False, temperature=temperature)
    end = run_chain(_Constant(posterior.log()), graphs, how, torch.Generator().manual_seed(0))
    expected = posterior ** (1 / temperature)
    found = torch.bincount(end.bonds[0], minlength=4) / 40_000
    assert found.tolist() == pytest.approx((expected / expected.sum()).tolist(), abs=0.01)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_temperature_must_be_positive(temperature: float) -> None:
    with pytest.raises(InputError, match="temperature must be positive"):
        Sampling(temperature=temperature)
