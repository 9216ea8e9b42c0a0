"""What a reader must know before using the figures, beyond what the benchmark itself warned of."""

from __future__ import annotations

from ecc_deploy.bench.schema import Arm, Bench
from ecc_deploy.report.formats import percent, points
from ecc_deploy.report.rows import references
from ecc_deploy.report.statistics import has_whole_raw, is_paired, paired_difference, wilson

FEW_SAMPLES = 400
"""Below, the 95 % interval of an accuracy of 90 % is wider than ±3 points."""
TAIL_SAMPLES = 500
"""Below, fewer than five samples lie above the 99th percentile."""
_STAGE_TOLERANCE = 0.02


def cautions(bench: Bench) -> list[str]:
    """The benchmark's own warnings, then those that follow from its figures."""
    said = [f"The{warning[3:]}" if warning.startswith("the ") else warning for warning in bench.warnings]
    return [*said, *_fallbacks(bench), *_sample_size(bench), *_comparability(bench), *_consistency(bench)]


def _fallbacks(bench: Bench) -> list[str]:
    """Those that the benchmark has not warned of itself."""
    return [
        f"{arm.name}: the edge answered {percent(arm.fallback_rate)} of the samples in place of the cloud."
        for arm in bench.arms
        if arm.fallback_rate > 0 and not any(_is_about(arm, warning) for warning in bench.warnings)
    ]


def _is_about(arm: Arm, warning: str) -> bool:
    return warning.startswith((f"{arm.name}:", f"{arm.name} over {arm.link}:"))


def _sample_size(bench: Bench) -> list[str]:
    fewest = min(bench.arms, key=lambda arm: arm.samples)
    found = []
    if fewest.samples < FEW_SAMPLES:
        span = wilson(fewest.accuracy * fewest.samples, fewest.samples)
        count = "one sample" if fewest.samples == 1 else f"{fewest.samples} samples"
        found.append(
            f"Only {count} per arm: an accuracy of {percent(fewest.accuracy)} may be "
            f"anything from {percent(span.low)} to {percent(span.high)}."
        )
    if fewest.samples < TAIL_SAMPLES:
        found.append("The 99th percentiles rest on fewer than five samples each.")
    return found


def _comparability(bench: Bench) -> list[str]:
    found = references(bench)
    first = bench.arms[0]
    apart = [arm.name for arm in bench.arms[1:] if has_whole_raw(arm) and has_whole_raw(first) != is_paired(first, arm)]
    result = []
    if apart:
        result.append(f"Not measured on the same samples as {first.name}: {', '.join(apart)}.")
    if found.edge and found.cloud and found.gap is not None and found.gap > 0:
        span = paired_difference(found.cloud, found.edge)
        if span is not None and span.low <= 0:
            result.append(
                f"The gap between edge-only and cloud-only, {points(found.gap)}, is within the noise of this "
                "benchmark, and so is every share of it that an arm recovers."
            )
    return result


def _consistency(bench: Bench) -> list[str]:
    found = []
    for arm in bench.arms:
        if not has_whole_raw(arm):
            found.append(f"{arm.name}: the raw samples are incomplete; its latency distribution is not shown.")
        elif abs(_raw_accuracy(arm) - arm.accuracy) > 1e-6:
            found.append(f"{arm.name}: the stated accuracy is not that of its raw samples.")
        stages = sum(arm.stages_mean_ms.values())
        if abs(stages - arm.latency_ms.mean) > _STAGE_TOLERANCE * max(arm.latency_ms.mean, 1e-9):
            found.append(f"{arm.name}: its stages do not add up to its mean latency.")
    return found


def _raw_accuracy(arm: Arm) -> float:
    right = sum(label == answer for label, answer in zip(arm.raw.label, arm.raw.predicted, strict=True))
    return right / arm.samples
