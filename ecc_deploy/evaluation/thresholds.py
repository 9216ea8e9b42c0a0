"""Choosing a gate's threshold on a calibration split, for a wanted offload rate or a wanted accuracy. numpy only."""

from __future__ import annotations

import numpy as np

from ecc_deploy.errors import UsageError


def candidates(confidence: np.ndarray) -> np.ndarray:
    """Thresholds that tell the samples apart, from "send nothing" to "send everything", ascending.

    A sample is sent where its confidence is *below* the threshold, so the threshold lies midway between neighbours.
    """
    levels = np.unique(confidence)
    between = (levels[:-1] + levels[1:]) / 2
    return np.concatenate([[levels[0]], between, [np.nextafter(levels[-1], np.inf)]])


def offload_rates(confidence: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The share of samples that each threshold sends."""
    rates: np.ndarray = np.searchsorted(np.sort(confidence), thresholds, side="left") / len(confidence)
    return rates


def for_offload_rate(confidence: np.ndarray, wanted: float) -> float:
    """The threshold whose offload rate is nearest to ``wanted`` (0 to 1)."""
    if not 0 <= wanted <= 1:
        raise UsageError(f"an offload rate lies between 0 and 1, not at {wanted}")
    thresholds = candidates(confidence)
    return float(thresholds[np.abs(offload_rates(confidence, thresholds) - wanted).argmin()])


def for_accuracy(confidence: np.ndarray, edge_correct: np.ndarray, cloud_correct: np.ndarray, wanted: float) -> float:
    """The threshold that sends least while the system's accuracy on this split is at least ``wanted`` (0 to 1).

    ``edge_correct``, ``cloud_correct``: bool ``[N]``. Raises :class:`UsageError` where no threshold reaches it.
    """
    order = np.argsort(confidence, kind="stable")
    gained = np.concatenate([[0], np.cumsum(cloud_correct[order].astype(int) - edge_correct[order].astype(int))])
    thresholds = candidates(confidence)
    sent = np.round(offload_rates(confidence, thresholds) * len(confidence)).astype(int)
    accuracies = (edge_correct.sum() + gained[sent]) / len(confidence)
    reached = np.flatnonzero(accuracies >= wanted)
    if not len(reached):
        best = accuracies.argmax()
        raise UsageError(
            f"no threshold gives an accuracy of {wanted:.4f} on the calibration split; the best is "
            f"{accuracies[best]:.4f}, at an offload rate of {sent[best] / len(confidence):.2f}",
            "Ask for less, or train the adapter longer or with more bits or channels.",
        )
    return float(thresholds[reached[0]])
