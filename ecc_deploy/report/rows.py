"""Every derived figure of a benchmark, once: the HTML and the terminal show what :func:`rows` says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import isfinite

from ecc_deploy.bench.schema import Arm, Bench
from ecc_deploy.bench.stats import best_image_codec
from ecc_deploy.report.families import Family, family_of, rank
from ecc_deploy.report.statistics import Interval, paired_difference, pareto_front, wilson

EQUAL_POINTS = 0.5
"""Two arms are called equally accurate within this many percentage points: the tolerance of ``best_image_codec``."""
_EPSILON = 1e-9  # accuracies are counts over counts: what lies exactly on the line is inside it


@dataclass(frozen=True)
class References:
    """What arms are compared with; ``None`` where it was not measured."""

    edge: Arm | None
    """Edge-only."""
    cloud: Arm | None
    """Cloud-only with raw input; else the most accurate cloud-only arm."""
    image: Arm | None
    """Cloud-only with its best image codec, :func:`~ecc_deploy.bench.stats.best_image_codec`."""

    @property
    def gap(self) -> float | None:
        """Accuracy of cloud-only less that of edge-only, -1 to 1."""
        return None if self.edge is None or self.cloud is None else self.cloud.accuracy - self.edge.accuracy


@dataclass(frozen=True)
class Row:
    """One arm with what follows from it. Shares and accuracies 0 to 1; ``None``: not measured, or without meaning."""

    arm: Arm
    family: Family
    label: str
    interval: Interval
    """Wilson's, of the accuracy."""
    vs_cloud: float | None
    """Accuracy less that of cloud-only, -1 to 1."""
    vs_cloud_interval: Interval | None
    of_cloud: float | None
    """Accuracy over that of cloud-only."""
    gap_recovered: float | None
    """(accuracy - edge-only) / (cloud-only - edge-only); absent where cloud-only is not the better one."""
    vs_random: float | None
    """Accuracy less what offloading the same share at random is expected to give, -1 to 1; gated arms only."""
    fallbacks: int
    payload_of_raw: float | None
    """Payload bytes over those of the raw uint8 input."""
    payload_of_image: float | None
    """Payload bytes over those of cloud-only with its best image codec."""
    on_bytes_front: bool
    on_macs_front: bool

    @property
    def is_reference(self) -> bool:
        return self.family.architecture in ("edge-only", "cloud-only")


def references(bench: Bench) -> References:
    """Find the arms that others are compared with."""
    edge = next((arm for arm in bench.arms if arm.architecture == "edge-only"), None)
    clouds = [arm for arm in bench.arms if arm.architecture == "cloud-only"]
    if not clouds:
        return References(edge, None, None)
    raw = next((arm for arm in clouds if arm.codec == "raw"), None)
    cloud = raw or max(clouds, key=lambda arm: arm.accuracy)
    return References(edge, cloud, best_image_codec(bench, EQUAL_POINTS))


def rows(bench: Bench) -> list[Row]:
    """One row per arm, by family in a fixed order, within a family as they were measured."""
    found = references(bench)
    arms = sorted(bench.arms, key=rank)
    by_bytes = pareto_front([(arm.payload_bytes_per_sample, arm.accuracy) for arm in arms])
    by_macs = pareto_front([(arm.cloud_macs_per_sample, arm.accuracy) for arm in arms])
    return [
        _row(arm, bench, found, label, index in by_bytes, index in by_macs)
        for index, (arm, label) in enumerate(zip(arms, labels(arms), strict=True))
    ]


def _row(arm: Arm, bench: Bench, found: References, label: str, on_bytes_front: bool, on_macs_front: bool) -> Row:
    cloud, edge, gap = found.cloud, found.edge, found.gap
    paired = None if cloud is None or arm is cloud else paired_difference(arm, cloud)
    random = _random_offload(arm, bench, found)
    image_bytes = found.image.payload_bytes_per_sample if found.image else None
    return Row(
        arm=arm,
        family=family_of(arm),
        label=label,
        interval=wilson(arm.accuracy * arm.samples, arm.samples),
        vs_cloud=None if cloud is None or arm is cloud else arm.accuracy - cloud.accuracy,
        vs_cloud_interval=paired,
        of_cloud=_ratio(arm.accuracy, cloud.accuracy if cloud else None),
        gap_recovered=(arm.accuracy - edge.accuracy) / gap if edge and gap is not None and gap > _EPSILON else None,
        vs_random=None if random is None else arm.accuracy - random,
        fallbacks=round(arm.fallback_rate * arm.samples),
        payload_of_raw=_ratio(arm.payload_bytes_per_sample, bench.raw_input_bytes),
        payload_of_image=_ratio(arm.payload_bytes_per_sample, image_bytes),
        on_bytes_front=on_bytes_front,
        on_macs_front=on_macs_front,
    )


def _ratio(value: float, of: float | None) -> float | None:
    return value / of if of and isfinite(of) else None


def _random_offload(arm: Arm, bench: Bench, found: References) -> float | None:
    """Expected accuracy of sending the same share at random: (1 - ρ)·edge-only + ρ·(the arm that sends everything).

    What sends everything is ECC-A for ECC-D and cloud-only for ECC-I, with the same codec, on the same samples; fused
    where the arm is, or the figure would count what fusing gives as the gate's.
    """
    if not 0 < arm.offload_rate < 1:
        return None  # nothing to choose
    partner = {"dynamic": "adaptive", "independent": "cloud-only"}.get(arm.architecture)
    everything = [
        other
        for other in bench.arms
        if (other.architecture, other.codec, other.fused, other.samples) == (partner, arm.codec, arm.fused, arm.samples)
    ]
    if found.edge is None or len(everything) != 1 or found.edge.samples != arm.samples:
        return None
    return (1 - arm.offload_rate) * found.edge.accuracy + arm.offload_rate * everything[0].accuracy


def labels(arms: list[Arm]) -> list[str]:
    """A short name for each arm, unique among ``arms``: family, codec, and the deployment where it is needed."""
    short = [_label(arm, with_deployment=arm.deployment != arm.architecture) for arm in arms]
    counts = Counter(short)
    return [name if counts[name] == 1 else arm.name for name, arm in zip(short, arms, strict=True)]


def _label(arm: Arm, *, with_deployment: bool) -> str:
    name = f"{family_of(arm).label} ({arm.deployment})" if with_deployment else family_of(arm).label
    return f"{name} · {arm.codec}" if arm.codec else name


def representatives(table: list[Row], bench: Bench) -> list[Row]:
    """One row per family: the arm that sends the fewest bytes among the family's equally accurate best ones.

    For cloud-only that is its best image codec.
    """
    image = references(bench).image
    chosen = []
    for architecture in dict.fromkeys(row.family.architecture for row in table):
        members = [row for row in table if row.family.architecture == architecture]
        best = max(row.arm.accuracy for row in members)
        good = [row for row in members if is_as_accurate(row.arm.accuracy, best)]
        fewest = min(good, key=lambda row: (row.arm.payload_bytes_per_sample, -row.arm.accuracy))
        chosen.append(next((row for row in members if row.arm is image), fewest))
    return chosen


def is_as_accurate(accuracy: float, other: float) -> bool:
    """Whether ``accuracy`` is at most :data:`EQUAL_POINTS` percentage points below ``other``."""
    return accuracy >= other - EQUAL_POINTS / 100 - _EPSILON
