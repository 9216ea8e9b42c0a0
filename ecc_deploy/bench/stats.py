"""From raw samples to the figures of one arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ecc_deploy.bench import bootstrap
from ecc_deploy.bench.arms import ArmSpec
from ecc_deploy.bench.bootstrap import PERCENTILE_METHOD as PERCENTILE_METHOD
from ecc_deploy.bench.schema import Arm, Bench, RawSamples
from ecc_deploy.bench.schema_series import Quantiles
from ecc_deploy.bench.wirebytes import WireBytes
from ecc_deploy.bundle.manifest import Manifest
from ecc_deploy.errors import UsageError
from ecc_deploy.runtime.result import STAGES, Reason, Route


def quantiles(values: Sequence[float] | np.ndarray, seed: int | None = None) -> Quantiles:
    """Percentiles by :data:`PERCENTILE_METHOD`, and the arithmetic mean, of at least one value.

    With 95 % intervals (:mod:`ecc_deploy.bench.bootstrap`) where a ``seed`` for them is given.
    """
    series = np.asarray(values, np.float64)
    p50, p90, p95, p99, mean = bootstrap.statistics(series[np.newaxis])[0].tolist()
    ci95 = {} if seed is None else bootstrap.intervals(series, seed)
    return Quantiles(p50=p50, p90=p90, p95=p95, p99=p99, mean=mean, ci95=ci95)


def summarise(
    spec: ArmSpec, manifest: Manifest, raw: RawSamples, wire: WireBytes | None, seed: int | None = None
) -> Arm:
    """The figures of one arm from its raw samples; ``wire``: TCP/IP bytes of all of them, ``None``: not countable;
    ``seed``: of the intervals, ``None``: without.
    """
    count = len(raw.sample)
    total = np.asarray(raw.stages_ms["total"])
    by_cloud = np.asarray([route == Route.CLOUD for route in raw.route])
    fell_back = np.asarray([Reason(reason).is_fallback for reason in raw.reason])
    payload = np.asarray(raw.payload_bytes)
    edge_macs, cloud_macs = macs_per_sample(
        manifest,
        spec.deployment,
        offload_rate=float(by_cloud.mean()),
        second_run_rate=float((np.asarray(raw.stages_ms["fallback"]) > 0).mean()),
    )
    return Arm(
        name=spec.name,
        deployment=spec.deployment,
        architecture=spec.architecture,
        codec=spec.codec,
        fused=spec.fused,
        samples=count,
        accuracy=float(np.mean(np.asarray(raw.predicted) == np.asarray(raw.label))),
        offload_rate=float(by_cloud.mean()),
        fallback_rate=float(fell_back.mean()),
        reasons=dict(sorted(Counter(raw.reason).items())),
        latency_ms=quantiles(total, seed),
        latency_offloaded_ms=quantiles(total[by_cloud], seed) if by_cloud.any() else None,
        stages_mean_ms={stage: float(np.mean(raw.stages_ms[stage])) for stage in STAGES},
        payload_bytes_per_sample=float(payload.mean()),
        payload_bytes_per_offload=float(payload[payload > 0].mean()) if payload.any() else None,
        wire_up_bytes_per_sample=None if wire is None else wire.up / count,
        wire_down_bytes_per_sample=None if wire is None else wire.down / count,
        edge_macs_per_sample=edge_macs,
        cloud_macs_per_sample=cloud_macs,
        raw=raw,
    )


def macs_per_sample(
    manifest: Manifest, deployment: str, *, offload_rate: float, second_run_rate: float
) -> tuple[float, float]:
    """Multiply-accumulates per sample, edge and cloud, at the measured rates.

    Edge: the deployment's edge half on every sample, and the fallback half on the share ``second_run_rate`` of them
    (an edge half with a head of its own needs no second run). Cloud: the deployment's cloud half on the share
    ``offload_rate`` that it answered; what a server computed for answers that came too late is not in it.
    """
    facts = manifest.deployments[deployment]
    edge, cloud = manifest.half_of(facts, "edge"), manifest.half_of(facts, "cloud")
    fallback = manifest.halves[manifest.fallback]
    return (
        (edge.macs if edge else 0) + second_run_rate * fallback.macs,
        offload_rate * (cloud.macs if cloud else 0),
    )


def best_image_codec(bench: Bench, tolerance_points: float = 0.5) -> Arm:
    """The strongest comparator on the link: the cloud-only arm that sends the fewest payload bytes per sample, among
    those whose accuracy is at most ``tolerance_points`` percentage points below that of cloud-only with raw input.

    Where raw input was not measured, the most accurate cloud-only arm stands in for it. A tie in bytes goes to the
    more accurate arm. Raises :class:`UsageError` where no cloud-only arm was measured.
    """
    arms = [arm for arm in bench.arms if arm.architecture == "cloud-only"]
    if not arms:
        raise UsageError("no cloud-only arm was measured", "Benchmark with cloud-only among the arms.")
    raw = [arm.accuracy for arm in arms if arm.codec == "raw"]
    floor = max(raw or [arm.accuracy for arm in arms]) - tolerance_points / 100
    # Accuracies are counts over counts; an arm exactly on the line is inside it.
    good = [arm for arm in arms if arm.accuracy >= floor - 1e-9]
    return min(good, key=lambda arm: (arm.payload_bytes_per_sample, -arm.accuracy))
