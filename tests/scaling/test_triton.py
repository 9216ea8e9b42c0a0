"""The model repository: by Triton's own schema, and the decode step alone. ``tests/servers`` has Triton serve it."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from ecc_deploy.bundle import Bundle, Half, TensorInfo
from ecc_deploy.bundle.codecs import sent
from ecc_deploy.errors import UsageError
from ecc_deploy.preprocess import Preprocess
from ecc_deploy.scaling.export import export_serving
from ecc_deploy.scaling.triton import _pixels
from tests.toy import IMAGE, NORMALISATION, samples


@pytest.fixture(scope="module")
def models(rich_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_serving(rich_bundle, tmp_path_factory.mktemp("triton") / "out").path / "models"


def config(models: Path, name: str) -> Any:
    """Parsed by the schema: an unknown field or value is an error."""
    return text_format.Parse((models / name / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


def test_every_model_has_a_configuration_of_its_name_and_a_version(models: Path) -> None:
    names = {path.name for path in models.iterdir()}
    assert names == {f"{key}{part}" for key in ("full", "tail") for part in ("", ".decode", ".engine")}
    for name in names:
        assert config(models, name).name == name
        assert [path.name for path in (models / name / "1").iterdir()]


def test_the_ensemble_decodes_first(models: Path, rich_bundle: Bundle) -> None:
    found = config(models, "tail")
    assert found.platform == "ensemble"
    decode, engine = found.ensemble_scheduling.step
    assert (decode.model_name, dict(decode.input_map)) == ("tail.decode", {"payload": "payload"})
    assert dict(decode.output_map) == dict(engine.input_map)
    assert (engine.model_name, dict(engine.output_map)) == ("tail.engine", {"logits": "logits"})
    assert [(i.name, i.data_type, list(i.dims)) for i in found.input] == [
        ("payload", model_config_pb2.TYPE_STRING, [-1])
    ]
    assert [(o.name, list(o.dims)) for o in found.output] == [("logits", [-1, 4])]
    said = {name: value.string_value for name, value in found.parameters.items()}
    assert said["pair_id"] == rich_bundle.manifest.pair_id
    assert said["codec"] == said["codec.dynamic"] == "int4+ans"


def test_the_steps_fit_together(models: Path) -> None:
    for key, tensor in (("tail", "boundary"), ("full", "image")):
        decoded, entry = config(models, f"{key}.decode").output[0], config(models, f"{key}.engine").input[0]
        assert decoded.name == entry.name == tensor
        assert decoded.data_type == entry.data_type
        assert list(decoded.dims) == [-1, *entry.dims]


def test_the_engine_is_batched_and_warm_before_it_is_ready(models: Path, rich_bundle: Bundle) -> None:
    found = config(models, "tail.engine")
    assert (found.backend, found.max_batch_size) == ("onnxruntime", 64)
    assert found.HasField("dynamic_batching")
    assert found.model_warmup[0].inputs["boundary"].zero_data
    assert found.parameters["intra_op_thread_count"].string_value == "1"
    half = rich_bundle.manifest.halves["tail"]
    assert (models / "tail.engine/1/model.onnx").read_bytes() == rich_bundle.file(half.file).read_bytes()
    warm_up = config(models, "tail.decode").model_warmup[0].inputs["payload"]
    assert (models / "tail.decode/warmup" / warm_up.input_data_file).stat().st_size > 4


def changed(bundle: Bundle, **facts: object) -> Bundle:
    """With other facts about the half ``tail``; its files stay."""
    half = Half.model_validate({**bundle.manifest.halves["tail"].model_dump(), **facts})
    return Bundle(bundle.path, bundle.manifest.model_copy(update={"halves": {**bundle.manifest.halves, "tail": half}}))


def test_a_tensorrt_half_is_built_by_tritons_onnx_runtime(toy_bundle: Bundle, tmp_path: Path) -> None:
    out = export_serving(changed(toy_bundle, backend="tensorrt", batch=1), tmp_path / "out").path / "models"
    found = config(out, "tail.engine")
    assert (found.max_batch_size, list(found.input[0].dims)) == (0, [1, 1, 4, 4])
    assert found.optimization.execution_accelerators.gpu_execution_accelerator[0].name == "tensorrt"
    assert found.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_GPU


@pytest.mark.parametrize(
    ("facts", "engine", "said"),
    [
        ({"backend": "openvino"}, "onnxruntime", "'tail' .* is for openvino; Triton is given ONNX files"),
        ({"batch": 8}, "onnxruntime", "'tail' takes batches of exactly 8"),
        ({"backend": "tensorrt"}, "python", "a Python model runs onnxruntime's halves"),
    ],
)
def test_what_triton_cannot_run_is_refused_whole(
    toy_bundle: Bundle, tmp_path: Path, facts: dict, engine: Any, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        export_serving(changed(toy_bundle, **facts), tmp_path / "out", engine=engine)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_pixels_are_looked_up_as_preprocessing_gives_them(
    toy_bundle: Bundle, channels: int, layout: str, dtype: str
) -> None:
    shape = (channels, 8, 8) if layout == "NCHW" else (8, 8, channels)
    tensor = {**IMAGE.model_dump(), "shape": shape, "layout": layout, "dtype": dtype}
    if dtype == "int8":
        tensor["quantization"] = {"scale": 0.02, "zero_point": -3}
    info = toy_bundle.manifest.input.model_copy(
        update={"channels": channels, "mean": (0.25, 0.3, 0.4)[:channels], "std": (0.5, 0.6, 0.7)[:channels]}
    )
    half = toy_bundle.manifest.halves["full"].model_copy(update={"inputs": (TensorInfo.model_validate(tensor),)})
    preprocess = Preprocess(info, half)
    images = np.random.default_rng(1).integers(0, 256, (5, 8, 8, channels), dtype=np.uint8)
    values = _pixels(preprocess, channels)
    found = np.stack([values[c][images[..., c]] for c in range(channels)], axis=-1)
    wanted = preprocess(images)
    assert values.dtype == wanted.dtype
    np.testing.assert_array_equal(found.transpose(0, 3, 1, 2) if layout == "NCHW" else found, wanted)


FAKE_TRITON = """
class TritonModelException(Exception): pass
class TritonError:
    INVALID_ARG = 3
    def __init__(self, message, code): self.message, self.code = message, code
class Tensor:
    def __init__(self, name, array): self.name, self.array = name, array
    def as_numpy(self): return self.array
class InferenceResponse:
    def __init__(self, output_tensors=(), error=None): self.tensors, self.error = output_tensors, error
def get_input_tensor_by_name(request, name): return request.tensors[name]
"""
"""As much of Triton's module as a model uses."""
ASK = """
import json, sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import numpy as np, model, ecc_deploy, triton_python_backend_utils as pb
class Request:
    def __init__(self, payloads, parameters):
        self.tensors = {"payload": pb.Tensor("payload", np.array(payloads + [None], object)[:-1])}
        self.text = json.dumps(parameters)
    def parameters(self): return self.text
decode = model.TritonPythonModel()
decode.initialize({})
asked = [Request([bytes.fromhex(p) for p in payloads], parameters) for payloads, parameters in json.load(sys.stdin)]
def told(array): return [array.tolist(), str(array.dtype), ""]
answers = [
    [None, a.error.code, a.error.message] if a.error else told(a.tensors[0].array) for a in decode.execute(asked)
]
print(json.dumps({"package": ecc_deploy.__file__, "answers": answers}))
"""


def ask(model: Path, folder: Path, requests: list) -> dict:
    """Run the decode step of ``model`` in a process that finds no other ecc_deploy than the one in the repository."""
    (folder / "triton_python_backend_utils.py").write_text(textwrap.dedent(FAKE_TRITON))
    command = [sys.executable, "-c", ASK, str(model / "1"), str(folder)]
    done = subprocess.run(
        command, input=json.dumps(requests), capture_output=True, text=True, check=False, cwd=folder, env={}
    )
    assert done.returncode == 0, done.stderr
    found: dict = json.loads(done.stdout)
    assert Path(found["package"]) == model / "1/ecc_deploy/__init__.py"
    return found


def test_the_decode_step_gives_what_the_engine_takes(models: Path, rich_bundle: Bundle, tmp_path: Path) -> None:
    codes = np.random.default_rng(3).integers(0, 8, (3, 1, 4, 4), dtype=np.uint8)
    requests = []
    for spec in ("int4+ans", "int4", "int8+delta+zstd"):
        codec = sent(rich_bundle, "toy").codec(spec)
        requests.append(([codec.encode(item).hex() for item in codes], {"codec": spec}))
    for values, dtype, _ in ask(models / "tail.decode", tmp_path, requests)["answers"]:
        assert dtype == "uint8"
        np.testing.assert_array_equal(values, codes)
    images = samples(2, seed=8).images
    codec = sent(rich_bundle, None).codec("png")
    request = ([codec.encode(image).hex() for image in images], {"pair_id": rich_bundle.manifest.pair_id})
    ((values, dtype, _),) = ask(models / "full.decode", tmp_path, [request])["answers"]
    assert dtype == "float32"
    np.testing.assert_array_equal(np.array(values, np.float32), NORMALISATION(images))


def test_the_decode_step_refuses_each_wrong_request_by_itself(models: Path, tmp_path: Path) -> None:
    good = ["0011223344556677"], {"codec": "int4"}
    wrong = {
        "payload 0 is not int4: ": (["00"], {"codec": "int4"}),
        "needs the table|no codec named": (["00"], {"codec": "gif"}),
        "at most 64 characters": (["00"], {"codec": "x" * 65}),
        "the codec must be a string": (["00"], {"codec": 4}),
        "edge and cloud run different bundles": (["0011223344556677"], {"codec": "int4", "pair_id": "f" * 32}),
        r"the shape \[0\] is not \[batch\] of 1 to 64": ([], {"codec": "int4"}),
        r"the shape \[65\]": (["0011223344556677"] * 65, {"codec": "int4"}),
    }
    answers = ask(models / "tail.decode", tmp_path, [good, *wrong.values(), good])["answers"]
    assert answers[0] == answers[-1]
    assert np.shape(answers[0][0]) == (1, 1, 4, 4)
    for message, (values, code, said) in zip(wrong, answers[1:-1], strict=True):
        assert (values, code) == (None, 3)
        assert re.search(message, said), said


def test_a_decoder_that_decodes_otherwise_does_not_start(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "tail.decode", tmp_path / "model")
    facts = json.loads((tmp_path / "model/1/decode.json").read_text())
    facts["golden"][0]["sha256"] = "0" * 64
    (tmp_path / "model/1/decode.json").write_text(json.dumps(facts))
    with pytest.raises(AssertionError, match="decodes to something else here"):
        ask(tmp_path / "model", tmp_path, [])
