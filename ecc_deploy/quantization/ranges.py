"""Where the integer range of an activation ends, found from what was seen of it: the same methods for every backend.

A tensor is looked at twice where the method needs it: first its limits, then a histogram between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

Method = Literal["minmax", "percentile", "entropy", "mse"]
Range = tuple[float, float]
"""Smallest and largest value that a code stands for; zero lies between them, so that it has a code of its own."""
Activations = Callable[[], Iterable[Mapping[str, np.ndarray]]]
"""Gives all calibration batches anew: float arrays by the tensor's name."""

BINS = 2048
LEVELS = 256
_LEAST_WIDTH = 1e-6


@dataclass(frozen=True)
class RangeMethod:
    """How an end is found.

    * ``minmax``: the smallest and largest value seen;
    * ``percentile``: the central ``percentile`` percent of what was seen;
    * ``entropy``: the range whose 256 codes lose least of the distribution, by Kullback-Leibler divergence (Migacz
      2017, "8-bit Inference with TensorRT"), the smaller end following the larger one;
    * ``mse``: the range with the smallest mean squared error of rounding and clipping together.
    """

    method: Method = "minmax"
    percentile: float = 99.99


MINMAX = RangeMethod()


def find_ranges(activations: Activations, how: RangeMethod) -> dict[str, Range]:
    """The range of every tensor that ``activations`` gives."""
    limits: dict[str, Range] = {}
    for batch in activations():
        for name, values in batch.items():
            low, high = limits.get(name, (0.0, 0.0))
            least, most = _ends(values)
            limits[name] = min(low, least), max(high, most)
    limits = {name: _wide(low, high) for name, (low, high) in limits.items()}
    if how.method == "minmax":
        return limits
    counts = {name: np.zeros(BINS) for name in limits}
    for batch in activations():
        for name, values in batch.items():
            counts[name] += np.histogram(values, BINS, limits[name])[0]
    return {name: _narrowed(counts[name], limits[name], how) for name in limits}


def _ends(values: np.ndarray) -> Range:
    """Smallest and largest finite value: what pads a maximum is minus infinity, and the smallest code does for it."""
    least, most = float(values.min()), float(values.max())
    if np.isfinite(least) and np.isfinite(most):
        return least, most
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _wide(low: float, high: float) -> Range:
    return low, max(high, low + _LEAST_WIDTH)


def _narrowed(counts: np.ndarray, limits: Range, how: RangeMethod) -> Range:
    if not counts.any():
        return limits
    edges = np.linspace(*limits, BINS + 1)
    match how.method:
        case "percentile":
            low, high = _percentile(counts, edges, how.percentile)
        case "entropy":
            low, high = _entropy(counts, edges)
        case _:
            low, high = _least_error(counts, edges)
    return _wide(min(low, 0.0), max(high, 0.0))


def _percentile(counts: np.ndarray, edges: np.ndarray, percentile: float) -> Range:
    outside = counts.sum() * (1 - percentile / 100) / 2
    before, behind = counts.cumsum(), counts[::-1].cumsum()[::-1]
    inside = np.flatnonzero((before > outside) & (behind > outside))
    return float(edges[inside[0]]), float(edges[inside[-1] + 1])


def _least_error(counts: np.ndarray, edges: np.ndarray) -> Range:
    """One end after the other, twice: the best of 64 places between zero and the limit."""
    centres = (edges[:-1] + edges[1:]) / 2
    low, high = float(edges[0]), float(edges[-1])
    shares = np.linspace(1, 1 / 64, 64).tolist()

    def error(low: float, high: float) -> float:
        rounding = ((high - low) / (LEVELS - 1)) ** 2 / 12
        outside = np.maximum(low - centres, 0) + np.maximum(centres - high, 0)
        return float((counts * np.where(outside > 0, outside**2, rounding)).sum())

    for _ in range(2):
        if high > 0:
            high = min((float(edges[-1]) * share for share in shares), key=lambda end: error(low, end))
        if low < 0:
            low = min((float(edges[0]) * share for share in shares), key=lambda end: error(end, high))
    return low, high


def _entropy(counts: np.ndarray, edges: np.ndarray) -> Range:
    """On magnitudes, so that one threshold serves both ends; 128 levels where the tensor has both signs."""
    centres = np.abs((edges[:-1] + edges[1:]) / 2)
    largest = float(np.abs(edges).max())
    magnitudes = np.histogram(centres, BINS, (0, largest), weights=counts)[0]
    levels = LEVELS if edges[0] >= 0 or edges[-1] <= 0 else LEVELS // 2
    ends = range(levels, BINS + 1, 16)
    best = min(ends, key=lambda end: _divergence(magnitudes, end, levels))
    threshold = largest * best / BINS
    return max(float(edges[0]), -threshold), min(float(edges[-1]), threshold)


def _divergence(magnitudes: np.ndarray, end: int, levels: int) -> float:
    """KL divergence of the distribution clipped at bin ``end`` from what ``levels`` codes keep of it."""
    clipped = magnitudes[:end].copy()
    kept = magnitudes[:end]
    clipped[-1] += magnitudes[end:].sum()
    code = np.arange(end) * levels // end
    used = kept > 0
    total = np.bincount(code, kept, levels)
    members = np.bincount(code, used, levels)
    spread = np.where(used, (total / np.maximum(members, 1))[code], 0.0)
    if spread.sum() == 0:
        return float("inf")
    p, q = clipped / clipped.sum(), spread / spread.sum()
    # What is clipped into an empty bin has no counterpart: a small floor keeps the divergence finite and large.
    seen = p > 0
    return float((p[seen] * np.log(p[seen] / np.maximum(q[seen], 1e-10))).sum())
