"""Whether an emulated link is what its profile says: measured before anything is measured on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from ecc_deploy.errors import LinkError
from ecc_deploy.links.probes import Burst
from ecc_deploy.links.profile import LinkProfile

TOLERANCE = 0.05
ATTEMPTS = 4
"""A busy machine may disturb one measurement, but not the emulation."""
_MTU = 1500
_BURST_PACKETS = (6, 300)
_BURST_MS = 250.0


class LinkCheck(BaseModel):
    """What was measured on a link, without its jitter and loss. ``None``: the profile sets no such limit."""

    model_config = ConfigDict(frozen=True)

    up_mbit: float | None
    down_mbit: float | None
    rtt_ms: float | None
    """Without the time that the probe itself takes on the line."""
    off: dict[str, float]
    """Measured over wanted, minus one: 0.01 is one per cent too much."""
    tolerance: float = TOLERANCE
    attempts: int
    """Of the quantity that took the most."""


class Prober(Protocol):
    """What measures. ``None``: nothing, or too little, arrived."""

    ping_bytes: int
    """On the line, each way."""

    def rtt_ms(self, timeout_s: float) -> float | None: ...

    def mbit(self, direction: str, burst: Burst, timeout_s: float) -> float | None: ...


def calibrate_and_check(
    profile: LinkProfile, prober: Prober, apply: Callable[[LinkProfile, float], None]
) -> tuple[LinkCheck, float]:
    """Measure what the emulation takes by itself, take that off the delay, and measure what it then gives.

    ``apply(profile, own_ms)`` sets the link. Returns the check and ``own_ms``, the round trip that was taken off.
    """
    even = profile.model_copy(update={"jitter_ms": 0.0, "loss": 0.0})
    for is_last in (False, True):
        apply(even, 0.0)
        found = [_measure("rtt_ms", even, prober) for _ in range(2)]
        own_ms = max(0.0, min((rtt_ms for rtt_ms in found if rtt_ms is not None), default=0.0) - even.rtt_ms)
        apply(even, own_ms)
        try:
            check = check_link(even, prober)
        except LinkError:  # a busy moment may have been taken for the emulation's own delay
            if is_last:
                raise
        else:
            break
    apply(profile, own_ms)
    return check, own_ms


def check_link(profile: LinkProfile, prober: Prober) -> LinkCheck:
    """Measure rates and round trip. Raises :class:`LinkError` where one is off by more than :data:`TOLERANCE`."""
    wanted = {"up_mbit": profile.up_mbit, "down_mbit": profile.down_mbit, "rtt_ms": profile.rtt_ms or None}
    measured: dict[str, float | None] = {}
    off: dict[str, float] = {}
    most = 0
    for quantity, value in wanted.items():
        measured[quantity] = None
        if value is None:
            continue
        for attempt in range(1, ATTEMPTS + 1):
            most = max(most, attempt)
            found = _measure(quantity, profile, prober)
            measured[quantity] = found
            off[quantity] = found / value - 1 if found is not None else -1.0
            if abs(off[quantity]) <= TOLERANCE:
                break
    wrong = [quantity for quantity, share in off.items() if abs(share) > TOLERANCE]
    if wrong:
        raise LinkError(
            "the emulated link is not what its profile says: "
            + ", ".join(_told(quantity, measured[quantity], wanted[quantity]) for quantity in wrong),
            f"Nothing is measured on a link that is off by more than {TOLERANCE:.0%}. Is this machine very busy, or "
            "too slow for this rate? A smaller rate or a longer delay asks less of it.",
        )
    return LinkCheck(
        up_mbit=measured["up_mbit"],
        down_mbit=measured["down_mbit"],
        rtt_ms=measured["rtt_ms"],
        off=off,
        attempts=most,
    )


def _told(quantity: str, found: float | None, wanted: float | None) -> str:
    name, unit = {
        "up_mbit": ("rate up", "Mbit/s"),
        "down_mbit": ("rate down", "Mbit/s"),
        "rtt_ms": ("round trip", "ms"),
    }[quantity]
    return f"{name} {'nothing arrived' if found is None else f'{found:.5g}'} instead of {wanted:g} {unit}"


def _measure(quantity: str, profile: LinkProfile, prober: Prober) -> float | None:
    if quantity == "rtt_ms":
        found = prober.rtt_ms(timeout_s=2.0 + profile.rtt_ms / 1e3 * 3)
        return None if found is None else found - serialization_ms(profile, prober.ping_bytes)
    direction, mbit = ("up", profile.up_mbit) if quantity == "up_mbit" else ("down", profile.down_mbit)
    assert mbit is not None
    burst = _burst(mbit, profile.queue_ms)
    line_s = burst.packets * burst.size * 8 / (mbit * 1e6)
    return prober.mbit(direction, burst, timeout_s=1.0 + 2 * line_s + profile.rtt_ms / 1e3)


def serialization_ms(profile: LinkProfile, size: int) -> float:
    """How long ``size`` bytes take on the line, up and down together."""
    return sum(size * 8 / (mbit * 1e3) for mbit in (profile.up_mbit, profile.down_mbit) if mbit)


def _burst(mbit: float, queue_ms: float) -> Burst:
    """As much as the queue takes, in whole packets where that is enough of them."""
    least, most = _BURST_PACKETS
    room = mbit * 1e3 / 8 * min(queue_ms * 0.8, _BURST_MS)
    size = int(min(_MTU, max(64, room / least)))
    return Burst(packets=int(max(least, min(most, room / size))), size=size)
