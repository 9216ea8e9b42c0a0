"""``python -m ecc_deploy.bench.cold_process``: one cold start of one arm, timed from within. For :mod:`.cold` only.

One JSON object on stdin's first line says what to do, the image follows as raw bytes; one JSON object on stdout tells
the times.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ecc_deploy.bundle import open_bundle
from ecc_deploy.errors import EccError
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.credentials import Credentials
from ecc_deploy.runtime.engine import EdgeRuntime


def main() -> int:
    """Exit code 0; 2 for an error that the caller can mend, which stderr tells."""
    wanted = json.loads(sys.stdin.buffer.readline())
    try:
        with ExitStack() as stack:
            bundle = open_bundle(Path(wanted["bundle"]))
            at = [time.monotonic_ns()]
            client = None
            if wanted["url"] is not None:
                given = wanted["credentials"]
                credentials = None if given is None else Credentials(**given)
                client = stack.enter_context(CloudClient(wanted["url"], bundle.manifest, credentials=credentials))
                client.connect()
            at.append(time.monotonic_ns())
            runtime = EdgeRuntime(
                bundle,
                wanted["deployment"],
                cloud=client,
                codec=wanted["codec"],
                threads=wanted["threads"],
                deadline_ms=wanted["deadline_ms"],
            )
            stack.enter_context(runtime)
            at.append(time.monotonic_ns())
            taken = bundle.manifest.input
            image = np.frombuffer(sys.stdin.buffer.read(), np.uint8)
            prediction = runtime.predict(image.reshape(taken.height, taken.width, taken.channels))
            at.append(time.monotonic_ns())
    except EccError as error:
        print(error, file=sys.stderr)
        return 2
    print(
        json.dumps(
            {
                # The monotonic clock is one for all processes of a machine.
                "process_start_ms": (at[0] - wanted["started_ns"]) / 1e6,
                "connection_ms": (at[1] - at[0]) / 1e6,
                "engine_load_ms": (at[2] - at[1]) / 1e6,
                "first_inference_ms": (at[3] - at[2]) / 1e6,
                "fell_back": prediction.reason.is_fallback,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
