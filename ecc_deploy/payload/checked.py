"""The part that every codec shares: what it is given is checked before anything is done with it."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload.interface import Codec, TensorSpec


class CheckedCodec(Codec):
    """A codec whose ``_encode`` gets only arrays of its tensor, and ``_decode`` only payloads that may be valid."""

    def __init__(self, spec: str, tensor: TensorSpec, *, is_lossless: bool, max_bytes: int) -> None:
        self.spec = spec
        self.tensor = tensor
        self.is_lossless = is_lossless
        self.max_bytes = max_bytes
        self._dtype = np.dtype(tensor.dtype)
        self._shape = tensor.shape

    def encode(self, array: np.ndarray) -> bytes:
        if not isinstance(array, np.ndarray):
            raise PayloadError(f"{self.spec} encodes numpy arrays, not {type(array).__name__}")
        if array.dtype != self._dtype or array.shape != self._shape:
            raise PayloadError(
                f"{self.spec} was made for {describe(self.tensor)} and got {array.dtype.name} {tuple(array.shape)}",
                "A codec encodes one sample, without batch.",
            )
        return self._encode(array)

    def decode(self, payload: bytes | memoryview) -> np.ndarray:
        """The array is C-contiguous, writeable and shares no memory with ``payload``."""
        if type(payload) is not bytes:
            payload = _flat(payload)
        if len(payload) > self.max_bytes:
            raise PayloadError(
                f"a {self.spec} payload of {describe(self.tensor)} has at most {self.max_bytes} bytes, "
                f"and this one has {len(payload)}"
            )
        return self._decode(payload)

    @abstractmethod
    def _encode(self, array: np.ndarray) -> bytes:
        """The payload of an array that has the tensor's dtype and shape, in any memory order."""

    @abstractmethod
    def _decode(self, payload: bytes | memoryview) -> np.ndarray:
        """The array of a payload of at most ``max_bytes``."""


def describe(tensor: TensorSpec) -> str:
    """``uint8 (4, 7, 7)``."""
    return f"{tensor.dtype} {tensor.shape}"


def _flat(payload: bytes | memoryview) -> memoryview:
    try:
        return memoryview(payload).cast("B")
    except TypeError as error:
        raise PayloadError(f"a payload is contiguous bytes, not {type(payload).__name__}") from error
