"""``ecc-deploy run``"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecc_deploy.cli import credentials, terminal, trust
from ecc_deploy.cli.progress import shown_progress

if TYPE_CHECKING:
    from rich.table import Table

    from ecc_deploy.runtime.predict import Answer


class WhenFull(str, Enum):
    """What happens to a sample that is to be sent while no place in flight is free."""

    WAIT = "wait"
    EDGE = "edge"


def run(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle to run.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILES...", help="Images, or .npy arrays of uint8 images.")],
    deployment: Annotated[
        str, typer.Option("--deployment", help="Deployment of the bundle: dynamic, edge-only, ...")
    ] = "dynamic",
    cloud: Annotated[
        str | None, typer.Option("--cloud", metavar="HOST:PORT", help="Server of this bundle's cloud halves.")
    ] = None,
    resize: Annotated[bool, typer.Option("--resize", help="Scale images of another size.")] = False,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads of one inference.")] = 1,
    deadline_ms: Annotated[
        float, typer.Option("--deadline", min=1, help="Milliseconds after which the edge answers itself.")
    ] = 1000.0,
    tls_ca: credentials.TlsCa = None,
    tls_cert: credentials.TlsCert = None,
    tls_key: credentials.TlsKey = None,
    token_file: credentials.TokenFile = None,
    verify_key: trust.VerifyKey = None,
    in_flight: Annotated[int, typer.Option("--in-flight", min=1, max=4096, help="Requests under way at a time.")] = 1,
    when_full: Annotated[
        WhenFull,
        typer.Option("--when-full", help="With that many under way: wait for a place, or let the edge answer."),
    ] = WhenFull.WAIT,
    breaker: Annotated[
        bool, typer.Option("--breaker/--no-breaker", help="While the cloud keeps failing, let the edge answer at once.")
    ] = True,
    hedge: Annotated[
        str | None,
        typer.Option(
            "--hedge", metavar="HOST:PORT", help="Server to ask too where the first is slow; may be the same."
        ),
    ] = None,
    hedge_after_ms: Annotated[
        float | None,
        typer.Option("--hedge-after", min=0, help="Milliseconds until then. Default: the 95th percentile so far."),
    ] = None,
    latency_budget_ms: Annotated[
        float | None,
        typer.Option(
            "--latency-budget", metavar="MS", help="Send only what is answered within this, by the link's state."
        ),
    ] = None,
    byte_budget: Annotated[
        str | None,
        typer.Option("--byte-budget", metavar="B", help="Bytes on the wire per sample, or, as 20000/s, per second."),
    ] = None,
    codec: Annotated[
        list[str] | None,
        typer.Option(
            "--codec", help="Codec that a budget may choose beside those without loss. Repeatable, best first."
        ),
    ] = None,
    max_offload_rate: Annotated[
        float | None,
        typer.Option("--max-offload-rate", min=0, max=1, help="Share that budgets may send. Default: the gate's own."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Answer images: what each shows, who answered, and why.

    Where the cloud does not answer in time, or refuses, the edge does, and the reason says so.
    """
    trust.only(verify_key)
    import ecc_deploy as ecc
    from ecc_deploy.runtime.choice import read_policy

    with shown_progress() as progress:
        answers = ecc.predict(
            ecc.open_bundle(bundle),
            files,
            deployment=deployment,
            cloud=cloud,
            resize=resize,
            threads=threads,
            deadline_ms=deadline_ms,
            credentials=credentials.read(tls_ca, tls_cert, tls_key, token_file),
            in_flight=in_flight,
            when_full="edge" if when_full is WhenFull.EDGE else "wait",
            breaker=breaker,
            hedge=hedge,
            hedge_after_ms=hedge_after_ms,
            policy=read_policy(latency_budget_ms, byte_budget, codec or [], max_offload_rate),
            progress=progress,
        )
    if as_json:
        terminal.show_json([answer.to_json() for answer in answers])
    else:
        terminal.show(_table(answers))
    fallbacks = Counter(a.prediction.detail for a in answers if a.prediction.reason.is_fallback)
    for detail, count in fallbacks.items():
        terminal.note(f"Note: {count} of {len(answers)} answered by the edge instead of the cloud: {detail}")


def _table(answers: list[Answer]) -> Table:
    from rich.table import Table

    from ecc_deploy.report import formats

    table = Table("Input", "Label", title="Confidence is that of whoever answered.", title_justify="left")
    table.add_column("Confidence", justify="right")
    table.add_column("Route")
    table.add_column("Reason")
    table.add_column("Sent, B", justify="right")
    table.add_column("ms", justify="right")
    for answer in answers:
        item = answer.prediction
        table.add_row(
            answer.source,
            answer.label,
            formats.percent(answer.confidence),
            item.route.value,
            item.reason.value,
            formats.fixed(item.payload_bytes, 0),
            formats.fixed(item.timings.total, 2),
        )
    return table
