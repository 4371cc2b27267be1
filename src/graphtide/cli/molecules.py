"""Commands ``graphtide molecules``: generate molecules, judge, predict and better them."""

from __future__ import annotations

import typer

from graphtide.cli.molecules_fit import fit
from graphtide.cli.molecules_interpolate import interpolate
from graphtide.cli.molecules_learn import learn
from graphtide.cli.molecules_optimize import optimize
from graphtide.cli.molecules_predict import predict
from graphtide.cli.molecules_sample import sample
from graphtide.cli.molecules_score import score

__all__ = ["app"]

app = typer.Typer(
    help="Molecules as graphs: generate new ones, judge them, predict properties, better them.",
    no_args_is_help=True,
)


@app.callback()
def _molecules() -> None:
    """Molecules as graphs: generate new ones, judge them, predict properties, better them."""


app.command()(fit)
app.command()(sample)
app.command()(score)
app.command()(interpolate)
app.command()(optimize)
app.command()(learn)
app.command()(predict)
