from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload import Codec, TensorSpec, ans_loop, make_codec
from ecc_deploy.payload import ans as ans_module
from ecc_deploy.payload.ans import MAX_SYMBOLS, suits
from ecc_deploy.payload.ans_table import fit
from tests.payload.conformance import CodecConformance
from tests.payload.tables import fitted_table, sparse_codes, whole_number_table


@pytest.fixture(scope="module", autouse=True, params=["compiled", "python"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Everything here holds for the loops in Python as for those that numba has compiled."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr(ans_module, "loops", lambda: None)
        elif ans_module.loops() is None:
            pytest.skip("numba is not installed: pip install 'ecc-deploy[fast]'")
        yield request.param


SHAPES = ((1, 1, 1), (1, 3, 3), (5, 1, 2), (3, 5, 7), (4, 7, 7), (2, 16, 17))


def ans(bits: int, shape: tuple[int, ...], dtype: str = "uint8") -> Codec:
    return make_codec(f"int{bits}+ans", TensorSpec(dtype, shape), fitted_table(shape, bits))


class TestAns8(CodecConformance):
    specs = ("int8+ans",)
    shapes = SHAPES

    def make(self, spec: str, shape: tuple[int, ...]) -> Codec:
        return ans(int(spec[3]), shape, self.dtype)


class TestAns8Signed(TestAns8):
    dtype, other_dtype = "int8", "uint8"
    lowest, highest = -128, 127


class TestAns4(TestAns8):
    specs = ("int4+ans",)
    highest = 15


class TestAns2(TestAns8):
    specs = ("int2+ans",)
    highest = 3


class TestAns1(TestAns8):
    specs = ("int1+ans",)
    highest = 1


@settings(max_examples=60, deadline=None)
@given(st.sampled_from((1, 2, 4, 8)), st.tuples(*[st.integers(1, 9)] * 3), st.integers(0, 1000), st.booleans())
def test_any_shape(bits: int, shape: tuple[int, ...], seed: int, is_like_the_samples: bool) -> None:
    codec = make_codec(f"int{bits}+ans", TensorSpec("uint8", shape), whole_number_table(shape[0], bits))
    codes = sparse_codes(1, shape, bits, seed)[0]
    if not is_like_the_samples:
        codes = np.random.default_rng(seed).integers(0, 2**bits, shape, dtype=np.uint8)
    assert (codec.decode(codec.encode(codes)) == codes).all()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from((1, 2, 4, 8)), st.binary(max_size=60))
def test_random_bytes_are_a_tensor_or_an_error(bits: int, payload: bytes) -> None:
    codec = ans(bits, (3, 5, 7))
    with suppress(PayloadError):
        assert codec.decode(payload).shape == (3, 5, 7)


@pytest.mark.parametrize(
    ("bits", "payload", "digest"),
    [
        (1, "104200", "ba2243752d131887"),
        (2, "027ae66c", "0f6b40deaa542f64"),
        (4, "0202d43580", "6d4fddf2f7e2863a"),
        (8, "b3c8abe7e8d5aa", "c406426e33ea58df"),
    ],
)
def test_the_bytes_are_the_same_on_every_machine(bits: int, payload: str, digest: str) -> None:
    """The table and the codes are of whole numbers, so nothing may differ: the bytes of all releases are these."""
    codec = make_codec(f"int{bits}+ans", TensorSpec("uint8", (2, 3, 3)), whole_number_table(2, bits))
    codes = (np.arange(18, dtype=np.uint8).reshape(2, 3, 3) % 5 == 4).astype(np.uint8) * (2**bits - 1)
    assert codec.encode(codes).hex() == payload
    many = make_codec(f"int{bits}+ans", TensorSpec("uint8", (2, 30, 31)), whole_number_table(2, bits))
    codes = sparse_codes(1, (2, 30, 31), bits)[0]
    written = many.encode(codes)
    assert len(written) < many.max_bytes
    assert hashlib.sha256(written).hexdigest()[:16] == digest
    assert (many.decode(written) == codes).all()


def test_what_does_not_shrink_is_stored() -> None:
    noise = np.random.default_rng(0).integers(0, 4, (4, 7, 7), dtype=np.uint8)
    stored = ans(2, (4, 7, 7)).encode(noise)
    assert stored == make_codec("int2", TensorSpec("uint8", (4, 7, 7))).encode(noise)


def test_what_is_always_the_same_costs_nothing() -> None:
    codes = np.zeros((64, 16, 8, 8), np.uint8)
    codec = make_codec("int2+ans", TensorSpec("uint8", (16, 8, 8)), fit(codes, 2))
    assert codec.encode(codes[0]) == b"\0"
    assert not codec.decode(b"\0").any()


def test_a_payload_that_is_read_is_the_one_that_is_written() -> None:
    codec = ans(2, (1, 3, 3))
    read = 0
    for payload in (n.to_bytes(length, "big") for length in (1, 2) for n in range(256**length)):
        with suppress(PayloadError):
            assert codec.encode(codec.decode(payload)) == payload
            read += 1
    assert 20 < read < 6553  # most are no payload


def test_a_leading_zero_is_refused() -> None:
    codec = ans(2, (4, 7, 7))
    payload = codec.encode(sparse_codes(1, (4, 7, 7), 2, 9)[0])
    assert len(payload) + 2 < codec.max_bytes
    for wrong in (b"\0" + payload, b"\0\0" + payload):
        with pytest.raises(PayloadError, match=r"says nothing|does not end"):
            codec.decode(wrong)


def test_what_fills_up_a_row_must_be_zero() -> None:
    """Codes of another width have the same symbols, so only this tells them apart."""
    table = fitted_table((4, 7, 7), 2)
    wide = make_codec("int2+ans", TensorSpec("uint8", (4, 7, 8)), table)
    narrow = make_codec("int2+ans", TensorSpec("uint8", (4, 7, 7)), table)
    codes = sparse_codes(1, (4, 7, 8), 2, 3)[0]
    codes[..., 7] = 0
    assert (narrow.decode(wide.encode(codes)) == codes[..., :7]).all()
    codes[2, 3, 7] = 1
    with pytest.raises(PayloadError, match="fills up the rows"):
        narrow.decode(wide.encode(codes))


@pytest.mark.parametrize("shape", [(7,), (7, 7), (1, 4, 7, 7), (257, 1, 1), (1, 512, 513)])
def test_a_tensor_that_does_not_suit(shape: tuple[int, ...]) -> None:
    assert not suits(TensorSpec("uint8", shape), 8)
    with pytest.raises(PayloadError, match=r"takes tensors \(c, h, w\) of at most 256 channels") as caught:
        make_codec("int8+ans", TensorSpec("uint8", shape), b"")
    assert "int8+zstd" in caught.value.hint
    assert suits(TensorSpec("uint8", (1, 256, MAX_SYMBOLS // 256)), 4)


def test_the_table_is_asked_for_and_only_where_it_is_used() -> None:
    tensor, table = TensorSpec("uint8", (4, 7, 7)), fitted_table((4, 7, 7), 2)
    codec = make_codec("int2+ans", tensor, table)
    assert codec.table == table
    assert make_codec("int2+ans", tensor, bytes(bytearray(table))) is codec
    with pytest.raises(PayloadError, match="needs the table") as caught:
        make_codec("int2+ans", tensor)
    assert "bundle" in caught.value.hint
    with pytest.raises(PayloadError, match="as bytes and not bytearray"):
        make_codec("int2+ans", tensor, bytearray(table))
    for spec in ("int2", "int2+delta+zstd"):
        assert make_codec(spec, tensor).table is None
        with pytest.raises(PayloadError, match="was given a table, and takes none"):
            make_codec(spec, tensor, table)
    with pytest.raises(PayloadError, match="for 4 channels of 2 bits, not 3 of 2"):
        make_codec("int2+ans", TensorSpec("uint8", (3, 7, 7)), table)
    with pytest.raises(PayloadError, match="for 4 channels of 2 bits, not 4 of 4"):
        make_codec("int4+ans", tensor, table)


@settings(deadline=None)
@given(bits=st.sampled_from([1, 2, 4, 8]), shape=st.sampled_from(SHAPES), payload=st.binary(max_size=300))
def test_whatever_comes_both_ways_say_the_same_of_it(bits: int, shape: tuple[int, ...], payload: bytes) -> None:
    found: list[object] = []
    for loops in (ans_loop.loops, lambda: None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ans_module, "loops", loops)
            codec = ans(bits, shape)
        try:
            found.append(codec.decode(payload).tolist())
        except PayloadError as error:
            found.append(error.message)
    assert found[0] == found[1]
