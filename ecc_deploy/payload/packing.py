"""Codes of 1, 2, 4, 8, 16 or 32 bits as bytes.

Codes of less than 8 bits fill each byte from its least significant bit up: with 4 bits, byte 0 holds code 0 in its
low half and code 1 in its high half. The last byte's unused high bits are zero. Wider codes are little-endian.
"""

from __future__ import annotations

import functools

import numpy as np

from ecc_deploy.errors import PayloadError

_LITTLE_ENDIAN: dict[int, np.dtype] = {8: np.dtype("u1"), 16: np.dtype("<u2"), 32: np.dtype("<u4")}


def packed_bytes(count: int, bits: int) -> int:
    """Bytes of ``count`` codes of ``bits``."""
    return -(-count * bits // 8)


def pack(codes: np.ndarray, bits: int) -> bytes:
    """Pack codes of any shape, in C order; each is below ``2**bits``, which the caller has made sure of."""
    if bits >= 8:
        return codes.astype(_LITTLE_ENDIAN[bits], copy=False).tobytes()
    flat = codes.reshape(-1)
    spare = -flat.size % (8 // bits)
    if spare:
        flat = np.concatenate((flat, np.zeros(spare, np.uint8)))
    elif not flat.flags.c_contiguous:
        flat = flat.copy()
    # One little-endian word holds the codes of one byte, a code in each of its bytes. Each step halves the distance:
    # neighbours move together, and what they leave behind lies above the low byte, which alone is kept.
    word = flat.view(f"<u{8 // bits}")
    shift = 8 - bits
    for _ in range((8 // bits).bit_length() - 1):
        word = word | (word >> word.dtype.type(shift))
        shift *= 2
    return word.astype(np.uint8).tobytes()


def check_range(codes: np.ndarray, bits: int) -> None:
    """Raise :class:`PayloadError` where a code is not below ``2**bits``."""
    largest = int(codes.max())
    if largest >> bits:
        raise PayloadError(
            f"the code {largest} does not fit into {bits} bits",
            f"The largest is {2**bits - 1}: quantize the tensor to {bits} bits, or use int8.",
        )


def unpack(packed: bytes | memoryview, bits: int, count: int) -> np.ndarray:
    """``count`` codes, one-dimensional, writeable; ``packed`` has :func:`packed_bytes` bytes.

    Raises :class:`PayloadError` where the unused bits of the last byte are not zero.
    """
    if bits >= 8:
        return np.frombuffer(packed, _LITTLE_ENDIAN[bits]).astype(f"u{bits // 8}")
    used = count * bits % 8
    if used and packed[-1] >> used:
        raise PayloadError("the unused bits of the payload's last byte are not zero")
    words = _unpacked_bytes(bits).take(np.frombuffer(packed, np.uint8))
    return words.view(np.uint8)[:count]


@functools.cache
def _unpacked_bytes(bits: int) -> np.ndarray:
    """For each of the 256 bytes the codes it holds, side by side in one word."""
    per_byte = 8 // bits
    shifts = np.arange(per_byte, dtype=np.uint8) * np.uint8(bits)
    codes = (np.arange(256, dtype=np.uint8)[:, None] >> shifts) & np.uint8(2**bits - 1)
    table: np.ndarray = codes.view(f"u{per_byte}").reshape(256)
    return table


def difference(codes: np.ndarray, bits: int) -> np.ndarray:
    """Each code less its left neighbour on the last axis, modulo ``2**bits``; the first of a row stays."""
    result = codes.copy()
    result[..., 1:] -= codes[..., :-1]
    if bits < 8:
        result &= np.uint8(2**bits - 1)
    return result


def accumulate(differences: np.ndarray, bits: int) -> np.ndarray:
    """The inverse of :func:`difference`: the running sum on the last axis, modulo ``2**bits``."""
    result: np.ndarray = np.add.accumulate(differences, axis=-1, dtype=differences.dtype)
    if bits < 8:
        result &= np.uint8(2**bits - 1)
    return result
