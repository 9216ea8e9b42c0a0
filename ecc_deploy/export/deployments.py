"""The deployments of a bundle: five ways to run the same halves, and their gates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ecc_deploy.bundle import Deployment, Gate, GuardResult
from ecc_deploy.bundle.manifest import Score
from ecc_deploy.evaluation.answers import Answers
from ecc_deploy.evaluation.criteria import collaborate
from ecc_deploy.evaluation.thresholds import for_accuracy, for_offload_rate
from ecc_deploy.partition.halves import ENCODE, EXIT, EXIT_AND_ENCODE, FULL, TAIL
from ecc_deploy.runtime.gate import confidence, offloads


def gate_for(
    edge: np.ndarray,
    cloud: np.ndarray,
    labels: np.ndarray,
    score: Score,
    offload_rate: float | None,
    min_accuracy: float | None,
    chosen_on: str,
) -> Gate:
    """The gate of one deployment, from its compiled answers (logits ``[N, classes]``) on the calibration split."""
    sure = confidence(edge, score)
    if min_accuracy is not None:
        correct = edge.argmax(axis=1) == labels, cloud.argmax(axis=1) == labels
        threshold = for_accuracy(sure, *correct, min_accuracy)
    else:
        assert offload_rate is not None
        threshold = for_offload_rate(sure, offload_rate)
    rate = float((sure < threshold).mean())
    return Gate(score=score, threshold=threshold, offload_rate=rate, chosen_on=chosen_on)


def final_answers(answers: Answers, gates: Mapping[str, Gate]) -> dict[str, np.ndarray]:
    """Logits ``[N, classes]`` that each deployment ends with."""
    return {
        "edge-only": answers.edge,
        "cloud-only": answers.cloud,
        "independent": collaborate(answers.edge, answers.cloud, offloads(answers.edge, gates["independent"])),
        "adaptive": answers.adapted,
        "dynamic": collaborate(answers.gate_edge, answers.adapted, offloads(answers.gate_edge, gates["dynamic"])),
    }


def deployments(
    split: str,
    boundary_codec: str,
    image_codec: str,
    gates: Mapping[str, Gate],
    guard: Mapping[str, GuardResult],
) -> dict[str, Deployment]:
    """The deployments as the manifest lists them."""
    boundary = {"cloud": TAIL, "sends": "boundary", "boundary": split, "codec": boundary_codec}
    image = {"cloud": FULL, "sends": "input", "codec": image_codec}
    facts: dict[str, dict] = {
        "edge-only": {"edge": EXIT},
        "cloud-only": image,
        "independent": {"edge": EXIT, **image, "gate": gates["independent"]},
        "adaptive": {"edge": ENCODE, **boundary},
        "dynamic": {"edge": EXIT_AND_ENCODE, **boundary, "gate": gates["dynamic"]},
    }
    return {
        name: Deployment.model_validate({"architecture": name, "guard": guard[name], **fields})
        for name, fields in facts.items()
    }
