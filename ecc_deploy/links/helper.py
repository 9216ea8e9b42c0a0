"""A child process that holds one end of a link, and is told what to do in lines of JSON.

It ends when its stdin does, so it never outlives the process that started it, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from ecc_deploy import child
from ecc_deploy.closing import Closing
from ecc_deploy.errors import LinkError

START_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0

Facts = dict[str, Any]


class LinkUnavailableError(LinkError):
    """This machine cannot emulate in this way; another may be possible."""


class Helper(Closing):
    """The parent's side: starts ``python -m module`` (behind ``prefix``), asks it, ends it. Safe between threads.

    Raises :class:`LinkError` where it does not start, says that something is wrong, or has gone.
    """

    def __init__(self, module: str, *arguments: str, prefix: tuple[str, ...] = ()) -> None:
        self._what = module.rpartition(".")[2]
        self._lock = threading.Lock()
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._process = subprocess.Popen(
            [*prefix, *child.command(module, *arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=child.environment(),
            start_new_session=True,  # Ctrl-C is for this process, which then ends that one
        )
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.facts = self._answer(START_TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, what: str, timeout_s: float = ANSWER_TIMEOUT_S, **facts: Any) -> Facts:
        """Send one request and wait for its answer."""
        assert self._process.stdin is not None
        with self._lock:
            try:
                self._process.stdin.write(json.dumps({"do": what, **facts}).encode() + b"\n")
                self._process.stdin.flush()
            except (OSError, ValueError) as error:
                raise self._gone() from error
            return self._answer(timeout_s)

    def close(self) -> None:
        process = self._process
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT_S)
        finally:  # a second Ctrl-C lands here too
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
            self._stderr.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                self._lines.put(line)
        self._lines.put(b"")

    def _answer(self, timeout_s: float) -> Facts:
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise LinkError(f"the link's {self._what} did not answer within {timeout_s:g} s") from None
        if not line:
            self._lines.put(b"")  # for whoever asks next
            raise self._gone()
        answer: Facts = json.loads(line)
        if "error" in answer:
            kind = LinkUnavailableError if answer.get("is_unavailable") else LinkError
            raise kind(answer["error"], answer.get("hint", ""))
        return answer

    def _gone(self) -> LinkError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
        words = ""
        if not self._stderr.closed:
            size = self._stderr.seek(0, os.SEEK_END)
            self._stderr.seek(max(0, size - 2000))
            words = self._stderr.read().decode(errors="replace").strip()
        return LinkError(f"the link's {self._what} has ended (exit code {self._process.poll()})", words)


class Requests:
    """The child's side of stdin and stdout: read when its loop finds :attr:`descriptor` readable."""

    descriptor = 0

    def __init__(self, handlers: dict[str, Callable[..., Facts | None]]) -> None:
        self._handlers = handlers
        self._buffer = b""

    def serve(self) -> bool:
        """Read what is there and answer whole requests; False: the parent has closed stdin, or is gone."""
        data = os.read(0, 1 << 16)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            try:
                say(self._handlers[request.pop("do")](**request) or {})
            except LinkError as error:
                say({"error": error.message, "hint": error.hint})
        return bool(data)


def say(facts: Facts) -> None:
    """Write one line of JSON to the parent."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
