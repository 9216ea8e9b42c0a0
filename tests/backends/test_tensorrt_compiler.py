from pathlib import Path

import numpy as np
import onnx
import pytest

from ecc_deploy.backends.registry import open_runner
from ecc_deploy.backends.targets import Target, list_targets
from ecc_deploy.backends.tensorrt.api import rtx_api
from ecc_deploy.bundle.manifest import Half, Precision
from ecc_deploy.partition.halves import ENCODE, EXIT, EXIT_AND_ENCODE, TAIL
from tests.backends.compiler_conformance import CompilerConformance

TARGETS = {
    tuple(target.options.get(name) for name in ("stand_in", "opset", "batch", "dla")): target
    for target in list_targets()
    if target.backend == "tensorrt"
}
"""One for each way in which they differ to the compiler."""


class TestTensorRTCompiler(CompilerConformance):
    """Answers of the file by its stand-in, ONNX Runtime."""

    backend = "tensorrt"
    precisions: tuple[Precision, ...] = ("fp32", "int8")

    def run(self, half: Half, path: Path, inputs: np.ndarray) -> dict[str, np.ndarray]:
        with open_runner(path, half, threads=1, stand_in=True) as runner:
            found = [runner.run({half.inputs[0].name: sample[None]}) for sample in inputs]
        return {name: np.concatenate([one[name] for one in found]) for name in found[0]}

    def test_opset_batch_and_names(self) -> None:
        for precision in self.precisions:
            half, path = self.compiled(self.halves.sources[EXIT], precision)
            model = onnx.load(path)
            assert half.batch == 1
            assert model.opset_import[0].version == 17
            assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 1, 28, 28]
            convolution = next(node for node in model.graph.node if node.op_type == "Conv")
            assert convolution.name.startswith("stages.stem.")  # the module that made it

    def test_half_precision_is_in_the_file(self) -> None:
        half, path = self.compiled(self.halves.sources[ENCODE], "fp16")
        model = onnx.load(path)
        kinds = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) > 1}
        assert kinds == {onnx.TensorProto.FLOAT16}
        codes = self.run(half, path, self.fresh[:20])["boundary"].astype(int)
        exact_half, exact = self.compiled(self.halves.sources[ENCODE], "fp32")
        apart = np.abs(codes - self.run(exact_half, exact, self.fresh[:20])["boundary"])
        assert apart.max() <= 1
        assert (apart > 0).mean() < 0.01

    def test_int8_is_as_tensorrts_parser_takes_it(self) -> None:
        model = onnx.load(self.compiled(self.halves.sources[TAIL], "int8")[1])
        constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        points = [
            constants[n.input[2]] for n in model.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")
        ]
        assert points
        assert all(point.dtype == np.int8 and not point.any() for point in points)
        biases = [node.input[2] for node in model.graph.node if node.op_type == "Conv" and len(node.input) > 2]
        assert biases
        assert all(constants[name].dtype == np.float32 for name in biases)  # no Q/DQ between

    @pytest.mark.skipif(rtx_api() is None, reason="TensorRT-RTX is not installed: nothing builds without a GPU")
    @pytest.mark.parametrize("target", TARGETS.values(), ids=[target.name for target in TARGETS.values()])
    def test_nvidias_builder_takes_it_for_each_generation(self, target: Target) -> None:
        """Each of the target's precisions, and each kind of half: only together do they have all operators."""
        for precision in target.precisions:
            for key in (EXIT_AND_ENCODE, TAIL):
                half, _ = self.compile(self.halves.sources[key], precision, options=target.backend_options)
                assert str(half.compiled["tried_with"]).startswith("TensorRT-RTX")
                assert (half.compiled["tried_for"], half.compiled["opset"]) == (
                    target.options["stand_in"],
                    target.options["opset"],
                )
                assert half.compiled["layers"] > 10
