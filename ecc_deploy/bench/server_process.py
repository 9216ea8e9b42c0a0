"""A cloud server in a process of its own, for as long as a benchmark lasts."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

from ecc_deploy import child
from ecc_deploy.errors import ServerError

if TYPE_CHECKING:
    from typing_extensions import Self

HOST = "127.0.0.1"
_LAST_WORDS = 4000


class ServerProcess:
    """Context manager: on enter the server is ready at ``url`` (``host:port``); on exit its process has ended.

    The process is a group of its own, so that Ctrl-C reaches the benchmark alone, which then ends it; it also ends
    by itself when this process goes away. ``prefix``: put in front of its command, as what starts it at the far end of
    a link; ``host``: the address there on which it listens. Raises :class:`ServerError` where it does not come up
    within ``start_timeout_s``, with what it wrote to stderr.
    """

    def __init__(
        self,
        bundle: Path,
        *,
        host: str = HOST,
        prefix: Sequence[str] = (),
        threads: int = 1,
        start_timeout_s: float = 60.0,
        stop_timeout_s: float = 5.0,
    ) -> None:
        self._prefix = list(prefix)
        self._bundle = bundle
        self._host = host
        self._threads = threads
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self.port = 0
        self.url = ""

    def __enter__(self) -> Self:
        try:
            self.port = self._start()
            self.url = f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Of the running or ended process; ``None`` before the start."""
        return self._process.pid if self._process else None

    def exit_report(self) -> str | None:
        """How the process ended; ``None`` while it runs."""
        code = self._process.poll() if self._process else None
        if code is None:
            return None
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def last_words(self) -> str:
        """The end of what it wrote to stderr."""
        if self._stderr is None or self._stderr.closed:
            return ""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _LAST_WORDS))
        return self._stderr.read().decode(errors="replace").strip()

    def stop(self) -> None:
        """End the process: asked first (SIGTERM), then killed. May be called twice."""
        process = self._process
        if process is not None:
            try:
                if process.poll() is None:
                    self._signal(signal.SIGTERM)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(self._stop_timeout_s)
            finally:  # a second Ctrl-C lands here too
                if process.poll() is None:
                    self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
                    process.wait()
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        pipe.close()
        if self._stderr is not None and not self._stderr.closed:
            self._stderr.close()

    def _start(self) -> int:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop(); a pipe could fill up
        options = ("--host", self._host, "--port", "0", "--threads", str(self._threads), "--until-stdin-closes")
        self._process = subprocess.Popen(
            [*self._prefix, *child.command("ecc_deploy.serving", str(self._bundle), *options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=child.environment(),
            start_new_session=True,
        )
        first: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(
            target=lambda out: first.put(out.readline()), args=(self._process.stdout,), daemon=True
        ).start()
        try:
            line = first.get(timeout=self._start_timeout_s)
        except queue.Empty:
            raise ServerError(
                f"the server for {self._bundle} was not ready within {self._start_timeout_s:g} s",
                self.last_words() or "Is the machine very busy? A server of your own can be given by its URL.",
            ) from None
        try:
            return int(json.loads(line)["port"])
        except (ValueError, KeyError, TypeError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self._stop_timeout_s)
            report = self.exit_report() or f"said {line[:200]!r} instead of its port"
            raise ServerError(
                f"the server for {self._bundle} did not start: it {report}",
                self.last_words() or "`ecc-deploy serve BUNDLE` shows the same by itself.",
            ) from None

    def _signal(self, number: int) -> None:
        """To the whole group; only called while the process is not reaped, so that its id is still its own."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)
