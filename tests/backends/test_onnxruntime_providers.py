"""A half that is for a GPU does not run on the CPU unless it is asked to."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from ecc_deploy.backends.registry import open_runner
from ecc_deploy.errors import BackendMissingError
from tests.backends.test_onnxruntime_runner import TestOnnxRuntimeRunner

CUDA = ("CUDAExecutionProvider", "CPUExecutionProvider")


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="ONNX Runtime is built with CUDA")
def test_cuda_where_there_is_none(tmp_path: Path) -> None:
    body = TestOnnxRuntimeRunner()
    body.write_model(tmp_path / "model.onnx")
    half = body.half().model_copy(update={"compiled": {"providers": CUDA}})
    with pytest.raises(BackendMissingError, match="no CUDAExecutionProvider") as caught:
        open_runner(tmp_path / "model.onnx", half, threads=1)
    assert "onnxruntime-gpu" in caught.value.hint
    inputs = {name: np.ones((1, 2, 3), np.float32) for name in ("x", "y")}
    with open_runner(tmp_path / "model.onnx", half, threads=1, stand_in=True) as runner:
        assert runner.run(inputs)["total"].max() == 3
