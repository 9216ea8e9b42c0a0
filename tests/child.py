"""A cloud server in a real process of its own, to be killed, frozen and started again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self


class ServerChild:
    """``python -m ecc_deploy.serving BUNDLE``; started on enter, certainly gone on exit."""

    def __init__(self, bundle: Path, *options: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "ecc_deploy.serving", str(bundle), "--port", str(port), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.port: int = json.loads(line)["port"] if line else 0

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def freeze(self) -> None:
        """Stop it, as it is. Returns when all of its threads stand still: the signal alone leaves them a moment."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def kill(self) -> None:
        """As a power cut would: no goodbye to anyone."""
        self.process.kill()
        self.process.wait()

    def end(self) -> tuple[int, str]:
        """Wait for the end: exit code and stderr."""
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors.decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
