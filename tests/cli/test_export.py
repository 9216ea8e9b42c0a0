"""The verb alone: what it hands on and how it shows the result. Exporting itself is tested in ``tests/export``."""

import json
from pathlib import Path
from typing import Any

import pytest

import ecc_deploy
from ecc_deploy.bundle import Bundle
from ecc_deploy.export.all_targets import TargetExport
from tests.cli.conftest import Cli


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, toy_bundle: Bundle) -> dict[str, Any]:
    """What the verb asked :func:`export_bundle` for."""
    seen: dict[str, Any] = {}

    def export_bundle(run: str, out: Path, **options: Any) -> Bundle:
        seen.update(options, run=run, out=out)
        return toy_bundle

    monkeypatch.setattr(ecc_deploy, "export_bundle", export_bundle, raising=False)
    return seen


def test_every_option_is_handed_on(cli: Cli, asked: dict[str, Any], tmp_path: Path) -> None:
    own = tmp_path / "board.toml"
    own.write_text(
        'name = "board"\ntitle = "My board"\nbackend = "onnxruntime"\nsides = ["edge"]\nprecisions = ["fp32"]\n'
        'default_precision = "fp32"\n'
    )
    done = cli(
        *("export", "runs/mine", "--out", tmp_path / "bundle", "--target", own, "--cloud", "onnxruntime-cpu"),
        *(
            "--cloud-precision",
            "int8",
            "--calibration",
            "entropy",
            "--gate",
            "margin",
            "--min-accuracy",
            0.9,
            "--fusion",
            "off",
        ),
        *("--codec", "int4+zstd", "--image-codec", "png", "--max-drop", 2.5, "--threads", 2),
        *("--dataset", "cifar10", "--data", tmp_path),
    )
    assert done.code == 0
    del asked["progress"]
    assert asked == {
        "run": "runs/mine",
        "out": tmp_path / "bundle",
        "target": str(own),
        "cloud_target": "onnxruntime-cpu",
        "precision": "fp32",
        "dataset": "cifar10",
        "data_folder": tmp_path,
        "cloud_precision": "int8",
        "calibration": "entropy",
        "gate": "margin",
        "offload_rate": None,
        "min_accuracy": 0.9,
        "fusion": "off",
        "codec": "int4+zstd",
        "image_codec": "png",
        "max_drop": 2.5,
        "threads": 2,
        "cache": True,
    }


def test_the_table_has_every_deployment(cli: Cli, asked: dict[str, Any], toy_bundle: Bundle, tmp_path: Path) -> None:
    done = cli("export", "runs/mine", "--out", tmp_path / "bundle")
    assert asked["precision"] == "int8"
    for name in toy_bundle.manifest.deployments:
        assert f"│ {name} " in done.out
    assert "max-softmax ≥ 0.7500, ρ 0.50" in done.out
    assert f"ecc-deploy bench {tmp_path / 'bundle'}" in done.out


def test_the_defaults(cli: Cli, asked: dict[str, Any], tmp_path: Path) -> None:
    cli("export", "runs/mine", "--out", tmp_path / "bundle")
    assert {key: asked[key] for key in ("gate", "fusion", "codec", "image_codec")} == {
        "gate": "auto", "fusion": "auto", "codec": "auto", "image_codec": "auto",
    }  # fmt: skip


def test_json_is_the_manifest(cli: Cli, asked: dict[str, Any], toy_bundle: Bundle, tmp_path: Path) -> None:
    facts = json.loads(cli("export", "runs/mine", "--out", tmp_path / "bundle", "--json").out)
    assert facts["pair_id"] == toy_bundle.manifest.pair_id
    assert set(facts["manifest"]["halves"]) == set(toy_bundle.manifest.halves)


def test_a_rate_and_an_accuracy_exclude_each_other(cli: Cli, asked: dict[str, Any], tmp_path: Path) -> None:
    done = cli("export", "r", "--out", tmp_path / "b", "--offload-rate", 0.3, "--min-accuracy", 0.9)
    assert done.code == 2
    assert "--offload-rate and --min-accuracy exclude each other" in done.err
    assert asked == {}


@pytest.fixture
def all_asked(monkeypatch: pytest.MonkeyPatch, toy_bundle: Bundle) -> dict[str, Any]:
    """What the verb asked :func:`export_all` for; ``found`` is what it gets."""
    seen: dict[str, Any] = {
        "found": [
            TargetExport("pi-int8", "pi", "int8", "edge", "exported", bundle=toy_bundle),
            TargetExport("board-int8", "board", "int8", "edge", "kept", bundle=toy_bundle),
            TargetExport("npu-int8", "npu", "int8", "edge", "no toolchain", "x is not installed; run: pip install x"),
        ]
    }

    def export_all(run: str, out: Path, **options: Any) -> tuple[TargetExport, ...]:
        seen["asked"] = {**options, "run": run, "out": out}
        return tuple(seen["found"])

    monkeypatch.setattr(ecc_deploy, "export_all", export_all, raising=False)
    return seen


def test_all_targets_get_every_option(cli: Cli, all_asked: dict[str, Any], tmp_path: Path) -> None:
    done = cli(
        *("export", "runs/mine", "--all-targets", "--out", tmp_path, "--cloud", "cuda", "--precision", "int8"),
        *("--precision", "fp32", "--calibration", "entropy", "--max-drop", 2.5, "--restart", "--no-cache"),
    )
    assert done.code == 0, done.err
    asked = all_asked["asked"]
    del asked["progress"]
    assert asked == {
        "run": "runs/mine",
        "out": tmp_path,
        "cloud_target": "cuda",
        "precisions": ["int8", "fp32"],
        "dataset": None,
        "data_folder": None,
        "calibration": "entropy",
        "gate": "auto",
        "offload_rate": None,
        "min_accuracy": None,
        "fusion": "auto",
        "codec": "auto",
        "image_codec": "auto",
        "max_drop": 2.5,
        "threads": 1,
        "cache": False,
        "restart": True,
    }


def test_what_is_only_missing_is_listed_and_no_failure(cli: Cli, all_asked: dict[str, Any], tmp_path: Path) -> None:
    done = cli("export", "runs/mine", "--all-targets", "--out", tmp_path)
    assert done.code == 0
    assert "2 of 3 bundles" in done.out
    assert "npu-int8: no toolchain: x is not installed; run: pip install x" in done.out
    assert f"Next: ecc-deploy compare {tmp_path}" in done.out


def test_a_failure_is_exit_code_2_behind_the_list(cli: Cli, all_asked: dict[str, Any], tmp_path: Path) -> None:
    all_asked["found"].append(TargetExport("tpu-int8", "tpu", "int8", "edge", "failed", "no operator\n\n\nfor Gelu"))
    done = cli("export", "runs/mine", "--all-targets", "--out", tmp_path)
    assert done.code == 2
    assert "tpu-int8: failed: no operator\nfor Gelu\n" in done.out
    assert done.err.startswith("Error: 1 of 4 failed: tpu-int8\n")
    as_json = cli("export", "runs/mine", "--all-targets", "--out", tmp_path, "--json")
    assert as_json.code == 2
    assert [item["status"] for item in json.loads(as_json.out)] == ["exported", "kept", "no toolchain", "failed"]


def test_nothing_at_all_is_a_failure(cli: Cli, all_asked: dict[str, Any], tmp_path: Path) -> None:
    all_asked["found"] = all_asked["found"][2:]
    done = cli("export", "runs/mine", "--all-targets", "--out", tmp_path)
    assert done.code == 2
    assert "nothing was exported" in done.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--all-targets", "--target", "raspberry-pi-4"], "--target and --all-targets exclude each other"),
        (["--all-targets", "--cloud-precision", "fp32"], "--cloud-precision and --all-targets exclude each other"),
        (["--restart"], "--restart belongs to --all-targets"),
        (["--precision", "int8", "--precision", "fp32"], "more than one --precision belongs to --all-targets"),
    ],
)
def test_options_that_belong_to_the_other_way(cli: Cli, tmp_path: Path, arguments: list[str], text: str) -> None:
    done = cli("export", "runs/mine", "--out", tmp_path / "out", *arguments)
    assert (done.code, done.out) == (2, "")
    assert text in done.err
    assert not (tmp_path / "out").exists()


def test_the_cloud_is_as_exact_as_the_edge_where_nothing_is_said(
    cli: Cli, asked: dict[str, Any], tmp_path: Path
) -> None:
    cli("export", "runs/mine", "--out", tmp_path / "bundle", "--target", "jetson-orin-nano")
    assert (asked["precision"], asked["cloud_precision"]) == ("fp16", "fp32")
