"""Confidence intervals of percentiles, by a bootstrap that keeps what neighbouring samples have in common.

Samples of one run are not independent: a busy neighbour, a rise of the clock or a queue on the link meets several in a
row. Resampling them one by one would give intervals that are too narrow, so blocks of consecutive samples are drawn:
the moving-block bootstrap (H. R. Künsch, Ann. Statist. 17, 1989, pp. 1217-1241; R. Y. Liu and K. Singh, 1992), on a
circle so that the ends count as much as the middle (D. N. Politis and J. P. Romano, 1992). The length of the blocks
comes from the series itself, see :func:`block_length`. Intervals are the percentiles of the resampled statistic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, log10, sqrt
from typing import Final

import numpy as np

PERCENTILE_METHOD: Final = "linear"
"""numpy's name: linear interpolation between the two nearest ranks (definition 7 of Hyndman and Fan, 1996)."""
STATISTICS: Final = ("p50", "p90", "p95", "p99", "mean")
RESAMPLES: Final = 1000
LEVEL: Final = 0.95
METHOD: Final = (
    f"95 %, circular moving-block bootstrap, {RESAMPLES} resamples, block length by Politis and White (2004, corrected "
    "2009) on ranks; what differs between two runs is not in it"
)

_PERCENTS = (50, 90, 95, 99)
_CHUNK = 1 << 21  # elements drawn at a time: 16 MiB of samples and as much of indices


def statistics(rows: np.ndarray) -> np.ndarray:
    """The :data:`STATISTICS` of each row: ``[rows, samples]`` to ``[rows, 5]``."""
    percentiles = np.percentile(rows, _PERCENTS, axis=1, method=PERCENTILE_METHOD)
    together: np.ndarray = np.concatenate([percentiles, rows.mean(1)[np.newaxis]]).T
    return together


def block_length(values: np.ndarray) -> int:
    """How many consecutive samples to draw together, 1 where they do not depend on each other.

    The automatic choice for the mean under the circular block bootstrap (D. N. Politis and H. White, Econometric
    Reviews 23, 2004, pp. 53-70, as corrected by A. Patton, D. N. Politis and H. White, Econometric Reviews 28, 2009,
    pp. 372-375), computed on the ranks of ``values``, since latencies have outliers that would hide any correlation.
    At most ``min(3 sqrt(n), n / 3)``, as there.
    """
    n = len(values)
    if n < 9:
        return 1
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(counts) == 1:
        return 1
    ranks = (np.cumsum(counts) - counts / 2)[which]  # equal values share their mean rank
    ranks -= ranks.mean()
    quiet = max(5, ceil(sqrt(log10(n))))
    furthest = min(ceil(sqrt(n)) + quiet, n - 1)
    covariance = np.array([ranks[: n - lag] @ ranks[lag:] / n for lag in range(furthest + 1)])
    weak = np.abs(covariance[1:] / covariance[0]) < 2 * sqrt(log10(n) / n)
    # The last lag after which `quiet` lags in a row say nothing.
    runs = [lag for lag in range(len(weak) - quiet + 1) if weak[lag : lag + quiet].all()]
    last = runs[0] if runs else int(np.flatnonzero(~weak).max()) + 1
    reach = min(max(2 * last, 1), furthest)
    lags = np.arange(-reach, reach + 1)
    window = np.clip(2 * (1 - np.abs(lags) / reach), 0, 1)  # flat-topped: 1 up to half of the reach
    known = covariance[np.abs(lags)]
    slope, level = float((window * np.abs(lags) * known).sum()), float((window * known).sum())
    if level == 0:
        return 1
    length = (2 * slope**2 / (4 / 3 * level**2)) ** (1 / 3) * n ** (1 / 3)
    return int(min(max(1, ceil(length)), ceil(min(3 * sqrt(n), n / 3))))


def resampled(
    values: Sequence[float] | np.ndarray,
    seed: int | Sequence[int],
    resamples: int = RESAMPLES,
    of: Callable[[np.ndarray], np.ndarray] = statistics,
    length: int | None = None,
) -> np.ndarray:
    """The statistics ``of`` resampled series, ``[resamples, statistics]``; the same for the same ``seed``.

    ``length``: of the blocks, 1 for what is independent by design; ``None``: :func:`block_length`.
    """
    series = np.asarray(values, np.float64)
    n, length = len(series), length or block_length(series)
    blocks = ceil(n / length)
    rng = np.random.default_rng(seed)
    found = []
    rows = max(1, _CHUNK // n)
    for done in range(0, resamples, rows):
        starts = rng.integers(0, n, (min(rows, resamples - done), blocks, 1))
        indices = (starts + np.arange(length)).reshape(len(starts), -1)[:, :n] % n
        found.append(of(series[indices]))
    return np.concatenate(found)


def interval(draws: np.ndarray) -> tuple[float, float]:
    """The central 95 % of resampled values ``[resamples]``."""
    low, high = np.percentile(draws, (50 - 50 * LEVEL, 50 + 50 * LEVEL))
    return float(low), float(high)


def intervals(values: Sequence[float] | np.ndarray, seed: int | Sequence[int]) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each of :data:`STATISTICS`. No interval can reach beyond the largest sample, so that of a
    high percentile means little where fewer than ten samples lie above it.
    """
    draws = resampled(values, seed)
    return {name: interval(draws[:, i]) for i, name in enumerate(STATISTICS)}
