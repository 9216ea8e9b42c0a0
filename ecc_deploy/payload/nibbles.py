"""Codes as symbols of four bits, and what the symbols are coded after: their neighbours.

A symbol is one of 16 values: four codes of 1 bit, two of 2 bits, one of 4 bits, side by side in a row, the first in
the low bits; a row that ends within a symbol is filled up with zeros. A code of 8 bits is two symbols, so a channel
is two *planes* of symbols, its high halves and then its low halves; with fewer bits it is one plane.

A symbol's *context* is the symbol above it and the last code of the symbol to its left. In a plane of low halves
"above" is the high half of the same code, which says more. Both are counted from 1, and 0 means that there is none: at
the edge of a map of 8x8 codes lies nearly a quarter of them, and taking what is outside for zeros costs 2 to 4 % more
bytes.
"""

from __future__ import annotations

import numpy as np

from ecc_deploy.errors import PayloadError

BITS = (1, 2, 4, 8)
SYMBOLS = 16
ABOVE = SYMBOLS + 1
"""What can be above a symbol: a symbol, or nothing."""


def code_bits(bits: int) -> int:
    """Bits of a code within a symbol: of half a code, where it has 8."""
    return min(bits, 4)


def lefts(bits: int) -> int:
    """How many things can be left of a symbol: a code, or nothing."""
    return (1 << code_bits(bits)) + 1


def planes(shape: tuple[int, ...], bits: int) -> tuple[int, int, int]:
    """The shape of the symbols of codes ``(c, h, w)``."""
    channels, height, width = shape
    per_symbol = 4 // code_bits(bits)
    return (channels * (2 if bits == 8 else 1), height, -(-width // per_symbol))


def split(codes: np.ndarray, bits: int) -> np.ndarray:
    """Symbols, uint8 ``[..., p, h, g]``, of codes uint8 ``[..., c, h, w]``, each below ``2**bits``."""
    if bits == 8:
        halves = np.stack((codes >> 4, codes & 15), axis=-3)
        return halves.reshape(*codes.shape[:-3], -1, *codes.shape[-2:])
    count = 4 // bits
    spare = -codes.shape[-1] % count
    if spare:
        codes = np.concatenate((codes, np.zeros((*codes.shape[:-1], spare), np.uint8)), axis=-1)
    symbols = codes[..., ::count]
    for place in range(1, count):
        symbols = symbols | (codes[..., place::count] << np.uint8(bits * place))
    return symbols


def join(symbols: np.ndarray, bits: int, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of :func:`split`, for one sample: codes, uint8 of ``shape``, C-contiguous and writeable.

    Raises :class:`PayloadError` where what fills up a row is not zero.
    """
    if bits == 8:
        return (symbols[::2] << np.uint8(4)) | symbols[1::2]
    if bits == 4:
        return symbols.copy()
    shifts = np.arange(0, 4, bits, dtype=np.uint8)
    codes = ((symbols[..., None] >> shifts) & np.uint8(2**bits - 1)).reshape(*symbols.shape[:2], -1)
    width = shape[-1]
    if codes.shape[-1] == width:
        return codes
    if codes[..., width:].any():
        raise PayloadError("what fills up the rows of the payload's tensor is not zero")
    return np.ascontiguousarray(codes[..., :width])


def above(symbols: np.ndarray, bits: int) -> np.ndarray:
    """For each of ``symbols`` ``[..., p, h, g]`` what is above it, 0 to 16, int64."""
    result = np.zeros(symbols.shape, np.int64)
    if bits == 8:
        high = symbols[..., ::2, :, :]
        result[..., ::2, 1:, :] = high[..., :-1, :]
        result[..., ::2, 1:, :] += 1
        result[..., 1::2, :, :] = high
        result[..., 1::2, :, :] += 1
    else:
        result[..., 1:, :] = symbols[..., :-1, :]
        result[..., 1:, :] += 1
    return result


def left(symbols: np.ndarray, bits: int) -> np.ndarray:
    """For each of ``symbols`` ``[..., p, h, g]`` the last code to its left, 0 to ``2**code_bits``, int64."""
    result = np.zeros(symbols.shape, np.int64)
    result[..., 1:] = symbols[..., :-1] >> np.uint8(4 - code_bits(bits))
    result[..., 1:] += 1
    return result
