"""Traffic on roads: macroscopic flow on a directed network, metered and limited to save delay."""

from graphtide.dynamics.traffic.alinea import Alinea, alinea
from graphtide.dynamics.traffic.cells import CellTransmission, Demand, RoadActuators
from graphtide.dynamics.traffic.learning import (
    LearnedRoads,
    RoadReadings,
    learn_roads,
    read_detectors,
)
from graphtide.dynamics.traffic.metering import TrafficRun, drive, predictive_control
from graphtide.dynamics.traffic.roads import freeway_network, peak_demand

__all__ = [
    "Alinea",
    "CellTransmission",
    "Demand",
    "LearnedRoads",
    "RoadActuators",
    "RoadReadings",
    "TrafficRun",
    "alinea",
    "drive",
    "freeway_network",
    "learn_roads",
    "peak_demand",
    "predictive_control",
    "read_detectors",
]
