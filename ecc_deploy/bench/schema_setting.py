"""Parts of ``bench.json``: the links, and the state of the machine before and after."""

from __future__ import annotations

from pydantic import Field

from ecc_deploy.bench.schema_series import Strict


class LinkFacts(Strict):
    """A link that arms were measured over: what it was to be, how it was made, and what a check of it found."""

    name: str
    title: str = ""
    method: str
    """``netem``, ``tun`` or ``proxy``; ``real`` for a link that nobody emulated."""
    note: str = ""
    """What a reader must know of the method."""
    up_mbit: float | None = None
    """From edge to cloud, IP bits; ``None``: not limited."""
    down_mbit: float | None = None
    rtt_ms: float
    jitter_ms: float = 0.0
    loss: float = 0.0
    """Of packets, each way, 0 to 1."""
    queue_ms: float | None = None
    """Length of the queue before the bottleneck."""
    source: str = ""
    """Where the profile's figures are from."""
    measured_up_mbit: float | None = None
    measured_down_mbit: float | None = None
    measured_rtt_ms: float | None = None
    deviations: dict[str, float] = Field(default_factory=dict)
    """By quantity, measured over wanted less 1."""
    wire_up_bytes: int | None = None
    """IP bytes that the link itself counted while arms were measured; ``None`` where it cannot count."""
    wire_down_bytes: int | None = None
    tcp_info_up_bytes: int | None = None
    """The same by TCP_INFO, summed over the arms of this link; ``None`` where one could not be counted."""
    tcp_info_down_bytes: int | None = None


class Conditions(Strict):
    """The machine's state at one moment; ``None`` for what this machine does not tell."""

    at: str
    """UTC."""
    cpu_governor: str | None = None
    cpu_frequency_mhz: int | None = None
    """Mean over the cores."""
    temperature_c: float | None = None
    """The hottest of ``temperatures_c``."""
    temperatures_c: dict[str, float] = Field(default_factory=dict)
    throttling: list[str] = Field(default_factory=list)
    """What throttles now, or has since the machine started, in words; see ``throttle_sensor`` for an empty list."""
    throttle_sensor: str | None = None
    """What said so; ``None``: nothing here can."""
    throttle_events: int | None = None
    """Thermal events that the CPU has counted since the machine started, summed over cores and package."""
    load_average: float | None = None
    cpu_steal_s: float | None = None
    """CPU time since the machine started that a hypervisor gave to others."""


class BeforeAfter(Strict):
    """The machine's state before warm-up and after the last sample."""

    before: Conditions
    after: Conditions
