import math

import pytest

from ecc_deploy.bench.arms import ArmSpec
from ecc_deploy.bench.schema import Arm, Bench, RawSamples
from ecc_deploy.bench.stats import best_image_codec, quantiles, summarise
from ecc_deploy.bench.wirebytes import WireBytes
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import UsageError
from ecc_deploy.runtime.result import STAGES

ADAPTIVE = ArmSpec("adaptive", "adaptive", "adaptive", "int4")
DYNAMIC = ArmSpec("dynamic", "dynamic", "dynamic", "int4")


def _raw(routes: list[str], reasons: list[str], totals: list[float], payloads: list[int], fallback: bool) -> RawSamples:
    count = len(routes)
    stages = {stage: [0.0] * count for stage in STAGES}
    stages["edge"] = [0.25] * count
    if fallback:
        stages["fallback"] = [0.5 if reason == "unavailable" else 0.0 for reason in reasons]
    return RawSamples(
        sample=list(range(count)),
        label=[0, 1, 2, 3][:count],
        predicted=[0, 1, 2, 0][:count],
        route=routes,
        reason=reasons,
        payload_bytes=payloads,
        stages_ms={**stages, "total": totals},
    )


def test_percentiles_against_values_worked_by_hand() -> None:
    found = quantiles([1.0, 2.0, 3.0, 4.0, 105.0])
    assert (found.p50, found.mean) == (3.0, 23.0)
    assert found.p90 == pytest.approx(4 + 0.6 * 101)  # rank 0.9 * 4 = 3.6
    assert found.p99 == pytest.approx(4 + 0.96 * 101)
    assert quantiles([7.0]).p99 == 7.0


def test_figures_of_a_gated_arm(toy_bundle: Bundle) -> None:
    raw = _raw(
        ["edge", "cloud", "cloud", "edge"], ["confident", "offloaded", "offloaded", "unavailable"],
        [1.0, 3.0, 5.0, 2.0], [0, 8, 8, 8], fallback=False,
    )  # fmt: skip
    arm = summarise(DYNAMIC, toy_bundle.manifest, raw, WireBytes(1000, 400))
    assert arm.accuracy == 0.75
    assert (arm.offload_rate, arm.fallback_rate) == (0.5, 0.25)
    assert arm.reasons == {"confident": 1, "offloaded": 2, "unavailable": 1}
    assert arm.latency_ms.mean == 2.75
    assert arm.latency_offloaded_ms is not None
    assert arm.latency_offloaded_ms.p50 == 4.0
    assert (arm.payload_bytes_per_sample, arm.payload_bytes_per_offload) == (6.0, 8.0)
    assert (arm.wire_up_bytes_per_sample, arm.wire_down_bytes_per_sample) == (250.0, 100.0)
    assert (arm.edge_macs_per_sample, arm.cloud_macs_per_sample) == (320.0, 512.0)


def test_a_fallback_that_ran_the_edge_model_costs_its_macs(toy_bundle: Bundle) -> None:
    raw = _raw(["cloud", "cloud", "cloud", "edge"], ["always"] * 3 + ["unavailable"], [1.0] * 4, [8] * 4, fallback=True)
    arm = summarise(ADAPTIVE, toy_bundle.manifest, raw, None)
    assert arm.edge_macs_per_sample == 64 + 0.25 * 256
    assert arm.cloud_macs_per_sample == 0.75 * 1024
    assert arm.wire_up_bytes_per_sample is None
    assert arm.wire_down_bytes_per_sample is None


def test_nothing_sent(toy_bundle: Bundle) -> None:
    raw = _raw(["edge"] * 4, ["edge-only"] * 4, [1.0] * 4, [0] * 4, fallback=False)
    arm = summarise(ArmSpec("edge-only", "edge-only", "edge-only", None), toy_bundle.manifest, raw, WireBytes(0, 0))
    assert arm.payload_bytes_per_offload is None
    assert arm.latency_offloaded_ms is None
    assert arm.wire_up_bytes_per_sample == 0
    assert arm.cloud_macs_per_sample == 0


def _bench(template: Arm, *figures: tuple[str, float, float]) -> Bench:
    arms = [
        template.model_copy(
            update={
                "name": f"cloud-only/{codec}", "codec": codec, "architecture": "cloud-only",
                "accuracy": accuracy, "payload_bytes_per_sample": size,
            }
        )
        for codec, accuracy, size in figures
    ]  # fmt: skip
    return Bench(created="", bundle={}, settings={}, environment={}, raw_input_bytes=64, arms=[template, *arms])


@pytest.fixture
def template(toy_bundle: Bundle) -> Arm:
    raw = _raw(["edge"] * 4, ["confident"] * 4, [1.0] * 4, [0] * 4, fallback=False)
    return summarise(DYNAMIC, toy_bundle.manifest, raw, None)


def test_the_best_image_codec_is_the_smallest_that_is_accurate_enough(template: Arm) -> None:
    bench = _bench(
        template, ("raw", 0.920, 784), ("png", 0.920, 400), ("webp:80", 0.915, 200), ("webp:20", 0.914, 90)
    )  # fmt: skip
    assert best_image_codec(bench).codec == "webp:80"
    assert best_image_codec(bench, tolerance_points=0.0).codec == "png"
    assert best_image_codec(bench, tolerance_points=1.0).codec == "webp:20"


def test_without_raw_the_most_accurate_stands_in(template: Arm) -> None:
    assert best_image_codec(_bench(template, ("png", 0.92, 400), ("jpeg:50", 0.90, 300))).codec == "png"


def test_a_tie_goes_to_the_more_accurate(template: Arm) -> None:
    bench = _bench(template, ("raw", 0.9, 784), ("jpeg:50", 0.9, 300), ("webp:50", 0.91, 300))
    assert best_image_codec(bench).codec == "webp:50"


def test_no_cloud_only_arm(template: Arm) -> None:
    with pytest.raises(UsageError, match="cloud-only"):
        best_image_codec(_bench(template))
    assert math.isfinite(template.latency_ms.p99)
