"""Files that are valid, and hostile or merely unusual: made by hand, since encoders do not write most of them."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload import TensorSpec, make_codec

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY = TensorSpec("uint8", (28, 28, 1))
PIXELS = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def header(width: int = 28, height: int = 28, depth: int = 8, colour: int = 0, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


ROWS = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in PIXELS)))
END = chunk(b"IEND", b"")


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_png_of_other_encoders() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 50, zip=True)
    written = saved(Image.fromarray(PIXELS), "PNG", pnginfo=text, dpi=(72, 72), compress_level=0)
    assert b"zTXt" in written
    assert (make_codec("png", GREY).decode(written)[..., 0] == PIXELS).all()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (header(60000, 60000) + ROWS + END, "of another size"),
        (header(depth=16) + ROWS + END, "of another size"),
        (header(colour=2) + ROWS + END, "of another size"),
        (header(interlace=1) + ROWS + END, "of another size"),
        (header() + header(60000, 60000) + ROWS + END, "must not|do not need"),
        (header() + chunk(b"ABCD", b"") + ROWS + END, "do not need"),
        (header() + ROWS, "cut off"),
        (header() + ROWS + END + b"\0", "cut off or followed"),
        (header() + ROWS[:-1] + b"\0" + END, "damaged"),
        (header() + END, "damaged"),
        (header() + chunk(b"IDAT", b"") + END, "damaged"),
        (header() + chunk(b"IDAT", b"not zlib at all") + END, "damaged"),
        (header() + struct.pack(">I", 2**31) + ROWS[4:] + END, "cut off"),
    ],
)
def test_png_refused(file: bytes, message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        make_codec("png", GREY).decode(SIGNATURE + file)


def jpeg(**options: object) -> bytes:
    return saved(Image.fromarray(PIXELS), "JPEG", **options)


def test_jpeg_of_other_encoders() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description"
    codec = make_codec("jpeg:90", GREY)
    plain = codec.decode(jpeg(quality=90))
    assert (codec.decode(jpeg(quality=90, exif=exif, comment=b"a comment", icc_profile=b"p" * 99)) == plain).all()
    assert (codec.decode(codec.encode(PIXELS[..., None])) == plain).all()


def test_jpeg_colour_without_jfif() -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[...] = 200, 30, 90
    codec = make_codec("jpeg:95", TensorSpec("uint8", (16, 16, 3)))
    payload = codec.encode(pixels)
    assert b"JFIF" not in payload
    assert np.abs(codec.decode(payload).astype(int) - pixels).max() < 8


def _resized(file: bytes, width: int, height: int) -> bytes:
    place = file.index(b"\xff\xc0") + 5
    return file[:place] + struct.pack(">HH", height, width) + file[place + 4 :]


_FRAME = jpeg()[jpeg().index(b"\xff\xc0") :][:13]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (jpeg(progressive=True), "0xFFC2"),
        (_resized(jpeg(), 65500, 65500), "65500 x 65500"),
        (saved(Image.fromarray(PIXELS).convert("RGB"), "JPEG"), "28 x 28 x 3"),
        (saved(Image.fromarray(PIXELS).convert("CMYK"), "JPEG"), "28 x 28 x 4"),
        (jpeg()[:-2], "cut off"),
        (jpeg()[:2] + _FRAME + jpeg()[2:], "single frame header"),
        (jpeg().replace(_FRAME, b""), "no single scan"),
        (jpeg()[:2] + b"\0\0\0\0" + jpeg()[2:], "cut off"),
        (jpeg()[:2] + b"\xff\xcc\x00\x02" + jpeg()[2:], "0xFFCC"),
        (b"\xff\xd8\xff\xd9", "cut off"),
    ],
)
def test_jpeg_refused(file: bytes, message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        make_codec("jpeg:90", GREY).decode(file)


def webp(image: Image.Image, **options: object) -> bytes:
    return saved(image, "WEBP", **options)


_COLOUR = Image.fromarray(PIXELS).convert("RGB")
_ALPHA = _COLOUR.convert("RGBA")
_ALPHA.putalpha(Image.fromarray(PIXELS))


@pytest.mark.parametrize(
    ("spec", "file", "message"),
    [
        ("webp-lossless", webp(_COLOUR, quality=80), "VP8 "),
        ("webp:80", webp(_COLOUR, lossless=True), "VP8L"),
        ("webp:80", webp(_COLOUR, save_all=True, append_images=[_COLOUR.rotate(90)]), "VP8X"),
        ("webp:80", webp(_COLOUR, icc_profile=b"p" * 99), "VP8X"),
        ("webp-lossless", webp(_ALPHA, lossless=True), "transparent"),
        ("webp:80", webp(_COLOUR, quality=80)[:-2], "cut off"),
        ("webp:80", webp(_COLOUR.resize((29, 28)), quality=80), "29 x 28"),
        ("webp-lossless", webp(_COLOUR.resize((28, 29)), lossless=True), "28 x 29"),
    ],
)
def test_webp_refused(spec: str, file: bytes, message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        make_codec(spec, GREY).decode(file)


_BOMBS = """
import os, struct, zlib
import numpy as np
from ecc_deploy.errors import PayloadError
from ecc_deploy.payload import TensorSpec, make_codec
from tests.payload import test_image_files as made

squeezer = zlib.compressobj(9)
zeros = b"".join(squeezer.compress(bytes(1 << 20)) for _ in range(200)) + squeezer.flush()
text = made.chunk(b"zTXt", b"k\\0\\0" + zlib.compress(bytes(1 << 20), 9)) * 3
profile = made.chunk(b"iCCP", b"k\\0\\0" + zlib.compress(bytes(1 << 20), 9)) * 3
rows = made.chunk(b"IDAT", zeros)
vp8l = bytearray(made.webp(made._COLOUR, lossless=True))
vp8l[21:25] = (11999 | 11999 << 14).to_bytes(4, "little")
vp8 = bytearray(made.webp(made._COLOUR, quality=80))
vp8[26:30] = struct.pack("<HH", 12000, 12000)
small = TensorSpec("uint8", (28, 28, 1))
large = TensorSpec("uint8", (512, 512, 1))  # whose payloads may be long enough to hold the bombs
rle = (1 << 1 | (1 << 17) << 3).to_bytes(3, "little") + b"\\0"
bombs = [
    ("png", small, made.SIGNATURE + made.header(12000, 12000) + made.ROWS + made.END),
    ("png", small, made.SIGNATURE + made.header() + text + made.ROWS + made.END),
    ("png", small, made.SIGNATURE + made.header() + profile + made.ROWS + made.END),
    ("png", large, made.SIGNATURE + made.header(512, 512) + rows + made.END),
    ("png", large, made.SIGNATURE + made.header(512, 512) + text * 20 + rows + made.END),
    ("jpeg:90", small, made._resized(made.jpeg(), 12000, 12000)),
    ("webp-lossless", small, bytes(vp8l)),
    ("webp:80", small, bytes(vp8)),
    ("int8+zstd", large, rle * 20000),
    ("int8+zstd", large, rle * 2000 + b"\\x01\\0\\0"),
]
for spec in ("png", "jpeg:90", "webp:80", "webp-lossless", "int8+zstd"):
    for tensor in (small, large):  # what an honest payload needs is no part of the measure
        codec = make_codec(spec, tensor)
        codec.decode(codec.encode(np.eye(tensor.shape[0], dtype=np.uint8)[..., None]))
def kilobytes(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))
for spec, tensor, bomb in bombs:
    if os.fork() == 0:  # the peak of memory begins anew
        start = kilobytes("VmSize")
        try:
            make_codec(spec, tensor).decode(bomb)
            verdict = "decoded"
        except PayloadError:
            verdict = "refused"
        print(spec, verdict, kilobytes("VmPeak") - start, flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""


def test_bombs_take_no_memory() -> None:
    """In processes of their own, whose peak of virtual memory counts what the C libraries ask for, too."""
    done = subprocess.run(
        [sys.executable, "-c", _BOMBS],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = [line.split() for line in done.stdout.splitlines()]
    assert len(results) == 10
    for spec, _, kilobytes in results:
        assert int(kilobytes) < 2 << 10, f"{spec} took {kilobytes} KB"
