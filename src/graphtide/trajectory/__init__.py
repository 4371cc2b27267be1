"""Trajectories: the states of nodes through time."""

from graphtide.trajectory.files import parse_times, read_start
from graphtide.trajectory.trajectory import Trajectory

__all__ = ["Trajectory", "parse_times", "read_start"]
