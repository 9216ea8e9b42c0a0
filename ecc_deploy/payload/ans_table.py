"""The table of ``intN+ans``: how likely each symbol is after its neighbours, fitted on real samples.

One distribution over the 16 symbols for every plane and context (see :mod:`~ecc_deploy.payload.nibbles`), in 4096ths;
no symbol has less than one, so every tensor can be coded.

As a file: :data:`MAGIC`, ``bits`` (uint8), ``channels`` (uint16), then a zlib stream of ``frequency - 1`` (uint16) in
the order ``[plane, above, left, symbol]``; all little-endian.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload import nibbles
from ecc_deploy.payload.nibbles import ABOVE, SYMBOLS
from ecc_deploy.payload.packing import check_range

SCALE_BITS = 12
SCALE = 1 << SCALE_BITS
MAGIC = b"ECCANS\x00\x01"
MAX_CHANNELS = 256
MIN_SAMPLES = 64
"""Below this, a table says more about the samples than about what is to come."""

_HEADER = struct.Struct("<8sBH")
_BATCH = 256
_CODE_WEIGHT, _SYMBOL_WEIGHT = 32.0, 64.0
"""How many observations the distribution that is backed off to counts for. Half or twice as much is within 0.5 % of the
bytes, on fits of 100 to 1,000 samples of two trained boundaries."""


def shape_of(channels: int, bits: int) -> tuple[int, int, int, int]:
    """``(planes, above, left, symbols)`` of the table of ``channels``."""
    return (nibbles.planes((channels, 1, 1), bits)[0], ABOVE, nibbles.lefts(bits), SYMBOLS)


def fit(codes: np.ndarray, bits: int) -> bytes:
    """The table of the codes of samples: uint8 ``[N, c, h, w]``, each code below ``2**bits``; ``bits`` 1, 2, 4 or 8.

    The estimate backs off, with a Dirichlet prior at each step (MacKay and Peto 1995): a symbol in its context to the
    product of its codes in theirs, those to codes below the same code, and those to codes of the plane. So 100 samples
    do within 2 to 3 % as well as 10,000.

    Raises :class:`PayloadError` for codes that no boundary has, or fewer than :data:`MIN_SAMPLES` samples.
    """
    _check_codes(codes, bits)
    channels = codes.shape[1]
    shape = shape_of(channels, bits)
    by_symbol = np.zeros(shape, np.int64)
    code_shape = (shape[0], nibbles.lefts(bits), nibbles.lefts(bits), 1 << nibbles.code_bits(bits))
    by_code = np.zeros(code_shape, np.int64)
    for start in range(0, len(codes), _BATCH):
        symbols = nibbles.split(codes[start : start + _BATCH], bits)
        by_symbol += _count(symbols, nibbles.above(symbols, bits), nibbles.left(symbols, bits), shape)
        if nibbles.code_bits(bits) < 4:
            single = _codes_of(symbols, bits)
            by_code += _count(single, _shifted(single, -2), _shifted(single, -1), code_shape)
    if nibbles.code_bits(bits) == 4:
        return pack_table(_to_frequencies(_conditional(by_symbol)), channels, bits)
    expected = _product(_conditional(by_code), bits)
    return pack_table(_to_frequencies(_smoothed(by_symbol, expected, _SYMBOL_WEIGHT)), channels, bits)


def pack_table(frequencies: np.ndarray, channels: int, bits: int) -> bytes:
    """The file of ``frequencies``, int64 of :func:`shape_of`."""
    content = (frequencies - 1).astype("<u2").tobytes()
    return _HEADER.pack(MAGIC, bits, channels) + zlib.compress(content, 9)


def load_table(table: bytes, channels: int, bits: int) -> np.ndarray:
    """Frequencies, int64 of :func:`shape_of`, each at least 1, of sum :data:`SCALE` over symbols.

    No more memory is taken than ``channels`` and ``bits`` ask for, whatever the bytes say. Raises
    :class:`PayloadError` for bytes that are not the table of such a boundary.
    """
    shape = shape_of(channels, bits)
    if len(table) < _HEADER.size or not table.startswith(MAGIC):
        raise PayloadError("the codec's table is not one: it does not begin as a table of version 1 does")
    _, its_bits, its_channels = _HEADER.unpack_from(table)
    if (its_bits, its_channels) != (bits, channels):
        raise PayloadError(
            f"the codec's table is for {its_channels} channels of {its_bits} bits, not {channels} of {bits}",
            "Take the table from the bundle that the boundary belongs to.",
        )
    size = 2 * int(np.prod(shape))
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(table[_HEADER.size :], size + 1)
    except zlib.error as error:
        raise PayloadError(f"the codec's table is damaged: {error}") from error
    if len(content) != size or not stream.eof or stream.unused_data:
        raise PayloadError("the codec's table is damaged: it has not the size that its header states")
    frequencies = np.frombuffer(content, "<u2").astype(np.int64).reshape(shape) + 1
    if (frequencies.sum(axis=-1) != SCALE).any():
        raise PayloadError(f"the codec's table is damaged: its frequencies do not add up to {SCALE}")
    return frequencies


def _check_codes(codes: np.ndarray, bits: int) -> None:
    if bits not in nibbles.BITS:
        raise PayloadError(f"a table is of codes of 1, 2, 4 or 8 bits, not {bits}")
    if codes.ndim != 4 or codes.dtype != np.uint8 or not codes.size:
        raise PayloadError(f"a table is fitted on uint8 (n, c, h, w), not {codes.dtype} {codes.shape}")
    if codes.shape[1] > MAX_CHANNELS:
        raise PayloadError(f"a table has at most {MAX_CHANNELS} channels, not {codes.shape[1]}")
    if len(codes) < MIN_SAMPLES:
        raise PayloadError(
            f"{len(codes)} samples are too few to fit a table on", f"Give at least {MIN_SAMPLES}, or use another codec."
        )
    check_range(codes, bits)


def _count(values: np.ndarray, above: np.ndarray, left: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """How often each value of ``[N, p, h, g]`` stands in each context: int64 ``[p, above, left, value]``."""
    plane = np.arange(shape[0])[:, None, None]
    index = ((plane * shape[1] + above) * shape[2] + left) * shape[3] + values
    return np.bincount(index.reshape(-1), minlength=int(np.prod(shape))).reshape(shape)


def _codes_of(symbols: np.ndarray, bits: int) -> np.ndarray:
    """The codes in symbols ``[..., g]``, in their order: ``[..., g * 4 / bits]``."""
    codes = (symbols[..., None] >> np.arange(0, 4, bits, dtype=np.uint8)) & np.uint8(2**bits - 1)
    return codes.reshape(*symbols.shape[:-1], -1)


def _shifted(codes: np.ndarray, axis: int) -> np.ndarray:
    """For each code its predecessor on ``axis``, from 1; 0 for none."""
    result = np.zeros(codes.shape, np.int64)
    np.moveaxis(result, axis, -1)[..., 1:] = np.moveaxis(codes, axis, -1)[..., :-1] + np.uint8(1)
    return result


def _smoothed(counts: np.ndarray, expected: np.ndarray, weight: float) -> np.ndarray:
    """Frequencies on the last axis, where ``expected`` counts for ``weight`` observations."""
    result: np.ndarray = (counts + weight * expected) / (counts.sum(axis=-1, keepdims=True) + weight)
    return result


def _conditional(counts: np.ndarray) -> np.ndarray:
    """``P(value | above, left)`` of counts ``[p, above, left, value]``, backed off to above, then to nothing."""
    size = counts.shape[-1]
    of_plane = _smoothed(counts.sum(axis=(1, 2)), np.full(size, 1 / size), 1.0)
    below = _smoothed(counts.sum(axis=2), of_plane[:, None], _CODE_WEIGHT)
    return _smoothed(counts, below[:, :, None], _CODE_WEIGHT)


def _product(codes: np.ndarray, bits: int) -> np.ndarray:
    """``P(symbol | above, left)`` as if each code depended on nothing but the codes next to it."""
    shifts = np.arange(0, 4, bits)
    digits = (np.arange(SYMBOLS)[:, None] >> shifts) & (2**bits - 1)
    over = np.concatenate((np.zeros((1, len(shifts)), np.int64), digits + 1))
    result: np.ndarray = codes[:, over[:, 0]][..., digits[:, 0]]
    for place in range(1, len(shifts)):
        known_left = digits[None, :, place - 1] + 1
        result = result * codes[:, over[:, place, None], known_left, digits[None, :, place]][:, :, None]
    return result


def _to_frequencies(probabilities: np.ndarray) -> np.ndarray:
    """Rounded to :data:`SCALE`-ths, at least 1; the largest of each distribution takes what rounding leaves over."""
    frequencies = np.maximum(np.rint(probabilities * SCALE), 1).astype(np.int64)
    largest = frequencies.argmax(axis=-1)[..., None]
    rest = SCALE - frequencies.sum(axis=-1, keepdims=True)
    np.put_along_axis(frequencies, largest, np.take_along_axis(frequencies, largest, -1) + rest, -1)
    return frequencies
