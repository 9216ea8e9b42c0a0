"""What a payload codec is: one sample's tensor to bytes and back, with nothing to negotiate.

A codec is made for one tensor (dtype and shape, without batch), which the manifest states; so a payload carries no
header of ours, and its decoder knows the exact size that must come out. Codecs of boundary tensors are lossless on
their tensor and bit-exact on every machine: the quantization happened before, in the compiled edge half.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

DTYPES = ("uint8", "int8", "float32")


@dataclass(frozen=True)
class TensorSpec:
    """One sample's tensor: ``dtype`` (one of :data:`DTYPES`) and ``shape`` without batch.

    A boundary is ``(c, h, w)``; an image is uint8 ``(height, width, channels)`` with 1 or 3 channels.
    """

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        return int(np.prod(self.shape))


class Codec(ABC):
    """Encodes one sample's tensor. Instances hold no state between calls and may be used from several threads."""

    spec: str
    """The text that :func:`~ecc_deploy.payload.make_codec` makes this codec from, in its canonical form."""
    tensor: TensorSpec
    is_lossless: bool
    max_bytes: int
    """No valid payload is longer; a longer one is refused unread."""
    table: bytes | None = None
    """The statistics that both sides must have, where the codec codes by some (``+ans``)."""

    @abstractmethod
    def encode(self, array: np.ndarray) -> bytes:
        """Return the payload of ``array``, which has exactly ``tensor``'s dtype and shape.

        Raises :class:`~ecc_deploy.errors.PayloadError` for another dtype or shape, or a code that does not fit.
        """

    @abstractmethod
    def decode(self, payload: bytes | memoryview) -> np.ndarray:
        """Return the tensor, with exactly ``tensor``'s dtype and shape.

        Raises :class:`~ecc_deploy.errors.PayloadError` for bytes that are not a payload of this codec. It never
        allocates more than a small multiple of ``tensor``'s own size, whatever the bytes say.
        """
