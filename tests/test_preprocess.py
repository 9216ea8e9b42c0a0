import numpy as np
import pytest

from ecc_deploy.bundle import Half, InputInfo, TensorInfo
from ecc_deploy.bundle.manifest import Quantization
from ecc_deploy.errors import BundleError
from ecc_deploy.preprocess import Preprocess, laid_out

INFO = InputInfo(height=5, width=4, channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), np.uint8)


def half(layout: str, dtype: str = "float32", quantization: Quantization | None = None) -> Half:
    shape = (3, 5, 4) if layout == "NCHW" else (5, 4, 3)
    image = TensorInfo(name="image", dtype=dtype, shape=shape, layout=layout, quantization=quantization)
    logits = TensorInfo(name="logits", dtype="float32", shape=(10,), layout="NC")
    return Half(
        side="edge", backend="tflite", precision="int8", file="edge/x", inputs=(image,), outputs=(logits,), macs=0
    )


def expected() -> np.ndarray:
    """float64 ``[N, H, W, C]``."""
    return (IMAGES / 255 - np.array(INFO.mean)) / np.array(INFO.std)


def test_floats_in_both_layouts() -> None:
    nhwc, nchw = (Preprocess(INFO, half(layout))(IMAGES) for layout in ("NHWC", "NCHW"))
    assert nhwc.dtype == nchw.dtype == np.float32
    assert nhwc.flags.c_contiguous
    assert nchw.flags.c_contiguous
    np.testing.assert_allclose(nhwc, expected(), atol=1e-5)
    np.testing.assert_array_equal(nchw, nhwc.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_codes_are_those_of_the_floats(layout: str) -> None:
    coded = half(layout, "int8", Quantization(scale=0.013, zero_point=-5))
    found = Preprocess(INFO, coded)(IMAGES)
    assert found.dtype == np.int8
    assert found.flags.c_contiguous
    floats = Preprocess(INFO, half("NCHW"))(IMAGES)
    np.testing.assert_array_equal(found, laid_out(coded, floats))
    nhwc = found if layout == "NHWC" else found.transpose(0, 2, 3, 1)
    ideal = np.clip(expected() / 0.013 - 5, -128, 127)
    assert np.abs(nhwc - ideal).max() <= 0.501
    assert (nhwc == -128).any()  # darker than the range: clipped


def test_codes_without_a_meaning_are_refused() -> None:
    with pytest.raises(BundleError, match="int8"):
        Preprocess(INFO, half("NHWC", "int8"))


def test_only_codes_have_a_quantization() -> None:
    with pytest.raises(ValueError, match="a float32 tensor has no quantization"):
        half("NHWC", "float32", Quantization(scale=0.1, zero_point=0))
