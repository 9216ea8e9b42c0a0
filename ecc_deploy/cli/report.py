"""``ecc-deploy report``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecc_deploy.cli import checks, terminal


def report(
    benches: Annotated[list[Path], typer.Argument(metavar="BENCH.json...", help="Results of `ecc-deploy bench`.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="HTML file to write.")] = Path("report.html"),
    as_json: Annotated[bool, typer.Option("--json", help="Print where the report is, as JSON.")] = False,
) -> None:
    """Write one self-contained HTML file from benchmarks."""
    checks.output_file(out)
    import ecc_deploy as ecc

    written = ecc.write_report([ecc.load_bench(path) for path in benches], out)
    if as_json:
        terminal.show_json({"report": str(written), "benches": [str(path) for path in benches]})
    else:
        terminal.show(f"Report: {written}")
