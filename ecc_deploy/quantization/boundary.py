"""The boundary as values and as codes."""

from __future__ import annotations

import numpy as np

from ecc_deploy.bundle import Boundary


def sent(values: np.ndarray, boundary: Boundary) -> np.ndarray:
    """A float boundary as it arrives: rounded to its codes, times the step. Itself where the boundary is float."""
    if boundary.scale is None:
        return values
    codes = np.rint(values / np.float32(boundary.scale)).clip(0, 2**boundary.bits - 1)
    return values_of(codes, boundary)


def values_of(codes: np.ndarray, boundary: Boundary) -> np.ndarray:
    """What the codes of a boundary stand for, in float32; a float boundary is that itself."""
    if boundary.scale is None:
        return codes
    return (codes.astype(np.float32) - np.float32(boundary.zero_point or 0)) * np.float32(boundary.scale)
