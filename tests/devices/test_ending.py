"""Nothing is left on the device, however this side ends. ``make test-ssh`` looks at the same through a real sshd."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecc_deploy.bundle import Bundle
from tests.devices.conftest import ROOT, FakeDevice

PATIENCE_S = 40.0


def agents(home: Path) -> list[int]:
    """The agents that work in ``home``, and what they started."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command, cwd = (path / "cmdline").read_bytes(), (path / "cwd").readlink()
        except OSError:
            continue
        if cwd == home and command:
            found.append(int(path.name))
    return found


def gone(home: Path) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while agents(home):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def running(device: FakeDevice, toy_bundle: Bundle, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A benchmark that takes minutes, while it measures."""
    command = [sys.executable, "-m", "ecc_deploy", "bench", str(toy_bundle.path), "--device", "user@pi"]
    command += ["--device-python", sys.executable, "--dataset", "tests.devices.slow_data:make", "--warmup", "0"]
    command += ["--arch", "edge-only", "--arch", "dynamic", "--out", str(tmp_path / "bench.json")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if line.startswith("Benchmark:"):
                    break
            assert agents(device.home)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15), (signal.SIGKILL, -9)])
def test_this_side_ends(
    running: subprocess.Popen[str], device: FakeDevice, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    running.send_signal(number)
    assert running.wait(PATIENCE_S) == code
    assert gone(device.home)
    assert not (tmp_path / "bench.json").exists()


def silent_agent(device: FakeDevice, silence_s: float) -> subprocess.Popen[bytes]:
    code = (
        "from ecc_deploy.devices import agent, lifeline; "
        f"lifeline.Lifeline.__init__.__kwdefaults__['silence_s'] = {silence_s}; agent.main()"
    )
    environment = {"HOME": str(device.home), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=device.home, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_a_silent_connection_is_an_end(device: FakeDevice) -> None:
    with silent_agent(device, silence_s=0.5) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"ecc-deploy-device ")
        assert process.wait(PATIENCE_S) == 0  # it was idle, and its stdin is still open


def test_what_does_not_let_itself_be_interrupted_is_killed(device: FakeDevice) -> None:
    """And what it started with it."""
    code = (
        "import subprocess, time, os, signal\n"
        "from ecc_deploy.devices import lifeline\n"
        "lifeline._GRACE_S = 0.3\n"
        "lifeline.lead_own_group()\n"
        "line = lifeline.Lifeline(os.dup(0))\n"
        "line.start()\n"
        "subprocess.Popen(['sleep', '300'])\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    try:\n"
        "        time.sleep(300)\n"
        "    except KeyboardInterrupt:\n"
        "        pass\n"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=device.home, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + PATIENCE_S
        while len(agents(device.home)) != 2:  # what has just been started has no command line yet
            assert time.monotonic() < deadline
        process.stdin.close()
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
        assert gone(device.home)
