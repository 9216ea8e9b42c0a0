"""docs/extending.md is true: its device is one file, its backend one folder and one entry."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from ecc_deploy.backends import registry
from ecc_deploy.backends.registry import BACKENDS, Backend
from ecc_deploy.evaluation.evaluate import evaluate
from ecc_deploy.export.exporter import export
from ecc_deploy.training.run import load_run

TEXT = (Path(__file__).parent.parent / "docs" / "extending.md").read_text()


def block(language: str, first_line: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    (found,) = [text for text in blocks if text.startswith(first_line)]
    return str(found)


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    """The folder of the page, on the path, and its entry in the registry."""
    folder = tmp_path / "exported"
    folder.mkdir()
    for name in ("compiler", "runner"):
        (folder / f"{name}.py").write_text(block("python", f"# exported/{name}.py"))
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = eval("{" + block("python", "# the entry").split("\n", 1)[1] + "}", {"Backend": Backend})
    monkeypatch.setitem(BACKENDS, "exported", entry["exported"])
    yield entry["exported"]
    for name in [name for name in sys.modules if name.split(".")[0] == "exported"]:
        del sys.modules[name]


def test_a_device_is_one_file(gated_run: Path, tmp_path: Path) -> None:
    (tmp_path / "my-board.toml").write_text(block("toml", 'name = "my-board"'))
    bundle = export(gated_run, tmp_path / "bundle", target=str(tmp_path / "my-board.toml"), max_drop=100)
    assert bundle.manifest.targets["edge"] == "my-board"


def test_a_backend_is_one_folder_and_one_entry(gated_run: Path, tmp_path: Path, backend: Backend) -> None:
    board = block("toml", 'name = "my-board"').replace("onnxruntime", backend.name).replace('"int8", "fp32"', '"fp32"')
    (tmp_path / "my-board.toml").write_text(board.replace('default_precision = "int8"', 'default_precision = "fp32"'))
    bundle = export(
        gated_run, tmp_path / "bundle", target=str(tmp_path / "my-board.toml"), precision="fp32", cloud_precision="fp32"
    )
    assert {half.backend for half in bundle.manifest.halves.values() if half.side == "edge"} == {"exported"}
    compiled = {row.name: row.accuracy for row in evaluate(bundle.path, image_codecs=["raw"]).rows}
    plain = {row.name: row.accuracy for row in evaluate(load_run(gated_run).path, image_codecs=["raw"]).rows}
    assert compiled["edge-only"] == pytest.approx(plain["edge-only"], abs=0.002)
    image = np.zeros((1, 1, 28, 28), np.float32)
    half = bundle.manifest.halves["exit"]
    with registry.open_runner(bundle.file(half.file), half, threads=1) as runner:
        assert runner.run({"image": image})["logits"].shape == (1, 10)
