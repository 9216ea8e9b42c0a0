"""Choosing the codec: the one that gives the fewest bytes on real samples, among those that lose nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ecc_deploy.payload.interface import Codec, TensorSpec
from ecc_deploy.payload.registry import make_codec

LOSSLESS_IMAGE = ("raw", "png", "webp-lossless")
IMAGE_COMPARATORS = (*LOSSLESS_IMAGE, "jpeg:90", "jpeg:50", "webp:80", "webp:50", "webp:20", "webp:5")
"""What cloud-only is compared with: nothing lost, hardly anything lost, and as few bytes as an image can take."""
CASCADE_COMPARATORS = ("webp:80", "webp:50")
"""What ECC-I sends beside its lossless codec: a cascade with a good codec is the strongest rival of a boundary."""


def boundary_candidates(bits: int) -> tuple[str, ...]:
    """Codecs of a boundary of ``bits``, without loss beyond its own quantization.

    Level 1 of zstd: level 11 gives 7 to 13 % fewer bytes, but on 1,568 codes it takes 140 µs longer, in which a link of
    10 Mbit/s carries 175 bytes. Who pays by the byte names it: ``int4+zstd:11``.
    """
    base = {16: "float16", 32: "float32"}.get(bits, f"int{bits}")
    return (base, f"{base}+zstd", f"{base}+delta+zstd")


def mean_bytes(codec: Codec, arrays: np.ndarray) -> float:
    """Mean payload of ``arrays``, each one sample."""
    return sum(len(codec.encode(array)) for array in arrays) / len(arrays)


def choose(wanted: str, candidates: Sequence[str], tensor: TensorSpec, arrays: np.ndarray) -> Codec:
    """The codec ``wanted``, or for ``auto`` the candidate with the fewest bytes on ``arrays`` (the first of equals)."""
    if wanted != "auto":
        return make_codec(wanted, tensor)
    codecs = [make_codec(spec, tensor) for spec in candidates]
    return min(codecs, key=lambda codec: mean_bytes(codec, arrays))


def through(codec: Codec, arrays: np.ndarray) -> np.ndarray:
    """Each sample as it comes out at the other end of the link."""
    return np.stack([codec.decode(codec.encode(array)) for array in arrays])
