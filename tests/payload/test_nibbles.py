from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload import nibbles

SHAPE = st.tuples(*[st.integers(1, 9)] * 3)


@settings(max_examples=60)
@given(st.sampled_from(nibbles.BITS), SHAPE, st.integers(0, 99))
def test_codes_come_back(bits: int, shape: tuple[int, int, int], seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 2**bits, (2, *shape), dtype=np.uint8)
    symbols = nibbles.split(codes, bits)
    assert symbols.dtype == np.uint8
    assert symbols.max() < nibbles.SYMBOLS
    for i in range(2):
        assert symbols[i].shape == nibbles.planes(shape, bits)
        assert (nibbles.split(codes[i], bits) == symbols[i]).all()
        joined = nibbles.join(symbols[i], bits, shape)
        assert (joined == codes[i]).all()
        assert joined.flags.c_contiguous
        assert joined.flags.writeable


def test_the_first_code_lies_in_the_low_bits() -> None:
    codes = np.array([[[1, 0, 1, 1, 1]]], np.uint8)
    assert nibbles.split(codes, 1).tolist() == [[[0b1101, 1]]]
    assert nibbles.split(codes * 3, 2).tolist() == [[[0b0011, 0b1111, 0b11]]]
    assert nibbles.split(codes * 0x5A, 8).tolist() == [[[5, 0, 5, 5, 5]], [[10, 0, 10, 10, 10]]]


def test_neighbours_are_counted_from_one() -> None:
    symbols = np.array([[[5, 9], [0, 15]]], np.uint8)
    assert nibbles.above(symbols, 2).tolist() == [[[0, 0], [6, 10]]]
    assert nibbles.left(symbols, 1).tolist() == [[[0, 1], [0, 1]]]
    assert nibbles.left(symbols, 2).tolist() == [[[0, 2], [0, 1]]]
    assert nibbles.left(symbols, 4).tolist() == [[[0, 6], [0, 1]]]


def test_above_a_low_half_is_its_high_half() -> None:
    symbols = nibbles.split(np.array([[[0x12, 0x34], [0x56, 0x78]]], np.uint8), 8)
    assert nibbles.above(symbols, 8).tolist() == [[[0, 0], [2, 4]], [[2, 4], [6, 8]]]
    assert nibbles.left(symbols, 8).tolist() == [[[0, 2], [0, 6]], [[0, 3], [0, 7]]]


@pytest.mark.parametrize(("bits", "symbol"), [(1, 0b1000), (2, 0b0100)])
def test_what_fills_up_a_row_must_be_zero(bits: int, symbol: int) -> None:
    with pytest.raises(PayloadError, match="fills up the rows"):
        nibbles.join(np.array([[[symbol]]], np.uint8), bits, (1, 1, 1))
