"""How sure a difference is: intervals of paired measurements. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, sqrt

import numpy as np

from ecc_deploy.report.statistics import Z_95, Interval

FEWEST_ROUNDS = 30
"""Of latency: with fewer there is no verdict."""


def median_ratio(times: Sequence[float], reference: Sequence[float]) -> tuple[float, Interval] | None:
    """The median of ``times[i] / reference[i]``, and its 95 % interval; ``None`` for fewer than
    :data:`FEWEST_ROUNDS`.

    Both of one round were measured one after the other, so that what slows the machine down for a while is in both. The
    interval lies between two order statistics, by the normal approximation of the binomial (W. J. Conover, *Practical
    Nonparametric Statistics*): it assumes no distribution, and a few slow rounds do not move it.
    """
    if len(times) < FEWEST_ROUNDS:
        return None
    ratios = np.sort(np.asarray(times, np.float64) / np.asarray(reference, np.float64))
    rank = max(floor((len(ratios) - Z_95 * sqrt(len(ratios))) / 2), 0)
    return float(np.median(ratios)), Interval(float(ratios[rank]), float(ratios[-1 - rank]))


def paired_loss(right: np.ndarray, reference: np.ndarray) -> tuple[float, Interval]:
    """Accuracy that is lost, -1 to 1, and its 95 % interval; both bool ``[N]``: which of the same samples are right.

    A. Agresti and Y. Min, Statistics in Medicine 24, 2005, pp. 729-740: Wald's interval for matched proportions after
    adding 1/2 to each of the four counts.
    """
    lost, gained = int((reference & ~right).sum()), int((right & ~reference).sum())
    trials = len(right) + 2
    half = Z_95 * sqrt(max(0.0, (lost + gained + 1) - (lost - gained) ** 2 / trials)) / trials
    middle = (lost - gained) / trials
    return (lost - gained) / len(right), Interval(max(-1.0, middle - half), min(1.0, middle + half))
