"""The inner loops of ``intN+ans`` as machine code, by numba, where that is installed (extra ``fast``).

They do what those of :mod:`~ecc_deploy.payload.ans` do in Python, on arrays instead of lists, some hundred times as
quickly and without the interpreter's lock, so that a server's threads decode side by side.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ecc_deploy.payload.ans_table import SCALE, SCALE_BITS
from ecc_deploy.payload.nibbles import SYMBOLS

LOW = 1 << 14
"""Below this the state takes in a word. At least ``4 * SCALE``, or rounding costs bytes."""
WORD_BITS = 16
WORD = (1 << WORD_BITS) - 1
FULL_SHIFT = 14 + WORD_BITS - SCALE_BITS


class Loops(NamedTuple):
    """Both, compiled."""

    decode: Callable[[int, np.ndarray, np.ndarray, np.ndarray, bool, np.ndarray], tuple[int, int]]
    """State, words (uint16, the next one first), intervals (int64 ``[planes, above, left, 17]``), last codes (int64, by
    symbol counted from 1), whether planes are halves of codes, and the symbols to be written (uint8 ``[planes, h,
    groups]``); gives the state at the end and how many words were taken in."""
    encode: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[int, int]]
    """Frequencies and starts (int64, of the symbols in the order of coding) and the words to be written (uint16, as
    many); gives the state at the end and the number of words."""


@functools.cache
def loops() -> Loops | None:
    """Compiled once and kept on disk by numba; ``None`` where numba is not installed."""
    try:
        import numba
    except ModuleNotFoundError:
        return None
    signed, word, byte = numba.int64, numba.uint16, numba.uint8
    pair = numba.types.UniTuple(signed, 2)
    decoding = pair(signed, word[::1], signed[:, :, :, ::1], signed[::1], numba.boolean, byte[:, :, ::1])
    encoding = pair(signed[::1], signed[::1], word[::1])
    return Loops(_compiled(numba, decoding, _decode), _compiled(numba, encoding, _encode))


def _compiled(numba: Any, signature: Any, function: Callable[..., Any]) -> Any:
    try:
        return numba.njit(signature, cache=True, nogil=True)(function)
    except RuntimeError:  # no folder that could be written to
        return numba.njit(signature, nogil=True)(function)


def _decode(
    state: int, words: np.ndarray, intervals: np.ndarray, last_code: np.ndarray, has_halves: bool, symbols: np.ndarray
) -> tuple[int, int]:
    planes, height, groups = symbols.shape
    taken = 0
    for plane in range(planes):
        is_low = has_halves and plane % 2 == 1
        for y in range(height):
            before = 0
            for x in range(groups):
                above = 0
                if is_low:
                    above = symbols[plane - 1, y, x] + 1
                elif y > 0:
                    above = symbols[plane, y - 1, x] + 1
                bounds = intervals[plane, above, before]
                place = state & (SCALE - 1)
                symbol, end = 0, SYMBOLS
                while end - symbol > 1:
                    middle = (symbol + end) // 2
                    if bounds[middle] <= place:
                        symbol = middle
                    else:
                        end = middle
                start = bounds[symbol]
                state = (bounds[symbol + 1] - start) * (state >> SCALE_BITS) + place - start
                if state < LOW and taken < len(words):
                    state = (state << WORD_BITS) | words[taken]
                    taken += 1
                symbols[plane, y, x] = symbol
                before = last_code[symbol + 1]
    return state, taken


def _encode(frequencies: np.ndarray, starts: np.ndarray, words: np.ndarray) -> tuple[int, int]:
    state, count = 0, 0
    for i in range(len(frequencies)):
        frequency = frequencies[i]
        if (state >> FULL_SHIFT) >= frequency:
            words[count] = state & WORD
            count += 1
            state >>= WORD_BITS
        state += state // frequency * (SCALE - frequency) + starts[i]
    return state, count
