"""Measuring a link between two network namespaces: pings, and bursts of UDP, with the kernel's own time stamps.

UDP, because a burst of it shows the line's rate; TCP would show its slow start and what it makes of losses.
Its far end is :mod:`ecc_deploy.links.far_probe`.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import statistics
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ecc_deploy.links.helper import Helper

IP_UDP_HEADERS = 28
_PING_BYTES = 44
_PINGS, _PING_EVERY_S = 15, 0.004
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_TIMESPEC = struct.Struct("@qq")


class Burst(NamedTuple):
    """UDP packets to be sent one behind the other; ``size`` in IP bytes."""

    packets: int
    size: int


class Arrivals(NamedTuple):
    """What of a burst arrived: its slope is the line's rate."""

    ns: list[int]
    size: int

    @property
    def mbit(self) -> float:
        """10^6 bits of IP packets per second, by regression of bytes over time. Needs three packets."""
        bits = [8.0 * self.size * (index + 1) for index in range(len(self.ns))]
        times = [(at - self.ns[0]) / 1e3 for at in self.ns]
        return statistics.linear_regression(times, bits).slope


def _stamped(kind: int, protocol: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
    return sock


def _receive(sock: socket.socket, until: float) -> tuple[bytes, int] | None:
    """The next packet, and when the kernel had it, in ns of the system's clock; ``None`` where none comes in time."""
    ready, _, _ = select.select([sock], [], [], max(0.0, until - time.monotonic()))
    if not ready:
        return None
    data, ancillary, _, _ = sock.recvmsg(2048, 128)
    seconds, ns = _TIMESPEC.unpack(ancillary[0][2][: _TIMESPEC.size])
    return data, seconds * 1_000_000_000 + ns


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Give this thread the priority of the relay, where that is allowed: else it would stop for it at every packet."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, *before)


class UdpEnd:
    """One end of a burst."""

    def __init__(self, address: str) -> None:
        self._sock = _stamped(socket.SOCK_DGRAM)
        self._sock.bind((address, 0))
        self.port: int = self._sock.getsockname()[1]

    def send(self, burst: Burst, host: str, port: int) -> None:
        data = bytes(burst.size - IP_UDP_HEADERS)
        with _undisturbed():
            for _ in range(burst.packets):
                self._sock.sendto(data, (host, port))

    def receive(self, burst: Burst, timeout_s: float) -> Arrivals:
        """What comes in until the burst is whole, or the time is over."""
        until = time.monotonic() + timeout_s
        stamps: list[int] = []
        while len(stamps) < burst.packets and (found := _receive(self._sock, until)) is not None:
            stamps.append(found[1])
        return Arrivals(stamps, burst.size)

    def close(self) -> None:
        self._sock.close()


def ping(host: str, timeout_s: float) -> list[float]:
    """Round trips to ``host`` in ms, by ICMP, which its kernel answers. Needs root. Empty: no answer came."""
    with contextlib.closing(_stamped(socket.SOCK_RAW, socket.IPPROTO_ICMP)) as sock:
        sock.connect((host, 0))
        mark = os.getpid() & 0xFFFF
        sent: dict[int, int] = {}
        found: list[float] = []
        until = time.monotonic() + timeout_s
        while len(found) < _PINGS:
            if len(sent) < _PINGS:
                sent[len(sent)] = time.time_ns()
                sock.send(_echo_request(mark, len(sent) - 1))
            wait_until = min(until, time.monotonic() + _PING_EVERY_S) if len(sent) < _PINGS else until
            while (packet := _receive(sock, wait_until)) is not None:
                data, at = packet
                kind, _, _, its_mark, number = struct.unpack_from(">BBHHH", data, (data[0] & 15) * 4)
                if kind == 0 and its_mark == mark and number in sent:
                    found.append((at - sent[number]) / 1e6)
                    if len(found) == _PINGS:
                        break
            if time.monotonic() >= until:
                break
        return found


def _echo_request(mark: int, number: int) -> bytes:
    body = bytes(_PING_BYTES - 28)
    words = struct.pack(">BBHHH", 8, 0, 0, mark, number) + body
    total = sum(struct.unpack(f">{len(words) // 2}H", words))
    total = (total >> 16) + (total & 0xFFFF)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return struct.pack(">BBHHH", 8, 0, checksum, mark, number) + body


class NamespaceProber:
    """Measures between this namespace and that of a far end. A process at the far end helps."""

    ping_bytes = _PING_BYTES

    def __init__(self, far: list[str], near_host: str, far_host: str) -> None:
        self._far_host, self._near_host = far_host, near_host
        self._near = UdpEnd(near_host)
        try:
            self._helper = Helper("ecc_deploy.links.far_probe", far_host, prefix=tuple(far))
        except BaseException:
            self._near.close()
            raise
        self._far_port: int = self._helper.facts["port"]

    def rtt_ms(self, timeout_s: float) -> float | None:
        """The median; ``None``: nothing came back."""
        found = ping(self._far_host, timeout_s)
        return statistics.median(found) if found else None

    def mbit(self, direction: str, burst: Burst, timeout_s: float) -> float | None:
        """The line's rate; ``None``: less than half of the burst arrived."""
        if direction == "up":
            self._near.send(burst, self._far_host, self._far_port)
            answer = self._helper.ask(
                "receive", timeout_s + 30, packets=burst.packets, size=burst.size, within_s=timeout_s
            )
            arrivals = Arrivals(answer["ns"], burst.size)
        else:
            self._helper.ask("send", packets=burst.packets, size=burst.size, host=self._near_host, port=self._near.port)
            arrivals = self._near.receive(burst, timeout_s)
        return arrivals.mbit if len(arrivals.ns) > max(3, burst.packets // 2) else None

    def close(self) -> None:
        self._helper.close()
        self._near.close()
