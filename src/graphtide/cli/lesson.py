"""Commands ``graphtide lesson``: short lessons that train, measure and make a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.options import SeedOption

if TYPE_CHECKING:
    from graphtide.lessons.lesson import Lesson

__all__ = ["app"]

app = typer.Typer(
    help="Short lessons: plain, residual and differential networks on one small problem.",
    no_args_is_help=True,
)

OutOption = Annotated[
    Path | None,
    typer.Option(metavar="RUN", help="Folder to write; without it, lesson_ and the name."),
]


@app.callback()
def _lesson() -> None:
    """Short lessons: plain, residual and differential networks on one small problem."""


@app.command()
def depth(out: OutOption = None, seed: SeedOption = 0, json: JsonOption = False) -> None:
    """Two spirals: a residual network is a differential equation with steps of one."""
    _run("depth", out, seed, json=json)


@app.command()
def recurrent(out: OutOption = None, seed: SeedOption = 0, json: JsonOption = False) -> None:
    """Sines with gaps: a recurrent network is an equation read off at irregular times."""
    _run("recurrent", out, seed, json=json)


@app.command()
def flow(out: OutOption = None, seed: SeedOption = 0, json: JsonOption = False) -> None:
    """Two moons in a ring: five flows carry points to a normal distribution, step by step."""
    _run("flow", out, seed, json=json)


@app.command()
def numerics(out: OutOption = None, seed: SeedOption = 0, json: JsonOption = False) -> None:
    """A stiff and a Hamiltonian system: what numerical methods cost, and what they keep."""
    _run("numerics", out, seed, json=json)


def _run(name: str, out: Path | None, seed: int, *, json: bool) -> None:
    """Teach one lesson, write its run and its page, and print its figures."""
    import time

    from graphtide.lessons.lesson import on_one_thread
    from graphtide.report import write_report
    from graphtide.run import Run

    folder = Path(f"lesson_{name}") if out is None else out
    Run.check_target(folder)
    began = time.perf_counter()
    with on_one_thread(), progress_bar(quiet=json) as progress:
        lesson = _teacher(name)(seed, progress=progress)
    run = Run.create(folder, kind=f"lesson {name}", configuration={"seed": seed})
    lesson.save(run)
    page = write_report(run)
    seconds = time.perf_counter() - began
    metrics = {**lesson.metrics, "seconds": seconds, "report": str(page)}
    show_metrics(metrics, json=json, title=f"lesson: {name}")


def _teacher(name: str) -> Callable[..., Lesson]:
    """Return the function that teaches a lesson: `teach` of the module of its name."""
    import importlib

    return importlib.import_module(f"graphtide.lessons.{name}").teach
