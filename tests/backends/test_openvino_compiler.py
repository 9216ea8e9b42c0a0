from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from ecc_deploy.backends.openvino.options import Options
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bundle.manifest import Precision
from ecc_deploy.errors import DeviceError, UsageError
from ecc_deploy.partition.halves import ENCODE, EXIT
from ecc_deploy.quantization.ranges import RangeMethod
from tests.backends.compiler_conformance import CompilerConformance


def operators(path: Path) -> list[str]:
    return [op.get_type_name() for op in ov.Core().read_model(path).get_ops()]


class TestOpenVinoCompiler(CompilerConformance):
    backend = "openvino"
    precisions: tuple[Precision, ...] = ("fp32", "int8")

    def test_int8_convolutions_are_quantized_and_the_boundary_is_rounded_once(self) -> None:
        found = operators(self.compiled(self.halves.sources[ENCODE], "int8")[1])
        assert found.count("FakeQuantize") >= 2
        assert found.count("Round") == 1
        assert "FakeQuantize" not in operators(self.compiled(self.halves.sources[ENCODE], "fp32")[1])

    def test_what_was_chosen_is_written_down(self) -> None:
        half = self.compiled(self.halves.sources[EXIT], "int8")[0]
        assert half.compiled["quantization"] in (
            "mixed",
            "mixed, bias correction",
            "symmetric",
            "symmetric, bias correction",
        )
        assert half.compiled["inference_precision"] == "f32"

    @pytest.mark.parametrize("precision", ["fp32", "int8"])
    def test_a_device_with_static_shapes(self, precision: Precision) -> None:
        half, path = self.compile(self.halves.sources[EXIT], precision, options=Options(static_shapes=True))
        assert half.batch == 1
        assert self.run(half, path, self.fresh[:1])["logits"].shape == (1, 10)

    def test_a_device_that_is_not_here(self) -> None:
        options = Options(device="NPU", static_shapes=True)
        half, path = self.compile(self.halves.sources[EXIT], "fp32", options=options)
        with pytest.raises(DeviceError, match="finds no NPU"):
            open_runner(path, half, 1)
        with open_runner(path, half, 1, stand_in=True) as stand_in:
            answer = stand_in.run({"image": self.fresh[:1]})["logits"]
        plain = self.run(*self.compiled(self.halves.sources[EXIT], "fp32"), self.fresh[:1])["logits"]
        np.testing.assert_allclose(answer, plain, atol=1e-5)

    def test_a_method_that_nncf_has_not(self) -> None:
        with pytest.raises(UsageError, match="not by entropy"):
            self.compile(self.halves.sources[EXIT], "int8", ranges=RangeMethod("entropy"))
