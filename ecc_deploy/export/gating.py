"""Choosing gates and fusions on the calibration split, from what the compiled halves answer there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecc_deploy.bundle import Fusion, Gate
from ecc_deploy.bundle.manifest import Score
from ecc_deploy.errors import UsageError
from ecc_deploy.evaluation.criteria import accuracy, collaborate
from ecc_deploy.evaluation.fusion import fit_fusion, fitted_on
from ecc_deploy.evaluation.thresholds import for_accuracy, for_offload_rate
from ecc_deploy.runtime.fusion import fuse
from ecc_deploy.runtime.gate import confidence, offloads

_REFITS = 2
"""Threshold and fusion depend on each other where an accuracy is asked for; more rounds change nothing to speak of."""


@dataclass(frozen=True)
class Wanted:
    """What was asked for: one of ``offload_rate`` and ``min_accuracy``, both 0 to 1."""

    scores: tuple[Score, ...]
    """Those to choose from."""
    offload_rate: float | None
    min_accuracy: float | None
    fused: bool


@dataclass(frozen=True)
class Collaboration:
    """Who answers what: the edge what the gate keeps; the cloud, or both where there is a fusion, what it sends."""

    gate: Gate
    fusion: Fusion | None

    def answers(self, edge: np.ndarray, cloud: np.ndarray, learned: np.ndarray | None) -> np.ndarray:
        """Final logits ``[N, classes]`` of those of both sides; ``learned``: the learned gate's output, ``[N]``."""
        return collaborate(edge, together(edge, cloud, self.fusion), offloads(edge, self.gate, learned))


def together(edge: np.ndarray, cloud: np.ndarray, fusion: Fusion | None) -> np.ndarray:
    """What samples end with if all are sent: logits ``[N, classes]``."""
    return cloud if fusion is None else fuse(edge, cloud, fusion)


@dataclass(frozen=True)
class GatedAnswers:
    """The compiled answers of one gated deployment: logits ``[N, classes]``, labels int64 ``[N]``.

    ``learned``: of the learned gate, ``[N]``; ``None`` where it is not trained.
    """

    edge: np.ndarray
    cloud: np.ndarray
    labels: np.ndarray
    learned: np.ndarray | None

    def choose(self, wanted: Wanted, chosen_on: str) -> Collaboration:
        """The gate and fusion of this deployment.

        Of several scores the one with the best accuracy at the wanted offload rate, or with the fewest samples sent at
        the wanted accuracy; the first of equals. Raises :class:`UsageError` where no score reaches the accuracy.
        """
        found: list[tuple[float, Collaboration]] = []
        failed: list[UsageError] = []
        for score in wanted.scores:
            sure = confidence(self.edge, score, self.learned)
            try:
                threshold, fusion = self._find(sure, wanted)
            except UsageError as error:
                failed.append(error)
                continue
            rate = float((sure < threshold).mean())
            gate = Gate(score=score, threshold=threshold, offload_rate=rate, chosen_on=chosen_on)
            chosen = Collaboration(gate, fusion)
            final = chosen.answers(self.edge, self.cloud, self.learned)
            found.append((accuracy(final, self.labels) if wanted.min_accuracy is None else -rate, chosen))
        if not found:
            raise failed[0]
        return max(found, key=lambda item: item[0])[1]

    def _find(self, sure: np.ndarray, wanted: Wanted) -> tuple[float, Fusion | None]:
        """Threshold and fusion for the confidences ``sure``, ``[N]``."""
        if wanted.min_accuracy is not None:
            return self._for_accuracy(sure, wanted.min_accuracy, wanted.fused)
        assert wanted.offload_rate is not None
        threshold = for_offload_rate(sure, wanted.offload_rate)
        return threshold, self._fusion(sure, threshold) if wanted.fused else None

    def _for_accuracy(self, sure: np.ndarray, least: float, fused: bool) -> tuple[float, Fusion | None]:
        edge_right = self.edge.argmax(axis=1) == self.labels

        def threshold_with(fusion: Fusion | None) -> float:
            sent_right = together(self.edge, self.cloud, fusion).argmax(axis=1) == self.labels
            return for_accuracy(sure, edge_right, sent_right, least)

        if not fused:
            return threshold_with(None), None
        fusion = self._fusion(sure, np.inf)
        threshold = threshold_with(fusion)
        for _ in range(_REFITS):
            refitted = self._fusion(sure, threshold)
            try:
                threshold, fusion = threshold_with(refitted), refitted
            except UsageError:  # what is best for the least sure may not reach it: the fit before it does
                break
        return threshold, fusion

    def _fusion(self, sure: np.ndarray, threshold: float) -> Fusion:
        chosen = fitted_on(sure, int((sure < threshold).sum()))
        return fit_fusion(self.edge[chosen], self.cloud[chosen], self.labels[chosen])
