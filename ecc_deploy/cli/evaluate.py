"""``ecc-deploy evaluate``"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ecc_deploy.cli import terminal
from ecc_deploy.cli.progress import shown_progress

if TYPE_CHECKING:
    from rich.table import Table

    from ecc_deploy.evaluation.evaluate import Evaluation


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run directory, or shipped:NAME.")],
    part: Annotated[str, typer.Option("--part", help="Part of the dataset: train, val or test.")] = "test",
    offload_rate: Annotated[
        float, typer.Option("--offload-rate", min=0, max=1, help="Share of samples that the gates send, 0 to 1.")
    ] = 0.3,
    gate: Annotated[
        str, typer.Option("--gate", help="Score of the gates: max-softmax, entropy or margin.")
    ] = "max-softmax",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Evaluate a trained system before it is compiled.

    Accuracy, computation (MACs) and communication (bytes) of every architecture, and of what it competes with:
    edge-only, cloud-only with several image codecs, and random offload.
    """
    import ecc_deploy as ecc

    with shown_progress() as progress:
        result = ecc.evaluate(run, part=part, offload_rate=offload_rate, gate=gate, progress=progress)
    if as_json:
        terminal.show_json(result.to_json())
    else:
        terminal.show(_table(result))


def _table(result: Evaluation) -> Table:
    from rich import box
    from rich.table import Table

    from ecc_deploy.report import formats

    table = Table(
        title=f"{result.system}, split {result.split}: {result.dataset} {result.part}, {result.samples:,} samples",
        caption="Gap: recovered share of the way from edge-only to cloud-only. M: million multiply-accumulates.\n"
        "Bytes: payload after the codec. Means over all samples, sent or not.",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("Architecture", no_wrap=True)
    for heading in ("Top-1 %", "Gap %", "Sent %", "Edge M", "Cloud M", "Bytes"):
        table.add_column(heading, justify="right")
    for row in result.rows:
        table.add_row(
            row.name,
            formats.fixed(100 * row.accuracy, 2),
            formats.fixed(None if row.gap_recovered is None else 100 * row.gap_recovered, 0),
            formats.fixed(100 * row.offload_rate, 1),
            formats.fixed(row.edge_macs / 1e6, 2),
            formats.fixed(row.cloud_macs / 1e6, 2),
            formats.significant(row.payload_bytes),
        )
    return table
