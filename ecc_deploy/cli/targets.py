"""``ecc-deploy targets``"""

from __future__ import annotations

from typing import Annotated

import typer

from ecc_deploy.cli import terminal

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show the devices that bundles are made for.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command("list")
def list_targets(as_json: JsonOption = False) -> None:
    """List the targets that ship with ecc-deploy."""
    import ecc_deploy as ecc

    targets = ecc.list_targets()
    if as_json:
        terminal.show_json([target.model_dump(mode="json") for target in targets])
        return
    from rich.table import Table

    table = Table("Name", "Title", "Backend", "Can be", "Precisions")
    for target in targets:
        table.add_row(target.name, target.title, target.backend, ", ".join(target.sides), ", ".join(target.precisions))
    terminal.show(table, "A target of your own is a TOML file, given by its path: see docs/targets.md.")


@app.command("show")
def show_target(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Name of a target, or path of a TOML file.")],
    as_json: JsonOption = False,
) -> None:
    """Show one target: what it can do, and what is known about the device."""
    import ecc_deploy as ecc

    found = ecc.load_target(target)
    if as_json:
        terminal.show_json(found.model_dump(mode="json"))
        return
    known = [(name, value) for name, value in found.device if value not in (None, (), 0)]
    chosen = found.backend_options.model_dump() if found.backend_options else {}
    terminal.show(
        f"{found.name}: {found.title}",
        f"backend:     {found.backend}",
        f"can be:      {', '.join(found.sides)}",
        f"precisions:  {', '.join(found.precisions)} (default: {found.default_precision})",
        f"threads:     {found.threads}",
        *(f"{name.replace('_', ' ') + ':':<12} {_words(value)}" for name, value in known),
        *(f"option:      {name} = {_words(value)}" for name, value in chosen.items()),
        *(f"note:        {text}" for text in found.notes),
        *(f"fact:        {item.fact} [{item.source}]" for item in found.facts),
    )


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
