"""What serving costs: an offloaded sample end to end, against its two engines alone and against a bare TCP socket.

    python benchmarks/serving_overhead.py BUNDLE [--samples N] [--json]

Everything on this machine, over loopback, the servers in processes of their own. Every sample goes through all four,
one right after the other, so that a busy moment of the machine hits them alike:

* ``edge_engine``: the edge half of the adaptive deployment, nothing but the engine;
* ``cloud_engine``: its cloud half, nothing but the engine, on the tensor that the sample's payload decodes to;
* ``end_to_end``: ``EdgeRuntime.predict`` of the adaptive deployment: preprocessing, edge engine, codec, request,
  server, decoding, cloud engine, answer;
* ``floor``: edge engine, then a bare TCP socket that carries as many bytes each way as the request and the answer, to a
  process that runs the same cloud engine; no preprocessing, codec, protocol or checks.

The overhead is ``end_to_end`` less ``edge_engine`` less ``cloud_engine``, at the median.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from bare_trip import receive
from tritonclient.grpc import service_pb2

from ecc_deploy import wire
from ecc_deploy.backends.interface import Runner
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bench.environment import fingerprint
from ecc_deploy.bench.server_process import ServerProcess
from ecc_deploy.bundle import Bundle, open_bundle
from ecc_deploy.bundle.golden import load_golden
from ecc_deploy.errors import EccError, UsageError
from ecc_deploy.preprocess import Preprocess
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.result import STAGES, Route

LIMIT_MS = 1.5
DEPLOYMENT = "adaptive"
SERIES = ("edge_engine", "cloud_engine", "end_to_end", "floor")
WARM_UP = 50


def main() -> int:
    """Exit code 0: the overhead is within ``LIMIT_MS``; 1: it is not; 2: it could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--samples", type=int, default=1000, help="measured samples (default 1000)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each engine (default 1)")
    parser.add_argument("--json", action="store_true", help="print a JSON document instead of a table")
    parser.add_argument("--floor-server", nargs=2, type=int, metavar=("UP", "DOWN"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        bundle = open_bundle(given.bundle)
        if given.floor_server:
            return _serve_floor(bundle, *given.floor_server, threads=given.threads)
        result = measure(bundle, given.samples, given.threads)
    except EccError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1) if given.json else _table(result))
    return 0 if result["overhead_p50_ms"] <= LIMIT_MS else 1


def measure(bundle: Bundle, samples: int, threads: int) -> dict[str, Any]:
    """Measure; times in milliseconds. Raises :class:`EccError` where the bundle or a server does not do."""
    manifest = bundle.manifest
    chosen = manifest.deployments.get(DEPLOYMENT)
    if chosen is None or chosen.edge is None or chosen.cloud is None:
        raise UsageError(f"{bundle.path} has no deployment {DEPLOYMENT!r}")
    if samples < 1:
        raise UsageError(f"{samples} samples cannot be measured")
    images = load_golden(bundle).images
    prepared = Preprocess(manifest.input, manifest.halves[chosen.edge])(images)
    times: dict[str, list[float]] = {name: [] for name in SERIES}
    stages: dict[str, list[float]] = {name: [] for name in STAGES}
    with (
        _runner(bundle, chosen.edge, threads) as edge,
        _runner(bundle, chosen.cloud, threads) as cloud,
        ServerProcess(bundle.path, threads=threads) as server,
        CloudClient(server.url, manifest) as client,
        EdgeRuntime(bundle, DEPLOYMENT, cloud=client, threads=threads, deadline_ms=10_000) as runtime,
    ):
        client.connect()
        boundaries = [edge.run({"image": x[np.newaxis]})["boundary"] for x in prepared]
        assert runtime.codec is not None
        payload = max((runtime.codec.encode(b[0]) for b in boundaries), key=len)
        up, down = _message_bytes(server.url, manifest.pair_id, chosen.cloud, payload, runtime.codec.spec)
        with _Floor(bundle, up, down, threads) as floor:
            for i in range(WARM_UP + samples):
                k = i % len(images)
                t0 = time.perf_counter()
                edge.run({"image": prepared[k : k + 1]})
                t1 = time.perf_counter()
                cloud.run({"boundary": boundaries[k]})
                t2 = time.perf_counter()
                prediction = runtime.predict(images[k])
                t3 = time.perf_counter()
                edge.run({"image": prepared[k : k + 1]})
                floor.round_trip()
                t4 = time.perf_counter()
                if prediction.route != Route.CLOUD:
                    raise UsageError(f"sample {i} was not offloaded: {prediction.reason}: {prediction.detail}")
                if i < WARM_UP:
                    continue
                for name, value in zip(SERIES, (t1 - t0, t2 - t1, t3 - t2, t4 - t3), strict=True):
                    times[name].append(1e3 * value)
                for stage in STAGES:
                    stages[stage].append(getattr(prediction.timings, stage))
    p50 = {name: float(np.percentile(values, 50)) for name, values in times.items()}
    return {
        "samples": samples,
        "threads": threads,
        "request_bytes": up,
        "answer_bytes": down,
        "latency_ms": {
            name: {f"p{q}": round(float(np.percentile(values, q)), 4) for q in (50, 90)}
            for name, values in times.items()
        },
        "stages_p50_ms": {name: round(float(np.percentile(values, 50)), 4) for name, values in stages.items()},
        "overhead_p50_ms": round(p50["end_to_end"] - p50["edge_engine"] - p50["cloud_engine"], 4),
        "floor_overhead_p50_ms": round(p50["floor"] - p50["edge_engine"] - p50["cloud_engine"], 4),
        "ratio_to_floor": round(p50["end_to_end"] / p50["floor"], 3),
        "limit_ms": LIMIT_MS,
        "bundle": {"name": manifest.name, "pair_id": manifest.pair_id},
        "environment": fingerprint(),
    }


def _runner(bundle: Bundle, key: str, threads: int) -> Runner:
    half = bundle.manifest.halves[key]
    return open_runner(bundle.file(half.file), half, threads)


def _message_bytes(url: str, pair_id: str, half: str, payload: bytes, codec: str) -> tuple[int, int]:
    """Sizes of the serialized request and answer of one sample."""
    request = service_pb2.ModelInferRequest(model_name=half, model_version=wire.MODEL_VERSION)
    request.parameters[wire.CODEC].string_param = codec
    request.parameters[wire.PAIR_ID].string_param = pair_id
    request.inputs.add(name=wire.PAYLOAD, datatype="BYTES", shape=[1])
    request.raw_input_contents.append(wire.pack_bytes([payload]))
    message = request.SerializeToString()
    with grpc.insecure_channel(url) as channel:
        return len(message), len(channel.unary_unary(f"/{wire.SERVICE}/ModelInfer")(message, timeout=10.0))


class _Floor:
    """A process that runs the cloud engine behind a bare socket: ``up`` bytes in, one inference, ``down`` bytes out."""

    def __init__(self, bundle: Bundle, up: int, down: int, threads: int) -> None:
        command = [sys.executable, __file__, str(bundle.path), "--threads", str(threads)]
        command += ["--floor-server", str(up), str(down)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
        assert self._process.stdout is not None
        port = int(self._process.stdout.readline())
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request, self._down = bytes(up), down

    def round_trip(self) -> None:
        self._socket.sendall(self._request)
        receive(self._socket, self._down)

    def __enter__(self) -> _Floor:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.communicate(timeout=10)


def _serve_floor(bundle: Bundle, up: int, down: int, threads: int) -> int:
    chosen = bundle.manifest.deployments[DEPLOYMENT]
    assert chosen.edge is not None
    assert chosen.cloud is not None
    boundary = load_golden(bundle).output(chosen.edge, "boundary")[:1]
    with _runner(bundle, chosen.cloud, threads) as cloud, socket.create_server(("127.0.0.1", 0)) as listener:
        cloud.run({"boundary": boundary})
        print(listener.getsockname()[1], flush=True)
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            while receive(connection, up):
                cloud.run({"boundary": boundary})
                connection.sendall(bytes(down))
    return 0


def _table(result: dict[str, Any]) -> str:
    lines = [f"{'':14}{'p50':>10}{'p90':>10}  ms"]
    for name, quantiles in result["latency_ms"].items():
        lines.append(f"{name:14}{quantiles['p50']:10.3f}{quantiles['p90']:10.3f}")
    lines += [
        f"overhead      {result['overhead_p50_ms']:10.3f} ms (limit {result['limit_ms']} ms; "
        f"of a bare socket {result['floor_overhead_p50_ms']:.3f} ms)",
        f"end to end is {result['ratio_to_floor']} times the bare socket; {result['request_bytes']} bytes up, "
        f"{result['answer_bytes']} down; {result['samples']} samples",
        "stages at p50: " + ", ".join(f"{name} {value:.3f}" for name, value in result["stages_p50_ms"].items()),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
