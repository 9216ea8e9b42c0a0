"""``ecc-deploy data``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecc_deploy.cli import terminal
from ecc_deploy.cli.progress import shown_progress

if TYPE_CHECKING:
    from ecc_deploy.data import DatasetInfo

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show and download datasets.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command("list")
def list_datasets(as_json: JsonOption = False) -> None:
    """List the datasets, where they are expected, and whether they are there."""
    import ecc_deploy as ecc

    found = ecc.list_datasets()
    if as_json:
        terminal.show_json([_facts(info) for info in found])
        return
    from rich.table import Table

    table = Table("Name", "What", "Train / val / test", "On disk", "There")
    for info in found:
        images = " / ".join(f"{count:,}" for count in info.images.values()) or "–"
        size = "–" if info.bytes is None else f"{info.bytes / 1e6:,.1f} MB"
        there = "–" if info.is_there is None else terminal.yes_no(info.is_there)
        table.add_row(info.name, info.title, images, size, there)
    places = [f"{info.name}: {info.folder or 'your folder'} ({info.how})" for info in found]
    terminal.show(table, *places)


@app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a dataset that `data list` shows.")],
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="Where to put it. Default: where it is looked for.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Download a dataset from its official address and verify it.

    Where it is there and whole already, nothing is downloaded.
    """
    import ecc_deploy as ecc

    with shown_progress() as progress:
        path = ecc.fetch_dataset(name, folder, progress=progress)
    if as_json:
        terminal.show_json({"name": name, "folder": str(path)})
    else:
        terminal.show(f"{name} is at {path}, verified.")


def _facts(info: DatasetInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "title": info.title,
        "images": dict(info.images),
        "bytes": info.bytes,
        "folder": None if info.folder is None else str(info.folder),
        "is_there": info.is_there,
        "how": info.how,
    }
