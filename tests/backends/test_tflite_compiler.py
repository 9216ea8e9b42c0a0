from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import nn

from ecc_deploy.bundle.manifest import Precision
from ecc_deploy.errors import CompileError, UsageError
from ecc_deploy.partition.halves import ENCODE, EXIT, EXIT_AND_ENCODE
from tests.backends.compiler_conformance import CompilerConformance


class TestTfliteCompiler(CompilerConformance):
    backend = "tflite"
    precisions: tuple[Precision, ...] = ("fp32", "int8")

    def test_the_file_is_int8_from_end_to_end_with_the_learned_step(self) -> None:
        path = self.compiled(self.halves.sources[ENCODE], "int8")[1]
        interpreter = Interpreter(model_path=str(path))
        (entry,), (boundary,) = interpreter.get_input_details(), interpreter.get_output_details()
        assert (entry["dtype"].__name__, boundary["dtype"].__name__) == ("int8", "int8")
        scale, zero_point = boundary["quantization"]
        assert scale == pytest.approx(self.halves.boundary.scale, rel=1e-6)
        assert zero_point == -128

    def test_what_xnnpack_takes_is_written_down(self) -> None:
        facts = self.compiled(self.halves.sources[ENCODE], "int8")[0].compiled
        assert facts["delegated"] == facts["operators"]
        assert (facts["partitions"], facts["transposes"], facts["not_delegated"]) == (1, 0, ())
        assert self.compiled(self.halves.sources[EXIT_AND_ENCODE], "fp32")[0].compiled["operators"] > 10

    def test_the_learned_gate_and_what_is_excluded_stay_float(self) -> None:
        def floats(**job: Any) -> set[str]:
            path = self.compile(self.halves.sources[EXIT], "int8", **job)[1]
            tensors = Interpreter(model_path=str(path)).get_tensor_details()
            return {tensor["name"] for tensor in tensors if tensor["dtype"] is np.float32}

        plain, more = floats(), floats(exclude=("stages.stage1",))
        assert any("_gate/" in name for name in plain)
        assert sum("_stage1/" in name for name in more) > sum("_stage1/" in name for name in plain) + 2

    def test_operators_that_litert_does_not_have_are_named_with_their_modules(self) -> None:
        class Determinant(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x * torch.linalg.det(x[:, :, :3, :3])[..., None, None]

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.odd = nn.Sequential(nn.Conv2d(1, 4, 3), Determinant())
                self.head = nn.Linear(4, 10)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.head(self.odd(x).mean((2, 3)))

        whole = self.halves.sources[EXIT]
        outputs = tuple(tensor for tensor in whole.outputs if tensor.name == "logits")
        source = replace(whole, module=Net(), outputs=outputs, boundary=None)
        with pytest.raises(CompileError, match=r"linalg_det.*, of odd\.1") as caught:
            self.compile(source, "fp32")
        assert "another target" in caught.value.hint

    def test_a_module_that_is_not_there(self) -> None:
        with pytest.raises(UsageError, match=r"'stages.stage9'"):
            self.compile(self.halves.sources[EXIT], "int8", exclude=("stages.stage9",))
