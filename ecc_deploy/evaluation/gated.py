"""A gated architecture at any offload rate: thresholds, gate scores and fusion chosen on val, figures from the part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ecc_deploy.bundle import Fusion
from ecc_deploy.bundle.manifest import Score
from ecc_deploy.evaluation.criteria import accuracy
from ecc_deploy.evaluation.fusion import FEWEST_FITTED, fit_fusion, fitted_on
from ecc_deploy.evaluation.result import AUTO
from ecc_deploy.evaluation.thresholds import for_offload_rate
from ecc_deploy.runtime.fusion import fuse
from ecc_deploy.runtime.gate import confidence

_ENDS = {0.0: -np.inf, 1.0: np.inf}
"""Nothing and everything: val need not hold the part's extremes."""


@dataclass(frozen=True)
class Answered:
    """Both sides' answers on one part: logits ``[N, classes]``, labels int64 ``[N]``, confidences float64 ``[N]``."""

    labels: np.ndarray
    edge: np.ndarray
    cloud: np.ndarray
    """As they come back for a sample that is sent."""
    confidence: Mapping[Score, np.ndarray]


def confidences(
    logits: np.ndarray, scores: Sequence[Score], learned: np.ndarray | None = None
) -> dict[Score, np.ndarray]:
    """By score; ``learned``: the learned gate's output, where it is among the scores."""
    return {score: confidence(logits, score, learned) for score in scores}


@dataclass(frozen=True)
class Point:
    """One gated architecture at one offload rate."""

    gate: Score
    threshold: float
    offload_rate: float
    accuracy: float
    payload_bytes: float
    """Mean over all samples, of what was sent."""
    val_accuracy: float
    fusion: Fusion | None


class Gated:
    """One gated architecture with one codec."""

    def __init__(self, val: Answered, part: Answered, sizes: np.ndarray, *, fused: bool) -> None:
        """``sizes``: payload bytes of every sample of the part, ``[N]``; ``fused``: edge and cloud answer together."""
        self.val, self.part, self.sizes, self.fused = val, part, sizes, fused
        self._fusions: dict[tuple[Score, int], Fusion] = {}
        self._points: dict[tuple[Score, float], Point] = {}

    def at(self, gate: str, rate: float) -> Point:
        """At the threshold that sends the share ``rate`` of val; ``gate``: a score, or :data:`AUTO`."""
        if gate == AUTO:
            return max((self._at(score, rate) for score in self.val.confidence), key=lambda point: point.val_accuracy)
        return next(self._at(score, rate) for score in self.val.confidence if score == gate)

    def _at(self, score: Score, rate: float) -> Point:
        if (score, rate) not in self._points:
            self._points[score, rate] = self._point(score, rate)
        return self._points[score, rate]

    def _point(self, score: Score, rate: float) -> Point:
        threshold = _ENDS[rate] if rate in _ENDS else for_offload_rate(self.val.confidence[score], rate)
        sent, val_sent = (side.confidence[score] < threshold for side in (self.part, self.val))
        fusion = self._fusion(score, int(val_sent.sum()))
        return Point(
            gate=score,
            threshold=threshold,
            offload_rate=float(sent.mean()),
            accuracy=accuracy(answers(self.part, sent, fusion), self.part.labels),
            payload_bytes=float(self.sizes[sent].sum() / len(sent)),
            val_accuracy=accuracy(answers(self.val, val_sent, fusion), self.val.labels),
            fusion=fusion,
        )

    def _fusion(self, score: Score, sent: int) -> Fusion | None:
        """Fitted for the ``sent`` least sure samples of val; None where the cloud's answer stands alone."""
        if not self.fused:
            return None
        key = score, max(sent, FEWEST_FITTED)
        if key not in self._fusions:
            val, chosen = self.val, fitted_on(self.val.confidence[score], sent)
            self._fusions[key] = fit_fusion(val.edge[chosen], val.cloud[chosen], val.labels[chosen])
        return self._fusions[key]

    def correctable(self, score: Score, rate: float) -> np.ndarray:
        """What the edge gets wrong and the answer of a sent sample gets right, as fused at ``rate``; bool ``[N]``."""
        everything = answers(self.part, np.ones(len(self.part.labels), bool), self._at(score, rate).fusion)
        labels = self.part.labels
        found: np.ndarray = (self.part.edge.argmax(axis=1) != labels) & (everything.argmax(axis=1) == labels)
        return found


def answers(given: Answered, sent: np.ndarray, fusion: Fusion | None) -> np.ndarray:
    """Logits ``[N, classes]`` that the system ends with; ``sent``: bool ``[N]``."""
    final = given.edge.copy()
    final[sent] = given.cloud[sent] if fusion is None else fuse(given.edge[sent], given.cloud[sent], fusion)
    return final
