"""The runner on a fake of each version of TensorRT, whose "engines" are ONNX files that ONNX Runtime runs."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ecc_deploy.backends import registry
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.backends.tensorrt import engines, runner
from ecc_deploy.backends.tensorrt.api import Api, api_of
from ecc_deploy.backends.tensorrt.build import Settings, build
from ecc_deploy.errors import BackendMissingError, BundleError, DeviceError
from tests.backends.fake_tensorrt import HostCuda, tensorrt
from tests.backends.runner_conformance import RunnerConformance


class OnFake(RunnerConformance):
    """``version``: of the fake; its engines are built as the compile step builds them."""

    backend = "tensorrt"
    file = "model.onnx"
    batch = 2
    version: str

    @pytest.fixture(autouse=True)
    def _device(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(registry, "missing", lambda modules: [])
        self.api: Api = api_of(tensorrt(self.version))
        self.cuda = HostCuda()
        monkeypatch.setattr(runner, "device_api", lambda: self.api)
        monkeypatch.setattr(runner, "Cuda", lambda: self.cuda)

    def write_model(self, path: Path) -> None:
        ends = {
            name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [self.batch, 2, 3])
            for name in ("x", "y", "total", "codes")
        }
        constants = {"two": np.float32(2), "bottom": np.float32(0), "top": np.float32(255)}
        graph = helper.make_graph(
            [
                helper.make_node("Mul", ["x", "two"], ["doubled"]),
                helper.make_node("Add", ["doubled", "y"], ["total"]),
                helper.make_node("Round", ["total"], ["rounded"]),
                helper.make_node("Clip", ["rounded", "bottom", "top"], ["codes"]),
            ],
            "conformance",
            [ends["x"], ends["y"]],
            [ends["total"], ends["codes"]],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, path)
        self.build(path)

    def build(self, path: Path) -> engines.Origin:
        origin = engines.origin_of(path.read_bytes(), self.cuda.device, self.api.title)
        engines.store(origin, build(self.api, path.read_bytes(), Settings("fp32")).engine, {})
        return origin

    # What the file says of types is the engine's: float there, whole numbers in it.
    @pytest.mark.parametrize("changes", [{"x": ("float32", (3, 2))}, {"total": ("float32", (6,))}])
    def test_tensors_that_the_manifest_lists_otherwise(self, path: Path, changes: dict) -> None:
        with pytest.raises(BundleError) as error:
            open_runner(path, self.half(**changes), threads=1)
        assert self.file in error.value.message

    @pytest.mark.parametrize("keep", [0, 0.5], ids=["empty", "half of it"])
    def test_a_file_that_is_no_model(self, path: Path, keep: float) -> None:
        """Such a file has no engine."""
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * keep)])
        with pytest.raises(DeviceError) as error:
            open_runner(path, self.half(), threads=1)
        assert self.file in error.value.message
        assert "ecc-deploy compile" in error.value.hint

    def test_what_was_allocated_is_freed(self, path: Path) -> None:
        with open_runner(path, self.half(), threads=1) as opened:
            opened.run(self.inputs(2))
            assert len(self.cuda.memory) == 4
        assert not self.cuda.memory
        assert not self.cuda.streams

    def test_an_engine_that_does_not_load(self, path: Path) -> None:
        origin = engines.origin_of(path.read_bytes(), self.cuda.device, self.api.title)
        engines.store(origin, b'{"version": "9.9.9"}\n', {})
        with pytest.raises(DeviceError, match="cannot load the engine"):
            open_runner(path, self.half(), threads=1)

    def test_a_batch_of_another_size(self, path: Path) -> None:
        inputs = {name: value[:1] for name, value in self.inputs(2).items()}
        with open_runner(path, self.half(), threads=1) as opened, pytest.raises(DeviceError, match=r"\(2, 2, 3\)"):
            opened.run(inputs)


class TestOn85(OnFake):
    version = "8.5.2"


class TestOn10(OnFake):
    version = "10.3.0"


class TestOn11(OnFake):
    version = "11.4.1"


def test_without_tensorrt_the_error_says_where_it_comes_from(tmp_path: Path) -> None:
    half = TestOn10().half()
    with pytest.raises(BackendMissingError, match=r"TensorRT is needed to run model\.onnx"):
        open_runner(tmp_path / "model.onnx", half, threads=1)
