"""``ecc-deploy quickstart``"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from ecc_deploy.cli import checks, terminal
from ecc_deploy.cli.progress import shown_progress


def quickstart(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for everything it makes.")] = Path(
        "quickstart"
    ),
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, max=1000, help="Test images to measure. Default: all 1,000.")
    ] = None,
) -> None:
    """Do the whole job once, on the embedded Fashion-MNIST sample.

    Trains the adapter between the shipped models, evaluates, exports int8 halves, starts a server, measures every
    architecture and writes the report. Takes a few minutes.
    """
    checks.output_folder(out)
    import ecc_deploy as ecc

    options = {} if samples is None else {"samples": samples}
    with shown_progress() as progress:
        result = ecc.run_quickstart(out, progress=progress, **options)
    from ecc_deploy.report.tables import comparison_table

    for warning in result.bench.warnings:
        terminal.note(f"Note: {warning}")
    # `make quickstart` runs it by its path; what is printed must work as it stands there too.
    program = "ecc-deploy" if shutil.which("ecc-deploy") else sys.argv[0]
    terminal.show(
        comparison_table(result.bench),
        f"Done in {result.seconds:.0f} s. The report: {result.report}",
        "What next:",
        f"  serve the cloud half:     {program} serve {result.bundle.path}",
        f"  answer your own images:   {program} run {result.bundle.path} IMAGE --resize --cloud 127.0.0.1:8001",
        f"  see what else can be set: {program} train --help, and {program} export --help",
    )
