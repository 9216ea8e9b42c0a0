"""The whole job once, as a newcomer runs it, and what it promises, read from ``bench.json``."""

from pathlib import Path

import pytest

from ecc_deploy.bench.schema import Bench, load_bench
from ecc_deploy.bench.stats import best_image_codec
from ecc_deploy.bundle import open_bundle
from ecc_deploy.quickstart import QuickstartResult, quickstart


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> QuickstartResult:
    return quickstart(tmp_path_factory.mktemp("quickstart"))


@pytest.fixture(scope="module")
def measured(result: QuickstartResult) -> Bench:
    return load_bench(result.bench_path)


def test_dynamic_keeps_the_accuracy_for_less(measured: Bench) -> None:
    """Within a point of cloud-only, with fewer bytes than its best image codec, and fewer cloud MACs."""
    dynamic, cloud, image = measured.arm("dynamic"), measured.arm("cloud-only/raw"), best_image_codec(measured)
    assert dynamic.samples == cloud.samples == 1000
    assert dynamic.accuracy >= cloud.accuracy - 0.01
    assert dynamic.payload_bytes_per_sample < image.payload_bytes_per_sample
    assert dynamic.cloud_macs_per_sample < cloud.cloud_macs_per_sample
    assert dynamic.wire_up_bytes_per_sample is not None
    assert image.wire_up_bytes_per_sample is not None
    assert dynamic.wire_up_bytes_per_sample < image.wire_up_bytes_per_sample


def test_int8_costs_at_most_a_point(result: QuickstartResult) -> None:
    manifest = open_bundle(result.bundle.path).manifest
    assert {half.precision for half in manifest.halves.values()} == {"int8"}
    for deployment in manifest.deployments.values():
        assert deployment.guard is not None
        assert deployment.guard.drop_points <= 1


def test_training_helped(result: QuickstartResult) -> None:
    """The narrowed adapter answers better than the edge alone, which is what it is for."""
    assert result.evaluation.row("adaptive").accuracy > result.evaluation.row("edge-only").accuracy


def test_nobody_had_to_stand_in_for_the_cloud(measured: Bench) -> None:
    assert {arm.fallback_rate for arm in measured.arms} == {0}
    assert {arm.architecture for arm in measured.arms} == {
        "edge-only", "cloud-only", "independent", "adaptive", "dynamic",
    }  # fmt: skip


def test_the_report_is_one_file(result: QuickstartResult) -> None:
    text = Path(result.report).read_text()
    assert "ECC-D" in text
    assert 'src="http' not in text
