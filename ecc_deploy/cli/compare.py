"""``ecc-deploy compare``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecc_deploy.cli import checks, terminal
from ecc_deploy.cli.progress import shown_progress


def compare(
    bundles: Annotated[
        list[Path],
        typer.Argument(metavar="BUNDLE|FOLDER...", help="Bundles of one run, or a folder of `export --all-targets`."),
    ],
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="Their run, or shipped:NAME: compare answers with its float system."),
    ] = None,
    part: Annotated[str, typer.Option("--part", help="Part of the dataset: val or test.")] = "test",
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="How many samples of the part. Default: all.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=0, help="Of latency; 0: none, nothing is timed.")] = 200,
    warmup: Annotated[int, typer.Option("--warmup", min=0, help="Rounds that do not count.")] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Choice of the samples, order of the halves.")] = 0,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", metavar="NAME", help="Dataset instead of the bundles': a name, or package.module:factory."
        ),
    ] = None,
    data_folder: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="Folder of the dataset. Default: the dataset's own place."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Also write the results as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON instead of a table.")] = False,
) -> None:
    """Compare bundles of one run over targets and precisions.

    Size, accuracy of the compiled halves, agreement with the float system, latency of what runs here, and where int8
    does not pay.
    """
    if out is not None:
        checks.output_file(out)
    import ecc_deploy as ecc

    with shown_progress() as progress:
        found = ecc.compare_bundles(
            bundles,
            run=run,
            part=part,
            samples=samples,
            rounds=rounds,
            warmup=warmup,
            seed=seed,
            dataset=dataset,
            data_folder=data_folder,
            progress=progress,
        )
    if out is not None:
        found.save(out)
        terminal.note(f"Results: {out}")
    if as_json:
        terminal.show_json(found.to_json())
        return
    from ecc_deploy.cli.compare_table import comparison_table

    table = comparison_table(found, terminal.console().width)
    terminal.show(table, *(f"· {verdict.sentence}" for verdict in found.verdicts))
    for note in found.notes:
        terminal.note(f"Note: {note}")
