"""The loop that passes packets between two TUN devices, each direction through its :class:`~.line.Line`.

Sleeping is not exact enough: the loop sleeps until shortly before the next packet is due, then looks at the clock
until it is.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable

from ecc_deploy.links.line import Line

AWAKE_NS = 120_000
"""How long before a packet is due the loop stops sleeping: what waking up takes."""
_BATCH = 64
_MAX_PACKET = 65_535


class Side:
    """What comes in at one device, and goes out at the other."""

    def __init__(self, source: int, sink: int, line: Line[bytes]) -> None:
        self.source = source
        self._sink = sink
        self.line = line
        self.bytes_in = self.bytes_out = 0
        """IP bytes that came in, and that went out at the other end."""

    def take(self) -> None:
        """Read what is there, up to a batch."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(_BATCH):
                packet = os.read(self.source, _MAX_PACKET)
                if packet[0] >> 4 == 4:  # IPv6 is switched off; what a kernel sends by itself is not the link's
                    self.bytes_in += len(packet)
                    self.line.push(packet, len(packet), time.monotonic_ns())

    def deliver(self) -> int | None:
        """Write what is due; returns when the next one is."""
        while (packet := self.line.pop(time.monotonic_ns())) is not None:
            try:
                os.write(self._sink, packet)
                self.bytes_out += len(packet)
            except OSError:  # the device is down, or its kernel has no memory for a packet: as on a real link
                self.line.dropped += 1
        return self.line.next_due


def relay(up: Side, down: Side, control: int, serve: Callable[[], bool]) -> None:
    """Pass packets until ``serve``, called when ``control`` is readable, returns False."""
    sources = [up.source, down.source, control]
    while True:
        due = [at for at in (up.deliver(), down.deliver()) if at is not None]
        wait_ns = min(due) - time.monotonic_ns() - AWAKE_NS if due else None
        ready, _, _ = select.select(sources, [], [], None if wait_ns is None else max(0, wait_ns) / 1e9)
        if up.source in ready:
            up.take()
        if down.source in ready:
            down.take()
        if control in ready and not serve():
            return
