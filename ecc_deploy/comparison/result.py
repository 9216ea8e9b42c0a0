"""What a comparison finds, as plain data. Shares and accuracies are 0 to 1, times are milliseconds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ecc_deploy.atomic import write_file

AnsweredBy = Literal["runtime", "stand-in", "nobody"]


@dataclass(frozen=True)
class Latency:
    """Of one half, one batch at a time, through its runner: preprocessing, codec and link are not in it."""

    threads: int
    """CPU threads: the target's, or as many cores as this machine has."""
    p50_ms: float
    p95_ms: float
    raw_ms: tuple[float, ...]
    """Of every round, in order: round i of all halves was measured together."""


@dataclass(frozen=True)
class HalfRow:
    """One compiled half."""

    side: Literal["edge", "cloud"]
    backend: str
    precision: str
    disk_bytes: int
    """Of all its files."""
    weights: int | None
    """Numbers that it computes with, before folding and quantization; ``None`` where the bundle does not say."""
    macs: int
    batch: int | Literal["dynamic"]
    answered_by: AnsweredBy
    """Who gave the answers that accuracy and agreement are of: its own runtime, or a stand-in that answers as the file
    says."""
    why_not: str
    """Why its own runtime does not run it here; empty where it does."""
    agreement: float | None
    """Share of the samples that it, or a chain that ends with it, answers as the float system does; of a half that
    only encodes, share of equal codes. ``None`` without a run, and for a boundary of floats."""
    latency: Latency | None


@dataclass(frozen=True)
class DeploymentRow:
    """One way to run the bundle, with its own gate, codec and fusion."""

    edge: str | None
    """Key of its edge half."""
    cloud: str | None
    accuracy: float | None
    """Top-1; ``None`` where nothing here runs one of its halves."""
    offload_rate: float | None
    float_accuracy: float | None
    """Of the float system on the same samples; ``None`` without a run."""
    recorded_float_accuracy: float | None
    """Of the float system on the val part, as measured at export."""
    recorded_drop_points: float | None
    """Percentage points that compiling cost on the val part, as measured at export."""


@dataclass(frozen=True)
class Row:
    """One bundle."""

    name: str
    pair_id: str
    same_as: str | None
    """An earlier row with the same compiled files and settings, whose figures these are."""
    targets: dict[str, str]
    """By side, as are the precisions."""
    precisions: dict[str, str]
    edge: str
    """The edge half that latency and verdicts speak of: ECC-D's."""
    cloud: str
    """The cloud half that they speak of: ECC-D's."""
    halves: dict[str, HalfRow]
    deployments: dict[str, DeploymentRow]


@dataclass(frozen=True)
class Verdict:
    """Whether int8 pays for a target, on this machine. Ratios are times of int8 over those of ``against``."""

    side: Literal["edge", "cloud"]
    targets: tuple[str, ...]
    """Those that it holds for: their compiled files are the same."""
    precision: str
    against: str | None
    """The float precision that it was compared with; ``None`` with the float system alone."""
    time_ratio: float | None
    time_ratio_interval: tuple[float, float] | None
    """Of 95 %."""
    lost: float | None
    """Accuracy that int8 loses, in its worst deployment, of the same samples."""
    lost_interval: tuple[float, float] | None
    deployment: str | None
    take: str | None
    """The precision to take; ``None`` where nothing speaks for one of them."""
    text: str
    """What holds for the targets."""

    @property
    def sentence(self) -> str:
        """With the targets."""
        return f"{', '.join(self.targets)}: {self.text}"


@dataclass(frozen=True)
class Comparison:
    """All that was found."""

    system: dict[str, Any]
    """What the bundles have in common."""
    part: str
    samples: int
    run: str | None
    """The float system that answers were compared with."""
    settings: dict[str, Any]
    environment: dict[str, Any]
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]

    def row(self, name: str) -> Row:
        """The row ``name``; raises KeyError."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"schema_version": 1, **asdict(self)}

    def save(self, path: Path) -> None:
        """Write :meth:`to_json` to ``path``, whole or not at all."""
        write_file(path, (json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n").encode())
