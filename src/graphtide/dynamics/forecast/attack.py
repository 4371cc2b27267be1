"""How far a trained forecaster can be led astray by small errors of the readings.

An attacker who knows the networks moves every reading of a history by at most a radius r (in
standard deviations of the readings; the cycles of other days are left alone), so as to raise the
absolute error of the forecast: projected gradient ascent on signs,

    d <- clip( d + a sign(dL / dx), -r, r ),

from a random start. Changes of the same size with random signs stand beside it: what broken
sensors would do where nobody means harm. What an attack does is a lower bound on the worst error;
it certifies nothing.

Source: Madry, Makelov, Schmidt, Tsipras, Vladu, Towards deep learning models resistant to
adversarial attacks, ICLR 2018 (projected gradient).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.forecast.baselines import Forecaster
from graphtide.dynamics.forecast.combination import Combination, networks_of
from graphtide.dynamics.forecast.learned import LearnedForecaster
from graphtide.dynamics.forecast.reloading import Reloaded
from graphtide.errors import InputError

if TYPE_CHECKING:
    import pandas

__all__ = ["ForecastAttack", "attack_forecaster"]

_RADII = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
_STEPS = 10
_MOST_WINDOWS = 64


@dataclass(frozen=True, slots=True, eq=False)
class ForecastAttack:
    """What attacks of growing radius make of a forecaster's error.

    Args:
        radii: (K,), in standard deviations of the readings.
        attacked: (K,) mean absolute error on test windows under the attack, in their unit.
        random: (K,) the same under changes of the same size with random signs.
        windows: number of test windows.
    """

    radii: np.ndarray
    attacked: np.ndarray
    random: np.ndarray
    windows: int

    def metrics(self) -> dict[str, object]:
        """Return the figures, and what they say."""
        return {
            "findings": self.findings(),
            "radii": self.radii.tolist(),
            "mae_attacked": self.attacked.tolist(),
            "mae_random": self.random.tolist(),
            "test_windows": self.windows,
        }

    def findings(self) -> list[str]:
        """Return what was found, in sentences."""
        said = [
            f"Unchanged, the mean absolute error over {self.windows} test windows is "
            f"{self.attacked[0]:.4g}."
        ]
        twice = np.flatnonzero(self.attacked > 2 * self.attacked[0])
        shown = {len(self.radii) - 1, *(twice[:1].tolist())} - {0}
        said += [
            f"If every reading is off by at most {self.radii[k]:g} standard deviations, an attack "
            f"raises it to {self.attacked[k]:.4g}, random signs to {self.random[k]:.4g}."
            for k in sorted(shown)
        ]
        said.append("An attack bounds the worst error from below; it certifies nothing.")
        return said

    def tables(self) -> dict[str, pandas.DataFrame]:
        """Return the errors by radius."""
        import pandas

        columns = {"radius": self.radii, "attacked": self.attacked, "random": self.random}
        return {"forecast_attack": pandas.DataFrame(columns)}


def attack_forecaster(
    reloaded: Reloaded, *, radii: Sequence[float] = _RADII, steps: int = _STEPS, seed: int = 0
) -> ForecastAttack:
    """Attack the networks of a forecaster with growing radii.

    Args:
        reloaded: the forecaster.
        radii: growing from 0, in standard deviations of the readings.
        steps: of gradient ascent, each a quarter of the radius long.
        seed: of the windows, the random start and the random signs.

    Raises:
        InputError: the forecaster is a plain one, without a network.
    """
    networks = networks_of(reloaded.forecaster)
    if not networks:
        raise InputError(
            f"the run's forecaster is {reloaded.name}, which has no network to attack; "
            "`dynamics forecast --model direct_network` trains one"
        )
    windows = reloaded.windows
    numbers = windows.part("test")
    generator = np.random.default_rng(seed)
    if len(numbers) > _MOST_WINDOWS:
        numbers = np.sort(generator.choice(numbers, _MOST_WINDOWS, replace=False))
    inputs = {network: network.inputs(windows, numbers) for network in networks}
    history = inputs[networks[0]].history
    target = (windows.targets(numbers) - windows.mean) / windows.deviation
    there = torch.from_numpy(~np.isnan(target)).to(history.device)
    truth = torch.from_numpy(np.nan_to_num(target)).to(history)
    unit = torch.from_numpy(windows.deviation).to(history)

    def said(forecaster: Forecaster, change: Tensor) -> Tensor:
        if isinstance(forecaster, Combination):
            return torch.stack([said(member, change) for member in forecaster.members]).mean(dim=0)
        assert isinstance(forecaster, LearnedForecaster)  # a combination holds nothing else
        seen = inputs[forecaster]
        return forecaster.said(replace(seen, history=seen.history + change))

    def error(change: Tensor) -> Tensor:
        missed = (said(reloaded.forecaster, change) - truth).abs() * unit * there
        return missed.sum() / there.sum()

    source = torch.Generator(history.device).manual_seed(seed)
    signs = torch.randint(0, 2, history.shape, generator=source, device=history.device) * 2.0 - 1.0
    signs = signs.to(history)
    change = torch.zeros_like(history)
    attacked, random = [], []
    for radius in map(float, radii):
        random.append(float(error(radius * signs).detach()))
        # A larger box is entered where the attack on the smaller one ended.
        change = (change + 0.1 * radius * signs).clamp(-radius, radius)
        worst, found = float(error(change).detach()), change
        for _ in range(steps if radius > 0 else 0):
            start = change.detach().requires_grad_()
            (slope,) = torch.autograd.grad(error(start), start)
            change = (change + 0.25 * radius * slope.sign()).clamp(-radius, radius)
            now = float(error(change).detach())
            if now > worst:
                worst, found = now, change
        change = found
        attacked.append(worst)
    return ForecastAttack(np.array(radii), np.array(attacked), np.array(random), len(numbers))
