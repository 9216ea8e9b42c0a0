"""What must come out, known beforehand: for every sample the edge's answer, the cloud's, and whether it may be sent.

Computed by :mod:`tests.reference`, which shares no code with what is tested. The samples are chosen so that no answer
is near another one: an answer that belongs to another sample, or to the other side, is seen as such.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecc_deploy.runtime.result import Prediction, Reason, Route
from tests import reference

TOLERANCE = 1e-4
"""Engines compute in float32, the reference in float64, and a server may join samples to a batch."""
APART = 100 * TOLERANCE
DEPLOYMENTS = ("adaptive", "dynamic", "independent", "adaptive-fused", "cloud-only")
"""Of the rich toy bundle."""


@dataclass(frozen=True)
class Truth:
    """For images uint8 ``[N, 8, 8, 1]``: logits ``[N, 4]`` of the edge, and by deployment those by way of the cloud."""

    images: np.ndarray
    edge: np.ndarray
    cloud: dict[str, np.ndarray]
    sent: dict[str, np.ndarray]
    """By deployment, whether each sample leaves the edge: bool ``[N]``."""

    def fault_of(self, deployment: str, index: int, prediction: Prediction) -> str | None:
        """What is wrong with an answer; ``None`` where nothing is."""
        told = f"sample {index} by {deployment}, {prediction.route} ({prediction.reason}): "
        if not self.sent[deployment][index]:
            if (prediction.route, prediction.reason) != (Route.EDGE, Reason.CONFIDENT):
                return told + "the gate keeps it on the edge"
        elif prediction.route == Route.CLOUD:
            if prediction.reason not in (Reason.OFFLOADED, Reason.ALWAYS):
                return told + "that is no reason for an answer of the cloud"
        elif not prediction.reason.is_fallback:
            return told + "it was to be sent, and no reason says why it was not answered by the cloud"
        wanted = self.cloud[deployment] if prediction.route == Route.CLOUD else self.edge
        if not np.allclose(prediction.logits, wanted[index], rtol=0, atol=TOLERANCE):
            return told + f"{prediction.logits} instead of {wanted[index]}"
        return None


def make_truth(count: int, seed: int = 0) -> Truth:
    """Truth for ``count`` images, the answers to which are at least :data:`APART` from one another."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 90, (4 * count, 8, 8, 1))
    images += np.kron(rng.integers(0, 160, (4 * count, 2, 2, 1)), np.ones((1, 4, 4, 1), np.int64))
    every = _answers(images.astype(np.uint8))
    own = reference.edge_logits(images)
    kept: list[int] = []
    for i in range(len(images)):
        if len(kept) < count and all(_is_apart(answers, own, kept, i) for answers in every.values()):
            kept.append(i)
    chosen = images[kept].astype(np.uint8)
    if len(chosen) < count:
        raise RuntimeError(f"only {len(chosen)} of {count} samples have answers that are apart")
    answers = _answers(chosen)
    edge = own[kept]
    probabilities = np.exp(edge) / np.exp(edge).sum(axis=-1, keepdims=True)
    everywhere = np.ones(count, bool)
    sent = {
        "adaptive": everywhere,
        "adaptive-fused": everywhere,
        "cloud-only": everywhere,
        "dynamic": reference.confidence(chosen) < 0.1,
        "independent": probabilities.max(axis=-1) < 0.75,
    }
    return Truth(chosen, edge, {**answers, "dynamic": answers["adaptive-fused"]}, sent)


def _answers(images: np.ndarray) -> dict[str, np.ndarray]:
    edge, cloud, tail = reference.edge_logits(images), reference.cloud_logits(images), reference.tail_logits(images)
    return {
        "adaptive": tail,
        "cloud-only": cloud,
        "adaptive-fused": reference.fused(edge, tail),
        "independent": reference.fused(edge, cloud),
    }


def _is_apart(answers: np.ndarray, own: np.ndarray, kept: list[int], one: int) -> bool:
    """Whether sample ``one`` has answers by the cloud, and of its own, that are near none of all others."""
    pairs = ((answers[kept], answers[one]), (own[kept], own[one]), (answers[kept], own[one]), (own[kept], answers[one]))
    near = [bool((np.abs(many - single).max(axis=-1) <= APART).any()) for many, single in pairs if len(many)]
    return not any(near) and bool(np.abs(answers[one] - own[one]).max() > APART)
