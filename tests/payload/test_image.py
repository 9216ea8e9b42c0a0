from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from ecc_deploy.data import load
from ecc_deploy.errors import PayloadError
from ecc_deploy.payload import Codec, TensorSpec, make_codec
from tests.payload.conformance import CodecConformance


class ImageConformance(CodecConformance):
    shapes = ((1, 1, 1), (1, 1, 3), (1, 9, 1), (17, 1, 3), (16, 16, 1), (33, 31, 3), (28, 28, 1))

    def check_round_trip(self, codec: Codec, array: np.ndarray, decoded: np.ndarray) -> None:
        if codec.is_lossless:
            assert (decoded == array).all()


class TestRaw(ImageConformance):
    specs = ("raw",)


class TestPng(ImageConformance):
    specs = ("png",)


class TestJpeg(ImageConformance):
    specs = ("jpeg:1", "jpeg:80", "jpeg:100")


class TestWebp(ImageConformance):
    specs = ("webp:1", "webp:80", "webp:100")


class TestWebpLossless(ImageConformance):
    specs = ("webp-lossless",)


FILES = {"png": "PNG", "jpeg:90": "JPEG", "webp:90": "WEBP", "webp-lossless": "WEBP"}
GREY = TensorSpec("uint8", (28, 28, 1))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return load("fashion-mnist-sample").part("val").images[:8]


@pytest.mark.parametrize("spec", FILES)
def test_payloads_are_files_that_stand_alone(spec: str, images: np.ndarray) -> None:
    codec = make_codec(spec, GREY)
    for image in images:
        payload = codec.encode(image)
        with Image.open(BytesIO(payload)) as file:
            assert file.format == FILES[spec]
            assert (np.asarray(file.convert("L"))[..., None] == codec.decode(payload)).all()


@pytest.mark.parametrize("spec", FILES)
def test_real_images_come_back_nearly_or_quite(spec: str, images: np.ndarray) -> None:
    codec = make_codec(spec, GREY)
    for image in images:
        payload = codec.encode(image)
        error = np.abs(codec.decode(payload).astype(int) - image).mean()
        assert error == 0 if codec.is_lossless else error < 4
        assert len(payload) < image.size


def test_quality_is_what_it_says(images: np.ndarray) -> None:
    for name in ("jpeg", "webp"):
        sizes = [sum(len(make_codec(f"{name}:{q}", GREY).encode(i)) for i in images) for q in (10, 50, 90)]
        assert sizes == sorted(sizes)
        assert sizes[0] < sizes[-1] / 1.5


@pytest.mark.parametrize("spec", ["png", "jpeg:100", "jpeg:94", "webp:100", "webp-lossless"])
@pytest.mark.parametrize("channels", [1, 3])
def test_noise_stays_below_the_bound(spec: str, channels: int) -> None:
    rng = np.random.default_rng(0)
    for size in (40, 250):
        codec = make_codec(spec, TensorSpec("uint8", (size, size, channels)))
        for image in (rng.integers(0, 256, codec.tensor.shape), rng.choice([0, 255], codec.tensor.shape)):
            payload = codec.encode(image.astype(np.uint8))
            assert len(payload) <= codec.max_bytes
            assert codec.decode(payload).shape == codec.tensor.shape


@pytest.mark.parametrize("spec", FILES)
def test_an_image_of_another_size_or_colour(spec: str) -> None:
    codec = make_codec(spec, TensorSpec("uint8", (20, 30, 3)))
    for shape in ((30, 20, 3), (20, 31, 3), (1, 1, 3)):
        other = make_codec(spec, TensorSpec("uint8", shape)).encode(np.zeros(shape, np.uint8))
        with pytest.raises(PayloadError, match="30 x 20 x 3 was agreed on"):
            codec.decode(other)
    if not spec.startswith("webp"):  # which has no grey
        grey = make_codec(spec, TensorSpec("uint8", (20, 30, 1))).encode(np.zeros((20, 30, 1), np.uint8))
        with pytest.raises(PayloadError, match="was agreed on"):
            codec.decode(grey)


@pytest.mark.parametrize("spec", FILES)
def test_a_file_of_another_format(spec: str, images: np.ndarray) -> None:
    for other in FILES:
        if other != spec:
            with pytest.raises(PayloadError, match=r"not a|begins with the chunk"):
                make_codec(spec, GREY).decode(make_codec(other, GREY).encode(images[0]))


def test_bits_of_the_pixels_flipped_in_a_png(images: np.ndarray) -> None:
    codec = make_codec("png", GREY)
    payload = bytearray(codec.encode(images[0]))
    payload[len(payload) // 2] ^= 1
    with pytest.raises(PayloadError, match="damaged"):
        codec.decode(bytes(payload))
