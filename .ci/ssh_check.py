"""A benchmark over ssh, as a new user types it, against a real sshd on this machine's loopback.

The device is a user of its own, with a bare virtual environment: see ``ssh_device.py``. Needs root and OpenSSH.

    python .ci/ssh_check.py            # exit code 0: all right, or SKIPPED with a reason; 1: something is not
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from ssh_device import ROOT, Device, UnavailableError, opened_device

ECC = (sys.executable, "-m", "ecc_deploy")
DATASET = ("--dataset", "fashion-mnist-sample")  # embedded, there too
FEW = ("--samples", "60", "--warmup", "5", "--deadline", "10000")
PATIENCE_S = 30.0


class CheckError(Exception):
    """Something is not as it should be; the text says what."""


def expect(holds: bool, what: str, detail: str = "") -> None:
    """Say ``what`` was found. Raises :class:`CheckError` where it was not."""
    if not holds:
        raise CheckError(f"not so: {what}\n{detail}")
    print(f"  {what}", flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """A part of the check, with its time."""
    print(title, flush=True)
    started = time.monotonic()
    yield
    print(f"  {time.monotonic() - started:.1f} s", flush=True)


class Check:
    """The bundle in ``work``, and the device to measure it on."""

    def __init__(self, work: Path, device: Device) -> None:
        self.work, self.device = work, device
        self.bundle = work / "bundle"
        self.there = ("--device", "device", "--ssh-config", device.config)

    def ecc(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """The command line of this checkout."""
        return subprocess.run(
            [*ECC, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
        )

    def bench(self, *words: str | Path) -> dict[str, Any]:
        """A benchmark's result."""
        out = self.work / "bench.json"
        out.unlink(missing_ok=True)
        done = self.ecc("bench", self.bundle, *DATASET, *FEW, "--out", out, *words)
        if done.returncode != 0:
            raise CheckError(f"bench {' '.join(map(str, words))} failed:\n{done.stdout}{done.stderr}")
        return json.loads(out.read_text())

    def doctor(self) -> None:
        done = self.ecc("doctor", *self.there, "--json")
        expect(done.returncode == 0, "doctor answers from the device", done.stderr)
        ready = {target["name"] for target in json.loads(done.stdout)["targets"] if target["run"]["possible"]}
        expect("onnxruntime-cpu" in ready and "openvino-cpu" not in ready, "it has ONNX Runtime, and no other runtime")

    def bare(self) -> None:
        done = self.ecc("doctor", *self.there)
        expect(
            done.returncode == 2 and "has no ecc-deploy" in done.stderr,
            "a device without ecc-deploy is told",
            done.stderr,
        )
        result = self.bench(*self.there, "--arch", "edge-only", "--device-install", self.device.wheel)
        expect(len(result["arms"]) == 1, "--device-install: the wheel is installed, with ONNX Runtime, and measures")

    def tunnel(self) -> None:
        here, there = self.bench(), self.bench(*self.there)
        stored = self._store()
        again = self.bench(*self.there, "--arch", "dynamic")
        expect(self._store() == stored, "the second time nothing was sent")
        expect(there["settings"]["link"] == "through an ssh tunnel", "the samples went through the tunnel")
        names = [arm["name"] for arm in here["arms"]]
        expect([arm["name"] for arm in there["arms"]] == names, f"all {len(names)} arms were measured")
        expect(
            not any(arm["fallback_rate"] for arm in there["arms"] + again["arms"]), "the cloud answered what was sent"
        )
        answers = [[arm["raw"]["predicted"] for arm in result["arms"]] for result in (here, there)]
        expect(answers[0] == answers[1], "every answer is the one that is given here")
        expect("onnx" not in there["environment"]["versions"], "the environment is the device's")

    def other_ways(self) -> None:
        direct = self.bench(*self.there, "--serve-at", "127.0.0.1", "--arch", "dynamic")
        expect(
            direct["arms"][0]["wire_up_bytes_per_sample"] > 0, "--serve-at: without the tunnel, wire bytes are counted"
        )
        words = (*ECC[1:], "serve", str(self.bundle), "--port", "0")
        with subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                address = server.stdout.readline().rpartition(" at ")[2].split(";")[0]
                given = self.bench(*self.there, "--cloud", address, "--arch", "adaptive")
            finally:
                server.terminate()
        expect(given["arms"][0]["fallback_rate"] == 0, "--cloud: a server that runs is used")

    def refusals(self) -> None:
        for alias, sign in (
            ("stranger", "the host key of stranger is not known"),
            ("keyless", "accepts none of your keys"),
            ("boxed", "does not open a tunnel"),
        ):
            done = self.ecc("bench", self.bundle, *FEW, "--device", alias, "--ssh-config", self.device.config)
            expect(done.returncode == 2 and sign in done.stderr, f"{alias}: {sign}", done.stderr)

    def ends(self, what: str, end: Callable[[subprocess.Popen[str]], None], code: int) -> None:
        """Start a long benchmark, end it by ``end`` while it measures, and look what is left."""
        command = [*ECC, "bench", str(self.bundle), *DATASET, "--deadline", "10000", *map(str, self.there)]
        command += ["--out", str(self.work / "ended.json"), "--arch", "cloud-only/png", "--arch", "adaptive"]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                for line in process.stderr:  # a line comes after a second of measuring
                    if line.startswith("Benchmark:"):
                        break
                expect(
                    any("ecc_deploy.devices.agent" in command for command in self.device.processes().values()),
                    f"{what}: it measures on the device",
                )
                end(process)
                found = process.wait(PATIENCE_S)
            finally:
                process.kill()
        expect(found == code, f"the command ended with {code}", f"it was {found}")
        expect(gone(self.device.processes), "nothing of the user runs any more", str(self.device.processes()))
        expect(gone(self._servers), "nor does the server here", str(self._servers()))
        expect(not (self.work / "ended.json").exists(), "no half result was written")

    def _servers(self) -> list[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().decode(errors="replace")
                if "ecc_deploy.serving" in words and str(self.bundle) in words:
                    found.append(words)
        return found

    def _store(self) -> list[tuple[str, int, int]]:
        folder = self.device.home / ".cache/ecc-deploy/device/files"
        return sorted((path.name, path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir())

    def cut(self, process: subprocess.Popen[str]) -> None:
        """The connection breaks: sshd's process for it dies."""
        for pid, command in self.device.processes().items():
            if command.startswith("sshd:"):
                os.kill(pid, signal.SIGKILL)


def gone(look: Callable[[], object]) -> bool:
    """Whether ``look`` comes to find nothing."""
    deadline = time.monotonic() + PATIENCE_S
    while look():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def main() -> int:
    """0: all right, or not possible here; 1: not."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # in a shell's background job; what is started would, too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _stop)
    try:
        with tempfile.TemporaryDirectory() as name, opened_device() as device:
            job = Check(Path(name), device)
            with step("A bundle"):
                done = job.ecc("export", "shipped:fashion-mnist", "--out", job.bundle, *DATASET)
                expect(done.returncode == 0, "exported", done.stderr)
            for title, part in (
                ("What a bare environment becomes", job.bare),
                ("What the device has", job.doctor),
                ("A benchmark as in the README", job.tunnel),
                ("Other ways to the cloud", job.other_ways),
                ("What is refused", job.refusals),
            ):
                with step(title):
                    part()
            with step("What is left when it ends early"):
                job.ends("Ctrl-C", lambda process: process.send_signal(signal.SIGINT), 130)
                job.ends("killed here", lambda process: process.kill(), -signal.SIGKILL)
                job.ends("the connection breaks", job.cut, 2)
    except UnavailableError as error:
        print(f"SKIPPED: benchmarks over ssh were NOT checked on this machine: {error}", flush=True)
        return 0
    except CheckError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    print("Benchmarks over ssh work.")
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(1)  # the user and sshd go before


if __name__ == "__main__":
    sys.exit(main())
