"""One direction of an emulated link, as arithmetic: when a packet that comes in now goes out. No clock, no sockets."""

from __future__ import annotations

import random
from collections import deque
from typing import Any, Generic, NamedTuple, TypeVar

from ecc_deploy.links.profile import LinkProfile

MAX_HELD_BYTES = 64 << 20
"""What one direction holds at most, waiting and under way, whatever its profile says."""


class Shape(NamedTuple):
    """What one direction does to packets. Times in nanoseconds."""

    ns_per_byte: float
    """0: no limit."""
    delay_ns: int
    jitter_ns: int
    loss: float
    queue_ns: int

    @classmethod
    def of(cls, profile: LinkProfile, direction: str, own_ms: float = 0.0) -> Shape:
        """``direction``: "up" or "down". ``own_ms``: round trip that the emulation takes itself, to be taken off."""
        mbit = profile.up_mbit if direction == "up" else profile.down_mbit
        return cls(
            ns_per_byte=8000 / mbit if mbit else 0.0,
            delay_ns=max(0, round((profile.delay_ms - own_ms / 2) * 1e6)),
            jitter_ns=round(profile.jitter_ms * 1e6),
            loss=profile.loss,
            queue_ns=round(profile.queue_ms * 1e6),
        )


Packet = TypeVar("Packet")


class _Held(NamedTuple):
    """A packet that is in the link. Times in nanoseconds, of the caller's clock."""

    due: int
    sent: int
    """When its last bit is on the line."""
    size: int
    packet: Any  # not generic: Python 3.10 has no generic NamedTuple


class Line(Generic[Packet]):
    """A bounded queue, then a line of one rate, then a delay; packets stay in order.

    A packet of n bytes that comes in at t is sent at ``max(t, end of the one before) + n / rate`` and goes out a delay
    later. What would wait longer than the queue allows is dropped. Loss is drawn before the queue, as netem does.
    """

    def __init__(self, shape: Shape, rng: random.Random) -> None:
        self._shape = shape
        self._rng = rng
        self._held: deque[_Held] = deque()
        self._held_bytes = 0
        self._free = 0
        self._last_due = 0
        self._is_cut = False
        self.dropped = 0
        """Packets that found the queue full, or the link cut."""
        self.lost = 0
        """Packets that the profile's loss took."""

    def push(self, packet: Packet, size: int, now: int) -> bool:
        """Put in a packet of ``size`` bytes; False where it is dropped or lost."""
        shape = self._shape
        start = max(now, self._free)
        if self._is_cut or start - now > shape.queue_ns or self._held_bytes + size > MAX_HELD_BYTES:
            self.dropped += 1
            return False
        if shape.loss and self._rng.random() < shape.loss:
            self.lost += 1
            return False
        self._free = sent = start + round(size * shape.ns_per_byte)
        due = sent + shape.delay_ns
        if shape.jitter_ns:
            due += self._rng.randint(-shape.jitter_ns, shape.jitter_ns)
        self._last_due = due = max(due, self._last_due)
        self._held.append(_Held(due, sent, size, packet))
        self._held_bytes += size
        return True

    def pop(self, now: int) -> Packet | None:
        """The next packet that is due; ``None``: there is none yet."""
        if not self._held or self._held[0].due > now:
            return None
        held = self._held.popleft()
        self._held_bytes -= held.size
        packet: Packet = held.packet
        return packet

    @property
    def next_due(self) -> int | None:
        """When :meth:`pop` next gives something."""
        return self._held[0].due if self._held else None

    def waiting_ns(self, now: int) -> int:
        """How long a packet that comes in now would wait for the line."""
        return max(0, self._free - now)

    def has_room(self, now: int) -> bool:
        """Whether the queue would take a packet that comes in now."""
        return self.waiting_ns(now) <= self._shape.queue_ns and self._held_bytes < MAX_HELD_BYTES // 2

    def change(self, shape: Shape, now: int) -> None:
        """Go on with another shape. What waits for the line is sent at the new rate; its delay stays."""
        before, self._shape = self._shape.ns_per_byte, shape
        ratio = shape.ns_per_byte / before if before else 1.0
        due = 0
        for index, held in enumerate(self._held):
            sent = held.sent if held.sent <= now else now + round((held.sent - now) * ratio)
            due = max(due, held.due + sent - held.sent)
            self._held[index] = held._replace(due=due, sent=sent)
        if self._free > now:
            self._free = now + round((self._free - now) * ratio)
        self._last_due = due

    def cut(self) -> None:
        """Nothing passes from here; what is under way is lost."""
        self._is_cut = True
        self.dropped += len(self._held)
        self._held.clear()
        self._held_bytes = 0
        self._free = self._last_due = 0

    def restore(self) -> None:
        """Packets pass again."""
        self._is_cut = False
