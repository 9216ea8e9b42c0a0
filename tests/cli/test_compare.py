"""The verb: table, notes, JSON. Comparing itself is tested in ``tests/comparison``."""

import json
import re
from pathlib import Path

import pytest

from ecc_deploy.bundle import Bundle
from tests.cli.conftest import Cli
from tests.comparison.variants import DATASET, variant


@pytest.fixture(scope="module")
def folder(toy_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compare") / "all"
    variant(toy_bundle, out / "onnxruntime-cpu-fp32", target="onnxruntime-cpu")
    variant(toy_bundle, out / "onnxruntime-cpu-int8", target="onnxruntime-cpu", precision="int8", spoil=True)
    return out


def test_a_table_and_verdicts(cli: Cli, folder: Path, tmp_path: Path) -> None:
    done = cli("compare", folder, "--dataset", DATASET, "--rounds", 40, "--out", tmp_path / "comparison.json")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].strip() == "toy: toy test, 200 samples"
    number = r"[\d,]+(\.\d+)?"
    for name in ("onnxruntime-cpu-fp32", "onnxruntime-cpu-int8"):
        (line,) = [line for line in lines if line.startswith(f" {name} ") or line.startswith(name)]
        assert re.search(rf"{name} +onnxruntime-cpu, fp32 +{number} +— +{number} +— +\d\d\.\d\d", line), line
    assert any(line.startswith("· onnxruntime-cpu: int8 ") and line.endswith(": take fp32") for line in lines)
    assert "not on the target" in done.out
    assert "Note: times are of this machine" in done.err
    assert f"Results: {tmp_path / 'comparison.json'}" in done.err
    assert len(json.loads((tmp_path / "comparison.json").read_text())["rows"]) == 2


def test_json_is_all_of_stdout(cli: Cli, folder: Path) -> None:
    one = folder / "onnxruntime-cpu-fp32"
    done = cli("compare", one, "--dataset", DATASET, "--rounds", 0, "--part", "val", "--samples", 20, "--json")
    facts = json.loads(done.out)
    assert (facts["part"], facts["samples"], facts["settings"]["rounds"]) == ("val", 20, 0)
    assert facts["rows"][0]["name"] == "onnxruntime-cpu-fp32"


def test_a_narrow_terminal_keeps_what_matters(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("compare", folder, "--dataset", DATASET, "--rounds", 1)
    for heading in ("ECC-A", "ECC-D", "Edge"):
        assert heading in done.out
    assert "weights" not in done.out
    assert "onnxruntime-cpu-int8" in done.out


def test_mistakes(cli: Cli, folder: Path, tmp_path: Path) -> None:
    for arguments, text in (
        ([tmp_path], "is no bundle and holds none"),
        ([folder, "--part", "train", "--dataset", DATASET], "on val or test"),
        ([folder, "--out", tmp_path], "is a folder"),
        ([folder], "no dataset named 'toy'"),
    ):
        done = cli("compare", *arguments)
        assert (done.code, done.out) == (2, "")
        assert text in done.err
