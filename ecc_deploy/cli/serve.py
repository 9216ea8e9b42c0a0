"""``ecc-deploy serve``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecc_deploy.cli import terminal, trust


def serve(
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", help="Bundles whose cloud halves to serve.")],
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0: all of this machine. See --tls-cert.")
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
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="The server's certificate (PEM); encrypts.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="The key of --tls-cert.")] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option("--tls-client-ca", metavar="FILE", help="Let in clients whose certificate one of these signed."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="Let in clients with one of these tokens: lines NAME TOKEN."),
    ] = None,
    rate_limit: Annotated[
        float | None, typer.Option("--rate-limit", min=0.001, help="Requests per second of one client at most.")
    ] = None,
    max_request_bytes: Annotated[
        int | None, typer.Option("--max-request-bytes", min=1024, help="Of one request. Default: its largest batch.")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option("--metrics-port", min=0, max=65535, help="HTTP port for /metrics, /healthz and /readyz."),
    ] = None,
    notice_s: Annotated[
        float,
        typer.Option("--drain-notice", min=0, help="Seconds of not being ready before new requests are refused."),
    ] = 0.0,
    grace_s: Annotated[
        float, typer.Option("--drain-timeout", min=0, help="Seconds for the requests at work to be finished.")
    ] = 10.0,
) -> None:
    """Serve the cloud halves of bundles, until Ctrl-C or SIGTERM.

    The protocol is KServe v2 (Open Inference Protocol) over gRPC, with raw binary tensors.
    """
    trust.only(verify_key)
    import ecc_deploy as ecc
    from ecc_deploy.serving.access import server_tls

    opened = [ecc.open_bundle(path) for path in bundles]

    def ready(bound: int) -> None:
        address = f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"
        terminal.show(f"Serving {', '.join(map(str, bundles))} at {address}; Ctrl-C ends it.")

    options = ecc.ServerOptions(
        host=host,
        port=port,
        threads=threads,
        concurrency=concurrency,
        max_queue=max_queue,
        max_batch_delay_ms=max_batch_delay_ms,
        max_request_bytes=max_request_bytes,
        tls=server_tls(tls_cert, tls_key, tls_client_ca),
        token_file=token_file,
        rate_limit=rate_limit,
        metrics_port=metrics_port,
        notice_s=notice_s,
        grace_s=grace_s,
    )
    ecc.serve(opened, options, ready=ready)
    terminal.note("Stopped.")
