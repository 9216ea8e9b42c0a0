"""The statistics of a comparison: intervals of a share, of a difference of shares, and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

from ecc_deploy.bench.schema import Arm

Z_95 = 1.959963984540054
"""The 97.5th percentile of the normal distribution."""


class Interval(NamedTuple):
    """A two-sided 95 % interval."""

    low: float
    high: float


def wilson(successes: float, trials: int) -> Interval:
    """The score interval of a share, 0 to 1 (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927, pp. 209-212).

    With p the observed share and z = 1.96: (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n). It never leaves
    [0, 1] and has a sensible width at p = 0 and p = 1. No trials: [0, 1].
    """
    if trials <= 0:
        return Interval(0.0, 1.0)
    share, z2 = successes / trials, Z_95**2
    centre = share + z2 / (2 * trials)
    half = Z_95 * sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    scale = 1 + z2 / trials
    return Interval(max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale))


def has_whole_raw(arm: Arm) -> bool:
    """Whether the raw samples are there, one of each for every measured sample."""
    raw = arm.raw
    counts = [len(raw.sample), len(raw.label), len(raw.predicted), len(raw.route), len(raw.reason)]
    counts += [len(raw.payload_bytes), *(len(series) for series in raw.stages_ms.values())]
    return arm.samples > 0 and "total" in raw.stages_ms and set(counts) == {arm.samples}


def is_paired(first: Arm, second: Arm) -> bool:
    """Whether both arms answered the same samples in the same order, so that answers can be compared one by one."""
    return has_whole_raw(first) and has_whole_raw(second) and first.raw.sample == second.raw.sample


def paired_difference(first: Arm, second: Arm) -> Interval | None:
    """The interval of accuracy of ``first`` less that of ``second`` on the same samples, -1 to 1.

    A. Agresti and Y. Min, Statistics in Medicine 24, 2005, pp. 729-740: Wald's interval for matched proportions
    after adding 1/2 to each of the four counts. ``None`` where the samples are not the same ones.
    """
    if not is_paired(first, second):
        return None
    gained = lost = 0
    for label, one, other in zip(first.raw.label, first.raw.predicted, second.raw.predicted, strict=True):
        gained += one == label != other
        lost += other == label != one
    trials = first.samples + 2
    difference = (gained - lost) / trials
    half = Z_95 * sqrt(max(0.0, (gained + lost + 1) - (gained - lost) ** 2 / trials)) / trials
    return Interval(max(-1.0, difference - half), min(1.0, difference + half))


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the ``(cost, accuracy)`` points that no other point beats, by rising cost.

    A point is beaten by one that costs no more and is no less accurate, and is better in one of the two. Equal points
    are all kept.
    """

    def beaten(point: tuple[float, float]) -> bool:
        return any(
            other[0] <= point[0] and other[1] >= point[1] and (other[0] < point[0] or other[1] > point[1])
            for other in points
        )

    front = [index for index, point in enumerate(points) if not beaten(point)]
    return sorted(front, key=lambda index: points[index])
