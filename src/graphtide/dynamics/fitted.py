"""A learned field with its test: figures, tables, roll-outs, and how they are kept in a run."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pandas
import torch

from graphtide.dynamics.intervals import Intervals
from graphtide.dynamics.latent import LatentDiffusionField
from graphtide.dynamics.prediction import Model
from graphtide.dynamics.surroundings import Inputs
from graphtide.files import write_bytes
from graphtide.graph import Graph
from graphtide.run import Run
from graphtide.trajectory import Trajectory

__all__ = ["Fit"]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A learned field with its test.

    Args:
        field: the vector field.
        metrics: plain figures by name; relative errors over all trajectories.
        candidates: table family, penalty, unknowns, error, chosen; None for a neural model.
        graphs: one for each trajectory.
        observed: the trajectories given.
        predicted: the field's roll-outs from the first states, at all observed times.
        roles: role of each time of each trajectory.
        history: of a neural model: stage, epoch, loss, validation error, learning rate.
        intervals: of a neural model.
        spreads: the ensemble's standard deviation, like the predictions.
        inputs: known inputs of each trajectory.
        starts: where roll-outs begin, where that is not the first predicted state (a latent model).
    """

    field: Model
    metrics: dict[str, object]
    candidates: pandas.DataFrame | None
    graphs: tuple[Graph, ...]
    observed: tuple[Trajectory, ...]
    predicted: tuple[Trajectory, ...]
    roles: tuple[np.ndarray, ...]
    history: pandas.DataFrame | None = None
    intervals: Intervals | None = None
    spreads: tuple[np.ndarray, ...] = ()
    inputs: tuple[Inputs | None, ...] = ()
    starts: tuple[np.ndarray, ...] = ()

    def save(self, run: Run) -> None:
        """Write the field, its figures, its tables and the first trajectory into a run."""
        run.write_tensors("model", self.field.tensors())
        run.write_json("model.json", self.field.description())
        run.write_metrics(self.metrics)
        if self.candidates is not None:
            run.write_table("candidates", self.candidates)
        if self.history is not None:
            run.write_table("training", self.history)
        if self.intervals is not None:
            run.write_tensors("intervals", self.intervals.tensors())
            half = self.intervals.half_width(self.spreads[0], float(str(self.metrics["level"])))
            run.write_trajectory("half_width", self.predicted[0].with_states(half))
        if self.starts:
            first = self.predicted[0].select(slice(0, 1))
            run.write_trajectory("start", first.with_states(self.starts[0][None]))
        given = self.inputs[0] if self.inputs else None
        if given is not None:
            series = Trajectory(
                given.times, given.values, variables=given.names, names=self.graphs[0].names
            )
            run.write_trajectory("inputs", series)
        split = pandas.DataFrame({"time": self.observed[0].times, "role": self.roles[0]})
        run.write_table("split", split)
        run.write_graph(self.graphs[0])
        run.write_trajectory("observed", self.observed[0])
        run.write_trajectory("predicted", self.predicted[0])
        halves = self.halves()
        if halves is None:
            return
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **halves)
        write_bytes(run.path / "halves.npz", buffer.getvalue())

    def halves(self, points: int = 61) -> dict[str, np.ndarray] | None:
        """Return F and G of the first variable on a grid of the visited range, for drawing.

        The other variables are held in the middle of their ranges; with a logarithmic transform the
        states are logarithms and F and G are rates of growth. None for a latent model, which has
        neither F nor G.
        """
        field = self.field
        if isinstance(field, LatentDiffusionField):
            return None
        low, high = field.visited.low, field.visited.high
        grid = torch.lerp(low, high, 0.5).repeat(points, 1)
        grid[:, 0] = torch.linspace(float(low[0]), float(high[0]), points, dtype=low.dtype)
        own = grid.repeat_interleave(points, dim=0)
        other = grid.repeat(points, 1)
        with torch.no_grad():
            self_value = field.self_values(grid)[:, 0]
            pair_value = field.pair_values(own, other)[:, 0].reshape(points, points)
        return {
            "self_state": grid[:, 0].numpy(),
            "self_value": self_value.numpy(),
            "pair_own": grid[:, 0].numpy(),
            "pair_other": grid[:, 0].numpy(),
            "pair_value": pair_value.numpy(),
        }
