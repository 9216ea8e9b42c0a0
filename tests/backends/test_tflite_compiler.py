import pytest

pytest.importorskip("litert_torch", reason="install the extra tflite-compile")

from ai_edge_litert.interpreter import Interpreter

from ecc_deploy.bundle.manifest import Precision
from ecc_deploy.partition.halves import ENCODE, EXIT_AND_ENCODE
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
