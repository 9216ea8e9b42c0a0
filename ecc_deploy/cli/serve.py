"""``ecc-deploy serve``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecc_deploy.cli import terminal, trust


def serve(
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", help="Bundles whose cloud halves to serve.")],
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on. Whoever reaches it can use the server; 0.0.0.0: all.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="TCP port; 0: a free one.")] = 8001,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads of one inference.")] = 1,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Inferences at the same time.")] = 1,
    verify_key: trust.VerifyKey = None,
    max_queue: Annotated[
        int, typer.Option("--max-queue", min=0, help="Requests that wait; one more is refused at once.")
    ] = 64,
    max_batch_delay_ms: Annotated[
        float,
        typer.Option("--max-batch-delay", min=0, max=1000, help="Milliseconds an engine waits for a fuller batch."),
    ] = 0.0,
) -> None:
    """Serve the cloud halves of bundles, until Ctrl-C or SIGTERM.

    The protocol is KServe v2 (Open Inference Protocol) over gRPC, with raw binary tensors.
    """
    trust.only(verify_key)
    import ecc_deploy as ecc

    opened = [ecc.open_bundle(path) for path in bundles]

    def ready(bound: int) -> None:
        address = f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"
        terminal.show(f"Serving {', '.join(map(str, bundles))} at {address}; Ctrl-C ends it.")

    ecc.serve(
        opened,
        host=host,
        port=port,
        threads=threads,
        concurrency=concurrency,
        max_queue=max_queue,
        max_batch_delay_ms=max_batch_delay_ms,
        ready=ready,
    )
    terminal.note("Stopped.")
