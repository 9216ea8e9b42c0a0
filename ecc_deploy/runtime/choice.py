"""What the adaptive policy is told, and what it says: budgets, codecs, choices, the state that it knows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ecc_deploy.errors import UsageError
from ecc_deploy.runtime.result import Reason


@dataclass(frozen=True)
class Policy:
    """What the runtime aims at, one budget or both; for gated deployments (ECC-I, ECC-D).

    ``latency_budget_ms``: of one sample, from the call. It is aimed at; what is enforced is the deadline.
    ``byte_budget``: bytes on the wire, both ways, ``byte_budget_per`` sample or second. ``codecs``: what may be used
    beside the deployment's own and those without loss, the most faithful first. ``max_offload_rate``: share that is
    sent where the budgets allow; ``None``: that of the bundle's gate. ``probe_s``: while the link is too slow, or
    fails, this often one sample is sent to see whether it still is.

    Raises :class:`UsageError` for values out of range.
    """

    latency_budget_ms: float | None = None
    byte_budget: float | None = None
    byte_budget_per: Literal["sample", "second"] = "sample"
    codecs: tuple[str, ...] = ()
    max_offload_rate: float | None = None
    hysteresis: float = 0.2
    probe_s: float = 1.0

    def __post_init__(self) -> None:
        if self.latency_budget_ms is None and self.byte_budget is None:
            raise UsageError("a policy needs a budget", "Give a latency budget, a byte budget, or both.")
        for name, value in (
            ("the latency budget", self.latency_budget_ms),
            ("the byte budget", self.byte_budget),
            ("probe_s", self.probe_s),
        ):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} is {value}; it must be above 0")
        rate = self.max_offload_rate
        if not 0 <= self.hysteresis < 1 or (rate is not None and not 0 <= rate <= 1):
            raise UsageError(f"hysteresis {self.hysteresis} or offload rate {rate} is out of range", "From 0 to 1.")


@dataclass
class Rung:
    """A codec that may be chosen. ``rank``: 0 for what loses nothing; the higher, the less faithful."""

    spec: str
    rank: int
    payload_bytes: float
    """Of one sample, on average."""
    encode_ms: float


@dataclass
class Choice:
    """``spec``: the codec to send it by; ``None``: the edge answers, for ``reason``.

    ``probe``: a codec to send it by beside that, whose answer nobody waits for.
    """

    reason: Reason
    spec: str | None = None
    detail: str = ""
    probe: str | None = None
    wire_bytes: float = 0.0
    queued_bytes: float = 0.0
    """Those of the requests under way when it was sent, and its own."""


@dataclass(frozen=True)
class LinkState:
    """What is known: milliseconds; bytes per millisecond (``None``: not seen to matter); shares from 0 to 1."""

    rtt_ms: float
    bytes_per_ms: float | None
    deviation_ms: float
    server_ms: float
    failures: float
    is_usable: bool
    offload_rate: float
    threshold: float


def read_policy(
    latency_budget_ms: float | None, byte_budget: str | None, codecs: Sequence[str], max_offload_rate: float | None
) -> Policy | None:
    """The policy of a command line; ``byte_budget`` is ``"200"``, per sample, or ``"20000/s"``.

    ``None`` where no budget is given. Raises :class:`UsageError` for what is no budget, and for codecs or a rate
    without one.
    """
    if latency_budget_ms is None and byte_budget is None:
        if codecs or max_offload_rate is not None:
            raise UsageError(
                "codecs and an offload rate are chosen under a budget", "Give --latency-budget or --byte-budget too."
            )
        return None
    number, slash, unit = (byte_budget or "").partition("/")
    try:
        budget = float(number) if byte_budget is not None else None
    except ValueError:
        budget = math.nan
    if (slash and unit != "s") or (budget is not None and not (math.isfinite(budget) and budget > 0)):
        raise UsageError(
            f"{byte_budget!r} is no byte budget", "Write 200 for bytes per sample, 20000/s for bytes per second."
        )
    return Policy(
        latency_budget_ms, budget, "second" if slash else "sample", tuple(codecs), max_offload_rate=max_offload_rate
    )
