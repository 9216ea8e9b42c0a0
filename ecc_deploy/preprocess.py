"""From users' images to the input tensor of a half: the one place that both sides use."""

from __future__ import annotations

import numpy as np

from ecc_deploy.bundle.manifest import Half, InputInfo
from ecc_deploy.data import Normalisation
from ecc_deploy.errors import BundleError


class Preprocess:
    """Makes the input ``image`` of one half. Raises :class:`BundleError` where the half has no such float32 input."""

    def __init__(self, info: InputInfo, half: Half) -> None:
        tensor = half.inputs[0]
        nchw = (info.channels, info.height, info.width)
        nhwc = (info.height, info.width, info.channels)
        wanted = {"NCHW": nchw, "NHWC": nhwc}.get(tensor.layout)
        if len(half.inputs) != 1 or tensor.name != "image" or tensor.dtype != "float32" or tensor.shape != wanted:
            raise BundleError(
                f"{half.file} takes {[t.name for t in half.inputs]} ({tensor.dtype} {tensor.shape} {tensor.layout}), "
                f"not the image that the manifest describes (float32 {nchw} NCHW or {nhwc} NHWC)",
                "Export the bundle again.",
            )
        self._normalise = Normalisation(info.mean, info.std)
        self._is_nhwc = tensor.layout == "NHWC"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 ``[N, H, W, C]`` to float32 in the half's layout, contiguous."""
        return self._normalise.nhwc(images) if self._is_nhwc else self._normalise(images)
