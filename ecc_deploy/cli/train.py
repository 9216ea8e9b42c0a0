"""``ecc-deploy train``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecc_deploy.cli import checks, terminal
from ecc_deploy.cli.progress import shown_progress


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Path of a recipe (TOML), or name of a shipped one.")],
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Run directory to write.")],
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads of torch. Default: torch's own choice.")
    ] = None,
) -> None:
    """Train the system of a recipe and write a run directory."""
    checks.output_folder(out)
    import ecc_deploy as ecc

    parsed = ecc.load_recipe(recipe)
    with shown_progress() as progress:
        run = ecc.train(parsed, out, progress=progress, threads=threads)
    terminal.show(
        f"{out}: {run.recipe.name}, with trained {', '.join(sorted(run.parts))}",
        f"Next: ecc-deploy evaluate {out}",
    )
