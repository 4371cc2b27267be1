"""Commands ``graphtide mechanisms``: the law behind what was observed."""

from __future__ import annotations

import typer

from graphtide.cli.distilling import distil
from graphtide.cli.distribution import distribution
from graphtide.cli.growth import growth
from graphtide.cli.mechanisms_equation import equation
from graphtide.cli.spread import spread

__all__ = ["app"]

app = typer.Typer(
    help="Find the law: the differential equation behind what was observed.",
    no_args_is_help=True,
)


@app.callback()
def _mechanisms() -> None:
    """Find the law: the differential equation behind what was observed."""


app.command()(equation)
app.command()(distil)
app.command()(distribution)
app.command()(growth)
app.command()(spread)
