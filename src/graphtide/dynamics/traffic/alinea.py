"""ALINEA: each ramp metered by the density just behind it, a local integral rule.

    r(k) = r(k - 1) + K (rho_wanted - rho_measured(k - 1)),   r_min <= r <= r_max

Reference:
    Papageorgiou, Hadj-Salem & Blosseville, Transportation Research Record 1320 (1991) 58.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graphtide.dynamics.traffic.cells import CellTransmission

__all__ = ["Alinea", "alinea"]


@dataclass(frozen=True, slots=True)
class Alinea:
    """The numbers of the rule.

    Attributes:
        gain: K, vehicles/h a vehicle/km of one lane; 70 vehicles/h a per cent of occupancy, the
            authors' value, is about 40.
        set_point: wanted density as a share of the critical one.
        least: least metering rate as a share of the ramp's capacity.
    """

    gain: float = 40.0
    set_point: float = 1.0
    least: float = 0.12


def alinea(
    field: CellTransmission, rule: Alinea | None = None
) -> Callable[[float, np.ndarray], np.ndarray]:
    """Return a controller: (time, states (N, 2)) -> inputs (M,); it remembers its last rates.

    Each ramp looks at the cell that it enters. Speed limits are left at 1.
    """
    rule = rule or Alinea()
    ramps = field.actuators.ramps
    matrix = field.roads.transpose
    behind = np.array([matrix.indices[matrix.indptr[r]] for r in ramps], dtype=np.int64)
    critical = (field.capacity / field.free_speed).numpy()[behind]
    capacity = field.capacity.numpy()[ramps]
    rate = capacity.copy()

    def act(time: float, states: np.ndarray) -> np.ndarray:
        nonlocal rate
        del time
        off = rule.set_point * critical - states[behind, 0]
        rate = np.clip(rate + rule.gain * off, rule.least * capacity, capacity)
        return np.concatenate([rate / capacity, np.ones(len(field.actuators.limits))])

    return act
