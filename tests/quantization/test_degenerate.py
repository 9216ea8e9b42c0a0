import numpy as np
import pytest

from ecc_deploy import data
from ecc_deploy.errors import DataError
from ecc_deploy.quantization.degenerate import check_samples

COUNT, SIZE = 40, 16


def pictures(channels: int = 3) -> np.ndarray:
    """Smooth coloured pictures with a little noise, uint8 ``[40, 16, 16, channels]``."""
    rng = np.random.default_rng(0)
    across = np.linspace(0, 3, SIZE)
    phase = rng.uniform(0, 6, (COUNT, 1, 1, channels))
    waves = np.sin(across[None, :, None, None] + phase) + np.cos(across[None, None, :, None] * 2 + phase)
    return np.clip(120 + 50 * waves + rng.normal(0, 3, (COUNT, SIZE, SIZE, channels)), 0, 255).astype(np.uint8)


def check(images: np.ndarray, channels: int = 3) -> None:
    check_samples(images, (SIZE, SIZE, channels), "mine")


def test_real_images_and_pictures_pass(coloured_images: np.ndarray) -> None:
    check_samples(coloured_images, (32, 32, 3), "coloured")
    check(pictures())
    check(pictures(1), 1)
    check(pictures()[:1])


@pytest.fixture
def coloured_images() -> np.ndarray:
    """Embedded images in three channels: one of them mirrored, one negative."""
    grey = data.load("fashion-mnist-sample").part("train").images[:256]
    padded = np.pad(grey, ((0, 0), (2, 2), (2, 2), (0, 0)))
    return np.concatenate([padded, padded[:, :, ::-1], 255 - padded], axis=3)


def test_a_few_constant_images_are_fine() -> None:
    images = pictures()
    images[:20] = np.arange(20, dtype=np.uint8)[:, None, None, None] * 10
    check(images)
    images[20:22] = 7
    with pytest.raises(DataError, match="22 of 40 calibration images of mine are of one single colour"):
        check(images)


def test_pixels_of_another_range() -> None:
    with pytest.raises(DataError, match="brighter than 1 of 255") as caught:
        check((pictures() > 128).astype(np.uint8))
    assert "[0, 1]" in caught.value.hint


def test_one_image_over_and_over() -> None:
    with pytest.raises(DataError, match="only 20 of 40 calibration images of mine differ"):
        check(np.concatenate([pictures()[:20]] * 2))


def test_channels_first_by_shape() -> None:
    with pytest.raises(DataError, match=r"uint8 \(3, 16, 16\), not uint8 \(16, 16, 3\)"):
        check(pictures().transpose(0, 3, 1, 2))


def test_floats() -> None:
    with pytest.raises(DataError, match="are float32"):
        check(pictures().astype(np.float32))


def test_channels_first_that_were_only_reshaped() -> None:
    scrambled = np.ascontiguousarray(pictures().transpose(0, 3, 1, 2)).reshape(COUNT, SIZE, SIZE, 3)
    with pytest.raises(DataError, match="channels first, read as channels last"):
        check(scrambled)
