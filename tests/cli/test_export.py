"""The verb alone: what it hands on and how it shows the result. Exporting itself is tested in ``tests/export``."""

import json
from pathlib import Path
from typing import Any

import pytest

import ecc_deploy
from ecc_deploy.bundle import Bundle
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
