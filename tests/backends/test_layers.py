"""The layers of each backend's files, by the one test body."""

import pytest

from ecc_deploy.backends.registry import BACKENDS, load_layers
from ecc_deploy.errors import UsageError
from tests.backends.layers_conformance import LayersConformance


class TestOnnxRuntimeLayers(LayersConformance):
    backend = "onnxruntime"
    fuses = True


class TestOpenVinoLayers(LayersConformance):
    backend = "openvino"
    fuses = False


class TestTfliteLayers(LayersConformance):
    backend = "tflite"
    fuses = True


class TestTensorRTLayers(LayersConformance):
    backend = "tensorrt"
    fuses = False


def test_every_backend_with_int8_shows_layers() -> None:
    for backend in BACKENDS.values():
        assert bool(backend.shows_layers_with) == ("int8" in backend.precisions)


def test_a_backend_that_shows_none() -> None:
    with pytest.raises(UsageError, match="AOTInductor cannot show what is inside its files") as caught:
        load_layers("aotinductor")
    assert "onnxruntime" in caught.value.hint
