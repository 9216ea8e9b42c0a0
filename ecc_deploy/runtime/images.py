"""Users' images: files and arrays, made into what a bundle takes: uint8 ``[H, W, C]``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ecc_deploy.bundle.manifest import InputInfo
from ecc_deploy.errors import UsageError
from ecc_deploy.pictures import read_picture, scaled


def read_images(source: str | Path | np.ndarray, info: InputInfo, resize: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the images of ``source``, each with a name, as uint8 ``[H, W, C]`` of exactly the size in ``info``.

    ``source``: an image file (BMP, JPEG, PNG, PPM, TIFF, WebP), or an array or ``.npy`` file of uint8 ``[H, W, C]``,
    ``[N, H, W, C]``, or the same without ``C`` where there is one channel. Files are turned as their EXIF orientation
    says and made grey or RGB. ``resize``: scale images of another size (bilinear, the aspect ratio is not kept).

    Raises :class:`UsageError` for what cannot be read, and for another size without ``resize``.
    """
    if isinstance(source, np.ndarray):
        return _from_array("array", source, info, resize)
    path = Path(source)
    if path.suffix == ".npy":
        return _from_array(str(path), _load(path), info, resize)
    return iter([(str(path), _fit(str(path), read_picture(path, info.channels, UsageError), info, resize))])


def _load(path: Path) -> np.ndarray:
    try:
        # np.load would also open archives and pickles.
        array: np.ndarray = np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # the header is Python source, which can be wrong in every way
        raise UsageError(f"{path} is not an array file (.npy): {error}") from error
    return array


def _from_array(name: str, array: np.ndarray, info: InputInfo, resize: bool) -> Iterator[tuple[str, np.ndarray]]:
    if array.dtype != np.uint8:
        raise UsageError(f"{name} holds {array.dtype}; images are uint8", "Scale the pixels to 0..255 and save them.")
    channels = info.channels
    is_batch = array.ndim == 4 or (array.ndim == 3 and array.shape[-1] != channels)
    images = array if is_batch else array[np.newaxis]
    if images.ndim == 3 and channels == 1:
        images = images[..., np.newaxis]
    if images.ndim != 4 or images.shape[-1] != channels or 0 in images.shape:
        raise UsageError(
            f"{name} has the shape {array.shape}, which is not images with {channels} channel{'s' * (channels > 1)}",
            "Give (height, width, channels), or (number, height, width, channels).",
        )
    for i, image in enumerate(images):
        label = f"{name}[{i}]" if is_batch else name
        yield label, _fit(label, image, info, resize)


def _fit(name: str, image: np.ndarray, info: InputInfo, resize: bool) -> np.ndarray:
    height, width = image.shape[:2]
    if (height, width) == (info.height, info.width):
        return np.ascontiguousarray(image)
    if not resize:
        raise UsageError(
            f"{name} has {width}x{height} pixels, and the bundle takes {info.width}x{info.height}",
            "Scale it, or let it be scaled: --resize (in Python: resize=True).",
        )
    return scaled(image, info.height, info.width)
