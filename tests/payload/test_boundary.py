from __future__ import annotations

import itertools

import numpy as np
import pytest

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload import TensorSpec, make_codec
from tests.payload.conformance import CodecConformance


def _with_stages(name: str) -> list[str]:
    return [name, *(f"{name}{stages}" for stages in ("+delta", "+zstd", "+delta+zstd", "+zstd:13", "+delta+zstd:19"))]


class TestInt8(CodecConformance):
    specs = _with_stages("int8")


class TestInt8Signed(CodecConformance):
    specs = _with_stages("int8")
    dtype, other_dtype = "int8", "uint8"
    lowest, highest = -128, 127


class TestInt4(CodecConformance):
    specs = _with_stages("int4")
    highest = 15


class TestInt2(CodecConformance):
    specs = _with_stages("int2")
    highest = 3


class TestInt1(CodecConformance):
    specs = _with_stages("int1")
    highest = 1


class TestFloat32(CodecConformance):
    specs = _with_stages("float32")
    dtype, other_dtype = "float32", "uint8"
    lowest, highest = -3e38, 3e38


class TestFloat16(CodecConformance):
    specs = _with_stages("float16")
    dtype, other_dtype = "float32", "uint8"
    lowest, highest = -65504, 65504

    def expected(self, array: np.ndarray) -> np.ndarray:
        return array.astype(np.float16).astype(np.float32)


@pytest.mark.parametrize(("name", "bytes_"), [("int8", 105), ("int4", 53), ("int2", 27), ("int1", 14)])
def test_integers_are_packed(name: str, bytes_: int) -> None:
    codec = make_codec(name, TensorSpec("uint8", (3, 5, 7)))
    assert codec.max_bytes == bytes_
    assert len(codec.encode(np.ones((3, 5, 7), np.uint8))) == bytes_
    assert codec.is_lossless


def test_the_first_code_lies_in_the_low_bits() -> None:
    codes = np.array([1, 2, 3, 0, 1], np.uint8)
    assert make_codec("int4", TensorSpec("uint8", (5,))).encode(codes) == bytes([0x21, 0x03, 0x01])
    assert make_codec("int2", TensorSpec("uint8", (5,))).encode(codes) == bytes([0b00_11_10_01, 0b01])
    assert make_codec("int1", TensorSpec("uint8", (5,))).encode(codes & 1) == bytes([0b10101])


def test_floats_are_little_endian() -> None:
    one = np.array([1.0], np.float32)
    assert make_codec("float32", TensorSpec("float32", (1,))).encode(one) == bytes.fromhex("0000803f")
    assert make_codec("float16", TensorSpec("float32", (1,))).encode(one) == bytes.fromhex("003c")


def test_delta_is_the_difference_to_the_left_neighbour() -> None:
    codes = np.array([[3, 5, 4], [0, 15, 0]], np.uint8)
    payload = make_codec("int4+delta", TensorSpec("uint8", (2, 3))).encode(codes)
    plain = make_codec("int4", TensorSpec("uint8", (2, 3)))
    assert plain.decode(payload).tolist() == [[3, 2, 15], [0, 15, 1]]


@pytest.mark.parametrize(("name", "bits"), [("int4", 4), ("int2", 2), ("int1", 1)])
@pytest.mark.parametrize("stages", ["", "+delta", "+zstd"])
def test_a_code_that_does_not_fit(name: str, bits: int, stages: str) -> None:
    codec = make_codec(name + stages, TensorSpec("uint8", (2, 3)))
    codes = np.zeros((2, 3), np.uint8)
    codes[1, 1] = 2**bits
    with pytest.raises(PayloadError, match=f"the code {2**bits} does not fit into {bits} bits"):
        codec.encode(codes)


def test_unused_bits_must_be_zero() -> None:
    codec = make_codec("int4", TensorSpec("uint8", (3,)))
    assert codec.decode(b"\x21\x03").tolist() == [1, 2, 3]
    with pytest.raises(PayloadError, match="unused bits"):
        codec.decode(b"\x21\x13")


class TestZstd:
    tensor = TensorSpec("uint8", (4, 7, 7))

    def test_what_does_not_shrink_is_stored(self) -> None:
        noise = np.random.default_rng(0).integers(0, 16, self.tensor.shape, dtype=np.uint8)
        stored = make_codec("int4+zstd", self.tensor).encode(noise)
        assert stored == make_codec("int4", self.tensor).encode(noise)

    def test_what_shrinks_is_compressed(self) -> None:
        zeros = np.zeros(self.tensor.shape, np.uint8)
        assert len(make_codec("int4+zstd", self.tensor).encode(zeros)) < 20

    def test_levels_read_each_other(self) -> None:
        codes = np.random.default_rng(0).binomial(15, 0.05, self.tensor.shape).astype(np.uint8)
        codecs = [make_codec(f"int4+zstd:{level}", self.tensor) for level in (1, 5, 11, 19)]
        for writer, reader in itertools.product(codecs, codecs):
            assert (reader.decode(writer.encode(codes)) == codes).all()

    def test_blocks_of_codes_one_per_byte(self) -> None:
        codec = make_codec("int4+zstd", TensorSpec("uint8", (300,)))

        def rle(value: int, count: int) -> bytes:
            return (1 | 1 << 1 | count << 3).to_bytes(3, "little") + bytes([value])

        assert (codec.decode(rle(7, 300)) == 7).all()
        assert (codec.decode(rle(0x77, 150)) == 7).all()
        with pytest.raises(PayloadError, match="the code 16 does not fit"):
            codec.decode(rle(16, 300))
        with pytest.raises(PayloadError, match="decodes to 200 bytes"):
            codec.decode(rle(0, 200))


class TestFloatValues:
    tensor = TensorSpec("float32", (8,))
    odd = np.array([np.inf, -np.inf, -0.0, 1e-45, 65519.9, -65504, 2.0**-25, 1 / 3], np.float32)

    @pytest.mark.parametrize("stages", ["", "+delta", "+zstd", "+delta+zstd:19"])
    def test_float32_keeps_every_bit(self, stages: str) -> None:
        patterns = np.array([0x7FC00000, 0xFFC01234, 0x7F800001, 0x80000000, 1, 0x7F800000, 0, 2**32 - 1], np.uint32)
        codec = make_codec(f"float32{stages}", self.tensor)
        assert codec.is_lossless
        for array in (self.odd, patterns.view(np.float32)):
            assert codec.decode(codec.encode(array)).tobytes() == array.tobytes()

    @pytest.mark.parametrize("stages", ["", "+delta", "+zstd"])
    def test_float16_rounds_once(self, stages: str) -> None:
        codec = make_codec(f"float16{stages}", self.tensor)
        assert not codec.is_lossless
        once = codec.decode(codec.encode(self.odd))
        assert once.tolist() == [np.inf, -np.inf, 0.0, 0.0, 65504, -65504, 0.0, float(np.float16(1 / 3))]
        assert np.signbit(once[2])
        assert codec.decode(codec.encode(once)).tobytes() == once.tobytes()

    @pytest.mark.parametrize("value", [65520, -1e5, 3.4e38])
    def test_beyond_the_range_of_float16(self, value: float) -> None:
        array = np.array([0, 1, np.inf, np.nan, 0, 0, value, 0], np.float32)
        with pytest.raises(PayloadError, match="beyond the range of float16"):
            make_codec("float16", self.tensor).encode(array)

    def test_every_nan_is_the_same_in_float16(self) -> None:
        patterns = np.array([0x7FC00000, 0xFFC01234, 0x7F800001, 0x7FFFFFFF] * 2, np.uint32)
        payload = make_codec("float16", self.tensor).encode(patterns.view(np.float32))
        assert payload == b"\x00\x7e" * 8
        assert np.isnan(make_codec("float16", self.tensor).decode(payload)).all()
