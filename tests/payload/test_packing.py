from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload.packing import accumulate, difference, pack, packed_bytes, unpack

BITS = (1, 2, 4, 8, 16, 32)


def codes_of(data: st.DataObject, bits: int) -> np.ndarray:
    values = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=40))
    return np.array(values, f"u{max(bits, 8) // 8}")


@pytest.mark.parametrize("bits", BITS)
@settings(max_examples=40)
@given(st.data())
def test_packing_is_a_little_endian_number(bits: int, data: st.DataObject) -> None:
    codes = codes_of(data, bits)
    number = sum(int(code) << (bits * i) for i, code in enumerate(codes))
    packed = pack(codes, bits)
    assert packed == number.to_bytes(packed_bytes(len(codes), bits), "little")
    assert (unpack(packed, bits, len(codes)) == codes).all()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_every_byte_unpacks(bits: int) -> None:
    packed = bytes(range(256))
    codes = unpack(packed, bits, 256 * 8 // bits)
    assert codes.max() == 2**bits - 1
    assert pack(codes, bits) == packed


@pytest.mark.parametrize(("bits", "count", "last"), [(1, 7, 0x80), (1, 1, 0x02), (2, 3, 0x40), (4, 1, 0x10)])
def test_unused_bits(bits: int, count: int, last: int) -> None:
    assert unpack(bytes([last - 1]), bits, count).size == count
    with pytest.raises(PayloadError, match="unused bits"):
        unpack(bytes([last]), bits, count)


@pytest.mark.parametrize("bits", BITS)
@settings(max_examples=40)
@given(st.data())
def test_differences_add_up(bits: int, data: st.DataObject) -> None:
    codes = codes_of(data, bits)
    rows = np.stack([codes, codes[::-1]])
    differences = difference(rows, bits)
    assert differences.dtype == rows.dtype
    wanted = [[(int(b) - int(a)) % 2**bits for a, b in zip([0, *row[:-1]], row, strict=True)] for row in rows]
    assert differences.tolist() == wanted
    assert (accumulate(differences, bits) == rows).all()
