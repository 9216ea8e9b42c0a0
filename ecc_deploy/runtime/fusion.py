"""One answer of two: the edge has its own already when the cloud's comes back. numpy only."""

from __future__ import annotations

import numpy as np

from ecc_deploy.bundle import Fusion

_LOWEST = np.finfo(np.float32).min


def log_softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Log-probabilities of ``logits / temperature`` along the last axis; float64, of any finite logits finite."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    logs: np.ndarray = scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True))
    return logs


def fuse(edge: np.ndarray, cloud: np.ndarray, fusion: Fusion) -> np.ndarray:
    """``log(w·softmax(edge / T_e) + (1 - w)·softmax(cloud / T_c))``; float32 ``[..., classes]``, as both logits.

    Log-probabilities are logits again: their argmax is the answer, their softmax its probabilities.
    """
    weight = fusion.edge_weight
    with np.errstate(divide="ignore"):  # a weight of 0 is a logarithm of -inf, which adds nothing
        own = np.log(weight) + log_softmax(edge, fusion.edge_temperature)
        other = np.log(1 - weight) + log_softmax(cloud, fusion.cloud_temperature)
    return np.maximum(np.logaddexp(own, other), _LOWEST).astype(np.float32)
