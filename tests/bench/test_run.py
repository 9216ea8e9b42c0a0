from pathlib import Path

import numpy as np
import pytest

from ecc_deploy.bench import wirebytes
from ecc_deploy.bench.run import bench
from ecc_deploy.bench.schema import Bench, load_bench, save_bench
from ecc_deploy.bench.server_process import ServerProcess
from ecc_deploy.bundle import Bundle
from ecc_deploy.payload import TensorSpec, make_codec
from ecc_deploy.payload.choice import CASCADE_COMPARATORS, IMAGE_COMPARATORS
from ecc_deploy.runtime.result import STAGES
from tests import reference
from tests.bench.conftest import ToyDataset

SAMPLES = 40
PATIENT_MS = 20_000.0  # a busy machine may take its time


@pytest.fixture(scope="module")
def everything(toy_bundle: Bundle, dataset: ToyDataset) -> Bench:
    """All arms, with a server of its own."""
    return bench(toy_bundle, samples=SAMPLES, warmup=3, seed=1, deadline_ms=PATIENT_MS, dataset=dataset)


def test_all_architectures_are_measured(everything: Bench) -> None:
    cloud_only = [f"cloud-only/{codec}" for codec in IMAGE_COMPARATORS]
    cascade = ["independent", *(f"independent/{codec}" for codec in CASCADE_COMPARATORS)]
    assert [arm.name for arm in everything.arms] == ["edge-only", *cloud_only, *cascade, "adaptive", "dynamic"]
    for arm in everything.arms:
        assert arm.samples == len(arm.raw.sample) == SAMPLES
        assert arm.fallback_rate == 0
        assert 0 < arm.latency_ms.p50 <= arm.latency_ms.p90 <= arm.latency_ms.p95 <= arm.latency_ms.p99
    rates = {arm.name: arm.offload_rate for arm in everything.arms}
    assert rates["edge-only"] == 0
    assert rates["adaptive"] == rates["cloud-only/raw"] == 1
    assert 0 < rates["dynamic"] == rates["independent"] < 1


def test_a_rich_bundle_is_measured_with_all_that_it_has(rich_bundle: Bundle, dataset: ToyDataset) -> None:
    arms = ["edge-only", "adaptive", "adaptive-fused", "dynamic"]
    found = bench(rich_bundle, samples=SAMPLES, warmup=0, arms=arms, deadline_ms=PATIENT_MS, dataset=dataset)
    part, chosen = dataset.part("test"), found.arms[0].raw.sample
    images, labels = part.images[chosen], part.labels[chosen]
    edge, tail = reference.edge_logits(images), reference.tail_logits(images)
    both = reference.fused(edge, tail).argmax(1)
    sent = reference.confidence(images) < 0.1
    predicted = {"adaptive": tail.argmax(1), "adaptive-fused": both, "dynamic": np.where(sent, both, edge.argmax(1))}
    for name, wanted in predicted.items():
        assert found.arm(name).raw.predicted == wanted.tolist()
        assert found.arm(name).accuracy == (wanted == labels).mean()
    assert [arm.fused for arm in found.arms] == [False, False, True, True]
    assert found.arm("dynamic").offload_rate == sent.mean()
    assert found.arm("adaptive").payload_bytes_per_sample < 8
    assert (found.arm("adaptive").edge_macs_per_sample, found.arm("adaptive-fused").edge_macs_per_sample) == (64, 320)
    assert found.bundle["fusions"]["dynamic"]["edge_weight"] == 0.4


def test_all_arms_answer_the_same_samples(everything: Bench, dataset: ToyDataset) -> None:
    labels = dataset.part("test").labels
    first = everything.arms[0].raw
    assert len(set(first.sample)) == SAMPLES
    assert first.sample != sorted(first.sample)
    for arm in everything.arms:
        assert arm.raw.sample == first.sample
        assert arm.raw.label == labels[arm.raw.sample].tolist()


def test_figures_are_those_of_the_raw_samples(everything: Bench) -> None:
    for arm in everything.arms:
        raw = arm.raw
        assert arm.accuracy == sum(p == y for p, y in zip(raw.predicted, raw.label, strict=True)) / SAMPLES
        assert arm.accuracy < 1
        assert arm.offload_rate == raw.route.count("cloud") / SAMPLES
        assert arm.payload_bytes_per_sample == sum(raw.payload_bytes) / SAMPLES
        assert sum(arm.reasons.values()) == SAMPLES
        assert arm.stages_mean_ms.keys() == set(STAGES)
        assert sum(arm.stages_mean_ms.values()) == pytest.approx(arm.latency_ms.mean, abs=1e-3)
        parts = np.sum([raw.stages_ms[stage] for stage in STAGES], axis=0)
        np.testing.assert_allclose(parts, raw.stages_ms["total"], atol=1e-3)


def test_payload_bytes_are_the_codec_s_own(everything: Bench, dataset: ToyDataset) -> None:
    images = dataset.part("test").images
    for arm in everything.arms:
        if arm.architecture == "cloud-only":
            codec = make_codec(arm.codec or "", TensorSpec("uint8", (8, 8, 1)))
            assert arm.raw.payload_bytes == [len(codec.encode(images[i])) for i in arm.raw.sample]
    assert everything.arm("adaptive").payload_bytes_per_offload == 8  # 16 codes of 4 bits
    assert everything.arm("cloud-only/raw").payload_bytes_per_sample == everything.raw_input_bytes == 64


def test_wire_bytes_hold_the_payload_and_grow_with_it(everything: Bench) -> None:
    for arm in everything.arms:
        assert arm.wire_up_bytes_per_sample is not None
        assert arm.wire_down_bytes_per_sample is not None
        if arm.name == "edge-only":
            assert arm.wire_up_bytes_per_sample == arm.wire_down_bytes_per_sample == 0
            continue
        assert arm.payload_bytes_per_sample + 40 * arm.offload_rate < arm.wire_up_bytes_per_sample
        assert arm.wire_up_bytes_per_sample < arm.payload_bytes_per_sample + 600
        assert 16 * arm.offload_rate < arm.wire_down_bytes_per_sample < 600
    dynamic, adaptive = everything.arm("dynamic"), everything.arm("adaptive")
    assert (dynamic.wire_up_bytes_per_sample or 0) < (adaptive.wire_up_bytes_per_sample or 0)


def test_macs_follow_the_measured_offload_rate(everything: Bench) -> None:
    dynamic = everything.arm("dynamic")
    assert dynamic.edge_macs_per_sample == 320
    assert dynamic.cloud_macs_per_sample == pytest.approx(1024 * dynamic.offload_rate)
    assert everything.arm("cloud-only/png").edge_macs_per_sample == 0
    assert everything.arm("cloud-only/png").cloud_macs_per_sample == 4096
    assert everything.arm("adaptive").edge_macs_per_sample == 64


def test_the_conditions_are_recorded(everything: Bench, toy_bundle: Bundle) -> None:
    settings = everything.settings
    wanted = {
        "samples": SAMPLES, "warmup": 3, "seed": 1, "threads_edge": 1, "threads_cloud": 1, "deadline_ms": PATIENT_MS,
        "link": "loopback", "dataset": "toy", "part": "test", "image_codecs": list(IMAGE_COMPARATORS),
        "wire_method": wirebytes.METHOD,
    }  # fmt: skip
    assert {key: settings[key] for key in wanted} == wanted
    assert settings["started"] <= settings["ended"] == everything.created
    assert "interleaved" in settings["order"]
    assert "another process" in settings["server"]
    for half in ("exit", "tail", "full"):
        assert any(f"half {half!r}" in note for note in settings["self_test"])
    assert everything.bundle["pair_id"] == toy_bundle.manifest.pair_id
    assert everything.bundle["halves"]["tail"]["precision"] == "fp32"
    assert {"load_average_start", "load_average_end", "cpu", "versions"} <= everything.environment.keys()
    assert not [warning for warning in everything.warnings if "edge answered" in warning or "server" in warning]


def test_it_survives_the_file(everything: Bench, tmp_path: Path) -> None:
    save_bench(everything, tmp_path / "bench.json")
    assert load_bench(tmp_path / "bench.json") == everything


def test_seed_decides_samples_and_answers(
    everything: Bench, toy_bundle: Bundle, dataset: ToyDataset, server: ServerProcess
) -> None:
    def again(seed: int) -> Bench:
        names = ["edge-only", "dynamic", "cloud-only/webp:20"]
        return bench(
            toy_bundle, cloud=server.url, samples=SAMPLES, arms=names, warmup=0, seed=seed, deadline_ms=PATIENT_MS,
            dataset=dataset,
        )  # fmt: skip

    same = again(1)
    for arm in same.arms:  # another server, other arms beside it, other warm-up
        reference = everything.arm(arm.name).raw
        for series in ("sample", "label", "predicted", "route", "reason", "payload_bytes"):
            assert getattr(arm.raw, series) == getattr(reference, series)
    assert same.settings["threads_cloud"] is None
    assert "was running" in same.settings["server"]
    assert again(2).arms[0].raw.sample != same.arms[0].raw.sample


def test_edge_only_needs_no_server(toy_bundle: Bundle, dataset: ToyDataset, own_servers: list[ServerProcess]) -> None:
    result = bench(toy_bundle, cloud="nowhere.invalid:1", arms=["edge-only"], warmup=0, dataset=dataset)
    assert own_servers == []
    assert result.settings["link"] is None
    assert result.arms[0].samples == 60


def test_progress_ends_at_its_total(toy_bundle: Bundle, dataset: ToyDataset) -> None:
    seen: dict[str, tuple[int, int]] = {}
    bench(
        toy_bundle, samples=5, arms=["edge-only"], warmup=2, dataset=dataset,
        progress=lambda what, done, total, note="": seen.update({what: (done, total)}),
    )  # fmt: skip
    assert seen == {"Warm-up": (2, 2), "Benchmark": (5, 5)}
