"""Choosing the codec: the one that gives the fewest bytes on real samples, among those that lose nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ecc_deploy.payload import ans, ans_table, nibbles
from ecc_deploy.payload.grammar import parse
from ecc_deploy.payload.interface import Codec, TensorSpec
from ecc_deploy.payload.registry import make_codec

LOSSLESS_IMAGE = ("raw", "png", "webp-lossless")
IMAGE_COMPARATORS = (*LOSSLESS_IMAGE, "jpeg:90", "jpeg:50", "webp:95", "webp:80", "webp:50", "webp:20", "webp:5")
"""What cloud-only is compared with: nothing lost, hardly anything lost, and as few bytes as an image can take."""
CASCADE_COMPARATORS = ("webp:95", "webp:80", "webp:50")
"""What ECC-I sends beside its lossless codec: a cascade with a good codec is the strongest rival of a boundary."""

_INTEGERS = {f"int{bits}": bits for bits in nibbles.BITS}


def boundary_candidates(bits: int, *, with_table: bool = False) -> tuple[str, ...]:
    """Codecs of a boundary of ``bits``, without loss beyond its own quantization.

    ``with_table``: also the one whose table :func:`choose` fits; the caller must bring ``Codec.table`` to both sides.

    Level 1 of zstd: level 11 gives 7 to 13 % fewer bytes, but on 1,568 codes it takes 140 µs longer, in which a link of
    10 Mbit/s carries 175 bytes. Who pays by the byte names it: ``int4+zstd:11``.
    """
    base = {16: "float16", 32: "float32"}.get(bits, f"int{bits}")
    fitted = (f"{base}+ans",) if with_table and bits <= 8 else ()
    return (base, f"{base}+zstd", f"{base}+delta+zstd", *fitted)


def mean_bytes(codec: Codec, arrays: np.ndarray) -> float:
    """Mean payload of ``arrays``, each one sample."""
    return sum(len(codec.encode(array)) for array in arrays) / len(arrays)


def fitted(spec: str, tensor: TensorSpec, arrays: np.ndarray) -> Codec:
    """The codec ``spec``; if it codes by a table, one fitted on ``arrays``. Raises :class:`PayloadError`."""
    bits = _table_bits(spec)
    if bits is None:
        return make_codec(spec, tensor)
    return make_codec(spec, tensor, ans_table.fit(arrays.view(np.uint8), bits))


def choose(wanted: str, candidates: Sequence[str], tensor: TensorSpec, arrays: np.ndarray) -> Codec:
    """The codec ``wanted``, or for ``auto`` the candidate with the fewest bytes on ``arrays`` (the first of equals).

    ``arrays`` ``[N, *tensor.shape]``, in no particular order, are also what a table is fitted on, so they must not be
    those that its bytes are reported on. Among candidates with a table the bytes that count are those of the last
    third, by a table of the first two; the codec that is returned has one of all. Such a candidate is left out where
    two thirds are fewer than :data:`~ecc_deploy.payload.ans_table.MIN_SAMPLES`, or it does not suit ``tensor``.
    """
    if wanted != "auto":
        return fitted(wanted, tensor, arrays)
    known = 2 * len(arrays) // 3
    specs = [spec for spec in candidates if _is_possible(spec, tensor, known)]
    has_table = any(_table_bits(spec) for spec in specs)
    seen, unseen = (arrays[:known], arrays[known:]) if has_table else (arrays, arrays)
    best = min((fitted(spec, tensor, seen) for spec in specs), key=lambda codec: mean_bytes(codec, unseen))
    return fitted(best.spec, tensor, arrays)


def _is_possible(spec: str, tensor: TensorSpec, samples: int) -> bool:
    bits = _table_bits(spec)
    return bits is None or (samples >= ans_table.MIN_SAMPLES and ans.suits(tensor, bits))


def _table_bits(spec: str) -> int | None:
    """Bits of the codes that a table is fitted on; ``None`` where the codec has none."""
    parsed = parse(spec)
    return _INTEGERS.get(parsed.name) if parsed.ans else None


def through(codec: Codec, arrays: np.ndarray) -> np.ndarray:
    """Each sample as it comes out at the other end of the link."""
    return np.stack([codec.decode(codec.encode(array)) for array in arrays])
