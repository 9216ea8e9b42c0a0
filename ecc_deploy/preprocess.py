"""From users' images to the input tensor of a half: the one place that both sides use."""

from __future__ import annotations

import numpy as np

from ecc_deploy.bundle.manifest import Half, InputInfo, Quantization
from ecc_deploy.data import Normalisation
from ecc_deploy.errors import BundleError


class Preprocess:
    """Makes the input ``image`` of one half: float32, or the int8 codes that the half's own quantization gives them.

    Raises :class:`BundleError` where the half has no such input.
    """

    def __init__(self, info: InputInfo, half: Half) -> None:
        tensor = half.inputs[0]
        nchw = (info.channels, info.height, info.width)
        nhwc = (info.height, info.width, info.channels)
        wanted = {"NCHW": nchw, "NHWC": nhwc}.get(tensor.layout)
        known = tensor.dtype == "float32" or tensor.quantization is not None
        if len(half.inputs) != 1 or tensor.name != "image" or not known or tensor.shape != wanted:
            raise BundleError(
                f"{half.file} takes {[t.name for t in half.inputs]} ({tensor.dtype} {tensor.shape} {tensor.layout}), "
                f"not the image that the manifest describes (float32 or int8, {nchw} NCHW or {nhwc} NHWC)",
                "Export the bundle again.",
            )
        self._normalise = Normalisation(info.mean, info.std)
        self._is_nhwc = tensor.layout == "NHWC"
        self._codes: np.ndarray | None = None
        if tensor.quantization is not None:
            every = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None], (256, info.channels))
            values = self._normalise.nhwc(np.ascontiguousarray(every)[None, None])[0, 0]
            self._codes = np.ascontiguousarray(quantized(values, tensor.quantization).T)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 ``[N, H, W, C]`` to the half's dtype and layout, contiguous."""
        if self._codes is not None:
            return self._coded(images, self._codes)
        return self._normalise.nhwc(images) if self._is_nhwc else self._normalise(images)

    def _coded(self, images: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Looked up: a channel has 256 values only. ``codes``: int8 ``[C, 256]``."""
        found = np.empty(images.shape, np.int8)
        for channel, table in enumerate(codes):
            found[..., channel] = table[images[..., channel]]
        return found if self._is_nhwc else np.ascontiguousarray(found.transpose(0, 3, 1, 2))


def laid_out(half: Half, nchw: np.ndarray) -> np.ndarray:
    """Normalised float32 images ``[N, C, H, W]`` as ``half`` takes them: its dtype and its layout, contiguous."""
    tensor = half.inputs[0]
    values = nchw if tensor.quantization is None else quantized(nchw, tensor.quantization)
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1) if tensor.layout == "NHWC" else values)


def quantized(values: np.ndarray, how: Quantization) -> np.ndarray:
    """float32 to int8: ``round(value / scale) + zero_point``, rounded to even, clipped."""
    codes = np.rint(values * (np.float32(1) / np.float32(how.scale)) + np.float32(how.zero_point))
    return np.clip(codes, -128, 127).astype(np.int8)
