"""One image file of the user's, made into uint8 pixels without trusting it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from ecc_deploy.errors import DataError

ENDINGS = (".jpeg", ".jpg", ".png", ".webp")
MAX_PIXELS = 64 * 1024 * 1024
"""Of one file; a larger one is refused before it is decoded."""

_FORMATS = ("JPEG", "PNG", "WEBP")
# Modes of more than 8 bits per channel are left out: pillow clips them to white rather than scale them.
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def read_image(path: Path, channels: int, size: tuple[int, int] | None) -> np.ndarray:
    """Decode a file to uint8 ``[H, W, channels]``, turned as its EXIF orientation says, grey or RGB.

    ``size`` (height, width): scale to it (bilinear; the aspect ratio is not kept), as ``ecc-deploy run --resize``
    does. Raises :class:`DataError`, naming the file.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            # Pillow's own, higher limit: ours is checked next, before a pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(path, formats=_FORMATS)
        with opened as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{path} has {image.width}x{image.height} pixels; {MAX_PIXELS} in all are allowed")
            if image.mode not in _MODES:
                raise DataError(
                    f"{path} has pixels of the kind {image.mode!r}", "Save it with 8 bits per channel, grey or RGB."
                )
            pixels = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
    except DataError:
        raise
    except Exception as error:  # pillow's decoders raise whatever a damaged file leads them to
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{path} cannot be read: {reason}", "Mend it, or take it out of the folder.") from error
    if size is not None and (pixels.height, pixels.width) != size:
        pixels = pixels.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(pixels).reshape(pixels.height, pixels.width, channels)
