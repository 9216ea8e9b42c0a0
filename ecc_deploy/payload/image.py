"""Images: raw bytes, PNG, JPEG and WebP, for inputs that are sent as they are. Through Pillow.

Each payload is a complete file that any decoder reads. The encoders' settings were chosen by bytes and encode time on
28x28 grey images (Fashion-MNIST):

* PNG: zlib level 9, without Pillow's ``optimize`` (which gains nothing more);
* JPEG: optimised Huffman tables (a quarter fewer bytes for 10 µs), no JFIF segment (18 bytes that no decoder needs);
  colour is subsampled 4:2:0, as is usual;
* WebP: method 5 (method 6 takes twice as long for 1 % fewer bytes);
* WebP lossless: effort 50, method 4 (effort 100, method 6 takes 28 times as long for 2 %).

Grey images are grey in PNG and JPEG. WebP knows only colour: they are sent with three equal channels, which costs
next to nothing, and the luma is what comes back; without loss it is exact.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload.checked import CheckedCodec, describe
from ecc_deploy.payload.grammar import Spec
from ecc_deploy.payload.image_files import check_jpeg, check_png, check_webp_lossless, check_webp_lossy
from ecc_deploy.payload.interface import TensorSpec
from ecc_deploy.payload.registry import codec

MAX_JPEG_SIDE = 65500  # libjpeg's own limit
MAX_WEBP_SIDE = 16383
_FILE_OVERHEAD = 4096
_JFIF_BYTES = 18
Check = Callable[[bytes, int, int, int], bytes]
_TAKES = "uint8 images (height, width, 1 or 3)"


def _is_image(tensor: TensorSpec, max_side: int = 2**31 - 1) -> bool:
    shape = tensor.shape
    return tensor.dtype == "uint8" and len(shape) == 3 and shape[2] in (1, 3) and max(shape) <= max_side


@codec("raw", takes=_TAKES, suits=_is_image)
class RawCodec(CheckedCodec):
    """The pixels in C order."""

    def __init__(self, spec: Spec, tensor: TensorSpec) -> None:
        super().__init__(str(spec), tensor, is_lossless=True, max_bytes=math.prod(tensor.shape))

    def _encode(self, array: np.ndarray) -> bytes:
        return array.tobytes()

    def _decode(self, payload: bytes | memoryview) -> np.ndarray:
        if len(payload) != self.max_bytes:
            raise PayloadError(
                f"a raw payload of {describe(self.tensor)} has {self.max_bytes} bytes, and this one has {len(payload)}"
            )
        return np.frombuffer(payload, np.uint8).reshape(self._shape).copy()


class FileCodec(CheckedCodec):
    """Files of one format, written and read by Pillow.

    ``check`` is of :mod:`~ecc_deploy.payload.image_files`; ``options`` are Pillow's for writing the format.
    """

    format: str
    plugin: str
    """Pillow's module of the format. Where it is not imported, Pillow imports all that it has."""

    def __init__(
        self,
        spec: Spec,
        tensor: TensorSpec,
        *,
        is_lossless: bool,
        max_bytes: int,
        check: Check,
        options: dict[str, Any],
    ) -> None:
        super().__init__(str(spec), tensor, is_lossless=is_lossless, max_bytes=max_bytes)
        self._height, self._width, self._channels = tensor.shape
        self._check = check
        self._options = options
        # Here and not at the top: a boundary needs no Pillow. And not later: the first sample should not pay for it.
        self._pillow = importlib.import_module("PIL.Image")
        importlib.import_module(f"PIL.{self.plugin}")
        self._pillow.preinit()

    def _encode(self, array: np.ndarray) -> bytes:
        payload = self._write(self._pillow.fromarray(array[..., 0] if self._channels == 1 else array))
        if len(payload) > self.max_bytes:
            raise PayloadError(f"{self.spec} needs {len(payload)} bytes for this image, above {self.max_bytes}")
        return payload

    def _write(self, image: Any) -> bytes:
        stream = BytesIO()
        image.save(stream, self.format, **self._options)
        return stream.getvalue()

    def _decode(self, payload: bytes | memoryview) -> np.ndarray:
        file = self._check(bytes(payload), self._width, self._height, self._channels)
        try:
            with self._pillow.open(BytesIO(file), formats=[self.format]) as image:
                if image.size != (self._width, self._height):
                    raise PayloadError(f"the {self.format} payload is {image.size[0]} x {image.size[1]}")
                return self._pixels(image)
        except PayloadError:
            raise
        except Exception as error:  # Pillow's decoders raise whatever a damaged file leads them to
            raise PayloadError(f"the {self.format} payload is damaged: {error}") from error

    def _pixels(self, image: Any) -> np.ndarray:
        if image.mode != ("L" if self._channels == 1 else "RGB"):
            raise PayloadError(f"the {self.format} payload has the colour mode {image.mode}")
        return np.array(image).reshape(self._shape)


@codec("png", takes=_TAKES, suits=_is_image)
class PngCodec(FileCodec):
    """Lossless; decodes 8-bit grey or RGB PNG files."""

    format = "PNG"
    plugin = "PngImagePlugin"

    def __init__(self, spec: Spec, tensor: TensorSpec) -> None:
        scanlines = tensor.shape[0] * (1 + tensor.shape[1] * tensor.shape[2])
        # Deflate stores what it cannot compress, at 5 bytes per block of at least 8 KiB, and Pillow's IDAT chunks
        # add 12 bytes per 64 KiB: an eighth covers both.
        limit = scanlines + scanlines // 8 + _FILE_OVERHEAD
        super().__init__(
            spec, tensor, is_lossless=True, max_bytes=limit, check=check_png, options={"compress_level": 9}
        )


@codec(
    "jpeg",
    takes=f"{_TAKES} of at most {MAX_JPEG_SIDE} pixels a side",
    suits=functools.partial(_is_image, max_side=MAX_JPEG_SIDE),
    has_quality=True,
)
class JpegCodec(FileCodec):
    """Decodes baseline JPEG files, with or without JFIF."""

    format = "JPEG"
    plugin = "JpegImagePlugin"

    def __init__(self, spec: Spec, tensor: TensorSpec) -> None:
        # A coefficient is at most 16 bits of Huffman code and 11 of magnitude; byte stuffing at most doubles it.
        limit = 2 * _padded(tensor, 16) * 27 // 8 + _FILE_OVERHEAD
        options = {"quality": spec.quality, "optimize": True}
        super().__init__(spec, tensor, is_lossless=False, max_bytes=limit, check=check_jpeg, options=options)

    def _write(self, image: Any) -> bytes:
        try:
            file = super()._write(image)
        except OSError:
            # Optimising needs a buffer for the whole file, and Pillow's is one byte a pixel; noise takes more.
            stream = BytesIO()
            image.save(stream, self.format, **{**self._options, "optimize": False})
            file = stream.getvalue()
        # SOI, then APP0 with the resolution, which says nothing about pixels.
        if file[2:4] == b"\xff\xe0" and file[6:11] == b"JFIF\0":
            return file[:2] + file[2 + _JFIF_BYTES :]
        return file


class WebpCodec(FileCodec):
    """Decodes WebP files of the simple format, compressed as the spec says.

    Memory of the lossless decoder: libwebp sets up a set of Huffman tables, about 16 KiB, for each tile that has its
    own, and a tile may be as small as 4x4 pixels. Encoders do not write such files; a hostile one is bounded by that.
    """

    format = "WEBP"
    plugin = "WebPImagePlugin"

    def __init__(
        self, spec: Spec, tensor: TensorSpec, *, is_lossless: bool, check: Check, options: dict[str, Any]
    ) -> None:
        # Every pixel has three channels; noise takes 3 bytes each without loss, and less with it.
        limit = 2 * 3 * _padded(TensorSpec("uint8", (*tensor.shape[:2], 1)), 16) + _FILE_OVERHEAD
        super().__init__(spec, tensor, is_lossless=is_lossless, max_bytes=limit, check=check, options=options)

    def _pixels(self, image: Any) -> np.ndarray:
        return super()._pixels(image.convert("L") if self._channels == 1 else image)


_suits_webp = functools.partial(_is_image, max_side=MAX_WEBP_SIDE)
_TAKES_WEBP = f"{_TAKES} of at most {MAX_WEBP_SIDE} pixels a side"


@codec("webp", takes=_TAKES_WEBP, suits=_suits_webp, has_quality=True)
def _webp(spec: Spec, tensor: TensorSpec) -> WebpCodec:
    return WebpCodec(
        spec, tensor, is_lossless=False, check=check_webp_lossy, options={"quality": spec.quality, "method": 5}
    )


@codec("webp-lossless", takes=_TAKES_WEBP, suits=_suits_webp)
def _webp_lossless(spec: Spec, tensor: TensorSpec) -> WebpCodec:
    return WebpCodec(
        spec,
        tensor,
        is_lossless=True,
        check=check_webp_lossless,
        options={"lossless": True, "quality": 50, "method": 4},
    )


def _padded(tensor: TensorSpec, block: int) -> int:
    """Values of the image after both sides are rounded up to ``block``."""
    height, width, channels = tensor.shape
    return -(-height // block) * block * -(-width // block) * block * channels
