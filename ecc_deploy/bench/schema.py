"""``bench.json``: what a benchmark measured. Typed, versioned; every key with a unit says it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ecc_deploy.atomic import write_file
from ecc_deploy.errors import UsageError

MAX_FILE_BYTES = 256 << 20


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Quantiles(_Strict):
    """Of one series; ``mean`` is the arithmetic mean."""

    p50: float
    p90: float
    p95: float
    p99: float
    mean: float


class RawSamples(_Strict):
    """One entry per measured sample, in the order they were measured."""

    sample: list[int]
    """Index into the dataset's test part."""
    label: list[int]
    predicted: list[int]
    route: list[str]
    reason: list[str]
    payload_bytes: list[int]
    stages_ms: dict[str, list[float]]
    """By stage of ``runtime.result.Timings``, ``total`` included."""


class Arm(_Strict):
    """One way to answer, measured: a deployment of the bundle, with one codec."""

    name: str
    """For example ``dynamic`` or ``cloud-only/webp:80``."""
    deployment: str
    architecture: str
    codec: str | None
    fused: bool = False
    """Whether what the cloud answered was answered by edge and cloud together."""
    samples: int
    accuracy: float
    """0 to 1."""
    offload_rate: float
    """Share that was answered by the cloud."""
    fallback_rate: float
    """Share that the cloud should have answered and the edge did."""
    reasons: dict[str, int]
    latency_ms: Quantiles
    latency_offloaded_ms: Quantiles | None
    """Of the samples that the cloud answered."""
    stages_mean_ms: dict[str, float]
    """Mean over all samples, so that the stages add up to ``latency_ms.mean``."""
    payload_bytes_per_sample: float
    payload_bytes_per_offload: float | None
    """Mean over the samples that were encoded to be sent, those that fell back included."""
    wire_up_bytes_per_sample: float | None
    """TCP/IP bytes from edge to cloud, headers and acknowledgements included; absent where they cannot be counted."""
    wire_down_bytes_per_sample: float | None
    edge_macs_per_sample: float
    cloud_macs_per_sample: float
    raw: RawSamples


class Bench(_Strict):
    """A whole benchmark."""

    schema_version: Literal[1] = 1
    created: str
    bundle: dict[str, Any]
    """Name, pair_id, dataset, targets, precision of each half, guard results."""
    settings: dict[str, Any]
    """Samples, warm-up, seed, threads, deadline_ms, order, link, how wire bytes were counted, where the server ran."""
    environment: dict[str, Any]
    raw_input_bytes: int
    """Bytes of one uint8 input."""
    arms: Annotated[list[Arm], Field(min_length=1)]
    warnings: list[str] = []
    """What a reader must know before using the figures: fallbacks, a server that ended, a busy machine."""

    def arm(self, name: str) -> Arm:
        """The arm ``name``; raises KeyError."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise KeyError(name)


def save_bench(bench: Bench, path: str | Path) -> None:
    """Write ``bench.json`` whole or not at all."""
    write_file(Path(path), (bench.model_dump_json(indent=1) + "\n").encode())


def load_bench(path: str | Path) -> Bench:
    """Read ``bench.json``. Raises :class:`UsageError` for a file that is not one."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
        return Bench.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "(file)"
        raise UsageError(
            f"{path} is not a bench.json of this version: {where}: {first['msg']}",
            "`ecc-deploy bench BUNDLE --out bench.json` makes one.",
        ) from error
