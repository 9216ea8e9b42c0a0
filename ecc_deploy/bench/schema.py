"""``bench.json``: what a benchmark measured. Typed, versioned; every key with a unit says it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from ecc_deploy.atomic import write_file
from ecc_deploy.bench.schema_series import Cold, Energy, Floor, IdlePoint, Quantiles, Scenario, Strict
from ecc_deploy.bench.schema_setting import BeforeAfter, LinkFacts
from ecc_deploy.errors import UsageError

MAX_FILE_BYTES = 256 << 20


class RawSamples(Strict):
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


class Arm(Strict):
    """One way to answer, measured: a deployment of the bundle, with one codec, over one link.

    ``name`` and ``link`` together are unique within a benchmark.
    """

    name: str
    """For example ``dynamic`` or ``cloud-only/webp:80``."""
    link: str | None = None
    """Name of one of the benchmark's ``links``; ``None``: over the network as it is, or over none."""
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
    floor: Floor | None = None
    """``None`` without a link whose rate and delay are known, or where nothing was offloaded."""
    cold: Cold | None = None
    """``None`` where it was not asked for."""
    idle: list[IdlePoint] = Field(default_factory=list)
    """By growing gap; empty where it was not asked for, or nothing is sent."""
    energy: Energy | None = None
    raw: RawSamples


class Bench(Strict):
    """A whole benchmark. Files of version 1, which had one link and no intervals, are read as this version."""

    schema_version: Literal[2] = 2
    created: str
    bundle: dict[str, Any]
    """Name, pair_id, dataset, targets, precision of each half, guard results."""
    settings: dict[str, Any]
    """Samples, warm-up, seed, threads, deadline_ms, order, link, how wire bytes were counted, where the server ran,
    how intervals were computed."""
    environment: dict[str, Any]
    raw_input_bytes: int
    """Bytes of one uint8 input."""
    links: list[LinkFacts] = Field(default_factory=list)
    """The links that arms name; empty where all ran over the network as it is."""
    arms: Annotated[list[Arm], Field(min_length=1)]
    scenarios: list[Scenario] = Field(default_factory=list)
    conditions: BeforeAfter | None = None
    """``None`` in files of version 1."""
    warnings: list[str] = Field(default_factory=list)
    """What a reader must know before using the figures: fallbacks, a server that ended, a busy machine."""

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, facts: Any) -> Any:
        """Version 2 only added fields, all of which may be absent."""
        if isinstance(facts, dict) and facts.get("schema_version") == 1:
            return {**facts, "schema_version": 2}
        return facts

    @model_validator(mode="after")
    def _consistent(self) -> Bench:
        identities = [(arm.name, arm.link) for arm in self.arms]
        if len(set(identities)) < len(identities):
            raise ValueError("two arms have the same name and link")
        known = {link.name for link in self.links}
        unknown = {link for _, link in identities if link is not None} - known
        unknown |= {scenario.link for scenario in self.scenarios if scenario.link is not None} - known
        if unknown:
            raise ValueError(f"links are named that are not described: {', '.join(sorted(unknown))}")
        return self

    def arm(self, name: str, link: str | None = None) -> Arm:
        """The arm ``name`` over ``link``, or the first of that name where ``link`` is ``None``; raises KeyError."""
        for arm in self.arms:
            if arm.name == name and link in (None, arm.link):
                return arm
        raise KeyError(name if link is None else f"{name} over {link}")


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
