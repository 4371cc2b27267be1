"""Control of an equation or a learned field on a graph: drivers, plans, feedback, immunity."""

from graphtide.dynamics.control.drivers import adjoint_drivers, driver_worth
from graphtide.dynamics.control.feedback_vertices import feedback_vertex_set, source_nodes
from graphtide.dynamics.control.gramian import Gramian, MinimumEnergy, energy_drivers
from graphtide.dynamics.control.immunisation import (
    Immunisation,
    compare_immunisation,
    immunised_nodes,
)
from graphtide.dynamics.control.matching import matching_drivers, maximum_matching
from graphtide.dynamics.control.optimal import Bounds, Steering, steer
from graphtide.dynamics.control.pinning import hold_nodes
from graphtide.dynamics.control.reachability import Diagnosis, diagnose, unreachable_nodes
from graphtide.dynamics.control.receding import ClosedLoop, receding_horizon, tracking_cost
from graphtide.dynamics.control.system import Solver, additive, free_motion, roll_out

__all__ = [
    "Bounds",
    "ClosedLoop",
    "Diagnosis",
    "Gramian",
    "Immunisation",
    "MinimumEnergy",
    "Solver",
    "Steering",
    "additive",
    "adjoint_drivers",
    "compare_immunisation",
    "diagnose",
    "driver_worth",
    "energy_drivers",
    "feedback_vertex_set",
    "free_motion",
    "hold_nodes",
    "immunised_nodes",
    "matching_drivers",
    "maximum_matching",
    "receding_horizon",
    "roll_out",
    "source_nodes",
    "steer",
    "tracking_cost",
    "unreachable_nodes",
]
