"""``ecc-deploy compile``"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ecc_deploy.cli import terminal, trust
from ecc_deploy.cli.progress import shown_progress
from ecc_deploy.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from ecc_deploy.runtime.on_device import Engine


def compile_(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle whose engines to build on this device.")],
    side: Annotated[
        str | None, typer.Option("--side", help="edge or cloud, where only one of them runs here. Default: both.")
    ] = None,
    workspace: Annotated[
        int | None, typer.Option("--workspace", min=1, metavar="MIB", help="Most scratch memory of a layer.")
    ] = None,
    builder_memory: Annotated[
        int | None,
        typer.Option("--builder-memory", min=1, metavar="MIB", help="Most memory of the builder (TensorRT 10)."),
    ] = None,
    level: Annotated[
        int | None, typer.Option("--optimization-level", min=0, max=5, help="Of the builder. Default: TensorRT's, 3.")
    ] = None,
    dla: Annotated[bool | None, typer.Option("--dla/--no-dla", help="Use the DLA. Default: the target's.")] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build engines that are there, too.")] = False,
    ignore_memory: Annotated[bool, typer.Option("--ignore-memory", help="Build though little memory is free.")] = False,
    verify_key: trust.VerifyKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Build TensorRT engines on the device that will run them.

    They are kept in the user's cache folder, for this GPU and this TensorRT, and built again where one of them changes.
    """
    trust.only(verify_key)
    import ecc_deploy as ecc

    sides: list[Literal["edge", "cloud"]] = [one for one in ("edge", "cloud") if side in (None, one)]
    if not sides:
        raise UsageError(f"there is no side {side!r}", "Give --side edge or --side cloud.")
    with shown_progress() as progress:
        engines = ecc.compile_bundle(
            ecc.open_bundle(bundle),
            sides=sides,
            workspace_mb=workspace,
            builder_mb=builder_memory,
            optimization_level=level,
            dla=dla,
            rebuild=rebuild,
            ignore_memory=ignore_memory,
            progress=progress,
        )
    if as_json:
        terminal.show_json([asdict(engine) for engine in engines])
        return
    terminal.show(_table(engines))
    for engine in engines:
        if on_gpu := engine.facts.get("on_gpu"):
            terminal.note(f"Note: the DLA does not take {len(on_gpu)} layers of {engine.half}: {', '.join(on_gpu)}")


def _table(engines: list[Engine]) -> Table:
    from rich import box
    from rich.table import Table

    first = engines[0].facts
    table = Table(box=box.SIMPLE_HEAD, title=f"{first['device']}, {first['tensorrt']}", title_justify="left")
    for title in ("Half", "", "Layers", "Engine, KiB", "Build, s"):
        table.add_column(title, justify="left" if title in ("Half", "") else "right")
    for engine in engines:
        facts = engine.facts
        state = "was there" if engine.was_there else "built"
        size, seconds = f"{facts['bytes'] / 1024:.0f}", f"{facts['build_s']:.1f}"
        table.add_row(engine.half, state, str(facts["layers"]), size, seconds)
    return table
