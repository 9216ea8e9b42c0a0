"""The processes of a fault run, and what a process holds: memory, threads, file descriptors."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Usage:
    """Of one process, by ``/proc``; ``rss`` in bytes."""

    rss: int
    threads: int
    fds: int


def usage(pid: int | str = "self") -> Usage:
    """What the process holds now."""
    folder = Path("/proc", str(pid))
    pages = int((folder / "statm").read_text().split()[1])
    fds = len(list((folder / "fd").iterdir()))
    return Usage(pages * os.sysconf("SC_PAGE_SIZE"), len(list((folder / "task").iterdir())), fds)


class Child:
    """A program of this folder that says its port, and then does what it is told, line by line."""

    def __init__(self, module: str, *arguments: str) -> None:
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"tests.faults.{module}", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        self._port: int | None = None

    @property
    def port(self) -> int:
        """Waits until it is ready. Raises RuntimeError where it does not become so."""
        if self._port is None:
            line = self._line()
            if not line:
                raise RuntimeError(f"{self.process.args} ended with {self.process.wait()} before it was ready")
            self._port = int(json.loads(line)["port"])
        return self._port

    def tell(self, word: str) -> str:
        """Give a command, and return what it says once that is in force."""
        assert self.port
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())
        self.process.stdin.flush()
        answer = self._line().strip()
        if answer != "ok" and not answer.isdigit():
            raise RuntimeError(f"{self.process.args} was told {word!r} and said {answer!r}")
        return answer

    def _line(self) -> str:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(_PATIENCE_S):
                raise RuntimeError(f"{self.process.args} said nothing for {_PATIENCE_S:g} s")
        return self.process.stdout.readline().decode()

    def freeze(self) -> None:
        """Stop it, as it is. Returns when all of its threads stand still."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a power cut would: no goodbye to anyone. May be called twice."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class Place:
    """A server of ``bundle``, with the link to it in front: where a fault run happens."""

    def __init__(self, bundle: Path, *options: str) -> None:
        self._arguments = (str(bundle), *options)
        self.server = Child("spoilt_server", *self._arguments)
        self.relay = Child("relay", str(self.server.port))
        self.lives: list[tuple[Usage, Usage]] = []
        """Of each server that was ended: what it held when first asked, and before its end."""
        self._at_first: Usage | None = None

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.relay.port}"

    def mark(self) -> None:
        """Remember what the server holds now, to be compared with its end."""
        self._at_first = usage(self.server.process.pid)

    def end_of_life(self) -> None:
        """The counterpart of :meth:`mark`."""
        if self._at_first is not None:
            self.lives.append((self._at_first, usage(self.server.process.pid)))
        self._at_first = None

    def kill_server(self) -> None:
        self.end_of_life()
        self.server.kill()

    def start_server(self, *options: str) -> None:
        """On the port of the one before, with ``options`` after its own; it may need a second until it is ready."""
        self.server = Child("spoilt_server", *self._arguments, "--port", str(self.server.port), *options)

    def close(self) -> None:
        self.server.kill()
        self.relay.kill()


@contextmanager
def place(bundle: Path, *options: str) -> Iterator[Place]:
    """A :class:`Place` whose processes are certainly gone at the end."""
    made = Place(bundle, *options)
    try:
        yield made
    finally:
        made.close()
