"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["DeviceOption", "DirectedOption", "GraphOption", "SeedOption", "StatesArgument"]

GraphOption = Annotated[
    str,
    typer.Option(
        "--graph",
        metavar="G",
        help="File of edges (CSV source,target[,weight], GraphML, GML, Matrix Market, npz) "
        "or a generator such as barabasi_albert:400:5, grid:20:20 or karate; one text is one graph "
        "in every command, and barabasi_albert:400:5@7 is another.",
    ),
]
DirectedOption = Annotated[
    bool, typer.Option("--directed", help="Read each row of an edge list as one direction only.")
]
DeviceOption = Annotated[
    str, typer.Option(help="cpu, cuda, ...; auto takes a GPU where there is one.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
StatesArgument = Annotated[
    Path,
    typer.Argument(
        metavar="STATES",
        help="Table of states: time,node1,node2,... or time,node,x[,y...]; CSV, npz or NetCDF.",
    ),
]
