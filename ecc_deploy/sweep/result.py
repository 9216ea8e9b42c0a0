"""What a sweep finds, as plain data: ``val.json`` of one trial, ``sweep.json`` of all of them.

All figures are of the val part. Accuracies and rates are shares, 0 to 1; MACs are multiply-accumulates, bytes are
payload after the codec, both means over all samples, sent or not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ecc_deploy.atomic import write_file
from ecc_deploy.errors import UsageError

TRIAL_FILE = "val.json"
SWEEP_FILE = "sweep.json"
TRIALS = "trials"
MAX_BYTES = 256 << 20
Share = Annotated[float, Field(ge=0, le=1)]
Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_T = TypeVar("_T", bound=BaseModel)


def title(variant: str | None, changes: Mapping[str, Any]) -> str:
    """A setting in words: ``no rate, adapter.bits = 2``."""
    values = [f"{path} = {value if isinstance(value, str) else json.dumps(value)}" for path, value in changes.items()]
    return ", ".join([*([variant] if variant else []), *values])


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figures(_Strict):
    """The criteria of the design, by the names that :data:`~ecc_deploy.evaluation.pareto.CRITERIA` gives them."""

    architecture: Literal["adaptive", "dynamic"]
    fused: bool
    """Whether what is sent is answered by edge and cloud together."""
    wanted_rate: Share
    """The offload rate that the gate's threshold is for; 1 for ECC-A."""
    offload_rate: Share
    """That it gave."""
    accuracy: Share
    edge_macs: Cost
    cloud_macs: Cost
    payload_bytes: Cost


class Measured(_Strict):
    """One trained system: ECC-A, with and without fusion, and ECC-D at all offload rates that are evaluated."""

    schema_version: Literal[1] = 1
    dataset: str
    samples: int
    edge_accuracy: Share
    cloud_accuracy: Share
    figures: list[Figures]


class Point(Figures):
    """One way to run one trial."""

    trial: str
    """Its key."""
    on_front: bool
    """Whether no other point of the sweep is better by one criterion and at least as good by the others."""

    @property
    def name(self) -> str:
        """As tables call it: ``ECC-A``, ``ECC-A fused``, ``ECC-D 10 %``."""
        if self.architecture == "adaptive":
            return "ECC-A fused" if self.fused else "ECC-A"
        return f"ECC-D {100 * self.wanted_rate:g} %"


class _Titled(_Strict):
    variant: str | None
    changes: dict[str, Any]
    """Values of the parameters, by dotted path."""

    @property
    def title(self) -> str:
        """The setting in words."""
        return title(self.variant, self.changes)


class Trial(_Titled):
    """One setting that was trained. Settings that come to the same recipe share a key and a run directory."""

    key: str
    run: str
    """Run directory, relative to the sweep's folder."""
    edge_accuracy: Share
    cloud_accuracy: Share


class Failure(_Titled):
    """One setting that could not be trained or evaluated."""

    error: str


class Spread(_Strict):
    """Over seeds: the mean, and the sample standard deviation where there are two or more."""

    mean: float
    std: float | None


class AblationRow(_Titled):
    """One setting over its seeds, which ``changes`` does without."""

    seeds: list[int]
    edge: Spread
    """Accuracy of edge-only."""
    adaptive: Spread
    adaptive_fused: Spread | None
    adaptive_bytes: Spread
    dynamic: dict[str, Spread]
    """Accuracy of ECC-D, by the wanted offload rate."""
    dynamic_bytes: dict[str, Spread]


class Sweep(_Strict):
    """All that is finished of a sweep."""

    schema_version: Literal[1] = 1
    name: str
    sampler: str
    dataset: str
    part: Literal["val"] = "val"
    samples: int
    finished: int
    """Settings, failures among them."""
    running: int
    """That other processes work at."""
    waiting: int
    trials: list[Trial]
    points: list[Point]
    ablation: list[AblationRow]
    failures: list[Failure]

    def trial(self, key: str) -> Trial:
        """The first setting with this key; raises KeyError."""
        for trial in self.trials:
            if trial.key == key:
                return trial
        raise KeyError(key)

    def describe(self, point: Point) -> str:
        """A point in words: what it is, of which setting, and by which figures."""
        return (
            f"{point.name} of {self.trial(point.trial).title or self.name}: top1 {100 * point.accuracy:.2f}, "
            f"bytes {point.payload_bytes:.4g}, cloud_macs {point.cloud_macs:.4g}, edge_macs {point.edge_macs:.4g}, "
            f"offload_rate {point.offload_rate:.3g}"
        )

    @property
    def front(self) -> list[Point]:
        """The points that no other dominates."""
        return [point for point in self.points if point.on_front]


def save(path: Path, what: BaseModel) -> None:
    """Write ``what`` as JSON; the file appears whole or not at all."""
    write_file(path, (what.model_dump_json(indent=1) + "\n").encode())


def read(path: Path, kind: type[_T]) -> _T:
    """Read back what :func:`save` wrote. Raises :class:`UsageError`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path} is larger than {MAX_BYTES >> 20} MiB")
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is not what a sweep writes"
        raise UsageError(f"{path} cannot be read: {what}") from error


def load_sweep(folder: str | Path) -> Sweep:
    """What the sweep in ``folder`` has found so far. Raises :class:`UsageError` where there is none."""
    path = Path(folder) / SWEEP_FILE
    if not path.is_file():
        raise UsageError(
            f"{folder} is not the folder of a sweep: it has no {SWEEP_FILE}",
            "`ecc-deploy train RECIPE --sweep --out FOLDER` makes one.",
        )
    return read(path, Sweep)
