"""Image files of the user's, made into uint8 pixels without trusting them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from ecc_deploy.errors import EccError

FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MAX_PIXELS = 64 * 1024 * 1024
"""Of one file; a larger one is refused before it is decoded."""

# Modes of more than 8 bits per channel are left out: pillow clips them to white rather than scale them.
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def read_picture(
    path: Path, channels: int, error: type[EccError], *, formats: tuple[str, ...] = FORMATS, hint: str = ""
) -> np.ndarray:
    """Decode a file to uint8 ``[H, W, channels]``, turned as its EXIF orientation says, grey or RGB.

    Raises ``error``, naming the file; ``hint`` is what to do about one that cannot be read.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow's own, higher limit: ours is checked next, before a pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(path, formats=formats)
        with opened as image:
            if image.width * image.height > MAX_PIXELS:
                raise error(f"{path} has {image.width}x{image.height} pixels; {MAX_PIXELS} in all are allowed")
            if image.mode not in _MODES:
                raise error(
                    f"{path} has pixels of the kind {image.mode!r}", "Save it with 8 bits per channel, grey or RGB."
                )
            pixels = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
    except UnidentifiedImageError as raised:
        raise error(f"{path} is no image that can be read here", f"Known formats: {', '.join(formats)}.") from raised
    except Image.DecompressionBombError as raised:
        raise error(f"{path} is too large: {raised}") from raised
    except EccError:
        raise
    except Exception as raised:  # pillow's decoders raise whatever a damaged file leads them to
        reason = raised.strerror if isinstance(raised, OSError) and raised.strerror else raised
        raise error(f"{path} cannot be read: {reason}", hint) from raised
    return np.asarray(pixels).reshape(pixels.height, pixels.width, channels)


def scaled(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 ``[H, W, C]`` in another size: bilinear, the aspect ratio is not kept."""
    from PIL import Image

    channels = pixels.shape[2]
    flat = np.ascontiguousarray(pixels[..., 0] if channels == 1 else pixels)
    image = Image.fromarray(flat).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(height, width, channels)
