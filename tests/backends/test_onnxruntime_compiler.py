from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from ecc_deploy.backends import registry
from ecc_deploy.backends.onnx_graph import module_of, only_for
from ecc_deploy.bundle.manifest import Precision
from ecc_deploy.errors import BackendMissingError, UsageError
from ecc_deploy.partition.halves import ENCODE, EXIT, EXIT_AND_ENCODE, TAIL
from ecc_deploy.quantization.ranges import Method, RangeMethod
from tests.backends.compiler_conformance import CompilerConformance, snr_db


class TestOnnxRuntimeCompiler(CompilerConformance):
    backend = "onnxruntime"
    precisions: tuple[Precision, ...] = ("fp32", "int8")

    @pytest.mark.parametrize("precision", ["fp32", "int8"])
    def test_the_boundary_is_quantized_once_with_the_learned_step(self, precision: Precision) -> None:
        graph = onnx.load(self.compile(self.halves.sources[ENCODE], precision)[1]).graph
        constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
        clip = next(node for node in graph.node if "boundary" in node.output)
        assert clip.op_type == "Clip"
        assert constants[clip.input[2]] == 2**self.halves.boundary.bits - 1
        quantize = next(node for node in graph.node if clip.input[0] in node.output)
        assert quantize.op_type == "QuantizeLinear"
        assert constants[quantize.input[1]] == np.float32(self.halves.boundary.scale)
        before = next(node for node in graph.node if quantize.input[0] in node.output)
        assert before.op_type in ("Conv", "Relu")  # the encoder itself, not another DequantizeLinear

    @pytest.mark.parametrize("precision", ["fp32", "int8"])
    def test_the_tail_dequantizes_once(self, precision: Precision) -> None:
        graph = onnx.load(self.compile(self.halves.sources[TAIL], precision)[1]).graph
        readers = [node for node in graph.node if "boundary" in node.input]
        assert [node.op_type for node in readers] == ["DequantizeLinear"]
        constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
        assert constants[readers[0].input[1]] == np.float32(self.halves.boundary.scale)
        after = [node for node in graph.node if readers[0].output[0] in node.input]
        assert {node.op_type for node in after} == {"Conv"}

    def test_int8_convolutions_run_as_integers(self) -> None:
        """After ONNX Runtime's own fusion no float convolution is left in an int8 half."""
        import onnxruntime as ort

        path = self.compile(self.halves.sources[ENCODE], "int8")[1]
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(self.folder / "fused.onnx")
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        kinds = [node.op_type for node in onnx.load(self.folder / "fused.onnx").graph.node]
        assert "QLinearConv" in kinds
        assert "Conv" not in kinds
        assert "FusedConv" not in kinds

    def test_the_learned_gate_stays_float(self) -> None:
        for key in (EXIT, EXIT_AND_ENCODE):
            model = onnx.load(self.compile(self.halves.sources[key], "int8")[1])
            own = set(only_for(model, "confidence"))
            gate = [node for node in model.graph.node if node.name in own]
            kinds = [node.op_type for node in gate]
            assert {"Softmax", "TopK", "Gemm"} <= set(kinds)
            assert not {"QuantizeLinear", "DequantizeLinear"} & set(kinds)
            outside = [node.op_type for node in model.graph.node if node.name not in own]
            assert outside.count("QuantizeLinear") > 5

    @pytest.mark.parametrize("method", ["percentile", "entropy", "mse"])
    def test_every_method_of_finding_ranges(self, method: Method) -> None:
        source = self.halves.sources[EXIT]
        half, path = self.compile(source, "int8", ranges=RangeMethod(method))
        with torch.no_grad():
            wanted = source.module(torch.from_numpy(self.fresh))[0].numpy()
        assert snr_db(wanted, self.run(half, path, self.fresh)["logits"]) > 15
        assert path.read_bytes() != self.compile(source, "int8")[1].read_bytes()

    def test_a_module_that_is_excluded_stays_float(self) -> None:
        path = self.compile(self.halves.sources[EXIT], "int8", exclude=("stages.stage1",))[1]
        nodes = onnx.load(path).graph.node
        makers = {output: node for node in nodes for output in node.output}
        kept = [n for n in nodes if n.op_type == "Conv" and module_of(n).startswith("stages.stage1.")]
        assert kept
        assert all(makers[n.input[1]].op_type != "DequantizeLinear" for n in kept if n.input[1] in makers)

    def test_a_module_that_is_not_there(self) -> None:
        with pytest.raises(UsageError, match=r"'stages.stage9'") as caught:
            self.compile(self.halves.sources[EXIT], "int8", exclude=("stages.stage9",))
        assert "stages.stage1.0" in caught.value.hint


def test_a_missing_toolchain_says_what_installs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(registry, "missing", lambda modules: [m for m in modules if m == "onnxscript"])
    with pytest.raises(BackendMissingError, match="onnxscript is not installed") as caught:
        registry.load_compiler("onnxruntime")
    assert "pip install 'ecc-deploy[" in caught.value.hint
