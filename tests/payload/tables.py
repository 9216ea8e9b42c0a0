"""Tables for the tests: of samples that are mostly zeros, and of whole numbers alone."""

from __future__ import annotations

import functools

import numpy as np

from ecc_deploy.payload.ans_table import SCALE, fit, pack_table, shape_of


def sparse_codes(samples: int, shape: tuple[int, ...], bits: int, seed: int = 0) -> np.ndarray:
    """uint8 ``[samples, *shape]``: a code is zero, or near its left neighbour, or anything."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2**bits, (samples, *shape), dtype=np.uint8) * (rng.random((samples, *shape)) < 0.3)
    same = rng.random((samples, *shape)) < 0.5
    codes[..., 1:] = np.where(same[..., 1:], codes[..., :-1], codes[..., 1:])
    return codes.astype(np.uint8)


@functools.cache
def fitted_table(shape: tuple[int, ...], bits: int) -> bytes:
    """Fitted on :func:`sparse_codes` of ``shape``."""
    return fit(sparse_codes(64, shape, bits), bits)


def whole_number_table(channels: int, bits: int) -> bytes:
    """The same on every machine: drawn, not fitted."""
    frequencies = np.random.default_rng(1).integers(1, 200, shape_of(channels, bits))
    frequencies[..., 0] += SCALE - frequencies.sum(axis=-1)
    return pack_table(frequencies, channels, bits)
