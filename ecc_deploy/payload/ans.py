"""``intN+ans``: boundaries of a hundred bytes, coded with statistics that both sides know beforehand.

zstd must learn a payload's statistics from the payload, which is too short for that. Here they are fitted beforehand
and travel with the bundle (:mod:`~ecc_deploy.payload.ans_table`); the payload holds nothing but the tensor.

The coder is rANS (Duda 2013, arXiv:1311.2540; streamed as in Giesen 2014, arXiv:1402.3392) with 12-bit
frequencies and a state of 30 bits that gives up and takes in 16 bits at a time. All arithmetic is on whole numbers, so
both sides agree on every machine. The last symbol is coded first, from the state 0, and the decoder must end there, so
a payload has neither a header nor a checksum, and each tensor has one coded payload only.

A payload as long as the packed codes *is* the packed codes, which are sent where coding does not make them shorter.
Any other is the state's top, 1 or 2 bytes so that an even number is left, and then 16-bit words; all big-endian.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload import nibbles
from ecc_deploy.payload.ans_loop import FULL_SHIFT, LOW, WORD, WORD_BITS, loops
from ecc_deploy.payload.ans_table import MAX_CHANNELS, SCALE, SCALE_BITS, load_table
from ecc_deploy.payload.checked import CheckedCodec, describe
from ecc_deploy.payload.grammar import Spec
from ecc_deploy.payload.interface import TensorSpec
from ecc_deploy.payload.nibbles import SYMBOLS
from ecc_deploy.payload.packing import check_range, pack, packed_bytes, unpack

MAX_SYMBOLS = 1 << 17
"""A symbol takes up to 1 µs to decode, however few bytes it came from."""


def suits(tensor: TensorSpec, bits: int) -> bool:
    """Whether ``intN+ans`` can code ``tensor``: codes ``(c, h, w)`` that are not too many."""
    if len(tensor.shape) != 3 or tensor.shape[0] > MAX_CHANNELS:
        return False
    planes, height, groups = nibbles.planes(tensor.shape, bits)
    return planes * height * groups <= MAX_SYMBOLS


class AnsCodec(CheckedCodec):
    """uint8 codes ``(c, h, w)`` below ``2**bits``; with 8 bits also int8, in two's complement.

    ``table``: from :func:`ecc_deploy.payload.ans_table.fit`. Raises :class:`PayloadError` where it is not a table of
    this tensor, or the tensor is too large.
    """

    def __init__(self, spec: Spec, tensor: TensorSpec, table: bytes, *, bits: int) -> None:
        if not suits(tensor, bits):
            raise PayloadError(
                f"{spec} takes tensors (c, h, w) of at most {MAX_CHANNELS} channels and {MAX_SYMBOLS} symbols of four "
                f"bits, not {describe(tensor)}",
                f"Use int{bits}+zstd.",
            )
        self._count = tensor.elements
        self._packed_bytes = packed_bytes(self._count, bits)
        super().__init__(str(spec), tensor, is_lossless=True, max_bytes=self._packed_bytes)
        self.table = table
        self._bits = bits
        self._planes = nibbles.planes(tensor.shape, bits)
        frequencies = load_table(table, tensor.shape[0], bits)
        ends = frequencies.cumsum(axis=-1)
        self._frequencies = frequencies.reshape(-1).astype(np.int64)
        self._starts = (ends - frequencies).reshape(-1).astype(np.int64)
        self._intervals = np.insert(ends, 0, 0, axis=-1).astype(np.int64)
        """By plane, above and left: where the interval of each symbol begins, and after the last, where it ends."""
        codes = [(symbol >> (4 - nibbles.code_bits(bits))) + 1 for symbol in range(SYMBOLS)]
        self._last_code = np.array([0, *codes], np.int64)
        contexts = nibbles.ABOVE * nibbles.lefts(bits)
        self._loops = loops()
        self._lists = ([], []) if self._loops else (self._intervals.tolist(), self._last_code.tolist())
        """Intervals and last codes as Python is quickest with them, where it has to be Python."""
        self._plane_index = np.arange(self._planes[0])[:, None, None] * (contexts * SYMBOLS)

    def _encode(self, array: np.ndarray) -> bytes:
        codes = array.view(np.uint8)
        check_range(codes, self._bits)
        index = self._index(nibbles.split(codes, self._bits))
        state, words = self._coded(self._frequencies.take(index), self._starts.take(index))
        if state > WORD:
            words.append(state & WORD)
            state >>= WORD_BITS
        top = 1 if state < 256 else 2
        if top + 2 * len(words) >= self._packed_bytes:
            return pack(codes, self._bits)
        return state.to_bytes(top, "big") + np.array(words[::-1], ">u2").tobytes()

    def _coded(self, frequencies: np.ndarray, starts: np.ndarray) -> tuple[int, list[int]]:
        """The state at the end and the words that it gave up."""
        if self._loops is not None:
            given = np.empty(len(frequencies), np.uint16)
            state, count = self._loops.encode(frequencies, starts, given)
            return state, given[:count].tolist()
        state, words = 0, []
        for frequency, start in zip(frequencies.tolist(), starts.tolist(), strict=True):
            if state >> FULL_SHIFT >= frequency:
                words.append(state & WORD)
                state >>= WORD_BITS
            # (state // frequency) * SCALE + state % frequency + start, with one division
            state += state // frequency * (SCALE - frequency) + start
        return state, words

    def _index(self, symbols: np.ndarray) -> np.ndarray:
        """Where the table has each of ``symbols`` after its neighbours, the last symbol first."""
        index = nibbles.above(symbols, self._bits)
        index *= nibbles.lefts(self._bits)
        index += nibbles.left(symbols, self._bits)
        index *= SYMBOLS
        index += symbols
        index += self._plane_index
        return index.reshape(-1)[::-1]

    def _decode(self, payload: bytes | memoryview) -> np.ndarray:
        if len(payload) == self._packed_bytes:
            codes = unpack(payload, self._bits, self._count).reshape(self._shape)
        else:
            codes = nibbles.join(self._symbols(payload), self._bits, self._shape)
        return codes.view(self._dtype)

    def _symbols(self, payload: bytes | memoryview) -> np.ndarray:
        """The symbols of a coded payload, uint8 of the planes' shape."""
        state, words = _state_of(payload)
        if self._loops is not None:
            symbols = np.empty(self._planes, np.uint8)
            state, taken = self._loops.decode(state, words, self._intervals, self._last_code, self._bits == 8, symbols)
            self._check_end(state, len(words) - taken)
            return symbols
        return self._symbols_in_python(state, words[::-1].tolist())

    def _check_end(self, state: int, words: int) -> None:
        if state or words:
            raise PayloadError(f"the payload does not end where {describe(self.tensor)} does")

    def _symbols_in_python(self, state: int, words: list[int]) -> np.ndarray:
        """``words``: the next one last."""
        _, height, groups = self._planes
        (all_intervals, last_code), has_halves = self._lists, self._bits == 8
        found: list[int] = []
        high: list[int] = []
        for plane, intervals in enumerate(all_intervals):
            is_low = has_halves and plane % 2 == 1
            if is_low:
                high = found[-height * groups :]
            row = [0] * groups
            for y in range(height):
                over = high[y * groups : (y + 1) * groups] if is_low else row
                row, before = [], 0
                for symbol_above in over:
                    bounds = intervals[symbol_above][before]
                    place = state & (SCALE - 1)
                    symbol = bisect_right(bounds, place)  # counted from 1
                    start = bounds[symbol - 1]
                    state = (bounds[symbol] - start) * (state >> SCALE_BITS) + place - start
                    if state < LOW and words:
                        state = state << WORD_BITS | words.pop()
                    row.append(symbol)
                    before = last_code[symbol]
                found += row
        self._check_end(state, len(words))
        symbols = np.frombuffer(bytes(found), np.uint8) - np.uint8(1)
        return symbols.reshape(self._planes)


def _state_of(payload: bytes | memoryview) -> tuple[int, np.ndarray]:
    """The state that decoding begins with, and the words that it takes in, uint16."""
    if not len(payload):
        raise PayloadError("the payload is empty")
    top = 2 - len(payload) % 2
    state = int.from_bytes(payload[:top], "big")
    if not payload[0] and len(payload) > 1:
        raise PayloadError("the payload begins with a byte that says nothing")
    words = np.frombuffer(payload, ">u2", offset=top).astype(np.uint16)
    if state < LOW and len(words):
        return state << WORD_BITS | int(words[0]), words[1:]
    return state, words
