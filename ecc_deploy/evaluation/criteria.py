"""The evaluation criteria that need only answers and labels. numpy only."""

from __future__ import annotations

import numpy as np


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Top-1 accuracy, 0 to 1, of logits ``[N, classes]``."""
    return float((logits.argmax(axis=1) == labels).mean())


def collaborate(edge: np.ndarray, cloud: np.ndarray, sent: np.ndarray) -> np.ndarray:
    """Answers of a gated system: ``cloud``'s logits where ``sent`` (bool ``[N]``), else ``edge``'s."""
    answers: np.ndarray = np.where(sent[:, None], cloud, edge)
    return answers


def gap_recovered(value: float, edge: float, cloud: float) -> float | None:
    """Share of the way from edge-only to cloud-only accuracy; ``None`` where the cloud is not better."""
    return (value - edge) / (cloud - edge) if cloud > edge else None
