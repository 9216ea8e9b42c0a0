"""``ecc-deploy export --all-targets``"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecc_deploy.cli import terminal
from ecc_deploy.cli.progress import shown_progress
from ecc_deploy.errors import CompileError, ExportRejectedError

if TYPE_CHECKING:
    from rich.table import Table

    from ecc_deploy.export.all_targets import TargetExport


def run(system: str, out: Path, *, as_json: bool, **options: Any) -> None:
    """Export ``system`` for all targets and show what came of each.

    Raises :class:`CompileError` where a target failed, :class:`ExportRejectedError` where none was exported.
    """
    import ecc_deploy as ecc

    with shown_progress() as progress:
        found = ecc.export_all(system, out, progress=progress, **options)
    if as_json:
        terminal.show_json([item.to_json() for item in found])
    else:
        terminal.show(_table(found, out))
        for item in found:
            if item.bundle is None:
                reason = "\n".join(line for line in item.reason.splitlines() if line.strip())
                terminal.show(f"{item.name}: {item.status}: {reason}")
    failed = [item.name for item in found if item.status == "failed"]
    made = [item for item in found if item.bundle is not None]
    if failed:
        raise CompileError(
            f"{len(failed)} of {len(found)} failed: {', '.join(failed)}",
            "The others are as listed. The same command tries again what failed, and keeps what is done.",
        )
    if not made:
        raise ExportRejectedError("nothing was exported", "The list says what is missing.")
    if not as_json:
        terminal.show(f"Next: ecc-deploy compare {out}")


def _table(found: Sequence[TargetExport], out: Path) -> Table:
    from rich import box
    from rich.table import Table

    from ecc_deploy.report import formats

    made = sum(item.bundle is not None for item in found)
    table = Table(
        title=f"{out}: {made} of {len(found)} bundles", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for heading in ("Bundle", "Edge", "Cloud", ""):
        table.add_column(heading, no_wrap=True)
    table.add_column("Largest drop, points", justify="right")
    for item in found:
        if item.bundle is None:
            table.add_row(item.name, "", "", item.status, formats.ABSENT)
            continue
        manifest = item.bundle.manifest
        precisions = {half.side: half.precision for half in manifest.halves.values()}
        drops = [d.guard.drop_points for d in manifest.deployments.values() if d.guard is not None]
        table.add_row(
            item.name,
            *(f"{manifest.targets[side]}, {precisions[side]}" for side in ("edge", "cloud")),
            item.status,
            formats.fixed(max(drops, default=None), 2),
        )
    return table
