"""A conversation with the agent of one device: requests, their answers, and the progress in between."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecc_deploy import errors
from ecc_deploy.bench.schema import MAX_FILE_BYTES
from ecc_deploy.bundle import Bundle
from ecc_deploy.bundle.store import MANIFEST
from ecc_deploy.closing import Closing
from ecc_deploy.devices.destination import Destination
from ecc_deploy.devices.frames import (
    CHUNK_BYTES,
    GREETING,
    MAX_TEXT_BEFORE_BYTES,
    PROTOCOL,
    Frame,
    FrameReader,
    ProtocolError,
    encoded,
    parsed,
    shown,
    write_all,
)
from ecc_deploy.devices.lifeline import PING_INTERVAL_S
from ecc_deploy.devices.probe import MARK, agent_command, nothing_found
from ecc_deploy.devices.ssh import Connection
from ecc_deploy.errors import DeviceError, EccError
from ecc_deploy.progress import Progress, silent

GREETING_TIMEOUT_S = 90.0
"""For the connection, and a slow board's start of Python."""
_WAITING = 64
_MAX_WORDS = 4000


class Session(Closing):
    """Open on return: the agent has greeted, and speaks the same protocol.

    ``python``: on the device; ``None``: found there. ``command``: for the device's shell, instead of what
    starts the agent. ``extra``: of ecc-deploy, named where nothing is installed there.
    ``forward``: port here that the device is to reach by a tunnel. Raises :class:`DeviceError`, :class:`UsageError`.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        python: str | None = None,
        command: str | None = None,
        config: Path | None = None,
        forward: int | None = None,
        extra: str = "onnxruntime",
    ) -> None:
        self.destination = destination
        self._connection = Connection(destination, command or agent_command(python), config=config, forward=forward)
        self._frames: queue.Queue[Frame | EccError | None] = queue.Queue(_WAITING)
        self._greeting: queue.SimpleQueue[dict[str, Any] | EccError] = queue.SimpleQueue()
        self._writing = threading.Lock()
        self._closed = threading.Event()
        try:
            threading.Thread(target=self._listen, args=(python, extra), daemon=True).start()
            self.facts = self._greeted()
            threading.Thread(target=self._ping, daemon=True).start()
        except BaseException:
            self.close()
            raise

    def tunnel_port(self) -> int:
        """The device's port that leads to ``forward``."""
        return self._connection.tunnel_port()

    def close(self) -> None:
        """Nothing runs on the device when this returns, if it can still be reached."""
        self._closed.set()
        with contextlib.suppress(queue.Empty):  # the listener must not wait for room
            while True:
                self._frames.get_nowait()
        waited = self._writing.acquire(timeout=2)  # nobody writes to a descriptor that is closed
        try:
            self._connection.close()
        finally:
            if waited:
                self._writing.release()

    def ask(
        self, kind: str, facts: Mapping[str, Any] | None = None, body: bytes = b"", progress: Progress = silent
    ) -> Frame:
        """Send one request and wait for its answer. What is wrong there is raised here, as the error that it is."""
        self._send(encoded(kind, facts, body))
        return self._answer(progress)

    def send_bundle(self, bundle: Bundle, progress: Progress = silent) -> int:
        """Send what the device does not have of ``bundle``; the number of bytes that were sent."""
        document = (bundle.path / MANIFEST).read_bytes()
        wanted = self.ask("offer", body=document).facts.get("wanted")
        names = {facts.sha256: name for name, facts in bundle.manifest.files.items()}
        if not isinstance(wanted, list) or not all(isinstance(one, str) and one in names for one in wanted):
            raise DeviceError(f"{self.destination} asks for files that are not in the bundle")
        total = sum(bundle.manifest.files[names[one]].bytes for one in wanted)
        sent = 0
        progress("Send", 0, total, f"{len(wanted)} of {len(names)} files")
        for sha256 in wanted:
            size = bundle.manifest.files[names[sha256]].bytes
            self._send(encoded("file", {"sha256": sha256, "bytes": size}))
            with bundle.file(names[sha256]).open("rb") as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    self._send(encoded("chunk", body=chunk))
                    sent += len(chunk)
                    progress("Send", min(sent, total), total, names[sha256])
            self._answer(silent)
        progress("Send", total, total, "done")
        return total

    def _send(self, content: bytes) -> None:
        try:
            with self._writing:
                if self._closed.is_set():
                    raise DeviceError(f"the connection to {self.destination} is closed")
                write_all(self._connection.stdin, content)
        except OSError:
            raise self._refusal() or self._connection.failure() from None

    def _refusal(self) -> EccError | None:
        """What the device said before it stopped listening."""
        with contextlib.suppress(queue.Empty, EccError):
            while isinstance(frame := self._frames.get(timeout=2), Frame):
                if frame.kind == "error":
                    return _remote_error(self.destination, frame.facts)
        return None

    def _answer(self, progress: Progress) -> Frame:
        while True:
            frame = self._frames.get()
            if frame is None:
                raise self._connection.failure()
            if isinstance(frame, EccError):
                raise frame
            if frame.kind == "progress":
                _report(frame.facts, progress)
            elif frame.kind == "error":
                raise _remote_error(self.destination, frame.facts)
            elif frame.kind == "crash":
                raise DeviceError(
                    f"ecc-deploy failed on {self.destination}; this is a bug, or something is broken there",
                    "\n".join(
                        shown(line, 400) for line in str(frame.facts.get("traceback"))[-_MAX_WORDS:].splitlines()
                    ),
                )
            else:
                return frame

    def _greeted(self) -> dict[str, Any]:
        try:
            greeting = self._greeting.get(timeout=GREETING_TIMEOUT_S)
        except queue.Empty:
            raise DeviceError(
                f"{self.destination} did not answer within {GREETING_TIMEOUT_S:g} s",
                f"Does a plain login work? {self.destination.command}",
            ) from None
        if isinstance(greeting, EccError):
            raise greeting
        if greeting.get("protocol") != PROTOCOL:
            raise DeviceError(
                f"the ecc-deploy on {self.destination} ({shown(str(greeting.get('version')))}) speaks another protocol",
                "Install the same version there: --device-install WHEEL.",
            )
        return greeting

    def _listen(self, python: str | None, extra: str) -> None:
        reader = FrameReader(self._read, MAX_FILE_BYTES)
        try:
            self._greeting.put(self._greeting_of(reader, python, extra))
            while (frame := reader.frame()) is not None:
                self._frames.put(frame)
        except EccError as error:
            self._greeting.put(error)
            self._frames.put(error)
        self._frames.put(None)

    def _greeting_of(self, reader: FrameReader, python: str | None, extra: str) -> dict[str, Any]:
        """The agent's, after what a login shell may have printed. Raises what is wrong where there is none."""
        room, probed = MAX_TEXT_BEFORE_BYTES, []
        try:
            while (line := reader.line(most=room)) is not None:
                text = line.decode(errors="replace")
                if text.startswith(GREETING):
                    return parsed(line[len(GREETING) :])
                if text.startswith(MARK):
                    probed.append(text)
                room -= len(line) + 1
                if room <= 0:
                    raise ProtocolError("too much text")
        except ProtocolError:
            raise DeviceError(
                f"{self.destination} answers with something that is not ecc-deploy's",
                "Its shell's start-up files must print little where nobody is at a terminal, or nothing.",
            ) from None
        if probed:
            raise nothing_found(self.destination, probed, python, extra)
        raise self._connection.failure()

    def _read(self) -> bytes:
        try:
            return os.read(self._connection.stdout, 1 << 16)
        except OSError:
            return b""

    def _ping(self) -> None:
        while not self._closed.wait(PING_INTERVAL_S):
            with contextlib.suppress(EccError):
                self._send(encoded("ping"))


def _report(facts: Mapping[str, Any], progress: Progress) -> None:
    what, done, total, note = (facts.get(key) for key in ("what", "done", "total", "note"))
    if isinstance(what, str) and isinstance(note, str) and type(done) is int and type(total) is int:
        progress(_plain(what, 60), done, total, _plain(note, 120))


def _plain(text: str, most: int) -> str:
    """No markup of a terminal's: brackets would steer it."""
    return shown(text, most).replace("[", "(").replace("]", ")")


def _remote_error(destination: Destination, facts: Mapping[str, Any]) -> EccError:
    """The device's error, as the same class of ours where there is one."""
    kind = getattr(errors, str(facts.get("type")), None)
    cls = kind if isinstance(kind, type) and issubclass(kind, EccError) else DeviceError
    message, hint = (
        "\n".join(shown(line, 1000) for line in str(facts.get(key, ""))[:_MAX_WORDS].splitlines())
        for key in ("message", "hint")
    )
    return cls(f"on {destination}: {message}", hint)
