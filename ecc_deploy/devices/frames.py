"""What the two ends say to each other over one ssh connection: a line of JSON, then as many bytes as it announces.

    {"kind": "progress", "facts": {...}, "bytes": 0}

Both ends distrust each other: lines and bodies are bounded, and nothing but JSON is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ecc_deploy.errors import DeviceError

PROTOCOL = 1
"""Changes with what is said; both ends must say the same."""
GREETING = "ecc-deploy-device "
"""Before the first line, which may follow what a login shell of the device prints."""
CHUNK_BYTES = 256 << 10
"""Files go in bodies of at most this, so that an end is seen soon."""
MAX_LINE_BYTES = 256 << 10
MAX_TEXT_BEFORE_BYTES = 64 << 10


class ProtocolError(DeviceError):
    """The other end said something that is no frame."""


@dataclass(frozen=True)
class Frame:
    """One message."""

    kind: str
    facts: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""


def encoded(kind: str, facts: Mapping[str, Any] | None = None, body: bytes = b"") -> bytes:
    """The bytes of one frame."""
    line = json.dumps({"kind": kind, "facts": dict(facts or {}), "bytes": len(body)}, allow_nan=False)
    return line.encode() + b"\n" + body


def write_all(handle: int, content: bytes) -> None:
    """Write everything to a file descriptor. Raises OSError."""
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]


class FrameReader:
    """Frames from ``read``, which returns some bytes, or none at the end; bodies up to ``max_body_bytes``."""

    def __init__(self, read: Callable[[], bytes], max_body_bytes: int) -> None:
        self._read = read
        self._max_body_bytes = max_body_bytes
        self._pending = bytearray()

    def line(self, most: int = MAX_LINE_BYTES) -> bytes | None:
        """The next line, without its end; ``None`` at the end. Raises :class:`ProtocolError` beyond ``most`` bytes."""
        searched = 0
        while (end := self._pending.find(b"\n", searched)) < 0:
            searched = len(self._pending)
            if searched > most:
                raise ProtocolError(f"a line of more than {most} bytes came")
            if not (more := self._read()):
                return None
            self._pending += more
        found = bytes(self._pending[:end])
        del self._pending[: end + 1]
        return found

    def frame(self) -> Frame | None:
        """The next frame; ``None`` at the end. Raises :class:`ProtocolError` for anything else."""
        line = self.line()
        if line is None:
            if self._pending:
                raise ProtocolError("the connection ended within a message")
            return None
        facts = parsed(line)
        kind, details, size = facts.get("kind"), facts.get("facts"), facts.get("bytes")
        if not isinstance(kind, str) or not isinstance(details, dict) or type(size) is not int or size < 0:
            raise ProtocolError(f"this is no message: {shown(line)}")
        if size > self._max_body_bytes:
            raise ProtocolError(f"a message of {size} bytes came; at most {self._max_body_bytes} are taken")
        return Frame(kind, details, self._take(size))

    def _take(self, size: int) -> bytes:
        while len(self._pending) < size:
            if not (more := self._read()):
                raise ProtocolError("the connection ended within a message")
            self._pending += more
        found = bytes(self._pending[:size])
        del self._pending[:size]
        return found


def parsed(line: bytes) -> dict[str, Any]:
    """A JSON object. Raises :class:`ProtocolError` for anything else."""
    try:
        facts = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError(f"this is no message: {shown(line)}") from None
    if not isinstance(facts, dict):
        raise ProtocolError(f"this is no message: {shown(line)}")
    return facts


def shown(text: bytes | str, most: int = 200) -> str:
    """What another machine said, for a sentence: at most ``most`` characters, all printable."""
    decoded = text.decode(errors="replace") if isinstance(text, bytes) else text
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in decoded[: most + 1])
    return clean if len(clean) <= most else clean[:most] + "…"


def document(body: bytes) -> Any:
    """The JSON document in ``body``, its texts without control characters. Raises :class:`ProtocolError`."""
    try:
        return _printable(json.loads(body))
    except (ValueError, RecursionError):
        raise ProtocolError(f"this is no JSON: {shown(body[:400])}") from None


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in value)
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list) and not all(type(item) in (int, float) for item in value):
        return [_printable(item) for item in value]
    return value
