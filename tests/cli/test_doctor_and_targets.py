import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from ecc_deploy.backends import registry
from tests.cli.conftest import Cli


def test_doctor_shows_packages_and_targets(cli: Cli) -> None:
    shown = cli("doctor").out
    assert re.search(rf"onnxruntime +│ {re.escape(version('onnxruntime'))}", shown)
    assert "raspberry-pi-zero-2w" in shown
    assert "Nothing that can be installed is missing." in shown


def test_doctor_tells_the_command_for_what_is_missing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    present = registry.find_spec
    gone = ("onnxruntime", "openvino", "ai_edge_litert", "tflite_runtime", "torch")
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name in gone else present(name))
    shown = " ".join(cli("doctor").out.split())
    assert "Only the base dependencies are here" in shown
    assert "pip install 'ecc-deploy[onnxruntime]' # run onnxruntime-aarch64, onnxruntime-cpu" in shown
    assert "pip install 'ecc-deploy[tflite]' # run raspberry-pi-3, raspberry-pi-4, raspberry-pi-5" in shown
    assert "pip install 'ecc-deploy[train,openvino-compile]' # compile for intel-core" in shown


def test_doctor_json(cli: Cli) -> None:
    facts = json.loads(cli("doctor", "--json").out)
    target = next(target for target in facts["targets"] if target["name"] == "onnxruntime-cpu")
    assert target["run"] == {"possible": True, "missing": [], "install": None, "hint": None}
    assert facts["version"] == version("ecc-deploy")


def test_targets_list(cli: Cli) -> None:
    assert "jetson-agx-orin" in cli("targets", "list").out
    listed = {target["name"]: target for target in json.loads(cli("targets", "list", "--json").out)}
    assert listed["onnxruntime-cpu"]["sides"] == ["edge", "cloud"]
    assert listed["raspberry-pi-4"]["sides"] == ["edge"]


def test_targets_show_a_file_of_ones_own(cli: Cli, tmp_path: Path) -> None:
    own = tmp_path / "board.toml"
    own.write_text(
        'name = "board"\ntitle = "My board"\nbackend = "onnxruntime"\nsides = ["edge"]\nprecisions = ["fp32"]\n'
        'default_precision = "fp32"\nnotes = ["it is [red]hot[/red]"]\n'
    )
    shown = cli("targets", "show", own)
    assert shown.code == 0
    assert "board: My board" in shown.out
    assert "it is [red]hot[/red]" in shown.out
    assert json.loads(cli("targets", "show", own, "--json").out)["precisions"] == ["fp32"]


def test_a_damaged_target_is_a_mistake(cli: Cli, tmp_path: Path) -> None:
    own = tmp_path / "board.toml"
    own.write_text('name = "board"\ntitle = "My board"\nbackend = "abacus"\n')
    done = cli("targets", "show", own)
    assert done.code == 2
    assert str(own) in done.err
    assert "sides: Field required" in done.err
