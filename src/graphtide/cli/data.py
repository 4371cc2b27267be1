"""Commands ``graphtide data``: sets of data to fetch, checked, into a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphtide.cli.console import JsonOption, show_metrics

__all__ = ["app"]

app = typer.Typer(help="Fetch public sets of data into a cache, checked.", no_args_is_help=True)

ToOption = Annotated[
    Path | None, typer.Option("--to", metavar="FOLDER", help="Cache to use instead of your own.")
]


@app.callback()
def _data() -> None:
    """Fetch public sets of data into a cache, checked."""


@app.command("list")
def list_(to: ToOption = None, json: JsonOption = False) -> None:
    """List the sets that can be fetched, and what of them the cache holds."""
    from graphtide.data.fetch import DATA_SETS, cached

    rows: dict[str, object] = {}
    for name, one in DATA_SETS.items():
        held = [str(path) for path in cached(name, to=to)]
        if json:
            rows[name] = {
                "what": one.what,
                "source": one.source,
                "files": [file.name for file in one.files],
                "addresses": [file.address for file in one.files],
                "cached": held,
            }
        else:
            rows[name] = f"{one.what} ({one.source}); {len(held)} of {len(one.files)} files here"
    show_metrics(rows, json=json, title="sets of data")


@app.command()
def get(
    name: Annotated[
        str, typer.Argument(metavar="SET", help="zinc250k, qm9, moses or moleculenet.")
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FOLDER",
            help="Take the files from a folder (same names, plain or .gz) instead of the network.",
        ),
    ] = None,
    to: ToOption = None,
    json: JsonOption = False,
) -> None:
    """Take a set into the cache, check it, and say where its files are."""
    from graphtide.data.fetch import get_data

    files = get_data(name, source=source, to=to)
    if json:
        show_metrics(
            {
                "set": name,
                "files": [
                    {
                        "path": str(file.path),
                        "sha256": file.sha256,
                        "checksum": "known" if file.known else "recorded",
                        "fetched": file.fetched,
                    }
                    for file in files
                ],
            },
            json=True,
            title="",
        )
        return
    show_metrics(
        {
            "folder": str(files[0].path.parent),
            "as known": [file.path.name for file in files if file.known],
            "no checksum known, recorded": [file.path.name for file in files if not file.known],
        },
        json=False,
        title=name,
    )
