"""What requests in flight are worth: samples answered per second, by delay of the link and requests under way.

    python benchmarks/in_flight.py BUNDLE [--rtt 0 20 100 300] [--in-flight 1 2 4 8 16 32] [--rate 100] [--json]

Every sample is sent (deployment ``adaptive``; ``--deployment`` takes another), one after the other through
``EdgeRuntime.predict_many``, over an emulated link of that rate and round trip to a server in another process. The
bound of one sample at a time is ``1 / (round trip + work)``; of many it is the slowest of edge, link and server.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from far_server import far_server

from ecc_deploy.bench.environment import fingerprint
from ecc_deploy.bundle import Bundle, open_bundle
from ecc_deploy.bundle.golden import load_golden
from ecc_deploy.errors import EccError
from ecc_deploy.links import load_link, open_link
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.result import Route


def main() -> int:
    """Exit code 0: measured; 2: it could not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rtt", type=float, nargs="+", default=[0, 20, 100, 300], help="milliseconds, round trip")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--rate", type=float, default=100, help="Mbit/s each way")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement, about")
    parser.add_argument("--deployment", default="adaptive")
    parser.add_argument("--method", default="auto", help="emulation: auto, netem, tun or proxy")
    parser.add_argument("--json", action="store_true", help="print a JSON document instead of a table")
    given = parser.parse_args()
    try:
        result = measure(open_bundle(given.bundle), given)
    except EccError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1) if given.json else _table(result))
    return 0


def measure(bundle: Bundle, given: argparse.Namespace) -> dict[str, Any]:
    """Measure; rates in samples per second. Raises :class:`EccError` where link, bundle or server do not do."""
    images = load_golden(bundle).images
    rows, notes = [], set()
    for rtt in given.rtt:
        with (
            open_link(load_link(f"rate={given.rate:g}mbit,delay={rtt:g}ms"), method=given.method) as link,
            far_server(link, bundle.path) as url,
            CloudClient(url, bundle.manifest) as client,
            EdgeRuntime(bundle, given.deployment, cloud=client, deadline_ms=60_000) as runtime,
        ):
            client.connect(20.0)
            notes.add(f"{link.method}: {link.note}")
            rows += [
                {"rtt_ms": rtt, "in_flight": in_flight, **_run(runtime, images, in_flight, given.seconds)}
                for in_flight in given.in_flight
            ]
    return {
        "rows": rows,
        "links": sorted(notes),
        "rate_mbit": given.rate,
        "deployment": given.deployment,
        "bundle": {"name": bundle.manifest.name, "pair_id": bundle.manifest.pair_id},
        "environment": fingerprint(),
    }


def _run(runtime: EdgeRuntime, images: Any, in_flight: int, seconds: float) -> dict[str, Any]:
    """Answers per second from the first one on, so that filling the pipe does not count."""
    end = time.perf_counter() + seconds
    answered, first, by_cloud = 0, 0.0, 0

    def stream() -> Any:
        place = 0
        while time.perf_counter() < end or answered < 2:
            yield images[place % len(images)]
            place += 1

    last = 0.0
    for prediction in runtime.predict_many(stream(), in_flight=in_flight):
        last = time.perf_counter()
        first = first or last
        answered += 1
        by_cloud += prediction.route == Route.CLOUD
    return {
        "samples": answered,
        "samples_per_s": round((answered - 1) / (last - first), 2),
        "by_cloud": round(by_cloud / answered, 4),
    }


def _table(result: dict[str, Any]) -> str:
    counts = sorted({row["in_flight"] for row in result["rows"]})
    lines = ["samples per second   in flight " + "".join(f"{count:>9}" for count in counts)]
    for rtt in dict.fromkeys(row["rtt_ms"] for row in result["rows"]):
        rates = [row["samples_per_s"] for row in result["rows"] if row["rtt_ms"] == rtt]
        lines.append(f"round trip {rtt:>6g} ms            " + "".join(f"{rate:9.1f}" for rate in rates))
    return "\n".join([*lines, f"{result['rate_mbit']:g} Mbit/s; {'; '.join(result['links'])}"])


if __name__ == "__main__":
    sys.exit(main())
