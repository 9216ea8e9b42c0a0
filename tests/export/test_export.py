import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from ecc_deploy import data
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bundle import Bundle, open_bundle
from ecc_deploy.bundle.codecs import sent
from ecc_deploy.errors import ExportRejectedError, RecipeError, RunError, TargetError, UsageError
from ecc_deploy.export.exporter import export
from ecc_deploy.runtime.gate import confidence
from ecc_deploy.runtime.selftest import check_edge
from ecc_deploy.training.loop import train
from ecc_deploy.training.run import load_run
from tests import tiny


@pytest.fixture(scope="module")
def bundle(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(tiny_run, tmp_path_factory.mktemp("export") / "bundle", offload_rate=0.4, max_drop=2)


def contents(path: Path) -> dict[str, bytes]:
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_the_bundle_opens_and_passes_its_own_test(bundle: Bundle) -> None:
    opened = open_bundle(bundle.path)
    assert opened.manifest == bundle.manifest
    check_edge(opened)
    assert set(contents(bundle.path)) == {"manifest.json", *bundle.manifest.files}


def test_two_exports_differ_in_the_timestamp_alone(bundle: Bundle, tiny_run: Path, tmp_path: Path) -> None:
    again = export(tiny_run, tmp_path / "bundle", offload_rate=0.4, max_drop=2, cache=False)
    first, second = contents(bundle.path), contents(again.path)
    assert {k: v for k, v in first.items() if k != "manifest.json"} == {
        k: v for k, v in second.items() if k != "manifest.json"
    }
    facts, other = json.loads(first["manifest.json"]), json.loads(second["manifest.json"])
    assert {k for k in facts if facts[k] != other[k]} <= {"created", "digest"}
    assert again.manifest.pair_id == bundle.manifest.pair_id


def test_gate_thresholds_come_from_the_compiled_edge_half_on_val(bundle: Bundle) -> None:
    facts = data.load("fashion-mnist-sample")
    images = facts.normalisation(facts.part("val").images)
    for name in ("independent", "dynamic"):
        deployment = bundle.manifest.deployments[name]
        half = bundle.manifest.halves[deployment.edge or ""]
        with open_runner(bundle.file(half.file), half, threads=1) as runner:
            logits = runner.run({"image": images})["logits"]
        gate = deployment.gate
        assert gate is not None
        assert (confidence(logits, gate.score) < gate.threshold).mean() == pytest.approx(gate.offload_rate)
        assert gate.offload_rate == pytest.approx(0.4, abs=0.01)
        assert "val" in gate.chosen_on


def test_guard_figures_are_those_of_the_halves(bundle: Bundle, tiny_run: Path) -> None:
    """ECC-A recomputed by hand: int8 edge half, codec, int8 tail against the float system."""
    facts = data.load("fashion-mnist-sample")
    val = facts.part("val")
    images = facts.normalisation(val.images)
    manifest = bundle.manifest
    deployment = manifest.deployments["adaptive"]
    codec = sent(bundle, deployment.boundary).codec(deployment.codec or "")
    edge, cloud = manifest.halves[deployment.edge or ""], manifest.halves[deployment.cloud or ""]
    with (
        open_runner(bundle.file(edge.file), edge, threads=1) as edge_runner,
        open_runner(bundle.file(cloud.file), cloud, threads=1) as cloud_runner,
    ):
        codes = edge_runner.run({"image": images})["boundary"]
        received = np.stack([codec.decode(codec.encode(c)) for c in codes])
        logits = cloud_runner.run({"boundary": received})["logits"]
    system = load_run(tiny_run).system
    with torch.no_grad():
        reference = system.adapted(torch.from_numpy(images)).numpy()
    guard = deployment.guard
    assert guard is not None
    assert guard.compiled_accuracy == pytest.approx((logits.argmax(1) == val.labels).mean())
    assert guard.float_accuracy == pytest.approx((reference.argmax(1) == val.labels).mean())
    assert guard.drop_points == pytest.approx(100 * (guard.float_accuracy - guard.compiled_accuracy), abs=1e-4)


def test_boundary_scale_is_the_learned_step(bundle: Bundle, tiny_run: Path) -> None:
    (boundary,) = bundle.manifest.boundaries.values()
    assert boundary.scale == load_run(tiny_run).system.adapter.quantizer.step.item()
    assert (boundary.bits, boundary.zero_point, boundary.tensor.dtype) == (4, 0, "uint8")


def test_auto_codec_is_the_smallest_on_calibration_samples(bundle: Bundle) -> None:
    deployment = bundle.manifest.deployments["adaptive"]
    facts = data.load("fashion-mnist-sample")
    half = bundle.manifest.halves[deployment.edge or ""]
    with open_runner(bundle.file(half.file), half, threads=1) as runner:
        codes = runner.run({"image": facts.normalisation(facts.part("val").images)})["boundary"]
    sizes = {}
    for spec in ("int4", "int4+zstd", "int4+delta+zstd", "int4+ans"):
        codec = sent(bundle, deployment.boundary).codec(spec)
        sizes[codec.spec] = sum(len(codec.encode(c)) for c in codes)
    assert sizes[deployment.codec or ""] <= 1.02 * min(sizes.values())  # val is not the calibration draw


def test_the_table_of_its_codec_is_in_the_bundle(bundle: Bundle) -> None:
    assert bundle.manifest.deployments["dynamic"].codec == "int4+ans"
    (boundary,) = bundle.manifest.boundaries.values()
    assert boundary.table == "codec/stage1-stage3.table"
    assert boundary.table in bundle.manifest.files


def test_every_deployment_with_two_answers_is_fused(bundle: Bundle) -> None:
    deployments = bundle.manifest.deployments
    assert {name for name, d in deployments.items() if d.fusion} == {"independent", "adaptive-fused", "dynamic"}
    fused = deployments["adaptive-fused"]
    assert (fused.architecture, fused.edge, fused.gate) == ("adaptive", "exit-and-encode", None)
    for name in ("independent", "adaptive-fused", "dynamic"):
        fusion = deployments[name].fusion
        assert fusion is not None
        assert 0 < fusion.edge_weight < 1
    guards = {name: d.guard.compiled_accuracy for name, d in deployments.items() if d.guard}
    assert guards["adaptive-fused"] > max(guards["edge-only"], guards["adaptive"] - 0.01)


def test_golden_samples_are_real_and_complete(bundle: Bundle) -> None:
    golden = load_file(bundle.file(bundle.manifest.golden))
    val = data.load("fashion-mnist-sample").part("val")
    np.testing.assert_array_equal(golden["images"], val.images[:4])
    sending = [name for name, d in bundle.manifest.deployments.items() if d.codec]
    outputs = [f"half.{key}.{t.name}" for key, half in bundle.manifest.halves.items() for t in half.outputs]
    payloads = [f"payload.{name}.{i}" for name in sending for i in range(4)]
    assert set(golden) == {"images", "labels", *outputs, *payloads}


@pytest.mark.parametrize(
    ("bits", "dtype", "codec"),
    [
        (8, "uint8", "int8"),
        (2, "uint8", "int2"),
        (1, "uint8", "int1"),
        (16, "float32", "float16"),
        (32, "float32", "float32"),
    ],
)
def test_every_boundary_width_exports(tmp_path: Path, tiny_run: Path, bits: int, dtype: str, codec: str) -> None:
    adapter = {**tiny.FACTS["adapter"], "bits": bits}
    phases = [
        {"name": "backbones", "train": ["edge"], "epochs": 1, "batch": 500},
        {"name": "cloud", "train": ["cloud"], "epochs": 1, "batch": 500},
        {"name": "adapter", "train": ["adapter"], "epochs": 1, "batch": 250},
    ]
    train(tiny.recipe(adapter=adapter, phases=phases), tmp_path / "run", threads=1)
    made = export(tmp_path / "run", tmp_path / "bundle", precision="fp32", max_drop=2)
    (boundary,) = made.manifest.boundaries.values()
    assert (boundary.bits, boundary.tensor.dtype) == (bits, dtype)
    assert (made.manifest.deployments["dynamic"].codec or "").startswith(codec)
    check_edge(made)


def test_precisions_codecs_and_no_fusion_as_asked_for(tiny_run: Path, tmp_path: Path) -> None:
    made = export(
        tiny_run, tmp_path / "bundle", cloud_precision="fp32", codec="int4", image_codec="jpeg:90", fusion="off",
        max_drop=5,
    )  # fmt: skip
    precisions = {key: half.precision for key, half in made.manifest.halves.items()}
    assert precisions == {
        "exit": "int8", "encode": "int8", "exit-and-encode": "int8", "full": "fp32", "tail": "fp32",
    }  # fmt: skip
    deployments = made.manifest.deployments
    assert deployments["adaptive"].codec == "int4"
    assert deployments["cloud-only"].codec == "jpeg:90"
    (boundary,) = made.manifest.boundaries.values()
    assert boundary.table is None
    assert set(deployments) == {"edge-only", "cloud-only", "independent", "adaptive", "dynamic"}
    assert all(deployment.fusion is None for deployment in deployments.values())


def test_min_accuracy_chooses_the_fewest_offloads(tiny_run: Path, tmp_path: Path) -> None:
    made = export(tiny_run, tmp_path / "bundle", precision="fp32", min_accuracy=0.66, max_drop=5)
    for name in ("independent", "dynamic"):
        deployment = made.manifest.deployments[name]
        assert deployment.guard is not None
        assert deployment.gate is not None
        assert deployment.guard.compiled_accuracy >= 0.66
        assert 0 < deployment.gate.offload_rate < 1


def test_a_drop_over_the_limit_leaves_nothing_behind(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportRejectedError, match="loses more than -100 points") as caught:
        export(tiny_run, tmp_path / "bundle", precision="fp32", max_drop=-100)
    assert "adaptive:" in caught.value.message
    assert "--max-drop" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported(tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    with pytest.raises(TargetError, match="no target named 'toaster'"):
        export(tiny_run, out, target="toaster")
    with pytest.raises(TargetError, match="no precision 'fp16'"):
        export(tiny_run, out, precision="fp16")
    with pytest.raises(UsageError, match="not both"):
        export(tiny_run, out, offload_rate=0.2, min_accuracy=0.9)
    with pytest.raises(UsageError, match="no gate score 'luck'"):
        export(tiny_run, out, gate="luck")
    with pytest.raises(UsageError, match="no trained gate"):
        export(tiny_run, out, gate="learned")
    with pytest.raises(UsageError, match="no fusion 'both'"):
        export(tiny_run, out, fusion="both")
    with pytest.raises(RecipeError, match="cannot be read"):
        export(tiny_run, out, calibration="guess")
    with pytest.raises(RunError, match="not a run directory"):
        export(tmp_path, out)
    phase = {"name": "edge", "train": ["edge"], "epochs": 1, "batch": 1000}
    train(tiny.recipe(phases=[phase]), tmp_path / "run", threads=1)
    with pytest.raises(RunError, match="no trained cloud and no trained adapter"):
        export(tmp_path / "run", out)
    assert not out.exists()
