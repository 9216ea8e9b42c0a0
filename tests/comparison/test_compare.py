"""Whole comparisons: of toy bundles, and of two exports of a trained system with its float system."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ecc_deploy.backends.onnxruntime import runner
from ecc_deploy.backends.registry import BACKENDS, Backend
from ecc_deploy.bundle import Bundle, open_bundle
from ecc_deploy.comparison.compare import compare_bundles
from ecc_deploy.errors import BundleError, UsageError
from ecc_deploy.export.exporter import export
from ecc_deploy.runtime.gate import softmax
from tests import reference
from tests.comparison.variants import DATASET, variant
from tests.evaluation.toy_dataset import ToyDataset


@pytest.fixture(scope="module")
def folder(toy_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``export --all-targets`` leaves it: two targets of equal halves in int8, one of them in fp32 too."""
    out = tmp_path_factory.mktemp("comparison") / "all"
    out.mkdir()
    (out / "all-targets.json").write_text("{}")
    (out / ".half-written").mkdir()
    shutil.copyfile(toy_bundle.path / "manifest.json", out / ".half-written/manifest.json")
    variant(toy_bundle, out / "onnxruntime-cpu-fp32", target="onnxruntime-cpu")
    variant(toy_bundle, out / "onnxruntime-cpu-int8", target="onnxruntime-cpu", precision="int8", spoil=True)
    variant(toy_bundle, out / "openvino-cpu-int8", target="openvino-cpu", precision="int8", spoil=True)
    return out


def test_a_folder_of_bundles_is_compared(folder: Path, tmp_path: Path) -> None:
    found = compare_bundles(folder, rounds=40, warmup=2, dataset=DATASET)
    assert [row.name for row in found.rows] == ["onnxruntime-cpu-fp32", "onnxruntime-cpu-int8", "openvino-cpu-int8"]
    assert (found.part, found.samples, found.run) == ("test", 200, None)
    float_row, int8_row, twin = found.rows
    half = int8_row.halves["exit-and-encode"]
    assert half.latency is not None
    assert len(half.latency.raw_ms) == 40
    assert 0 < half.latency.p50_ms <= half.latency.p95_ms
    assert half.latency.threads == 1
    assert half.disk_bytes == (folder / "onnxruntime-cpu-int8/edge/exit-and-encode.onnx").stat().st_size
    assert (half.precision, half.answered_by, half.agreement, half.weights) == ("int8", "runtime", None, None)
    assert twin.same_as == int8_row.name
    assert (twin.halves, twin.deployments) == (int8_row.halves, int8_row.deployments)
    assert float_row.same_as is int8_row.same_as is None

    (verdict,) = [verdict for verdict in found.verdicts if verdict.side == "edge" and verdict.against]
    assert verdict.targets == ("onnxruntime-cpu",)
    assert verdict.take == "fp32"  # the spoiled head loses more than any time is worth
    assert verdict.lost is not None
    assert verdict.lost > 0.3

    found.save(tmp_path / "comparison.json")
    facts = json.loads((tmp_path / "comparison.json").read_text())
    assert facts == json.loads(json.dumps(found.to_json()))
    assert facts["settings"]["rounds"] == 40
    assert facts["environment"]["cpu"]
    assert str(folder) not in json.dumps(facts)


def test_accuracies_are_those_of_the_deployments(rich_bundle: Bundle, tmp_path: Path) -> None:
    """With learned gate, fused answers and a codec's table; computed by hand."""
    made = variant(rich_bundle, tmp_path / "rich", target="onnxruntime-cpu")
    found = compare_bundles(made.path, part="val", rounds=0, dataset=DATASET)
    (row,) = found.rows
    assert all(half.latency is None for half in row.halves.values())
    assert found.verdicts == ()
    samples = ToyDataset().part("val")
    edge, cloud = reference.edge_logits(samples.images), reference.cloud_logits(samples.images)
    tail = reference.tail_logits(samples.images)
    unsure = softmax(edge).max(axis=1) < 0.75
    right_side = reference.confidence(samples.images) < 0.1
    final = {
        "edge-only": (edge, 0.0),
        "cloud-only": (cloud, 1.0),
        "independent": (np.where(unsure[:, None], reference.fused(edge, cloud), edge), unsure.mean()),
        "adaptive": (tail, 1.0),
        "adaptive-fused": (reference.fused(edge, tail), 1.0),
        "dynamic": (np.where(right_side[:, None], reference.fused(edge, tail), edge), right_side.mean()),
    }
    assert set(row.deployments) == set(final)
    for name, (logits, rate) in final.items():
        wanted = (logits.argmax(axis=1) == samples.labels).mean()
        assert row.deployments[name].accuracy == pytest.approx(wanted)
        assert row.deployments[name].offload_rate == pytest.approx(rate)


def test_samples_are_drawn_by_the_seed(folder: Path) -> None:
    def accuracy(seed: int) -> float | None:
        found = compare_bundles(folder / "onnxruntime-cpu-fp32", samples=50, seed=seed, rounds=0, dataset=DATASET)
        assert found.samples == 50
        return found.rows[0].deployments["edge-only"].accuracy

    assert accuracy(0) == accuracy(0)
    assert len({accuracy(seed) for seed in range(6)}) > 1


def test_what_does_not_run_here_is_answered_by_a_stand_in_and_not_timed(toy_bundle: Bundle, tmp_path: Path) -> None:
    halves = {key: half.model_dump() for key, half in toy_bundle.manifest.halves.items()}
    for half in halves.values():
        if half["side"] == "cloud":
            half["compiled"] = {"providers": ("CUDAExecutionProvider", "CPUExecutionProvider")}
    gpu = variant(toy_bundle, tmp_path / "gpu", target="onnxruntime-cpu", halves=halves)
    plain = variant(toy_bundle, tmp_path / "plain", target="onnxruntime-cpu")
    if "CUDAExecutionProvider" in runner.ort.get_available_providers():
        pytest.skip("this machine's ONNX Runtime has the CUDA provider, so nothing needs a stand-in")
    found = compare_bundles([gpu.path, plain.path], rounds=1, warmup=0, dataset=DATASET)
    row, other = found.rows
    for key in ("full", "tail"):
        assert row.halves[key].answered_by == "stand-in"
        assert row.halves[key].latency is None
        assert other.halves[key].latency is not None
    assert row.halves["exit"].answered_by == "runtime"
    assert row.deployments["cloud-only"].accuracy == other.deployments["cloud-only"].accuracy
    assert any(note.startswith("gpu (cloud): compiled, not run here") for note in found.notes)


def test_what_nothing_runs_has_no_accuracy(toy_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halves = {key: half.model_dump() for key, half in toy_bundle.manifest.halves.items()}
    for key in ("full", "tail"):
        halves[key]["backend"] = "gone"
    backend = Backend("gone", "Gone", "gone", ("no_such_module",), (), "x", "x", ("fp32",))
    monkeypatch.setitem(BACKENDS, "gone", backend)
    made = variant(toy_bundle, tmp_path / "gone", target="onnxruntime-cpu", halves=halves)
    (row,) = compare_bundles(made.path, rounds=1, warmup=0, dataset=DATASET).rows
    accuracies = {name: item.accuracy for name, item in row.deployments.items()}
    assert accuracies.pop("edge-only") is not None
    assert set(accuracies.values()) == {None}
    assert row.halves["tail"].answered_by == "nobody"
    assert "no_such_module is not installed" in row.halves["tail"].why_not


def test_bundles_of_different_systems_are_refused(folder: Path, toy_bundle: Bundle, tmp_path: Path) -> None:
    first = folder / "onnxruntime-cpu-fp32"
    changes = {
        "weights": {"calibration": {"system": "f" * 32}},
        "dataset": {"dataset": "another"},
        "name": {"name": "another"},
    }
    for what, facts in changes.items():
        other = variant(toy_bundle, tmp_path / what, target="onnxruntime-cpu", **facts)
        with pytest.raises(BundleError, match=rf"not of the same system:\n  {what}: ") as caught:
            compare_bundles([first, other.path], dataset=DATASET)
        assert f"onnxruntime-cpu-fp32 and {what} are not" in caught.value.message
    with pytest.raises(BundleError, match=r"weights: 0123.* and not recorded"):
        compare_bundles([first, toy_bundle.path], dataset=DATASET)


def test_mistakes_are_told(folder: Path, tmp_path: Path) -> None:
    one = folder / "onnxruntime-cpu-fp32"
    for options, message in (
        ({"part": "train"}, "on val or test, not on 'train'"),
        ({"samples": 0}, "samples is 0"),
        ({"samples": 201}, "201 samples were asked for, and the test part has 200"),
        ({"rounds": -1}, "rounds is -1"),
        ({"run": one}, "is a bundle, and a run is wanted"),
        ({"run": "shipped:fashion-mnist"}, "not made of shipped:fashion-mnist"),
    ):
        with pytest.raises(UsageError, match=message):
            compare_bundles(one, dataset=None if "run" in options and options["run"] != one else DATASET, **options)
    with pytest.raises(BundleError, match="is no bundle and holds none"):
        compare_bundles(tmp_path)
    with pytest.raises(BundleError, match="is not a bundle"):
        compare_bundles(tmp_path / "nothing")


@pytest.fixture(scope="module")
def exported(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("tiny")
    return [
        export(tiny_run, out / precision, precision=precision, offload_rate=0.4, max_drop=5).path
        for precision in ("fp32", "int8")
    ]


def test_a_run_says_how_far_its_bundles_agree_with_it(tiny_run: Path, exported: list[Path]) -> None:
    found = compare_bundles(exported, run=tiny_run, part="val", rounds=0)
    floats, int8 = found.rows
    assert found.run == "tiny"
    for key, half in floats.halves.items():
        assert half.agreement == pytest.approx(1.0, abs=0.002), key
        assert half.weights is not None
    assert all(0.8 < (half.agreement or 0) <= 1 for half in int8.halves.values())
    assert any((half.agreement or 0) < 1 for half in int8.halves.values())
    for row, path in zip(found.rows, exported, strict=True):
        for name, deployment in open_bundle(path).manifest.deployments.items():
            item, guard = row.deployments[name], deployment.guard
            assert guard is not None
            assert item.accuracy == pytest.approx(guard.compiled_accuracy)
            assert item.float_accuracy == pytest.approx(guard.float_accuracy)
            assert item.recorded_drop_points == guard.drop_points
