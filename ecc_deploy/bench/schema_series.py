"""Parts of ``bench.json``: what the series of one arm say. Every key with a unit says it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """A part of ``bench.json``: no field that is not known."""

    model_config = ConfigDict(extra="forbid")


class Quantiles(Strict):
    """Of one series; ``mean`` is the arithmetic mean."""

    p50: float
    p90: float
    p95: float
    p99: float
    mean: float
    ci95: dict[str, tuple[float, float]] = {}
    """95 % interval of each of the five, by its name; empty where none was computed (files of version 1)."""


class Repeated(Strict):
    """A few repetitions of something that is too slow to repeat a thousand times: all of them, in their order."""

    values: Annotated[list[float], Field(min_length=1)]
    p50: float
    least: float
    most: float


class Floor(Strict):
    """What an offloaded sample takes at least, and what it took: milliseconds, medians over offloaded samples.

    ``total_ms`` is the sum of the four before it: ``edge_ms`` (preprocessing, edge half, payload codec),
    ``serialization_ms`` (wire bytes of both directions over the link's rates), ``rtt_ms`` (the link's round trip) and
    ``cloud_ms`` (payload codec, preprocessing and cloud half). What ``measured_p50_ms`` has beyond it is overhead:
    protocol, both gRPC stacks, queues, TCP's own waiting, jitter and loss of the link.
    """

    edge_ms: float
    serialization_ms: float
    rtt_ms: float
    cloud_ms: float
    total_ms: float
    measured_p50_ms: float
    overhead_ms: float
    """``measured_p50_ms - total_ms``."""
    overhead_ratio: float
    """``overhead_ms / total_ms``: 0.05 is five percent above the floor."""
    wire_up_bytes_per_offload: float
    wire_down_bytes_per_offload: float


class Cold(Strict):
    """What comes once, before an arm is warm: each repetition is a new process with a new connection.

    The server is warm, and files are in the page cache.
    """

    process_start_ms: Repeated
    """From the start of the interpreter to the end of the imports."""
    connection_ms: Repeated | None
    """TCP, HTTP/2 and the exchange of pair ids; ``None`` where the arm needs no server."""
    engine_load_ms: Repeated
    """Loading every half that the edge needs, the fallback's included."""
    first_inference_ms: Repeated
    """The first sample: one that the arm sends, where it sends any."""


class IdlePoint(Strict):
    """The first offload after a gap in which nothing ran."""

    gap_s: float
    samples: int
    fallbacks: int
    """Of these samples, those that the edge answered because the cloud did not."""
    latency_ms: Quantiles
    values_ms: list[float]


class Energy(Strict):
    """Energy of the machine that runs the edge, while one arm answers sample after sample; or why there is none.

    ``sensor`` names what was read and what it covers. ``joules_per_sample`` is all that the sensor saw over the samples
    answered; ``idle_watts`` was measured just before, with nothing running.
    """

    sensor: str | None = None
    not_measured: str | None = None
    """Why there are no figures; ``None`` where there are."""
    samples: int = 0
    seconds: float = 0.0
    joules_per_sample: float | None = None
    mean_watts: float | None = None
    idle_watts: float | None = None
    joules: dict[str, float] = {}
    """By domain of the sensor, as far as its sum has no part twice."""


class Scenario(Strict):
    """One run of one arm under MLPerf LoadGen, whose word on it is ``valid``."""

    name: Literal["single-stream", "fixed-rate", "offline"]
    arm: str
    link: str | None = None
    valid: bool
    """LoadGen's verdict by its own rules, of the settings given here; no submission to MLPerf."""
    why_not: list[str] = []
    """What LoadGen says of a run that is not valid."""
    target_qps: float | None = None
    """Queries per second that were asked for (fixed-rate), or expected at most (offline)."""
    qps: float | None
    """Samples per second that were answered; ``None`` where LoadGen gives none."""
    samples: int
    fallbacks: int
    accuracy: float
    duration_s: float
    latency_ms: Quantiles | None
    """From the time the query was due to its answer; ``None`` for offline, where only the throughput counts."""
    values_ms: list[float] = []
    """From the issue of each query to its answer, in the order of issue."""
    settings: dict[str, Any]
    """As given to LoadGen, with its version."""
