"""``python -m ecc_deploy.links.proxy PROFILE``: TCP connections, each direction at a rate and with a delay.

Bytes go through the same :class:`~.line.Line` as packets do, in pieces that are counted as full segments with headers.
What cannot be shown this way: slow start and congestion control, losses, and how connections share a queue. The first
bytes of a connection wait for a round trip, as a handshake takes.
"""

from __future__ import annotations

import contextlib
import gc
import random
import select
import socket
import sys
import time
from typing import NamedTuple

from ecc_deploy.errors import LinkError
from ecc_deploy.links import namespace
from ecc_deploy.links.helper import Facts, Requests, say
from ecc_deploy.links.line import Line, Shape
from ecc_deploy.links.profile import LinkProfile
from ecc_deploy.links.relay import AWAKE_NS
from ecc_deploy.links.segments import PAYLOAD, with_headers

HOST = "127.0.0.1"
MAX_CONNECTIONS = 200
_PIECE = 4 * PAYLOAD
_MAX_PENDING = 1 << 20


class Half:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, sink: socket.socket, starts_ns: int) -> None:
        self.source, self.sink = source, sink
        self.starts_ns = starts_ns
        self.pending = bytearray()
        """Delivered, and not yet taken by the sink."""
        self.has_ended = False
        """The source will send no more; some of what it sent may still be on the line."""
        self._is_whole = self._is_shut = False
        self.other: Half = self

    @property
    def is_open(self) -> bool:
        return self.sink.fileno() >= 0

    def deliver(self, data: bytes) -> None:
        """Pass on what comes from the line; ``b""``: that was all."""
        self.pending += data
        self._is_whole = not data
        self.flush()

    def flush(self) -> None:
        """Write what the sink takes. A broken connection is closed both ways: one direction of it is of no use."""
        try:
            with contextlib.suppress(BlockingIOError):
                while self.pending:
                    del self.pending[: self.sink.send(self.pending)]
            if self._is_whole and not self.pending and not self._is_shut:
                self.sink.shutdown(socket.SHUT_WR)
                self._is_shut = True
        except OSError:
            self.close()
        if self._is_shut and self.other._is_shut:
            self.close()

    def close(self) -> None:
        """End the connection, both ways."""
        self.has_ended = self.other.has_ended = True
        self.source.close()
        self.sink.close()


class Piece(NamedTuple):
    half: Half
    data: bytes


class Proxy:
    """All connections, and the two lines that they share."""

    def __init__(self, profile: LinkProfile) -> None:
        rng = random.Random(0)
        self._profile = profile
        self._lines: dict[str, Line[Piece]] = {
            "up": Line(_shape(profile, "up"), rng),
            "down": Line(_shape(profile, "down"), rng),
        }
        self._listeners: dict[socket.socket, int] = {}
        self._ports: dict[int, int] = {}
        self._halves: dict[str, list[Half]] = {"up": [], "down": []}
        self._is_cut = False

    def listen(self, port: int) -> Facts:
        """The port here that leads to ``port``."""
        if port not in self._ports:
            listener = socket.create_server((HOST, 0))
            listener.setblocking(False)
            self._listeners[listener] = port
            self._ports[port] = listener.getsockname()[1]
        return {"port": self._ports[port]}

    def change(self, profile: Facts, own_ms: float) -> None:
        self._profile = LinkProfile.model_validate(profile)
        for name, line in self._lines.items():
            line.change(_shape(self._profile, name, own_ms), time.monotonic_ns())

    def cut(self) -> None:
        """Nothing passes. A stream cannot lose bytes, so they wait, as TCP would send them again."""
        self._is_cut = True

    def restore(self) -> None:
        self._is_cut = False

    def run(self, requests: Requests) -> None:
        """Pass bytes until the parent closes stdin."""
        while True:
            wait_ns = None if self._is_cut else self._deliver()
            for halves in self._halves.values():
                halves[:] = [half for half in halves if half.is_open]
            now = time.monotonic_ns()
            readers = {} if self._is_cut else {h.source: (name, h) for name, h in self._readable(now)}
            writers = {h.sink: h for halves in self._halves.values() for h in halves if h.pending}
            sources: list[int | socket.socket] = [requests.descriptor, *self._listeners, *readers]
            ready, writable, _ = select.select(sources, list(writers), [], _seconds(wait_ns, now))
            for sock in writable:
                writers[sock].flush()
            for source in ready:
                if isinstance(source, int):
                    if not requests.serve():
                        return
                elif source in readers:
                    self._take(*readers[source])
                else:
                    self._accept(source, self._listeners[source])

    def _deliver(self) -> int | None:
        """Write what is due; returns when something is to be done next."""
        nexts: list[int] = []
        now = time.monotonic_ns()
        for name, line in self._lines.items():
            while (piece := line.pop(time.monotonic_ns())) is not None:
                if piece.half.is_open:
                    piece.half.deliver(piece.data)
            if line.next_due is not None:
                nexts.append(line.next_due)
            nexts += [half.starts_ns for half in self._halves[name] if half.starts_ns > now]
        return min(nexts, default=None)

    def _readable(self, now: int) -> list[tuple[str, Half]]:
        return [
            (name, half)
            for name, halves in self._halves.items()
            if self._lines[name].has_room(now)
            for half in halves
            if half.starts_ns <= now and not half.has_ended and len(half.pending) < _MAX_PENDING
        ]

    def _accept(self, listener: socket.socket, port: int) -> None:
        near, _ = listener.accept()
        try:
            if len(self._halves["up"]) >= MAX_CONNECTIONS:
                raise OSError("too many connections")
            far = socket.create_connection((HOST, port), timeout=5)
        except OSError:
            near.close()
            return
        for sock in (near, far):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        now = time.monotonic_ns()
        up = Half(near, far, now + round(self._profile.rtt_ms * 1e6))
        down = Half(far, near, now)
        up.other, down.other = down, up
        self._halves["up"].append(up)
        self._halves["down"].append(down)

    def _take(self, name: str, half: Half) -> None:
        if not self._lines[name].has_room(time.monotonic_ns()):  # the half before took it
            return
        try:
            data = half.source.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            half.close()
            return
        half.has_ended = not data
        self._lines[name].push(Piece(half, data), with_headers(len(data)), time.monotonic_ns())


def _shape(profile: LinkProfile, direction: str, own_ms: float = 0.0) -> Shape:
    return Shape.of(profile, direction, own_ms)._replace(loss=0.0)


def _seconds(due_ns: int | None, now: int) -> float | None:
    return None if due_ns is None else max(0, due_ns - now - AWAKE_NS) / 1e9


def main() -> int:
    """Say so in one line of JSON, then pass connections until stdin closes."""
    try:
        proxy = Proxy(LinkProfile.model_validate_json(sys.argv[1]))
    except LinkError as error:
        say({"error": error.message, "hint": error.hint})
        return 1
    gc.disable()
    say({"notes": ["real-time priority" if namespace.be_on_time() else "ordinary priority"]})
    proxy.run(Requests({name: getattr(proxy, name) for name in ("listen", "change", "cut", "restore")}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
