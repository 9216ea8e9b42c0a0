"""The gate: how sure the edge is of its own answer, and whether that is sure enough. numpy only."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np

from ecc_deploy.bundle.manifest import Gate, Score
from ecc_deploy.errors import UsageError

SCORES: tuple[Score, ...] = get_args(Score)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Along the last axis; float64, so that thresholds near 1 keep their resolution."""
    exponents = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    probabilities: np.ndarray = exponents / exponents.sum(axis=-1, keepdims=True)
    return probabilities


def _max_softmax(probabilities: np.ndarray) -> np.ndarray:
    highest: np.ndarray = probabilities.max(axis=-1)
    return highest


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    """1 minus the entropy over its largest value, log(classes): 0 for a uniform answer, 1 for a certain one."""
    logs = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    certainty: np.ndarray = 1 + (probabilities * logs).sum(axis=-1) / np.log(probabilities.shape[-1])
    return certainty


def _margin(probabilities: np.ndarray) -> np.ndarray:
    """The distance between the two largest probabilities."""
    two = np.partition(probabilities, -2, axis=-1)[..., -2:]
    distance: np.ndarray = two[..., 1] - two[..., 0]
    return distance


_FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "max-softmax": _max_softmax,
    "entropy": _entropy,
    "margin": _margin,
}


def known_score(name: str) -> Score:
    """``name``, if a gate has such a score. Raises :class:`UsageError`."""
    for score in SCORES:
        if score == name:
            return score
    raise UsageError(f"there is no gate score {name!r}", f"Known scores: {', '.join(SCORES)}.")


def confidence(logits: np.ndarray, score: str, learned: np.ndarray | None = None) -> np.ndarray:
    """How sure logits ``[..., classes]`` are, higher is surer; float64 ``[...]``.

    0 to 1, but for ``learned``, which is the output of the edge half's gate, ``[...]`` or ``[..., 1]``, as it is: a
    logit. Raises :class:`UsageError` where the score is ``learned`` and there is no such output.
    """
    known = known_score(score)
    if known != "learned":
        return _FUNCTIONS[known](softmax(logits))
    if learned is None:
        raise UsageError("the gate's score is 'learned', and there is no output of a learned gate")
    return learned.astype(np.float64).reshape(logits.shape[:-1])


def offloads(logits: np.ndarray, gate: Gate, learned: np.ndarray | None = None) -> np.ndarray:
    """Whether each sample of logits ``[..., classes]`` is sent; bool ``[...]``. ``learned``: see :func:`confidence`."""
    sent: np.ndarray = confidence(logits, gate.score, learned) < gate.threshold
    return sent
