"""``ecc-deploy export --serving``"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ecc_deploy.cli import checks, terminal
from ecc_deploy.errors import UsageError

_OWN = {"serving", "engine", "image", "storage_uri"}
_SHARED = {"run", "out", "threads", "as_json"}


def wanted(context: typer.Context) -> bool:
    """Whether --serving is given. Raises :class:`UsageError` for options of the other kind of export beside it."""
    given = {name for name in context.params if _is_given(context, name)}
    if "serving" not in given:
        if strange := sorted(given & _OWN):
            raise UsageError(f"{_flag(strange[0])} belongs to --serving", "Add --serving triton, kserve or ray.")
        return False
    if strange := sorted(given - _OWN - _SHARED):
        raise UsageError(
            f"{_flag(strange[0])} is said when a bundle is made, and --serving takes one that is",
            "First: ecc-deploy export RUN --out BUNDLE. The edge runs that same bundle.",
        )
    return True


def run(bundle: str, out: Path, serving: str | None, *, as_json: bool, **options: Any) -> None:
    """Write what the server ``serving`` needs, and say what to do with it."""
    checks.output_folder(out)
    import ecc_deploy as ecc

    made = ecc.export_serving(bundle, out, kind=serving, **options)  # type: ignore[arg-type] # checked there
    if as_json:
        terminal.show_json(
            {
                "serving": made.kind,
                "path": str(made.path),
                "pair_id": made.pair_id,
                "models": list(made.models),
                "next": list(made.next),
            }
        )
        return
    terminal.show(f"{made.path}: {', '.join(made.models)} for {made.kind}, pair {made.pair_id[:12]}")
    for command in made.next:
        terminal.show(f"Next: {command}")


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _flag(name: str) -> str:
    flags = {"target": "--target", "cloud_target": "--cloud", "constraints": "--pick", "data_folder": "--data"}
    return flags.get(name, f"--{name.replace('_', '-')}")
