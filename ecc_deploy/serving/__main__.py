"""``python -m ecc_deploy.serving BUNDLE``: a server for other programs, which need no more than its port.

Once requests are answered it prints one line of JSON, ``{"port": 8001}``. ``ecc-deploy serve`` is for people.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from ecc_deploy.bundle import open_bundle
from ecc_deploy.errors import EccError
from ecc_deploy.serving.access import server_tls
from ecc_deploy.serving.options import ServerOptions
from ecc_deploy.serving.server import serve


def main() -> int:
    """Serve until SIGINT or SIGTERM (exit code 0); 2 for an error that the caller can mend."""
    parser = argparse.ArgumentParser(prog="python -m ecc_deploy.serving", description=__doc__.partition("\n")[0])
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--max-queue", type=int, default=64)
    parser.add_argument("--max-batch-delay", type=float, default=0.0, metavar="MS")
    parser.add_argument("--tls-cert", type=Path)
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--tls-client-ca", type=Path)
    parser.add_argument("--token-file", type=Path)
    parser.add_argument("--metrics-port", type=int)
    parser.add_argument("--drain-notice", type=float, default=0.0, metavar="S")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop with the program that holds stdin")
    given = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s")
    if given.until_stdin_closes:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    try:
        options = ServerOptions(
            host=given.host,
            port=given.port,
            threads=given.threads,
            concurrency=given.concurrency,
            max_queue=given.max_queue,
            max_batch_delay_ms=given.max_batch_delay,
            tls=server_tls(given.tls_cert, given.tls_key, given.tls_client_ca),
            token_file=given.token_file,
            metrics_port=given.metrics_port,
            notice_s=given.drain_notice,
        )
        bundles = [open_bundle(path) for path in given.bundles]
        serve(bundles, options, ready=lambda port: print(json.dumps({"port": port}), flush=True))
    except EccError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _stop_with_stdin() -> None:
    # Not through sys.stdin: its lock, held by a waiting read, would stop the interpreter from ending.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
