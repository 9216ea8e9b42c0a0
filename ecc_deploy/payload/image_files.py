"""What a PNG, JPEG or WebP file says about itself, checked before any decoder sees it.

Each function takes the bytes of a file and the size it must have, and returns the bytes that a decoder needs: the
size is right, the structure ends where the bytes end, and what could hold compressed text, profiles, thumbnails or
further images is gone. So no decoder is led to allocate more than the pixels need. Raises :class:`PayloadError`.
"""

from __future__ import annotations

import struct
import zlib

from ecc_deploy.errors import PayloadError

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_COLOUR_TYPE = {1: 0, 3: 2}

_SOS, _BASELINE, _APP0, _APP14 = 0xDA, (0xC0, 0xC1), 0xE0, 0xEE
_JPEG_KEPT = frozenset({*_BASELINE, 0xC4, 0xDB, 0xDD, _APP0, _APP14})  # frame, Huffman, quantization, restart, colour
_JPEG_DROPPED = frozenset({*range(0xE1, 0xF0), 0xFE})  # application data and comments


def _truncated(kind: str) -> PayloadError:
    return PayloadError(f"the {kind} payload is cut off or followed by other bytes")


def _wrong_size(kind: str, found: str, width: int, height: int, channels: int) -> PayloadError:
    return PayloadError(f"the {kind} payload is {found}, and {width} x {height} x {channels} was agreed on")


def check_png(data: bytes, width: int, height: int, channels: int) -> bytes:
    """8-bit grey or RGB, not interlaced. Every chunk's CRC is verified; ancillary chunks are left out."""
    header = struct.pack(
        ">I4sIIBBBBB", 13, b"IHDR", width, height, 8, _PNG_COLOUR_TYPE[channels], 0, 0, 0
    )  # W3C PNG, section 11.2.1
    if not data.startswith(_PNG_SIGNATURE):
        raise PayloadError("the payload is not a PNG file")
    if data[8 : 8 + len(header)] != header:
        raise _wrong_size("PNG", "of another size, depth or colour type, or interlaced", width, height, channels)
    view = memoryview(data)
    kept: list[bytes | memoryview] = [_PNG_SIGNATURE]
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        if kind == b"IDAT" or kind == b"IEND" or position == len(_PNG_SIGNATURE):
            if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
                raise PayloadError(f"the PNG payload's {kind.decode('ascii')} chunk is damaged")
            kept.append(view[position:end])
        elif not kind[0] & 0x20:  # a capital first letter: a chunk that must not be ignored
            raise PayloadError(f"the PNG payload has the chunk {kind!r}, which 8-bit grey and RGB do not need")
        position = end
        if kind == b"IEND":
            if end != len(data):
                break
            return b"".join(kept)
    raise _truncated("PNG")


def check_jpeg(data: bytes, width: int, height: int, channels: int) -> bytes:
    """8-bit baseline, Huffman-coded, all components in one scan.

    Progressive files are refused: a few bytes can hold another pass over the whole image.
    """
    if data[:2] != b"\xff\xd8":
        raise PayloadError("the payload is not a JPEG file")
    if data[-2:] != b"\xff\xd9":
        raise _truncated("JPEG")
    view = memoryview(data)
    kept: list[memoryview] = [view[:2]]
    position, has_frame = 2, False
    while position + 4 <= len(data):
        mark, marker, length = struct.unpack_from(">BBH", data, position)
        end = position + 2 + length
        if mark != 0xFF or length < 2 or end > len(data):
            break
        if marker == _SOS:
            if not has_frame or length < 3 or data[position + 4] != channels:
                raise PayloadError(f"the JPEG payload has no single scan of its {channels} components")
            kept.append(view[position:])
            return b"".join(kept)
        if marker in _BASELINE:
            if length < 8 or has_frame:
                raise PayloadError("the JPEG payload has no single frame header")
            facts = struct.unpack_from(">BHHB", data, position + 4)  # ISO/IEC 10918-1, B.2.2
            if facts != (8, height, width, channels):
                found = f"{facts[2]} x {facts[1]} x {facts[3]} of {facts[0]} bits"
                raise _wrong_size("JPEG", found, width, height, channels)
            has_frame = True
        if marker in _JPEG_KEPT:
            kept.append(view[position:end])
        elif marker not in _JPEG_DROPPED:
            raise PayloadError(f"the JPEG payload has the marker 0xFF{marker:02X}, which baseline files do not have")
        position = end
    raise _truncated("JPEG")


def check_webp_lossy(data: bytes, width: int, height: int, channels: int) -> bytes:
    """One still image in the simple file format, a VP8 key frame."""
    _check_riff(data, b"VP8 ")
    if data[20] & 1 or data[23:26] != b"\x9d\x01\x2a":  # RFC 6386, section 9.1
        raise PayloadError("the WebP payload does not hold a key frame")
    size = tuple(side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    if size != (width, height):
        raise _wrong_size("WebP", f"{size[0]} x {size[1]}", width, height, channels)
    return data


def check_webp_lossless(data: bytes, width: int, height: int, channels: int) -> bytes:
    """One still image in the simple file format, VP8L without transparency."""
    _check_riff(data, b"VP8L")
    bits = int.from_bytes(data[21:25], "little")  # RFC 9649, section 3.4
    if data[20] != 0x2F or bits >> 28:
        raise PayloadError("the WebP payload is transparent, or of a version that is not known")
    size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if size != (width, height):
        raise _wrong_size("WebP", f"{size[0]} x {size[1]}", width, height, channels)
    return data


def _check_riff(data: bytes, kind: bytes) -> None:
    """A RIFF container that holds one chunk, ``kind``, and ends where the bytes end (RFC 9649, section 2.5)."""
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise PayloadError("the payload is not a WebP file")
    if data[12:16] != kind:
        raise PayloadError(f"the WebP payload begins with the chunk {data[12:16]!r}, and {kind!r} was agreed on")
    riff_bytes, chunk_bytes = int.from_bytes(data[4:8], "little"), int.from_bytes(data[16:20], "little")
    if riff_bytes + 8 != len(data) or chunk_bytes + (chunk_bytes & 1) + 20 != len(data):
        raise _truncated("WebP")
