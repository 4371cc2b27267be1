"""What all commands share: results on standard output, progress on standard error."""

from __future__ import annotations

import contextlib
import json as json_module
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated

import typer

__all__ = ["JsonOption", "Metric", "progress_bar", "show_metrics"]

Metric = str | int | float | bool | None
"""What a table of figures may hold; JSON output may nest these in lists and mappings."""

_ANY_WIDTH = 1_000_000

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object of the figures and nothing else.")
]


def show_metrics(metrics: Mapping[str, object], *, json: bool, title: str) -> None:
    """Print figures as a table, or as one JSON object (not-a-number becomes null)."""
    if json:
        typer.echo(json_module.dumps(_plain(metrics), ensure_ascii=False, indent=2))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", show_header=False, box=None)
    table.add_column("name", style="bold")
    table.add_column("value", overflow="fold")
    for name, value in metrics.items():
        # As text, so that a bracket in a name is no markup.
        table.add_row(name.replace("_", " "), Text(_written(value)))
    console = Console()
    if console.is_terminal:
        console.print(table)
        return
    # A pipe or a file has no width: nothing is folded, and no line is filled up.
    wide = Console(width=_ANY_WIDTH)
    with wide.capture() as captured:
        wide.print(table)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


@contextlib.contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Callable[[float, str], None]]:
    """Yield a callable ``(share, text)`` that moves a progress bar on standard error.

    Args:
        quiet: show no bar, as ``--json`` asks; the bar also stays away where standard error is not
            a terminal.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _share, _text: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=1.0)
        yield lambda share, text: progress.update(task, completed=share, description=text)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return "\n".join(_written(item) for item in value)
    if isinstance(value, Mapping):
        return "\n".join(f"{name}: {_written(item)}" for name, item in value.items())
    return "" if value is None else str(value)
