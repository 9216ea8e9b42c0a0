"""Zstandard for payloads of a hundred bytes: blocks without the frame around them.

A Zstandard frame (RFC 8878, section 3.1.1) begins with a magic number and a frame header. For one tensor and the
settings below these six bytes are always the same, so they stay at home: no content size (the decoder knows it), no
checksum (the link has its own), no dictionary, a window that follows from the tensor's size. The payload is the
frame's blocks; with :attr:`Zstd.header` in front it is a standard frame again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ecc_deploy.errors import PayloadError

if TYPE_CHECKING:
    import zstandard

_MAGIC_AND_DESCRIPTOR = b"\x28\xb5\x2f\xfd\x00"
_HEADER_BYTES = 6
_MIN_WINDOW_LOG, _MAX_WINDOW_LOG = 10, 20
_RLE, _RESERVED = 1, 3
_local = threading.local()
"""``.decompressor``: one per thread, whose buffers are used again. zstandard's objects are not thread safe."""


class Zstd:
    """Compresses buffers of at most ``size`` bytes. ``level``: 1 to 19."""

    def __init__(self, level: int, size: int) -> None:
        # Here and not at the top: most codecs do without. And not later: the first sample should not pay for it.
        import zstandard

        self._zstandard = zstandard
        self._level = level
        self._size = size
        self._window_log = min(max((size - 1).bit_length(), _MIN_WINDOW_LOG), _MAX_WINDOW_LOG)
        # RFC 8878, 3.1.1.1.2: window size = 2^(10 + byte >> 3), where the low three bits are zero.
        self.header = _MAGIC_AND_DESCRIPTOR + bytes([(self._window_log - 10) << 3])
        self._local = threading.local()

    def compress(self, data: bytes) -> bytes:
        """The blocks of ``data``; they may be longer than ``data``."""
        try:
            compressor = self._local.compressor
        except AttributeError:
            compressor = self._local.compressor = self._make_compressor()
        frame: bytes = compressor.compress(data)
        if frame[:5] != _MAGIC_AND_DESCRIPTOR or frame[5] > self.header[5]:
            raise RuntimeError(f"this zstandard wrote the frame header {frame[:8].hex()}, not {self.header.hex()}")
        return frame[_HEADER_BYTES:]

    def decompress(self, blocks: bytes | memoryview, limit: int) -> bytes:
        """What ``blocks`` hold, at most ``limit`` bytes; no more than ``limit`` and the window is allocated.

        Raises :class:`PayloadError`.
        """
        if _end_of_blocks(blocks) != len(blocks):
            raise PayloadError("the payload is not a whole number of Zstandard blocks")
        try:
            decompressor = _local.decompressor
        except AttributeError:
            decompressor = _local.decompressor = self._zstandard.ZstdDecompressor()
        try:
            return decompressor.decompress(b"".join((self.header, blocks)), max_output_size=limit)
        except self._zstandard.ZstdError as error:
            raise PayloadError(f"the payload's Zstandard blocks are damaged: {error}") from error

    def _make_compressor(self) -> zstandard.ZstdCompressor:
        return self._zstandard.ZstdCompressor(
            compression_params=self._zstandard.ZstdCompressionParameters.from_level(
                self._level,
                source_size=self._size,
                window_log=self._window_log,
                write_content_size=False,
                write_checksum=False,
                write_dict_id=False,
            )
        )


def _end_of_blocks(blocks: bytes | memoryview) -> int:
    """Where the last block ends; -1 where none does. zstandard itself ignores what follows."""
    position = 0
    while position + 3 <= len(blocks):
        # RFC 8878, 3.1.1.2: bit 0 marks the last block, bits 1-2 are its type, the other 21 its size.
        header = int.from_bytes(blocks[position : position + 3], "little")
        kind = header >> 1 & 3
        if kind == _RESERVED:
            return -1
        position += 3 + (1 if kind == _RLE else header >> 3)
        if header & 1:
            return position
    return -1
