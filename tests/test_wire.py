import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import serialize_byte_tensor

from ecc_deploy import wire


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_what_is_packed_is_unpacked(elements: list[bytes]) -> None:
    assert [bytes(e) for e in wire.unpack_bytes(wire.pack_bytes(elements), len(elements))] == elements


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=8))
def test_it_is_the_protocols_own_form(elements: list[bytes]) -> None:
    assert wire.pack_bytes(elements) == serialize_byte_tensor(np.array(elements, object)).item()


@given(st.binary(max_size=64), st.integers(0, 8))
def test_any_bytes_are_unpacked_exactly_or_refused(raw: bytes, count: int) -> None:
    try:
        elements = wire.unpack_bytes(raw, count)
    except ValueError:
        return
    assert wire.pack_bytes([bytes(e) for e in elements]) == raw


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "element 0 of 1 is missing"),
        (b"\x01\x00", "element 0 of 1 is missing"),
        (struct.pack("<I", 0xFFFFFFFF) + b"x", "says 4294967295 bytes and 1 follow"),
        (struct.pack("<I", 1) + b"xy", "1 bytes follow"),
    ],
)
def test_a_wrong_length_is_named(raw: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        wire.unpack_bytes(raw, 1)
