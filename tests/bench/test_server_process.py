import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ecc_deploy.bench.server_process import ServerProcess
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import ServerError
from ecc_deploy.runtime.client import CloudClient


def has_ended(pid: int, within_s: float = 15.0) -> bool:
    """Whether the process ``pid`` goes away, a zombie included."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError):
            if (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.05)
                continue
        return True
    return False


def _executable(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_it_serves_the_bundle_and_is_gone_afterwards(toy_bundle: Bundle) -> None:
    with ServerProcess(toy_bundle.path) as server:
        with CloudClient(server.url, toy_bundle.manifest) as client:
            client.connect()
        assert server.exit_report() is None
        pid = server.pid
    assert pid is not None
    assert has_ended(pid)
    host, port = server.url.split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
    server.stop()  # twice does no harm


def test_it_ends_when_the_block_is_left_by_ctrl_c(toy_bundle: Bundle) -> None:
    server = ServerProcess(toy_bundle.path)
    with pytest.raises(KeyboardInterrupt), server:
        raise KeyboardInterrupt
    assert server.pid is not None
    assert has_ended(server.pid)


def test_a_server_that_cannot_start_says_why(toy_bundle: Bundle, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(toy_bundle.path, damaged)
    (damaged / "cloud/tail.onnx").unlink()
    with pytest.raises(ServerError, match="exit code 2") as caught, ServerProcess(damaged):
        pass
    assert "tail.onnx is missing" in caught.value.hint


def test_a_server_that_does_not_get_ready(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = _executable(tmp_path / "python", "echo still loading >&2; exec sleep 60")
    monkeypatch.setattr(sys, "executable", program)
    server = ServerProcess(tmp_path, start_timeout_s=0.5)
    with pytest.raises(ServerError, match=r"not ready within 0\.5 s") as caught, server:
        pass
    assert "still loading" in caught.value.hint
    assert server.pid is not None
    assert has_ended(server.pid)


@pytest.mark.parametrize("says", ["hello", '{"port": "x"}', "[]", '{"host": 1}'])
def test_something_else_than_a_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str) -> None:
    monkeypatch.setattr(sys, "executable", _executable(tmp_path / "python", f"echo '{says}'"))
    with pytest.raises(ServerError, match="did not start"), ServerProcess(tmp_path):
        pass


def test_one_that_will_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = "trap '' TERM; echo '{\"port\": 1}'; while :; do sleep 1; done"
    monkeypatch.setattr(sys, "executable", _executable(tmp_path / "python", script))
    with ServerProcess(tmp_path, stop_timeout_s=0.2) as server:
        pid = server.pid
    assert pid is not None
    assert has_ended(pid)


def test_how_it_ended_is_reported(toy_bundle: Bundle) -> None:
    with ServerProcess(toy_bundle.path) as server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        end = time.monotonic() + 15
        while server.exit_report() is None and time.monotonic() < end:
            time.sleep(0.05)
        assert server.exit_report() == "was ended by signal 9"


def test_it_does_not_outlive_a_benchmark_that_was_killed(toy_bundle: Bundle) -> None:
    script = (
        "import os, sys, signal\nfrom pathlib import Path\n"
        "from ecc_deploy.bench.server_process import ServerProcess\n"
        "server = ServerProcess(Path(sys.argv[1])).__enter__()\n"
        "print(server.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(toy_bundle.path)], stdout=subprocess.PIPE, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert has_ended(int(done.stdout))
