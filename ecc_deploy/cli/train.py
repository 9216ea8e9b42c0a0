"""``ecc-deploy train``"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ecc_deploy.cli import checks, sweep_tables, terminal
from ecc_deploy.cli.progress import shown_progress
from ecc_deploy.errors import UsageError


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Path of a recipe (TOML), or name of a shipped one.")],
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Run directory to write; folder of a sweep.")],
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Of all random numbers. Default: the recipe's.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads of torch. Default: torch's own choice.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="Of torch: cpu, cuda, cuda:1. Default: the GPU where there is one.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, whatever RUN holds.")] = False,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Train RECIPE at all the settings that its [sweep] describes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was measured, as JSON.")] = False,
) -> None:
    """Train the system of a recipe and write a run directory.

    Training that was interrupted goes on where its last epoch ended, by the same command. On several GPUs, start it
    with `accelerate launch -m ecc_deploy train ...`.

    A sweep is shared by as many processes as run the same command with the same --out, on one machine or many. It
    ends in a Pareto table of the val part.
    """
    checks.output_folder(out)
    import ecc_deploy as ecc
    from ecc_deploy.training.memory import keep_freed_memory

    keep_freed_memory()
    if sweep:
        if restart:
            raise UsageError("--sweep and --restart exclude each other", "Remove the folder, or give another --out.")
        if seed is not None:
            raise UsageError("--sweep takes its seeds from the recipe", "Set seed = [1, 2, 3] in [sweep.parameters].")
        with shown_progress() as progress:
            found = ecc.run_sweep(recipe, out, progress=progress, threads=threads, device=device)
        if as_json:
            terminal.show_json(found.model_dump(mode="json"))
        else:
            sweep_tables.show(found, out)
        return
    parsed = ecc.load_recipe(recipe)
    if seed is not None:
        parsed = parsed.model_copy(update={"seed": seed})
    if (out / "checkpoint.pt").is_file() and not restart:
        terminal.note(f"{out} holds a checkpoint; training goes on from it.")
    with shown_progress() as progress:
        run = ecc.train(parsed, out, progress=progress, threads=threads, device=device, restart=restart)
    if os.environ.get("RANK", "0") != "0":
        return  # of several processes that train together, the first one speaks
    if as_json:
        terminal.show_json({"run": str(out), "parts": sorted(run.parts), "metrics": run.metrics})
        return
    terminal.show(
        f"{out}: {run.recipe.name}, with trained {', '.join(sorted(run.parts))}",
        f"Next: ecc-deploy evaluate {out}",
    )
