"""Starts the servers that a bundle can be behind, each as its own processes on this machine, and ends them.

For `benchmarks/servers.py` and `tests/servers`. The other servers live in the environments of `make test-servers`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ecc_deploy.bench.server_process import ServerProcess
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import ServerError
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.scaling import rayserve
from ecc_deploy.scaling.export import export_serving

HOST = "127.0.0.1"
START_S = 180.0
STOP_S = 20.0


@dataclass(frozen=True)
class Running:
    """A server that answers at ``url``; ``pid`` is the process that all of its processes descend from."""

    url: str
    pid: int

    def rss_bytes(self) -> int:
        """Resident memory of all of its processes; pages that several share count for each."""
        return sum(_rss(pid) for pid in descendants(self.pid))


@contextmanager
def embedded(bundle: Bundle, servers: Path, folder: Path, threads: int = 1) -> Iterator[Running]:
    """This package's own server."""
    with ServerProcess(bundle.path, threads=threads) as server:
        assert server.pid is not None
        yield Running(server.url, server.pid)


@contextmanager
def kserve(bundle: Bundle, servers: Path, folder: Path, threads: int = 1) -> Iterator[Running]:
    """KServe's model server."""
    port, http_port = free_ports(2)
    command = [str(servers / "kserve/bin/python"), "-m", "ecc_deploy.scaling.kserve_server", str(bundle.path)]
    command += ["--grpc-port", str(port), "--http-port", str(http_port), "--threads", str(threads)]
    # By default it writes two lines for every request.
    with _process(command, bundle, port, folder / "kserve.log", {"KSERVE_LOGLEVEL": "WARNING"}) as running:
        yield running


@contextmanager
def ray(bundle: Bundle, servers: Path, folder: Path, threads: int = 1) -> Iterator[Running]:
    """Ray Serve: one proxy, one replica, as one machine has it."""
    port, http_port = free_ports(2)
    config = folder / rayserve.FILE
    config.write_text(
        rayserve.config(bundle, bundle.path.resolve(), threads=threads, port=port, http_port=http_port, replicas=1),
        encoding="utf-8",
    )
    # Its sockets have names of at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray-") as place:
        facts = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": place, "RAY_DEDUP_LOGS": "0"}
        command = [str(servers / "ray/bin/serve"), "run", str(config)]
        with _process(command, bundle, port, folder / "ray.log", facts) as running:
            yield running


@contextmanager
def triton(bundle: Bundle, servers: Path, folder: Path, threads: int = 1) -> Iterator[Running]:
    """The tritonserver of nvidia-pytriton, on an exported model repository; the half runs in a Python model."""
    (port,) = free_ports(1)
    home = servers / "triton"
    (site,) = home.glob("lib/python*/site-packages")
    made = export_serving(bundle, folder / "triton", kind="triton", engine="python", threads=threads)
    command = [str(site / "pytriton/tritonserver/bin/tritonserver"), "--model-repository", str(made.path / "models")]
    command += ["--backend-directory", str(home / "backends"), "--grpc-address", HOST, "--grpc-port", str(port)]
    command += ["--allow-http=false", "--allow-metrics=false"]
    libraries = (sysconfig.get_config_var("LIBDIR") or "", str(site.parent / "site-packages/nvidia_pytriton.libs"))
    facts = {
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "PATH": os.pathsep.join((str(home / "bin"), os.environ.get("PATH", ""))),
    }
    with _process(command, bundle, port, folder / "triton.log", facts) as running:
        yield running


LAUNCHERS: dict[str, Callable[..., contextlib.AbstractContextManager[Running]]] = {
    "embedded": embedded,
    "kserve": kserve,
    "ray": ray,
    "triton": triton,
}


def missing(name: str, servers: Path) -> bool:
    """Whether the environment of the server ``name`` is not there, or was not finished."""
    return name != "embedded" and not (servers / name / ".made").is_file()


@contextmanager
def _process(
    command: list[str], bundle: Bundle, port: int, log: Path, facts: dict[str, str] | None = None
) -> Iterator[Running]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | (facts or {})
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
        )
    seen: set[int] = set()
    try:
        _wait_until_it_serves(process, bundle, f"{HOST}:{port}", log)
        seen = set(descendants(process.pid))
        yield Running(f"{HOST}:{port}", process.pid)
    finally:
        seen |= set(descendants(process.pid))
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        for pid in seen:
            # Its number may be another's by now, but not in the seconds that this takes.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        end = time.monotonic() + STOP_S  # what is killed frees its memory first
        while any(map(is_running, seen)) and time.monotonic() < end:
            time.sleep(0.05)


def _wait_until_it_serves(process: subprocess.Popen, bundle: Bundle, url: str, log: Path) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            with CloudClient(url, bundle.manifest) as client:
                client.connect(2.0)
                return
        except ServerError as error:
            if process.poll() is not None or time.monotonic() > end:
                words = log.read_text(errors="replace")[-3000:]
                raise ServerError(f"{Path(process.args[0]).name} does not serve: {error}", words) from error
            time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago; all of them at once, so that no two are the same."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in held]


def pin(pids: list[int], cores: list[int]) -> None:
    """Bind these processes and all that descend from them to ``cores``, every thread of them (Linux)."""
    for pid in {one for given in pids for one in descendants(given)}:
        with contextlib.suppress(OSError):  # one that has ended meanwhile
            for thread in (Path("/proc") / str(pid) / "task").iterdir():
                os.sched_setaffinity(int(thread.name), cores)


def descendants(pid: int) -> list[int]:
    """``pid`` and all that descend from it, that are there now (Linux)."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        if is_running(one):
            found.append(one)
        todo += children.get(one, [])
    return found


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended and only waits to be noticed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _rss(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    return 0
