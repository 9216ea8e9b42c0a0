"""What every codec must do, whichever it is: one test body, which each codec's tests inherit."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload import Codec, TensorSpec, make_codec

few = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
"""Bounded, and without hypothesis's objection to one test body in several classes."""
ALLOCATION_FLOOR = 1 << 17
"""Pillow takes 64 KiB for its buffer, however small the image."""
ALLOCATION_FACTOR = 16
FILLS = ("noise", "sparse", "lowest", "highest", "extremes", "ramp")


class CodecConformance:
    """Subclasses say which codecs and tensors; they may override how samples are made and compared."""

    specs: Sequence[str]
    dtype: str = "uint8"
    shapes: Sequence[tuple[int, ...]] = ((1,), (2,), (5, 1), (1, 3, 3), (3, 5, 7), (4, 7, 7), (2, 16, 17))
    other_dtype: str = "float32"
    lowest: float = 0
    highest: float = 255

    def make(self, spec: str, shape: tuple[int, ...]) -> Codec:
        return make_codec(spec, TensorSpec(self.dtype, shape))

    def sample(self, shape: tuple[int, ...], fill: str, seed: int) -> np.ndarray:
        """An array of the dtype, with values from ``lowest`` to ``highest``."""
        rng = np.random.default_rng(seed)
        values = {
            "noise": lambda: rng.uniform(self.lowest, self.highest, shape),
            "sparse": lambda: rng.uniform(self.lowest, self.highest, shape) * (rng.random(shape) < 0.2),
            "lowest": lambda: np.full(shape, self.lowest),
            "highest": lambda: np.full(shape, self.highest),
            "extremes": lambda: rng.choice([self.lowest, self.highest], shape),
            "ramp": lambda: np.linspace(self.lowest, self.highest, int(np.prod(shape))).reshape(shape),
        }[fill]()
        return (values if self.dtype == "float32" else np.rint(values)).astype(self.dtype)

    def expected(self, array: np.ndarray) -> np.ndarray:
        """What comes out of a codec of boundaries for ``array``, bit for bit."""
        return array

    def check_round_trip(self, codec: Codec, array: np.ndarray, decoded: np.ndarray) -> None:
        assert decoded.tobytes() == self.expected(array).tobytes()

    def draw(self, data: st.DataObject) -> tuple[Codec, np.ndarray]:
        codec = self.make(data.draw(st.sampled_from(self.specs)), data.draw(st.sampled_from(self.shapes)))
        return codec, self.sample(codec.tensor.shape, data.draw(st.sampled_from(FILLS)), data.draw(st.integers(0, 99)))

    def decode_hostile(self, codec: Codec, payload: bytes) -> None:
        """Either a tensor or a PayloadError, within the bound on memory that Python sees."""
        decoded = None
        tracemalloc.start()
        try:
            with suppress(PayloadError):
                decoded = codec.decode(payload)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        size = np.dtype(codec.tensor.dtype).itemsize * codec.tensor.elements
        assert peak <= ALLOCATION_FLOOR + ALLOCATION_FACTOR * (size + len(payload))
        if decoded is not None:
            self.check_tensor(codec, decoded)

    def check_tensor(self, codec: Codec, decoded: np.ndarray) -> None:
        assert decoded.dtype == codec.tensor.dtype
        assert decoded.dtype.isnative
        assert decoded.shape == codec.tensor.shape
        assert decoded.flags.c_contiguous
        assert decoded.flags.writeable

    @few
    @given(st.data())
    def test_what_is_encoded_comes_back(self, data: st.DataObject) -> None:
        codec, array = self.draw(data)
        before = array.copy()
        payload = codec.encode(array)
        assert type(payload) is bytes
        assert 0 < len(payload) <= codec.max_bytes
        assert codec.encode(array) == payload
        assert array.tobytes() == before.tobytes()
        decoded = codec.decode(payload)
        self.check_tensor(codec, decoded)
        self.check_round_trip(codec, array, decoded)
        for view in (memoryview(payload), memoryview(bytearray(payload))):
            again = codec.decode(view)
            assert again.tobytes() == decoded.tobytes()
            again.fill(0)
            assert bytes(view) == payload

    @few
    @given(st.data())
    def test_memory_order_does_not_matter(self, data: st.DataObject) -> None:
        codec, array = self.draw(data)
        payload = codec.encode(array)
        assert codec.encode(np.asfortranarray(array)) == payload
        wide = np.repeat(array, 2, axis=-1)
        assert codec.encode(wide[..., ::2]) == payload
        frozen = array.copy()
        frozen.flags.writeable = False
        assert codec.encode(frozen) == payload

    @few
    @given(st.data())
    def test_random_bytes(self, data: st.DataObject) -> None:
        codec, _ = self.draw(data)
        longest = min(codec.max_bytes, 400) + 2
        self.decode_hostile(codec, data.draw(st.binary(max_size=longest)))

    @few
    @given(st.data())
    def test_damaged_payloads(self, data: st.DataObject) -> None:
        codec, array = self.draw(data)
        payload = bytearray(codec.encode(array))
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, max(len(payload) - 1, 0)))
            match data.draw(st.sampled_from(("flip", "set", "cut", "remove", "insert", "extend"))):
                case "flip" if payload:
                    payload[place] ^= 1 << data.draw(st.integers(0, 7))
                case "set" if payload:
                    payload[place] = data.draw(st.sampled_from((0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)))
                case "cut":
                    del payload[place:]
                case "remove":
                    del payload[place : place + data.draw(st.integers(1, 8))]
                case "insert":
                    payload[place:place] = data.draw(st.binary(min_size=1, max_size=8))
                case _:
                    payload += data.draw(st.binary(min_size=1, max_size=40))
        self.decode_hostile(codec, bytes(payload))

    def test_cut_off_or_followed_by_something(self) -> None:
        for spec in self.specs:
            for shape in self.shapes[-2:]:
                codec = self.make(spec, shape)
                payload = codec.encode(self.sample(shape, "sparse", 1))
                for wrong in (b"", payload[:-1], payload[: len(payload) // 2], payload[:1], payload + b"\0"):
                    if ("+zstd" in spec or "+ans" in spec) and len(wrong) == codec.max_bytes:
                        continue  # at this length, every payload is stored codes
                    with pytest.raises(PayloadError):
                        codec.decode(wrong)

    def test_longer_than_any_payload(self) -> None:
        for spec in self.specs:
            codec = self.make(spec, self.shapes[-1])
            with pytest.raises(PayloadError, match=f"at most {codec.max_bytes} bytes"):
                codec.decode(bytes(codec.max_bytes + 1))

    def test_another_dtype_or_shape(self) -> None:
        shape = self.shapes[-1]
        for spec in self.specs:
            codec = self.make(spec, shape)
            array = self.sample(shape, "lowest", 0) * 0
            for wrong in (array.astype(self.other_dtype), array[None], array[..., :-1], array.reshape(-1)):
                with pytest.raises(PayloadError, match="was made for"):
                    codec.encode(wrong)
            with pytest.raises(PayloadError, match="numpy arrays"):
                codec.encode(array.tolist())

    def test_what_is_no_buffer(self) -> None:
        codec = self.make(self.specs[0], self.shapes[-1])
        for wrong in (None, "text", 3, memoryview(bytes(9))[::2]):
            with pytest.raises(PayloadError, match="contiguous bytes"):
                codec.decode(wrong)

    def test_from_several_threads(self) -> None:
        shape = self.shapes[-1]
        arrays = [self.sample(shape, "sparse", seed) for seed in range(16)]
        for spec in self.specs:
            codec = self.make(spec, shape)
            wanted = [codec.encode(array) for array in arrays]
            with ThreadPoolExecutor(4) as pool:
                assert list(pool.map(codec.encode, arrays)) == wanted
                decoded = list(pool.map(codec.decode, wanted))
            for payload, result in zip(wanted, decoded, strict=True):
                assert result.tobytes() == codec.decode(payload).tobytes()
