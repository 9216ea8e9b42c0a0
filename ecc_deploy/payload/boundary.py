"""Boundary tensors: integer codes or floats, optionally with delta and Zstandard. (``+ans`` is in ``ans.py``.)

A payload is the packed codes (see :mod:`~ecc_deploy.payload.packing`). With ``+zstd`` it is the shortest of three,
and its length says which: the packed codes as they are, which have exactly the packed size; or, always shorter than
that, Zstandard blocks that decode to the packed codes; or blocks that decode to the codes one per byte, which packing
hides from a matching search. That third form is what the higher levels gain by.

Shuffling the bytes of floats into planes was measured and is not done: on ReLU maps, whose zeros are whole zero
words, the payloads grew by 6 to 33 %.
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod

import numpy as np

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload.ans import AnsCodec
from ecc_deploy.payload.checked import CheckedCodec, describe
from ecc_deploy.payload.entropy import Zstd
from ecc_deploy.payload.grammar import Spec
from ecc_deploy.payload.interface import TensorSpec
from ecc_deploy.payload.packing import accumulate, check_range, difference, pack, packed_bytes, unpack
from ecc_deploy.payload.registry import codec

_CANONICAL_NAN = np.uint16(0x7E00)


class BoundaryCodec(CheckedCodec):
    """Tensor to codes of ``bits`` bits (by the subclass), then delta, packing and Zstandard as the spec says."""

    def __init__(self, spec: Spec, tensor: TensorSpec, *, bits: int, is_lossless: bool = True) -> None:
        self._count = math.prod(tensor.shape)
        self._packed_bytes = packed_bytes(self._count, bits)
        super().__init__(str(spec), tensor, is_lossless=is_lossless, max_bytes=self._packed_bytes)
        self._bits = bits
        self._delta = spec.delta
        self._unpacked_bytes = max(self._count, self._packed_bytes)
        self._zstd = None if spec.level is None else Zstd(spec.level, self._unpacked_bytes)

    @abstractmethod
    def _to_codes(self, array: np.ndarray) -> np.ndarray:
        """Unsigned codes of the array's shape; the array itself may be seen through them."""

    @abstractmethod
    def _from_codes(self, codes: np.ndarray) -> np.ndarray:
        """The inverse; ``codes`` may be used up."""

    def _encode(self, array: np.ndarray) -> bytes:
        codes = self._to_codes(array)
        if self._delta:
            codes = difference(codes, self._bits)
        shortest = packed = pack(codes, self._bits)
        if self._zstd is not None:
            for form in (packed, codes.tobytes()) if self._bits < 8 else (packed,):
                blocks = self._zstd.compress(form)
                if len(blocks) < len(shortest):
                    shortest = blocks
        return shortest

    def _decode(self, payload: bytes | memoryview) -> np.ndarray:
        codes = self._codes_of(payload).reshape(self._shape)
        if self._delta:
            codes = accumulate(codes, self._bits)
        return self._from_codes(codes)

    def _codes_of(self, payload: bytes | memoryview) -> np.ndarray:
        if len(payload) == self._packed_bytes:
            return unpack(payload, self._bits, self._count)
        if self._zstd is None:
            raise PayloadError(
                f"a {self.spec} payload of {describe(self.tensor)} has {self._packed_bytes} bytes, "
                f"and this one has {len(payload)}"
            )
        content = self._zstd.decompress(payload, self._unpacked_bytes)
        if len(content) == self._packed_bytes:
            return unpack(content, self._bits, self._count)
        if len(content) != self._count or self._bits > 8:
            raise PayloadError(
                f"the payload decodes to {len(content)} bytes, and {self.spec} of {describe(self.tensor)} "
                f"has {self._packed_bytes}"
            )
        codes = np.frombuffer(content, np.uint8).copy()
        check_range(codes, self._bits)
        return codes


class IntegerCodec(BoundaryCodec):
    """uint8 codes below ``2**bits``; with 8 bits also int8, in two's complement."""

    def _to_codes(self, array: np.ndarray) -> np.ndarray:
        if self._bits == 8:
            return array.view(np.uint8)
        check_range(array, self._bits)
        return array

    def _from_codes(self, codes: np.ndarray) -> np.ndarray:
        return codes.view(self._dtype)


class Float32Codec(BoundaryCodec):
    """The bit patterns, NaN included, unchanged. delta is taken on them as integers, modulo 2^32."""

    def _to_codes(self, array: np.ndarray) -> np.ndarray:
        return array.view(np.uint32)

    def _from_codes(self, codes: np.ndarray) -> np.ndarray:
        return codes.view(np.float32)


class Float16Codec(BoundaryCodec):
    """float32 rounded once to IEEE 754 binary16, to even. delta is taken on the bit patterns, modulo 2^16.

    Infinities travel as they are; a finite value that would round to one (65,520 and above) is a
    :class:`PayloadError`. Every NaN is encoded as the quiet NaN 0x7E00, since processors differ in which they make.
    """

    def _to_codes(self, array: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # both are looked at below
            half = array.astype(np.float16)
        special = ~np.isfinite(half)
        if special.any():
            finite = special & np.isfinite(array)
            if finite.any():
                raise PayloadError(
                    f"the value {float(array[finite][0]):g} is beyond the range of float16", "Use float32."
                )
            half.view(np.uint16)[np.isnan(array)] = _CANONICAL_NAN
        return half.view(np.uint16)

    def _from_codes(self, codes: np.ndarray) -> np.ndarray:
        half = codes.view(np.float16)
        with np.errstate(invalid="ignore"):  # a signalling NaN
            return half.astype(np.float32)


codec(
    "int8",
    takes="uint8 and int8 tensors",
    suits=lambda t: t.dtype in ("uint8", "int8"),
    has_stages=True,
    with_table=functools.partial(AnsCodec, bits=8),
)(functools.partial(IntegerCodec, bits=8))
for _bits in (4, 2, 1):
    codec(
        f"int{_bits}",
        takes=f"uint8 tensors of codes below {2**_bits}",
        suits=lambda t: t.dtype == "uint8",
        has_stages=True,
        with_table=functools.partial(AnsCodec, bits=_bits),
    )(functools.partial(IntegerCodec, bits=_bits))
codec("float32", takes="float32 tensors", suits=lambda t: t.dtype == "float32", has_stages=True)(
    functools.partial(Float32Codec, bits=32)
)
codec("float16", takes="float32 tensors", suits=lambda t: t.dtype == "float32", has_stages=True)(
    functools.partial(Float16Codec, bits=16, is_lossless=False)
)
