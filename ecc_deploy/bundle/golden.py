"""The golden samples of a bundle: real inputs, with the payloads and outputs that they must give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ecc_deploy.bundle.store import Bundle
from ecc_deploy.errors import BundleError


@dataclass(frozen=True)
class Golden:
    """``images``: uint8 ``[K, H, W, C]``; ``labels``: int64 ``[K]``. One of each per golden sample."""

    source: str
    images: np.ndarray
    labels: np.ndarray
    tensors: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.images)

    def output(self, half: str, name: str) -> np.ndarray:
        """The output ``name`` of a half, ``[K, *shape]``. A cloud half was fed what the edge half gave."""
        found = self._tensor(f"half.{half}.{name}")
        if len(found) != len(self):
            raise BundleError(f"{self.source}: half.{half}.{name} has {len(found)} samples, the images {len(self)}")
        return found

    def payload(self, deployment: str, index: int) -> bytes:
        """What ``deployment`` sends for the sample ``index``, in the deployment's own codec."""
        return self._tensor(f"payload.{deployment}.{index}").tobytes()

    def _tensor(self, name: str) -> np.ndarray:
        if name not in self.tensors:
            raise BundleError(f"{self.source} holds no {name}", "Export the bundle again.")
        return self.tensors[name]


def load_golden(bundle: Bundle) -> Golden:
    """Read the golden samples of a verified bundle. Raises :class:`BundleError` where they are malformed."""
    path = bundle.file(bundle.manifest.golden)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise BundleError(f"{path} cannot be read as safetensors: {error}", "Export the bundle again.") from error
    expected = bundle.manifest.input
    images, labels = tensors.get("images"), tensors.get("labels")
    if (
        images is None
        or labels is None
        or images.dtype != np.uint8
        or images.ndim != 4
        or images.shape[1:] != (expected.height, expected.width, expected.channels)
        or labels.shape != (len(images),)
        or len(images) == 0
    ):
        raise BundleError(
            f"{path} holds no golden images of {expected.height}x{expected.width}x{expected.channels} with labels",
            "Export the bundle again.",
        )
    return Golden(str(path), images, labels, tensors)
