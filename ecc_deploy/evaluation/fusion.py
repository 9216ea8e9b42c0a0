"""Fitting a fusion on a calibration split: two temperatures, and the weight of the edge's answer. numpy only."""

from __future__ import annotations

import numpy as np

from ecc_deploy.bundle import Fusion
from ecc_deploy.runtime.fusion import log_softmax

FEWEST_FITTED = 500
"""A fusion is of use for the samples that are sent, and is fitted on them: or on this many of the least sure, where
fewer are sent. On the few that a low offload rate sends, its three figures would be mostly noise."""
COLDEST, HOTTEST = 0.05, 20.0
WEIGHTS = np.linspace(0, 1, 21)
_HALVINGS = 40


def fitted_on(confidence: np.ndarray, sent: int) -> np.ndarray:
    """Indices of the samples that a fusion is fitted on, where the ``sent`` least sure of ``[N]`` are sent."""
    return np.argsort(confidence, kind="stable")[: max(sent, FEWEST_FITTED)]


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature T that minimises the negative log-likelihood of ``softmax(logits / T)`` (Guo et al. 2017).

    ``logits``: ``[N, classes]``; ``labels``: int64 ``[N]``. The likelihood is convex in 1/T, so its derivative, the
    mean of ``E[logit] - logit of the label``, has one root: it is bracketed by :data:`COLDEST` and :data:`HOTTEST`,
    one of which is the answer where the samples are all right, or tell nothing.
    """
    values = logits.astype(np.float64)
    values -= values.max(axis=1, keepdims=True)
    of_label = values[np.arange(len(labels)), labels].mean()
    low, high = np.log(1 / HOTTEST), np.log(1 / COLDEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        exponents = np.exp(values * np.exp(middle))
        expected = ((exponents * values).sum(axis=1) / exponents.sum(axis=1)).mean()
        low, high = (middle, high) if expected < of_label else (low, middle)
    return float(np.exp(-(low + high) / 2))


def fit_fusion(edge: np.ndarray, cloud: np.ndarray, labels: np.ndarray) -> Fusion:
    """The fusion of two answers to the same samples: logits ``[N, classes]`` each, ``labels`` int64 ``[N]``.

    Each side's temperature is its own best. The weight is the one nearest to a half among those whose negative
    log-likelihood is within one standard error of the best one's (the rule of Breiman et al. 1984), of the paired
    differences: between two models that are about as good, which weight wins on a few hundred samples is chance, and
    equal weights lose less on others. One side's answer stands alone only where the other's is clearly of no use.
    """
    fusion = Fusion(
        edge_weight=0.5,
        edge_temperature=fit_temperature(edge, labels),
        cloud_temperature=fit_temperature(cloud, labels),
    )
    rows = np.arange(len(labels))
    own = log_softmax(edge, fusion.edge_temperature)[rows, labels]
    other = log_softmax(cloud, fusion.cloud_temperature)[rows, labels]
    with np.errstate(divide="ignore"):  # a weight of 0 adds nothing
        losses = -np.logaddexp(np.log(WEIGHTS)[:, None] + own, np.log(1 - WEIGHTS)[:, None] + other)
    means = losses.mean(axis=1)
    best = int(means.argmin())
    errors = (losses - losses[best]).std(axis=1) / np.sqrt(len(labels))
    as_good = WEIGHTS[means <= means[best] + errors]
    weight = as_good[np.abs(as_good - 0.5).argmin()]
    return fusion.model_copy(update={"edge_weight": float(weight)})
