"""The clients of `benchmarks/servers.py`, in processes of their own, and the engine alone, in one.

    python benchmarks/server_load.py clients BUNDLE DEPLOYMENT URL COUNT   # for each line on stdin, so many seconds
    python benchmarks/server_load.py engine BUNDLE DEPLOYMENT SECONDS THREADS

Both print a line of JSON for each load: ``latencies_us``, one number for each request, and what else there is to say.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from ecc_deploy import child
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bundle import Bundle, open_bundle
from ecc_deploy.bundle.golden import load_golden
from ecc_deploy.errors import EccError, ServerError, UsageError
from ecc_deploy.runtime.client import CloudClient, CloudError
from ecc_deploy.serving.half import ServedHalf

DEADLINE_S = 30.0
WARM_UP_S = 1.0
TOLERANCE = 1e-3
"""Of logits: batches of other sizes are summed in another order."""


def half_and_codec(bundle: Bundle, deployment: str) -> tuple[str, str]:
    """Of a deployment: its cloud half, and the codec of its payloads. Raises :class:`UsageError` without one."""
    chosen = bundle.manifest.deployments.get(deployment)
    if chosen is None or chosen.cloud is None or chosen.codec is None:
        raise UsageError(f"{bundle.path} has no deployment {deployment!r} with a cloud half")
    return chosen.cloud, chosen.codec


class Clients:
    """A process with some of the clients, each on a thread of its own; they are connected when it is made."""

    def __init__(self, bundle: Path, deployment: str, url: str, count: int) -> None:
        command = [sys.executable, __file__, "clients", str(bundle), deployment, url, str(count)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=child.environment()
        )
        self.found()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def go(self, seconds: float) -> None:
        """Have all of them ask for so long, each as fast as it is answered."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()

    def found(self) -> dict[str, Any]:
        """What came of the last load: ``latencies_us`` and ``failures``."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ServerError("the clients ended, and said above why")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def engine_alone(bundle: Path, deployment: str, seconds: float, threads: int) -> dict[str, Any]:
    """The cloud half without a server, one call after the other."""
    command = [sys.executable, __file__, "engine", str(bundle), deployment, str(seconds), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=child.environment())
    if done.returncode:
        raise ServerError(f"the engine alone does not run: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _clients(bundle: Bundle, deployment: str, url: str, count: int) -> int:
    """``count`` clients; for each line on stdin, a number of seconds, all of them ask for that long."""
    half, codec = half_and_codec(bundle, deployment)
    golden = load_golden(bundle)
    payloads = [golden.payload(deployment, index) for index in range(len(golden))]
    wanted = golden.output(half, "logits")

    def ask(client: CloudClient, seconds: float, latencies: list[int], failures: list[str]) -> None:
        end = time.perf_counter() + seconds
        index = 0
        while (start := time.perf_counter()) < end:
            try:
                answer = client.infer(half, payloads[index], codec, DEADLINE_S)
            except CloudError as error:
                failures.append(str(error))
                return
            latencies.append(round(1e6 * (time.perf_counter() - start)))
            if not np.allclose(answer.logits, wanted[index], atol=TOLERANCE):
                failures.append(f"{answer.logits} instead of {wanted[index]}")
            index = (index + 1) % len(payloads)

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(CloudClient(url, bundle.manifest)) for _ in range(count)]
        for client in clients:
            client.connect(DEADLINE_S)
        print("{}", flush=True)
        for line in sys.stdin:
            latencies: list[int] = []
            failures: list[str] = []
            threads = [threading.Thread(target=ask, args=(one, float(line), latencies, failures)) for one in clients]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            print(json.dumps({"latencies_us": latencies, "failures": failures[:5]}), flush=True)
    return 0


def _engine(bundle: Bundle, deployment: str, seconds: float, threads: int) -> int:
    key, spec = half_and_codec(bundle, deployment)
    served = ServedHalf(bundle, key)
    payload = load_golden(bundle).payload(deployment, 0)
    inputs = {served.half.inputs[0].name: served.prepare(served.decode([memoryview(payload)], served.codec(spec)))}
    latencies: list[int] = []
    with open_runner(bundle.file(served.half.file), served.half, threads) as runner:
        for budget in (WARM_UP_S, seconds):
            latencies.clear()
            end = time.perf_counter() + budget
            while (start := time.perf_counter()) < end:
                runner.run(inputs)
                latencies.append(round(1e6 * (time.perf_counter() - start)))
    rss = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6
    print(json.dumps({"latencies_us": latencies, "per_second": len(latencies) / seconds, "rss_mb": rss}))
    return 0


def main() -> int:
    kind, path, deployment, *rest = sys.argv[1:]
    try:
        bundle = open_bundle(path)
        if kind == "clients":
            return _clients(bundle, deployment, rest[0], int(rest[1]))
        return _engine(bundle, deployment, float(rest[0]), int(rest[1]))
    except EccError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
