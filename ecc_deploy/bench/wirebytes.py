"""Bytes on the wire, headers included, read from the kernel's own count of each TCP connection: no root, no capture.

Linux counts for every socket the payload bytes and the segments of both directions (``struct tcp_info`` in
``linux/tcp.h``). A segment costs an IP header (20 bytes for IPv4, 40 for IPv6), a TCP header (20) and, where it was
negotiated, the timestamp option (12, padding included):

    up   = bytes sent, retransmitted ones too  + headers x segments sent
    down = bytes received                      + headers x segments received

Acknowledgements without data are segments, so they are in it. Not in it: link-layer framing, SACK blocks, connection
attempts that fail, and data that arrived twice.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ecc_deploy.bench.endpoint import Address, plain
from ecc_deploy.links.counts import WireBytes as WireBytes

METHOD = "TCP_INFO: payload bytes + (IP + TCP headers with options) x segments, per arm's own connection"

_FDS = Path("/proc/self/fd")
_TIMESTAMPS = 1
_TCP_HEADER, _TIMESTAMP_OPTION = 20, 12
_FIN_NOT_SEEN = frozenset({1, 4, 5})  # ESTABLISHED, FIN_WAIT1, FIN_WAIT2
_MIN_INFO = 144  # up to and with tcpi_segs_in, Linux 4.2
_WITH_SENT = 216  # up to and with tcpi_bytes_retrans, Linux 4.19


def why_not() -> str | None:
    """Why this machine cannot count wire bytes, or ``None`` where it can."""
    if sys.platform != "linux":
        return f"not counted: TCP_INFO is read on Linux only, this is {sys.platform}"
    if not _FDS.is_dir():
        return "not counted: /proc is not mounted"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if len(probe.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 512)) < _MIN_INFO:
            return "not counted: this kernel's TCP_INFO has no segment counts"
    return None


class _Counters(NamedTuple):
    """One reading of TCP_INFO; the offsets in it are those of ``linux/tcp.h``, which only ever grows at its end."""

    last_ms: float
    """When data came in last, on the monotonic clock, to a tick of the kernel."""
    received: int
    """Payload bytes. The kernel counts the peer's end of stream as one; it is taken off."""
    wire: WireBytes


@dataclass
class _Connection:
    """A duplicate of a socket that another library owns: its counters outlive the owner's ``close``.

    Only ever read: blocking mode and lifetime of the connection stay the owner's (gRPC shuts a connection down
    explicitly, so the duplicate does not keep it open).
    """

    inode: int
    sock: socket.socket
    ip_header: int

    def read(self) -> _Counters:
        info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 512)
        (age_ms,) = struct.unpack_from("=I", info, 52)
        last_ms = time.monotonic() * 1e3 - age_ms
        sent, received, segments_out, segments_in = struct.unpack_from("=QQII", info, 120)
        if received and info[0] not in _FIN_NOT_SEEN:
            received -= 1
        if len(info) >= _WITH_SENT:
            (sent,) = struct.unpack_from("=Q", info, 200)
        header = self.ip_header + _TCP_HEADER + (_TIMESTAMP_OPTION if info[5] & _TIMESTAMPS else 0)
        wire = WireBytes(sent + header * segments_out, received + header * segments_in)
        return _Counters(last_ms, received, wire)

    def freshness(self) -> tuple[bool, float]:
        """Sorts the connection last that an answer came in on last; one that received nothing brought none."""
        counters = self.read()
        return counters.received > 0, counters.last_ms


class ServerSockets:
    """This process's TCP connections to one server, told apart by who claimed them. A context manager."""

    def __init__(self, addresses: Collection[Address]) -> None:
        self._peers = addresses
        self._claimed: dict[int, _Connection | None] = {}

    def pass_over(self) -> None:
        """Leave out the connections that exist now: they are somebody else's."""
        for connection in self._unclaimed():
            self._claimed[connection.inode] = None
            connection.sock.close()

    def claim(self) -> _Connection | None:
        """Return the connection that nobody has claimed and that an answer came in on last; ``None``: there is none."""
        free = self._unclaimed()
        chosen = max(free, key=_Connection.freshness, default=None)
        for connection in free:
            if connection is not chosen:
                connection.sock.close()
        if chosen is not None:
            self._claimed[chosen.inode] = chosen
        return chosen

    def _unclaimed(self) -> list[_Connection]:
        found: dict[int, _Connection] = {}
        for descriptor in [int(entry.name) for entry in _FDS.iterdir()]:
            try:
                facts = os.fstat(descriptor)
                if stat.S_ISSOCK(facts.st_mode) and facts.st_ino not in self._claimed and facts.st_ino not in found:
                    connection = self._duplicate(descriptor)
                    if connection is not None:
                        found[connection.inode] = connection
            except OSError:  # its owner has closed it meanwhile
                continue
        return list(found.values())

    def _duplicate(self, descriptor: int) -> _Connection | None:
        sock = socket.socket(fileno=os.dup(descriptor))
        try:
            if sock.type == socket.SOCK_STREAM and sock.family in (socket.AF_INET, socket.AF_INET6):
                peer = sock.getpeername()
                if plain(peer) in self._peers:
                    ip_header = 40 if ":" in plain(peer)[0] else 20
                    return _Connection(os.fstat(sock.fileno()).st_ino, sock, ip_header)
        except OSError:
            sock.close()
            raise
        sock.close()
        return None

    def __enter__(self) -> ServerSockets:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._claimed.values():
            if connection is not None:
                connection.sock.close()
        self._claimed.clear()


class WireCounter:
    """Counts the bytes of one client, over all the connections it has had since :meth:`start`."""

    def __init__(self, sockets: ServerSockets) -> None:
        self._sockets = sockets
        self._connections: list[_Connection] = []
        self._received = 0
        self._before = WireBytes(0, 0)
        self.is_complete = True
        """False once an answer came over no connection that could be found, as through a proxy."""

    def follow(self) -> None:
        """Call once when connected, then after each answer of the cloud: finds the connection that it came over.

        That is the last one, if its count of received bytes has grown; this costs one system call. Otherwise the
        client has connected anew, and the new connection is taken over with all that went over it.
        """
        if self._connections:
            received = self._connections[-1].read().received
            if received > self._received:
                self._received = received
                return
        connection = self._sockets.claim()
        if connection is None:
            self.is_complete = False
        else:
            self._connections.append(connection)
            self._received = connection.read().received

    def start(self) -> None:
        """Count from here; what has passed so far, and the opening of the present connection, is left out."""
        self._before = self._sum()

    def total(self) -> WireBytes | None:
        """The bytes since :meth:`start`, or ``None`` where some went uncounted."""
        if not self.is_complete:
            return None
        now = self._sum()
        return WireBytes(now.up - self._before.up, now.down - self._before.down)

    def _sum(self) -> WireBytes:
        counts = [connection.read().wire for connection in self._connections]
        return WireBytes(sum(c.up for c in counts), sum(c.down for c in counts))
