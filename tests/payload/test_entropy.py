from __future__ import annotations

import numpy as np
import pytest
import zstandard

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload.entropy import Zstd

SIZES = (1, 98, 1024, 1025, 5000, 1_200_000)


def sparse(size: int) -> bytes:
    rng = np.random.default_rng(size)
    return (rng.integers(0, 256, size) * (rng.random(size) < 0.05)).astype(np.uint8).tobytes()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("level", [1, 6, 13])
def test_with_the_header_it_is_a_standard_frame(size: int, level: int) -> None:
    codec = Zstd(level, size)
    for data in (sparse(size), bytes(size), sparse(max(size // 2, 1))):
        blocks = codec.compress(data)
        assert zstandard.ZstdDecompressor().decompress(codec.header + blocks, max_output_size=size) == data
        assert codec.decompress(blocks, size) == data


def test_it_is_smaller_than_a_standard_frame() -> None:
    data = sparse(98)
    frame = zstandard.ZstdCompressor(level=1).compress(data)
    assert len(Zstd(1, 98).compress(data)) == len(frame) - 6


def block(size: int, kind: int, *, last: bool, content: bytes = b"") -> bytes:
    return (int(last) | kind << 1 | size << 3).to_bytes(3, "little") + content


@pytest.mark.parametrize(
    "blocks",
    [
        b"",
        b"\1\0",
        block(5, 0, last=False, content=b"abcde"),
        block(5, 0, last=True, content=b"abcd"),
        block(5, 0, last=True, content=b"abcde") + b"x",
        block(5, 0, last=True, content=b"abcde") * 2,
        block(0, 3, last=True),
        block(4, 2, last=True, content=b"\xff\xff\xff\xff"),
        block(11, 1, last=True, content=b"a"),
        block(2**21 - 1, 1, last=True, content=b"a"),
        block(6, 1, last=False, content=b"a") + block(5, 1, last=True, content=b"b"),
    ],
)
def test_what_is_no_frame_of_at_most_ten_bytes(blocks: bytes) -> None:
    with pytest.raises(PayloadError, match="Zstandard blocks"):
        Zstd(1, 10).decompress(blocks, 10)


def test_blocks_of_every_kind() -> None:
    blocks = block(3, 0, last=False, content=b"abc") + block(4, 1, last=False, content=b"d") + block(0, 0, last=True)
    assert Zstd(1, 10).decompress(blocks, 10) == b"abcdddd"
