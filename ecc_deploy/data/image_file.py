"""One image file of a dataset's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ecc_deploy.errors import DataError
from ecc_deploy.pictures import read_picture, scaled

ENDINGS = (".jpeg", ".jpg", ".png", ".webp")
_FORMATS = ("JPEG", "PNG", "WEBP")


def read_image(path: Path, channels: int, size: tuple[int, int] | None) -> np.ndarray:
    """Decode a file to uint8 ``[H, W, channels]``, turned as its EXIF orientation says, grey or RGB.

    ``size`` (height, width): scale to it (bilinear; the aspect ratio is not kept), as ``ecc-deploy run --resize``
    does. Raises :class:`DataError`, naming the file.
    """
    hint = "Mend it, or take it out of the folder."
    pixels = read_picture(path, channels, DataError, formats=_FORMATS, hint=hint)
    return pixels if size is None or pixels.shape[:2] == size else scaled(pixels, *size)
