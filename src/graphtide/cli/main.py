"""The command ``graphtide``: its groups of commands, and how errors end it.

Exit codes: 0 done; 1 the work failed; 2 the input or the call is wrong (one sentence on standard
error, no traceback); 130 interrupted. Nothing heavy is imported until a command runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from graphtide.cli import data, dynamics, lesson, mechanisms, molecules
from graphtide.cli.console import JsonOption, show_metrics
from graphtide.errors import GraphtideError

__all__ = ["app", "run"]

INTERRUPTED = 130
"""Exit code after Ctrl-C, with which typer ends a command without a word."""

app = typer.Typer(
    name="graphtide",
    help="Differential deep learning on graphs: a graph is the space, "
    "a differential equation is the model.",
    no_args_is_help=True,
    add_completion=False,
)
app.add_typer(dynamics.app, name="dynamics")
app.add_typer(mechanisms.app, name="mechanisms")
app.add_typer(molecules.app, name="molecules")
app.add_typer(lesson.app, name="lesson")
app.add_typer(data.app, name="data")


def _show_version(asked: bool) -> None:
    if asked:
        from graphtide import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _graphtide(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """Differential deep learning on graphs."""


@app.command()
def doctor(json: JsonOption = False) -> None:
    """Tell what this machine offers, and check that the numerical core works here."""
    from graphtide.cli.doctor import examine

    show_metrics(examine(), json=json, title="graphtide doctor")


@app.command()
def report(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser afterwards.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write the page of a run, one self-contained HTML file, and say where it is."""
    from graphtide.report import write_report
    from graphtide.run import Run

    page = write_report(Run.open(run_folder))
    show_metrics({"report": str(page)}, json=json, title="report")
    if open_page:
        typer.launch(str(page))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    json: JsonOption = False,
) -> None:
    """Run the whole loop on real data: learn, forecast, discover the law; then write a page."""
    from graphtide.cli.demo import run_demo

    show_metrics(run_demo(out, seed=seed), json=json, title="demo")


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with the exit code of the design."""
    try:
        app(arguments)
    except GraphtideError as error:
        typer.echo(f"graphtide: {error}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, SystemExit) as ended:
        if isinstance(ended, SystemExit) and ended.code != INTERRUPTED:
            raise
        typer.echo("graphtide: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output (head, less) went away: end quietly, as other tools do.
        sys.stderr.close()
        sys.exit(1)
