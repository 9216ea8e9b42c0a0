from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecc_deploy import pictures
from ecc_deploy.bundle import InputInfo
from ecc_deploy.errors import UsageError
from ecc_deploy.runtime.images import read_images

GREY = InputInfo(height=8, width=6, channels=1, mean=(0.0,), std=(1.0,))
COLOUR = InputInfo(height=8, width=6, channels=3, mean=(0.0,) * 3, std=(1.0,) * 3)
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 8, 6, 3), dtype=np.uint8)


def read(source: str | Path | np.ndarray, info: InputInfo, resize: bool = False) -> dict[str, np.ndarray]:
    return dict(read_images(source, info, resize))


def save(path: Path, array: np.ndarray, mode: str | None = None, **options: object) -> Path:
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tiff"])
def test_image_files_lose_nothing(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"image.{suffix}", PIXELS[0])
    (found,) = read(path, COLOUR).items()
    assert found[0] == str(path)
    np.testing.assert_array_equal(found[1], PIXELS[0])
    assert read(str(path), GREY)[str(path)].shape == (8, 6, 1)


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", "jpg"), ("P", "png"), ("RGBA", "webp"), ("1", "png"), ("CMYK", "jpg")]
)
def test_other_kinds_of_pixels_become_what_the_bundle_takes(tmp_path: Path, mode: str, suffix: str) -> None:
    path = save(tmp_path / f"image.{suffix}", PIXELS[0], mode)
    for info, channels in ((GREY, 1), (COLOUR, 3)):
        (image,) = read(path, info).values()
        assert (image.shape, image.dtype) == ((8, 6, channels), np.uint8)


def test_a_photo_is_turned_as_it_was_held(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by a quarter
    path = save(tmp_path / "held.png", np.rot90(PIXELS[0]), exif=exif)
    (image,) = read(path, COLOUR).values()
    np.testing.assert_array_equal(image, PIXELS[0])


@pytest.mark.parametrize(
    ("array", "info", "count"),
    [
        (PIXELS, COLOUR, 4),
        (PIXELS[0], COLOUR, None),
        (PIXELS[..., :1], GREY, 4),
        (PIXELS[0, ..., :1], GREY, None),
        (PIXELS[..., 0], GREY, 4),
        (PIXELS[0, ..., 0], GREY, None),
    ],
)
def test_arrays_and_their_files(tmp_path: Path, array: np.ndarray, info: InputInfo, count: int | None) -> None:
    np.save(tmp_path / "a.npy", array)
    for source, name in ((array, "array"), (tmp_path / "a.npy", str(tmp_path / "a.npy"))):
        found = read(source, info)
        assert list(found) == ([name] if count is None else [f"{name}[{i}]" for i in range(count)])
        np.testing.assert_array_equal(np.stack(list(found.values())).ravel(), array.ravel())
        assert all(image.shape == (8, 6, info.channels) for image in found.values())


def test_another_size_is_scaled_only_when_asked(tmp_path: Path) -> None:
    path = save(tmp_path / "large.png", np.full((20, 30, 3), 77, np.uint8))
    with pytest.raises(UsageError, match="has 30x20 pixels, and the bundle takes 6x8") as error:
        read(path, COLOUR)
    assert "--resize" in error.value.hint
    np.testing.assert_array_equal(read(path, COLOUR, resize=True)[str(path)], np.full((8, 6, 3), 77))
    np.testing.assert_array_equal(
        read(np.full((20, 30), 77, np.uint8), GREY, resize=True)["array"], np.full((8, 6, 1), 77)
    )


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (PIXELS.astype(np.float32), "holds float32"),
        (PIXELS[..., :2], "not images with 3 channels"),
        (PIXELS[0, ..., 0], "not images with 3 channels"),
        (PIXELS[np.newaxis], "not images with 3 channels"),
        (PIXELS[:0], "not images with 3 channels"),
    ],
)
def test_arrays_that_are_no_images(array: np.ndarray, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read(array, COLOUR)


def test_files_that_are_no_images(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.png", PIXELS[0]).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").write_bytes(b"")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for name, told in (
        ("absent.png", "No such file"),
        ("absent.npy", "No such file"),
        ("cut.png", "cannot be read"),
        ("text.png", "no image that can be read"),
        ("text.npy", "not an array file"),
        ("empty.npy", "not an array file"),
        ("objects.npy", "not an array file"),
    ):
        with pytest.raises(UsageError, match=told):
            read(tmp_path / name, COLOUR)
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path, COLOUR)


def test_deep_pixels_are_not_clipped_to_white(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 6), 40_000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(UsageError, match="pixels of the kind 'I;16'"):
        read(tmp_path / "deep.png", GREY)


def test_a_huge_image_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_PIXELS", 40)
    with pytest.raises(UsageError, match="6x8 pixels; 40 in all are allowed"):
        read(save(tmp_path / "huge.png", PIXELS[0]), COLOUR)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    with pytest.raises(UsageError, match="is too large"):
        read(tmp_path / "huge.png", COLOUR)
