"""What looks small and is meant to become large: it is refused, or decoded, within a bound on the whole process."""

import json
import os
import struct
import subprocess
import sys
import zlib

import pytest

from ecc_deploy.payload.ans_table import MAGIC
from tests.faults.children import ROOT

BOUND_MIB = 48
"""Above what the process has after the seeds: numpy's, Pillow's and pydantic's own caches and buffers are within it."""
RUN = """
import json, resource, sys
from pathlib import Path
from tests.fuzz.targets import make_targets
from tests.fuzz.test_memory import BOMBS
targets = make_targets(Path(sys.argv[1]))
for name, _ in BOMBS.values():
    for seed in targets[name].seeds:
        targets[name].run(seed)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
# A gigabyte of addresses on top of what there is: what goes beyond is a MemoryError, and not the end of the machine.
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 30),) * 2)
grown = {}
for bomb, (name, content) in BOMBS.items():
    before = peak()
    try:
        targets[name].run(content)
        grown[bomb] = peak() - before
    except BaseException as error:
        grown[bomb] = repr(error)
print(json.dumps(grown))
"""


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width: int, height: int, *chunks: bytes) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"".join((b"\x89PNG\r\n\x1a\n", header, *chunks, _chunk(b"IEND", b"")))


def _zeros(size: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)), packer.flush()])


def _safetensors(header: object, size: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text


def _npy(shape: str) -> bytes:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


RLE = struct.pack("<I", (128 << 10) << 3 | 1 << 1)[:3] + b"\0"
"""A Zstandard block of 128 KB in four bytes; not the last."""
BOMBS = {
    "zstd blocks": ("decode int8+zstd", RLE * 30 + b"\x01\x00\x00"),
    "zstd block of packed codes": ("decode int4+zstd", RLE * 14 + b"\x01\x00\x00"),
    "zstd block of floats": ("decode float32+delta+zstd", RLE * 100 + b"\x01\x00\x00"),
    "png of too many pixels": ("decode png", _png(60_000, 60_000, _chunk(b"IDAT", _zeros(1 << 20)))),
    "png with too many rows": ("decode png", _png(16, 24, _chunk(b"IDAT", _zeros(3 << 20)))),
    "png with a text": ("decode png", _png(16, 24, _chunk(b"zTXt", b"a\0\0" + _zeros(3 << 20)))),
    "png with a profile": ("decode png", _png(16, 24, _chunk(b"iCCP", b"a\0\0" + _zeros(3 << 20)))),
    "jpeg of too many pixels": (
        "decode jpeg:60",
        b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03" + bytes(9) + b"\xff\xd9",
    ),
    "webp of too many pixels": (
        "decode webp-lossless",
        b"RIFF\x1a\0\0\0WEBPVP8L\x0e\0\0\0\x2f\xff\xff\xff\x0f" + bytes(9),
    ),
    "webp that is an animation": (
        "decode webp:60",
        b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + b"\xff" * 6,
    ),
    "table of zeros": ("ans table", MAGIC + struct.pack("<BH", 4, 1) + _zeros(512 << 20)),
    "bytes tensor of gigabytes": ("bytes tensor", b"\x02" + struct.pack("<I", 2**32 - 1) * 2),
    "bytes tensor of nothing": ("bytes tensor", b"\xff" + bytes(1 << 20)),
    "request of empty tensors": ("request structure", b"\x2a\x00" * (1 << 20)),
    "golden header of exabytes": ("golden samples", _safetensors({}, size=2**63)),
    "golden header of gigabytes": ("golden samples", _safetensors({}, size=2**31)),
    "golden tensor of exabytes": (
        "golden samples",
        _safetensors({"images": {"dtype": "U8", "shape": [2**40, 2**20], "data_offsets": [0, 2**60]}}),
    ),
    "golden tensors that overlap": (
        "golden samples",
        _safetensors({str(i): {"dtype": "U8", "shape": [1 << 20], "data_offsets": [0, 1 << 20]} for i in range(999)})
        + bytes(1 << 20),
    ),
    "array file of exabytes": ("array file", _npy("(1152921504606846976, 8, 8, 1)")),
    "manifest of a number": ("bundle", b'{"schema_version": ' + b"9" * 900_000 + b"}"),
    "manifest of lists": ("manifest", b'{"files": {"a": ' + b"[" * 500_000 + b"]" * 500_000 + b"}}"),
    "signature of lists": ("signature", b"[" * 16_000),
}  # fmt: skip


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int | str]:
    """By bomb: by how many MiB the process's peak grew, or what was raised."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the bounds are Linux's")
    folder = str(tmp_path_factory.mktemp("memory"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", RUN, folder], capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, int | str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", BOMBS)
def test_memory_is_bounded(name: str, grown: dict[str, int | str]) -> None:
    assert len(BOMBS[name][1]) <= 2 << 20, "it is meant to look small"
    assert isinstance(grown[name], int), grown[name]
    assert grown[name] < BOUND_MIB
