"""One cloud half behind each server, under the same load: our own, KServe's model server, Ray Serve, Triton.

    make test-servers                      # once: makes .servers/
    python benchmarks/servers.py BUNDLE [--clients 16] [--seconds 5] [--rounds 5] [--json]

In every round each server is started afresh, in shuffled order, alone on the machine; the same clients (`CloudClient`,
each with a connection of its own, in processes of their own) send golden payloads to it as fast as they are answered,
and check every answer. Before that they warm it up. `engine` is the floor: the half alone, one call after the other.

The server has half of the cores to itself and the clients have the others, so that it is the server's queue that they
wait in and not the scheduler's; `--no-pin` leaves all cores to all.

Requests per second are medians over rounds, [least, most]; latencies are of all requests of all rounds; ratios are of
each round's two figures, medians. RSS is that of all processes of a server, at the end of the load.

Triton is the tritonserver of the nvidia-pytriton wheel, which runs the half in a Python model (its own ONNX Runtime
backend is not in that wheel): more of a check that it works than of what Triton can do.

Exit code 0: our server serves at least as many requests as KServe's and twice Ray Serve's, each with a p99 no worse; 1:
it does not, or a server is missing; 2: it could not be measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import server_launchers
from server_launchers import LAUNCHERS, pin
from server_load import WARM_UP_S, Clients, engine_alone, half_and_codec

from ecc_deploy.bench.environment import fingerprint
from ecc_deploy.bundle import Bundle, open_bundle
from ecc_deploy.errors import EccError, ServerError, UsageError

SERVERS = Path(os.environ.get("ECC_DEPLOY_SERVERS") or Path(__file__).resolve().parent.parent / ".servers")
WANTED = {"kserve": 1.0, "ray": 2.0}
"""How many times their requests per second our server is to answer."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--deployment", default="adaptive", help="whose cloud half and payloads (default adaptive)")
    parser.add_argument("--clients", type=int, default=16, help="at the same time (default 16)")
    parser.add_argument("--processes", type=int, default=2, help="that the clients are spread over (default 2)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of load on each server in each round (default 5)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of one inference (default 1)")
    parser.add_argument("--only", action="append", choices=sorted(LAUNCHERS), help="servers; default all; repeatable")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--no-pin", dest="pin", action="store_false", help="server and clients share all cores")
    parser.add_argument("--json", action="store_true", help="print a JSON document instead of a table")
    given = parser.parse_args()
    try:
        result = measure(open_bundle(given.bundle), given)
    except EccError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1) if given.json else _table(result))
    return 0 if result["accepted"] else 1


def measure(bundle: Bundle, given: argparse.Namespace) -> dict[str, Any]:
    """Measure all servers that are there. Raises :class:`EccError` where one does not serve, or answers wrongly."""
    half_and_codec(bundle, given.deployment)
    if min(given.clients, given.processes, given.rounds) < 1 or given.seconds <= 0 or given.clients < given.processes:
        raise UsageError("clients, processes, rounds and seconds are above zero, and no process is without a client")
    if given.pin and len(os.sched_getaffinity(0)) < 2:
        raise UsageError("server and clients cannot have cores of their own: there is one", "Give --no-pin.")
    names = given.only or list(LAUNCHERS)
    absent = [name for name in names if server_launchers.missing(name, SERVERS)]
    names = [name for name in names if name not in absent]
    for name in absent:
        print(f"{name} IS NOT MEASURED: {SERVERS / name} is not there; make test-servers", file=sys.stderr)
    rounds: list[dict[str, dict[str, Any]]] = []
    order = random.Random(given.seed)
    for number in range(given.rounds):
        found: dict[str, dict[str, Any]] = {}
        for name in order.sample(["engine", *names], len(names) + 1):
            print(f"round {number + 1} of {given.rounds}: {name}", file=sys.stderr, flush=True)
            found[name] = _engine(given) if name == "engine" else _under_load(bundle, name, given)
        rounds.append(found)
    servers = {name: _summary([one[name] for one in rounds]) for name in ["engine", *names]}
    ratios = {}
    for name in names:
        if name != "embedded" and "embedded" in names:
            per_round = [one["embedded"]["per_second"] / one[name]["per_second"] for one in rounds]
            ratios[name] = {"median": round(statistics.median(per_round), 3), **_ends(per_round)}
    accepted = not absent and all(
        ratios[name]["median"] >= least
        and servers["embedded"]["latency_ms"]["p99"] <= servers[name]["latency_ms"]["p99"]
        for name, least in WANTED.items()
        if name in ratios
    )
    return {
        "clients": given.clients,
        "seconds": given.seconds,
        "rounds": given.rounds,
        "deployment": given.deployment,
        "pinned": given.pin,
        "servers": servers,
        "embedded_times_as_many_requests_as": ratios,
        "wanted": WANTED,
        "not_measured": absent,
        "accepted": accepted,
        "bundle": {"name": bundle.manifest.name, "pair_id": bundle.manifest.pair_id},
        "environment": fingerprint(),
    }


def _under_load(bundle: Bundle, name: str, given: argparse.Namespace) -> dict[str, Any]:
    """One server, started, warmed up, loaded, ended."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LAUNCHERS[name](bundle, SERVERS, Path(folder), given.threads) as running,
        contextlib.ExitStack() as stack,
    ):
        shares = [
            given.clients // given.processes + (i < given.clients % given.processes) for i in range(given.processes)
        ]
        workers = [stack.enter_context(Clients(given.bundle, given.deployment, running.url, share)) for share in shares]
        if given.pin:
            cores = sorted(os.sched_getaffinity(0))
            pin([running.pid], cores[: len(cores) // 2])
            pin([worker.pid for worker in workers], cores[len(cores) // 2 :])
        for seconds in (WARM_UP_S, given.seconds):
            for worker in workers:
                worker.go(seconds)
            found = [worker.found() for worker in workers]
        rss = running.rss_bytes()
    latencies = [one for worker in found for one in worker["latencies_us"]]
    failures = [one for worker in found for one in worker["failures"]]
    if failures:
        raise ServerError(f"{name}: {len(failures)} requests were not answered rightly: {failures[0]}")
    return {"latencies_us": latencies, "per_second": len(latencies) / given.seconds, "rss_mb": rss / 1e6}


def _engine(given: argparse.Namespace) -> dict[str, Any]:
    return engine_alone(given.bundle, given.deployment, given.seconds, given.threads)


def _summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    latencies = np.concatenate([one["latencies_us"] for one in rounds]) / 1e3
    per_second = [one["per_second"] for one in rounds]
    return {
        "requests_per_second": {"median": round(statistics.median(per_second), 1), **_ends(per_second)},
        "latency_ms": {f"p{q}": round(float(np.percentile(latencies, q)), 3) for q in (50, 99)},
        "rss_mb": round(statistics.median(one["rss_mb"] for one in rounds)),
        "requests": len(latencies),
    }


def _ends(values: list[float]) -> dict[str, float]:
    return {"least": round(min(values), 3), "most": round(max(values), 3)}


def _table(result: dict[str, Any]) -> str:
    lines = [f"{'':10}{'requests/s':>26}{'p50 ms':>10}{'p99 ms':>10}{'RSS MB':>8}{'embedded does':>16}"]
    for name, row in result["servers"].items():
        rate, latency = row["requests_per_second"], row["latency_ms"]
        ratio = result["embedded_times_as_many_requests_as"].get(name)
        lines.append(
            f"{name:10}{rate['median']:10.1f} [{rate['least']:.0f}, {rate['most']:.0f}]".ljust(36)
            + f"{latency['p50']:10.2f}{latency['p99']:10.2f}{row['rss_mb']:8d}"
            + (f"{ratio['median']:9.2f} times" if ratio else "")
        )
    verdict = "yes" if result["accepted"] else "NO"
    lines += [
        f"{result['clients']} clients, {result['rounds']} rounds of {result['seconds']:g} s for each",
        f"at least KServe's requests per second, twice Ray's, p99 no worse, of what was measured: {verdict}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
