"""What ``graphtide dynamics fit`` does: a closed form, or a neural model with checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphtide.cli.console import progress_bar
from graphtide.cli.inputs import describe_sources, parse_holdout
from graphtide.errors import InputError

if TYPE_CHECKING:
    from graphtide.dynamics.fitted import Fit
    from graphtide.dynamics.neural_data import NeuralSettings

__all__ = ["FitOptions", "fit_states"]

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, slots=True)
class FitOptions:
    """The options of the command, as they were given."""

    states: Path
    graph: str
    out: Path
    model: str
    holdout: str
    transform: str
    loss: str
    warm_start: str
    ensemble: int
    level: float
    inputs: Path | None
    attributes: str
    with_time: bool
    resume: bool
    seed: int
    directed: bool

    def configuration(self) -> dict[str, object]:
        """Return what the run's config.json holds."""
        common: dict[str, object] = {
            **describe_sources(states=self.states, graph=self.graph, inputs=self.inputs),
            "directed": self.directed,
            "holdout": self.holdout,
            "seed": self.seed,
        }
        if self.model == "closed_form":
            return {**common, "model": self.model, "transform": self.transform}
        return {
            **common,
            "model": self.model,
            "loss": self.loss,
            "warm_start": self.warm_start,
            "ensemble": self.ensemble,
            "level": self.level,
            "attributes": self.attributes,
            "with_time": self.with_time,
        }


def fit_states(options: FitOptions, *, json: bool) -> tuple[dict[str, object], bool]:
    """Fit, write the run and its page; return the figures, and whether it was interrupted.

    Raises:
        InputError: an option does not go with the model, or the data are wrong.
        ComputationError: nothing could be fitted.
    """
    from graphtide.graph import Graph
    from graphtide.report import write_report
    from graphtide.run import Run
    from graphtide.trajectory import Trajectory

    kept = parse_holdout(options.holdout)
    settings = _settings(options)
    Run.check_target(options.out)
    configuration = options.configuration()
    folder = options.out / CHECKPOINTS if settings else None
    if options.resume:
        _check_resumable(options, configuration)

    def begin() -> None:
        if not options.resume:
            Run.create(options.out, kind="dynamics fit", configuration=configuration)

    network = Graph.from_source(options.graph, directed=options.directed)
    trajectory = Trajectory.read(options.states, graph=network)
    with progress_bar(quiet=json) as progress:
        if settings is None:
            from graphtide.dynamics.fit import fit

            result: Fit = fit(
                trajectory,
                network,
                holdout=kept,
                transform=options.transform,
                seed=options.seed,
                progress=progress,
            )
        else:
            from graphtide.dynamics.neural_fit import fit_neural

            series = options.inputs
            result = fit_neural(
                trajectory,
                network,
                settings=settings,
                holdout=kept,
                inputs=None if series is None else Trajectory.read(series, graph=network),
                seed=options.seed,
                checkpoints=folder,
                ready=begin,
                progress=progress,
            )
    interrupted = bool(result.metrics.get("interrupted", False))
    if folder is None or not interrupted:
        run = Run.create(options.out, kind="dynamics fit", configuration=configuration)
    else:
        run = Run.open(options.out)  # its checkpoints stay
    result.save(run)
    page = write_report(run)
    return {**result.metrics, "report": str(page)}, interrupted


def _settings(options: FitOptions) -> NeuralSettings | None:
    """Return the settings of a neural model; None for the closed form.

    Raises:
        InputError: an option does not go with the model.
    """
    if options.model == "closed_form":
        misplaced = {
            "--inputs": options.inputs is not None,
            "--attributes": bool(options.attributes),
            "--with-time": options.with_time,
            "--resume": options.resume,
        }
        for name, given in misplaced.items():
            if given:
                raise InputError(f"{name} needs a neural model, such as --model message_passing")
        return None
    if options.transform != "none":
        raise InputError("--transform goes with --model closed_form only")
    from graphtide.dynamics.neural_data import NeuralSettings
    from graphtide.dynamics.neural_task import TrainingSettings

    if options.loss not in ("square", "l1", "gaussian"):
        raise InputError(f"--loss {options.loss}: square, l1 or gaussian was expected")
    words = tuple(word.strip() for word in options.attributes.split(",") if word.strip())
    return NeuralSettings(
        model=options.model,  # pyright: ignore[reportArgumentType]
        width=20 if options.model.startswith("latent") else 32,
        start=options.warm_start,  # pyright: ignore[reportArgumentType]
        attributes=words,
        uses_time=options.with_time,
        ensemble=options.ensemble,
        level=options.level,
        training=TrainingSettings(loss=options.loss),  # pyright: ignore[reportArgumentType]
    )


def _check_resumable(options: FitOptions, configuration: Mapping[str, object]) -> None:
    """Raise unless the run is an interrupted training of the same options and data.

    Raises:
        InputError: there is nothing to resume, or it was begun with other options or data.
    """
    from graphtide.run import Run

    run = Run.open(options.out, kind="dynamics fit")
    if not (options.out / CHECKPOINTS).is_dir():
        raise InputError(f"{options.out} holds no checkpoints: its training was finished")
    changed = sorted(
        name
        for name in {*run.configuration, *configuration}
        if run.configuration.get(name) != configuration.get(name)
    )
    if changed:
        raise InputError(f"{options.out} was begun with another {', '.join(changed)}")
