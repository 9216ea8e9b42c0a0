"""Toy bundles for several targets and precisions, as an export of one run would give them; nothing is compiled."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from ecc_deploy.bundle import Bundle, Manifest, hash_file, write_bundle

DATASET = "tests.evaluation.toy_dataset:ToyDataset"
WEIGHTS = "0123456789abcdef" * 2


def variant(
    toy: Bundle, out: Path, *, target: str, precision: str = "fp32", spoil: bool = False, **facts: Any
) -> Bundle:
    """A copy of ``toy`` whose edge halves are for ``target`` in ``precision``; ``facts``: of the manifest.

    ``spoil``: its edge model answers another class, so that its accuracy falls.
    """

    def fill(folder: Path) -> Manifest:
        for name in toy.manifest.files:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(toy.file(name), folder / name)
        if spoil:
            for key in ("exit", "exit-and-encode"):
                _spoil(folder / toy.manifest.halves[key].file)
        old = toy.manifest.model_dump()
        for half in old["halves"].values():
            half["precision"] = precision if half["side"] == "edge" else half["precision"]
        own = {
            "targets": {"edge": target, "cloud": "onnxruntime-cpu"},
            "calibration": {"system": WEIGHTS},
            "files": {name: hash_file(folder / name) for name in toy.manifest.files},
        }
        return Manifest.model_validate({**old, **own, **facts})

    return write_bundle(out, fill)


def _spoil(path: Path) -> None:
    model = onnx.load(path)
    (weights,) = [item for item in model.graph.initializer if item.name == "we"]
    rolled = np.roll(numpy_helper.to_array(weights), 1, axis=1)
    weights.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(rolled), "we"))
    path.write_bytes(model.SerializeToString())
