"""Intervals around a prediction: an ensemble says where it is unsure, held-out readings how much.

The spread s of the roll-outs of an ensemble (output weights fitted to bootstrap draws of the
intervals between readings) is the shape of the uncertainty. Its size comes from readings that no
member was fitted to: with the scores r = |x - prediction| / (s + f), f a floor for what the
ensemble does not see (noise, a bias that all members share), the interval

    prediction +- q (s + f),   q the ceil((n + 1) level)-th smallest of the n scores

holds the level for readings exchangeable with the held-out ones. Source: Vovk, Gammerman, Shafer,
Algorithmic Learning in a Random World, 2005; normalised scores: Lei et al., JASA 113, 2018, 5.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphtide.errors import InputError

__all__ = ["Intervals", "coverage"]

KEPT_SCORES = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """What turns an ensemble's spread into intervals.

    Args:
        members: what tells the members apart, by name: arrays with the members first; may be empty.
        floor: f, shape (D,).
        scores: sorted scores of held-out readings, shape (K,) (evenly thinned where many).
        count: how many readings there were.
    """

    members: dict[str, np.ndarray]
    floor: np.ndarray
    scores: np.ndarray
    count: int

    @staticmethod
    def calibrated(
        members: dict[str, np.ndarray],
        residuals: Sequence[np.ndarray],
        spreads: Sequence[np.ndarray],
    ) -> Intervals:
        """Calibrate with residuals (T, N, D) at held-out readings (NaN elsewhere) of each sample.

        The floor of a variable is its median residual, so that no interval is empty.

        Raises:
            InputError: there is no held-out reading.
        """
        absolute = np.abs(np.concatenate([r.reshape(-1, r.shape[2]) for r in residuals]))
        spread = np.concatenate([s.reshape(-1, s.shape[2]) for s in spreads])
        known = ~np.isnan(absolute)
        if not known.any(axis=0).all():
            raise InputError("no reading was kept back to calibrate intervals with")
        floor = np.nanmedian(np.where(known, absolute, np.nan), axis=0)
        floor = np.maximum(floor, 1e-12 * (np.nanmax(absolute, axis=0) + 1e-300))
        scores = np.sort((absolute / (spread + floor))[known])
        place = np.linspace(0, len(scores) - 1, min(len(scores), KEPT_SCORES)).round().astype(int)
        return Intervals(members, floor, scores[place], len(scores))

    def tensors(self) -> dict[str, np.ndarray]:
        """Return everything by name, to be saved."""
        members = {f"member.{name}": value for name, value in self.members.items()}
        return {
            **members,
            "floor": self.floor,
            "scores": self.scores,
            "count": np.array(self.count),
        }

    @staticmethod
    def restore(tensors: Mapping[str, np.ndarray]) -> Intervals:
        """Return the intervals that `tensors` were taken from.

        Raises:
            InputError: a part is missing.
        """
        try:
            members = {
                name.removeprefix("member."): value
                for name, value in tensors.items()
                if name.startswith("member.")
            }
            count = int(tensors["count"])
            return Intervals(members, tensors["floor"], tensors["scores"], count)
        except KeyError as error:
            raise InputError(f"the saved intervals lack {error}") from None

    def factor(self, level: float) -> float:
        """Return q for a level.

        Raises:
            InputError: the level is not inside (0, 1), or needs more held-out readings.
        """
        if not 0.0 < level < 1.0:
            raise InputError(f"level {level:g} is no share between 0 and 1")
        rank = np.ceil((self.count + 1) * level)
        if rank > self.count:
            raise InputError(
                f"level {level:g} needs more than the {self.count} readings that were kept back"
            )
        position = (rank - 1) / max(self.count - 1, 1) * (len(self.scores) - 1)
        return float(self.scores[int(np.ceil(position - 1e-9))])

    def half_width(self, spread: np.ndarray, level: float) -> np.ndarray:
        """Return half the width of the intervals for an ensemble's spread (..., D)."""
        return self.factor(level) * (spread + self.floor)


def coverage(observed: np.ndarray, predicted: np.ndarray, half_width: np.ndarray) -> float | None:
    """Return the share of the readings (NaN where missing) within the intervals; None if none."""
    known = ~np.isnan(observed)
    if not known.any():
        return None
    inside = np.abs(observed - predicted) <= half_width
    return float(inside[known].mean())
