"""Bytes and microseconds of every payload codec, on real images and on boundaries made from them.

    python benchmarks/payload_codecs.py [--samples 300] [--codes FILE --bits N] [--json]

Images: the val part of the Fashion-MNIST sample, 28x28 grey.

Boundaries: those images through fixed random 3x3 convolutions with stride 2, each followed by ReLU, then a uniform
quantizer whose top is the 99.9th percentile. The weights are random (He-normal, fixed seed), not trained: the maps
have the zeros and the smoothness of ReLU maps, but a trained boundary may compress better or worse.

With `--codes`, the boundary is instead the one in FILE: an .npz with `train` and `test`, uint8 [N, c, h, w].

The tables of `+ans` are fitted on as many images of the train part, never on the images that are measured.

Baselines, in the same run: `tobytes` (a copy of the tensor, one byte per code), zlib level 1, and zstd level 1 with
its standard frame; zstd level 19 without the parts of its frame that can be left out, with a dictionary that it trained
on what the tables were fitted on; the last three on the packed codes. Above each boundary stands its order-0 entropy:
what a coder would need that knew how often each channel has each code in these very samples. Times are medians over the
samples, one call each, in one thread.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

import numpy as np
import zstandard
from rich.console import Console
from rich.table import Table

from ecc_deploy.data import load
from ecc_deploy.payload import TensorSpec, make_codec
from ecc_deploy.payload.choice import fitted
from ecc_deploy.payload.packing import pack, unpack

DATASET = "fashion-mnist-sample"
SHAPES = ((4, 7, 7), (16, 7, 7), (16, 14, 14))
BITS = (8, 4, 2, 1)
INTEGER_STAGES = ("", "+zstd", "+delta+zstd", "+zstd:11", "+zstd:15", "+zstd:19", "+ans")
FLOAT_CODECS = ("float32", "float32+zstd", "float16", "float16+zstd")
IMAGE_CODECS = ("raw", "png", "webp-lossless", "jpeg:50", "jpeg:80", "jpeg:95", "webp:50", "webp:80", "webp:95")
WARM_UP = 20
DICTIONARY_BYTES = 16384

Encode = Callable[[np.ndarray], bytes]
Decode = Callable[[bytes], np.ndarray]


@dataclass(frozen=True)
class Row:
    """One codec on one kind of tensor. ``max_error``: largest difference after decoding."""

    tensor: str
    codec: str
    bytes_per_sample: float
    encode_us_p50: float
    decode_us_p50: float
    max_error: float


def relu_maps(images: np.ndarray, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Random features of grey images ``[N, 28, 28, 1]``: float32 ``[N, *shape]``."""
    rng = np.random.default_rng(seed)
    maps = (images[:, None, :, :, 0].astype(np.float32) / 255 - 0.2860) / 0.3530
    widths = [8] * (28 // shape[1] // 4) + [shape[0]]
    for width in widths:
        kernel = rng.normal(0, np.sqrt(2 / (9 * maps.shape[1])), (width, maps.shape[1], 3, 3)).astype(np.float32)
        padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
        maps = np.maximum(np.einsum("nchwij,ocij->nohw", windows, kernel, optimize=True), 0)
    return np.ascontiguousarray(maps, np.float32)


def quantize(maps: np.ndarray, bits: int, highest: float) -> np.ndarray:
    """uint8 codes of ``bits``; ``highest`` becomes the largest."""
    top = 2**bits - 1
    codes: np.ndarray = np.clip(np.rint(maps * (top / highest)), 0, top).astype(np.uint8)
    return codes


def order_0_bytes(codes: np.ndarray, bits: int) -> float:
    """Mean bytes of ``[N, c, ...]`` by the frequencies of each channel's own codes."""
    counts = np.stack([np.bincount(c.reshape(-1), minlength=2**bits) for c in np.moveaxis(codes, 1, 0)])
    shares = counts / counts.sum(axis=1, keepdims=True)
    return float(-(counts * np.log2(np.maximum(shares, 1e-12))).sum() / 8 / len(codes))


def measure(tensor: str, name: str, encode: Encode, decode: Decode, arrays: np.ndarray) -> Row:
    for array in arrays[:WARM_UP]:
        decode(encode(array))
    sizes, encode_ns, decode_ns, errors = [], [], [], []
    for array in arrays:
        start = time.perf_counter_ns()
        payload = encode(array)
        middle = time.perf_counter_ns()
        decoded = decode(payload)
        end = time.perf_counter_ns()
        sizes.append(len(payload))
        encode_ns.append(middle - start)
        decode_ns.append(end - middle)
        errors.append(np.abs(decoded.astype(np.float64) - array).max())
    return Row(
        tensor,
        name,
        float(np.mean(sizes)),
        float(np.median(encode_ns)) / 1000,
        float(np.median(decode_ns)) / 1000,
        float(np.max(errors)),
    )


def baselines(arrays: np.ndarray, bits: int) -> list[tuple[str, Encode, Decode]]:
    """What one would do without codecs of our own."""
    shape, dtype, count = arrays.shape[1:], arrays.dtype, arrays[0].size
    compressor, decompressor = zstandard.ZstdCompressor(level=1), zstandard.ZstdDecompressor()

    def packed(array: np.ndarray) -> bytes:
        return pack(array.view(np.uint32) if dtype == np.float32 else array, bits)

    def unpacked(content: bytes) -> np.ndarray:
        return unpack(content, bits, count).view(dtype).reshape(shape)

    return [
        ("baseline: tobytes (memcpy)", lambda a: a.tobytes(), lambda p: np.frombuffer(p, dtype).reshape(shape).copy()),
        ("baseline: zlib-1", lambda a: zlib.compress(packed(a), 1), lambda p: unpacked(zlib.decompress(p))),
        (
            "baseline: zstd-1, framed",
            lambda a: compressor.compress(packed(a)),
            lambda p: unpacked(decompressor.decompress(p)),
        ),
    ]


def with_dictionary(seen: np.ndarray, bits: int) -> tuple[str, Encode, Decode]:
    """zstd as it is meant for small messages that resemble each other."""
    packed: list[bytes | bytearray | memoryview[int]] = [pack(codes, bits) for codes in seen]
    dictionary = zstandard.train_dictionary(DICTIONARY_BYTES, packed, level=19)
    bare = {"write_content_size": False, "write_checksum": False, "write_dict_id": False}
    parameters = zstandard.ZstdCompressionParameters.from_level(
        19, format=zstandard.FORMAT_ZSTD1_MAGICLESS, source_size=len(packed[0]), **bare
    )
    compressor = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters)
    decompressor = zstandard.ZstdDecompressor(dict_data=dictionary, format=zstandard.FORMAT_ZSTD1_MAGICLESS)

    def decode(payload: bytes) -> np.ndarray:
        content = decompressor.decompress(payload, max_output_size=len(packed[0]))
        return unpack(content, bits, seen[0].size).reshape(seen.shape[1:])

    return "baseline: zstd-19, dictionary", lambda codes: compressor.compress(pack(codes, bits)), decode


def rows_of(tensor: str, arrays: np.ndarray, bits: int, specs: list[str], seen: np.ndarray | None = None) -> list[Row]:
    """``seen``: other samples of the same tensor, for what is fitted."""
    info = TensorSpec(arrays.dtype.name, arrays.shape[1:])
    known = baselines(arrays, bits)
    if seen is not None:
        known.append(with_dictionary(seen, bits))
    codecs = [make_codec(spec, info) if seen is None else fitted(spec, info, seen) for spec in specs]
    return [
        *(measure(tensor, name, encode, decode, arrays) for name, encode, decode in known),
        *(measure(tensor, codec.spec, codec.encode, codec.decode, arrays) for codec in codecs),
    ]


def boundary_rows(title: str, codes: np.ndarray, seen: np.ndarray, bits: int) -> list[Row]:
    title = f"boundary {title}, {bits} bit, order-0 entropy {order_0_bytes(codes, bits):.1f} bytes"
    return rows_of(title, codes, bits, [f"int{bits}{stages}" for stages in INTEGER_STAGES], seen)


def run(samples: int) -> list[Row]:
    dataset = load(DATASET)
    images, others = (dataset.part(part).images[:samples] for part in ("val", "train"))
    rows = rows_of("image 28x28x1", images, 8, list(IMAGE_CODECS))
    for shape in SHAPES:
        maps, other_maps = relu_maps(images, shape), relu_maps(others, shape)
        highest = float(np.quantile(maps, 0.999))
        title = "x".join(map(str, shape))
        for bits in BITS:
            rows += boundary_rows(title, quantize(maps, bits, highest), quantize(other_maps, bits, highest), bits)
        rows += rows_of(f"boundary {title}, float", maps, 32, list(FLOAT_CODECS))
    return rows


def run_codes(path: Path, bits: int, samples: int) -> list[Row]:
    with np.load(path, allow_pickle=False) as file:
        return boundary_rows(path.stem, file["test"][:samples], file["train"][:samples], bits)


def table(rows: list[Row]) -> Table:
    """One table of one kind of tensor."""
    view = Table(title=rows[0].tensor, title_justify="left", width=78)
    view.add_column("codec", no_wrap=True, ratio=1)
    for name in ("bytes", "encode µs", "decode µs", "max error"):
        view.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        times = f"{row.encode_us_p50:.1f}", f"{row.decode_us_p50:.1f}"
        view.add_row(row.codec, f"{row.bytes_per_sample:.1f}", *times, f"{row.max_error:.2g}")
    return view


def main() -> None:
    parser = argparse.ArgumentParser(description="Bytes and microseconds of every payload codec, on real images.")
    parser.add_argument("--samples", type=int, default=300, help="images to encode, 64 to 1000 (default: 300)")
    parser.add_argument("--codes", type=Path, help="an .npz with the codes of a boundary, to measure instead")
    parser.add_argument("--bits", type=int, choices=BITS, default=2, help="of --codes (default: 2)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    if not 64 <= arguments.samples <= 1000:
        parser.error("--samples is 64 to 1000")
    path, samples = arguments.codes, arguments.samples
    rows = run(samples) if path is None else run_codes(path, arguments.bits, samples)
    source = f"{DATASET} (val); boundaries: see the head of this file" if path is None else path.name
    environment = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "pillow", "zstandard")},
    }
    if arguments.json:
        facts = {"source": source, "samples": samples, "environment": environment}
        print(json.dumps({**facts, "rows": [asdict(row) for row in rows]}, indent=1))
    else:
        console = Console()
        for _, group in groupby(rows, key=lambda row: row.tensor):
            console.print(table(list(group)))
        console.print("Mean bytes per sample, median microseconds per call, largest difference after decoding.")
        console.print(f"{samples} samples of {source}.")
        console.print(", ".join(f"{name} {value}" for name, value in environment.items()))


if __name__ == "__main__":
    main()
