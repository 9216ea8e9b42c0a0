"""The verb alone: what it hands on and how it shows the result. Debugging is tested in ``tests/quantization``."""

import json
from pathlib import Path
from typing import Any

import pytest

import ecc_deploy
from ecc_deploy.bundle import Bundle
from ecc_deploy.quantization.calibration import CalibrationRecipe, load_calibration
from ecc_deploy.workbench.debug import DebugResult, HalfNoise, Output
from ecc_deploy.workbench.layers import Layer
from ecc_deploy.workbench.noise import Noise
from ecc_deploy.workbench.proposal import HalfProposal, Proposal, Step
from tests.cli.conftest import Cli


def noise(snr_db: float) -> Noise:
    return Noise(10 ** (snr_db / 10), 1.0)


LAYERS = (
    Layer("stages.stage1.0", "BasicBlock", (8, 14, 14), noise(28.14), noise(31.3)),
    Layer("stages.stem.2", "ReLU", (8, 28, 28), noise(38.2), noise(38.2)),
    Layer("stages.dead", "ReLU", (4,), Noise(0.0, 1.0), Noise(0.0, 1.0)),
    Layer("stages.flatten", "Flatten", (32,), noise(36.4), Noise(1.0, 0.0)),
)
OUTPUTS = (Output("logits", noise(34.87), 0.984375), Output("boundary", noise(24.9), 0.923))


def asked_for(monkeypatch: pytest.MonkeyPatch, name: str, result: object) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def call(bundle: Bundle, run: str, **options: Any) -> object:
        seen.update(options, bundle=bundle.path, run=run)
        del seen["progress"]
        return result

    monkeypatch.setattr(ecc_deploy, name, call, raising=False)
    return seen


@pytest.fixture
def debugged(monkeypatch: pytest.MonkeyPatch, toy_bundle: Bundle) -> dict[str, Any]:
    half = HalfNoise("exit-and-encode", "edge", "onnxruntime", 1000, LAYERS, OUTPUTS)
    result = DebugResult(toy_bundle.path, Path("runs/mine"), "toy val", 64, (half,))
    return asked_for(monkeypatch, "debug_bundle", result)


def proposed(monkeypatch: pytest.MonkeyPatch, chosen: int) -> dict[str, Any]:
    steps = (
        Step((), 0.0, 47_000, OUTPUTS),
        Step(("stages.stem",), 0.024, 47_100, (Output("logits", noise(39.61), 1.0), OUTPUTS[1])),
    )
    half = HalfProposal("exit", "onnxruntime", (("stages.stem", 35.2),), steps, chosen, 30.0)
    exclude = {"exit": ("stages.stem",)} if chosen else {}
    recipe = CalibrationRecipe(name="minmax", exclude=exclude)
    return asked_for(monkeypatch, "propose_exclusions", Proposal(recipe, "toy val", 64, 256, (half,)))


def test_every_option_is_handed_on(cli: Cli, debugged: dict[str, Any], toy_bundle: Bundle, tmp_path: Path) -> None:
    options = ("--half", "exit", "--half", "tail", "--samples", 32, "--dataset", "cifar10", "--data", tmp_path)
    done = cli("debug", toy_bundle.path, "--run", "runs/mine", *options, "--threads", 2)
    assert done.code == 0
    assert debugged == {
        "bundle": toy_bundle.path, "run": "runs/mine", "halves": ["exit", "tail"], "samples": 32,
        "dataset": "cifar10", "data_folder": tmp_path, "threads": 2,
    }  # fmt: skip


def test_the_table_lists_the_worst(cli: Cli, debugged: dict[str, Any], toy_bundle: Bundle) -> None:
    shown = cli("debug", toy_bundle.path, "--run", "runs/mine").out
    assert "64 samples of toy val" in shown
    assert (
        "exit-and-encode (edge, onnxruntime): logits 34.9 dB, 98.4\u00a0% equal answers; "
        "boundary 24.9 dB, 92.3\u00a0% equal codes"
    ) in shown
    rows = [line for line in shown.splitlines() if "stages." in line]
    assert [row.split()[1] for row in rows] == ["stages.stage1.0", "stages.stem.2", "stages.dead", "stages.flatten"]
    assert "8×14×14" in rows[0]
    assert "28.1" in rows[0]
    assert "31.3" in rows[0]
    assert rows[2].count("no signal") == 2
    assert "no noise" in rows[3]
    short = cli("debug", toy_bundle.path, "--run", "runs/mine", "--worst", 1).out
    assert "stages.stem.2" not in short
    assert "and 3 modules with less noise of their own" in short


def test_json(cli: Cli, debugged: dict[str, Any], toy_bundle: Bundle) -> None:
    shown = cli("debug", toy_bundle.path, "--run", "runs/mine", "--json").out
    facts = json.loads(shown, parse_constant=lambda name: pytest.fail(name))
    (half,) = facts["halves"]
    assert [layer["module"] for layer in half["layers"]] == [layer.module for layer in LAYERS]
    assert half["layers"][3]["own_snr_db"] is None
    assert half["layers"][3]["own_noise_free"] is True


def test_a_proposal_is_shown_and_written(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, toy_bundle: Bundle, tmp_path: Path
) -> None:
    seen = proposed(monkeypatch, chosen=1)
    file = tmp_path / "mixed.toml"
    options = ("--exclude", "auto", "--wanted-snr", 35, "--write", file, "--target", "my.toml")
    done = cli("debug", toy_bundle.path, "--run", "runs/mine", *options)
    assert (done.code, seen["wanted_snr_db"], seen["target"], seen["cloud_target"]) == (0, 35.0, "my.toml", None)
    (line,) = [line for line in done.out.splitlines() if "stages.stem" in line]
    assert line.split()[1] == "→"
    assert "2\u00a0%" in line
    assert "logits 39.6 dB" in line
    assert load_calibration(file).exclude == {"exit": ("stages.stem",)}
    assert "measured on 256 samples of toy val" in file.read_text()
    assert f"ecc-deploy export runs/mine --out BUNDLE --calibration {file}" in done.err


def test_nothing_to_exclude_writes_nothing(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, toy_bundle: Bundle, tmp_path: Path
) -> None:
    seen = proposed(monkeypatch, chosen=0)
    done = cli(
        *("debug", toy_bundle.path, "--run", "r", "--exclude", "auto", "--write", tmp_path / "mixed.toml", "--json")
    )
    assert done.code == 0
    assert "wanted_snr_db" not in seen
    assert json.loads(done.out)["halves"][0]["chosen"] == 0
    assert "Nothing more to exclude" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--exclude", "stages.stem"), "there is no way 'stages.stem' to exclude"),
        (("--write", "mixed.toml"), "are for what is excluded"),
        (("--wanted-snr", "30"), "are for what is excluded"),
        (("--cloud", "cuda"), "are for what is excluded"),
        (("--exclude", "auto", "--write", "mixed.json"), "no name of a calibration recipe"),
    ],
)
def test_options_that_do_not_go_together(
    cli: Cli, debugged: dict[str, Any], toy_bundle: Bundle, options: tuple[str, ...], message: str
) -> None:
    done = cli("debug", toy_bundle.path, "--run", "r", *options)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert debugged == {}


def test_a_float_bundle_has_nothing_to_debug(cli: Cli, toy_bundle: Bundle) -> None:
    done = cli("debug", toy_bundle.path, "--run", "shipped:fashion-mnist")
    assert (done.code, done.out) == (2, "")
    assert "has no int8 half, so there is no quantization to debug" in done.err
    assert "--precision int8" in done.err
