"""The deployments of a bundle: ways to run the same halves, with their gates and fusions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ecc_deploy.bundle import Deployment, Fusion, GuardResult
from ecc_deploy.evaluation.answers import Answers
from ecc_deploy.evaluation.fusion import fit_fusion
from ecc_deploy.export.gating import Collaboration, GatedAnswers, Wanted, together
from ecc_deploy.partition.halves import ENCODE, EXIT, EXIT_AND_ENCODE, FULL, TAIL

ADAPTIVE_FUSED = "adaptive-fused"


@dataclass(frozen=True)
class Plan:
    """How the deployments with two sides collaborate. ``adaptive``: the fusion of ECC-A, where there is one."""

    independent: Collaboration
    dynamic: Collaboration
    adaptive: Fusion | None


def make_plan(answers: Answers, labels: np.ndarray, wanted: Wanted, chosen_on: str) -> Plan:
    """Choose gates and fusions from the compiled ``answers`` on the calibration split.

    Raises :class:`UsageError` where the wanted accuracy cannot be reached.
    """
    independent = GatedAnswers(answers.edge, answers.cloud, labels, answers.confidence)
    dynamic = GatedAnswers(answers.gate_edge, answers.adapted, labels, answers.gate_confidence)
    return Plan(
        independent=independent.choose(wanted, chosen_on),
        dynamic=dynamic.choose(wanted, chosen_on),
        adaptive=fit_fusion(answers.gate_edge, answers.adapted, labels) if wanted.fused else None,
    )


def final_answers(answers: Answers, plan: Plan) -> dict[str, np.ndarray]:
    """Logits ``[N, classes]`` that each deployment ends with."""
    final = {
        "edge-only": answers.edge,
        "cloud-only": answers.cloud,
        "independent": plan.independent.answers(answers.edge, answers.cloud, answers.confidence),
        "adaptive": answers.adapted,
        "dynamic": plan.dynamic.answers(answers.gate_edge, answers.adapted, answers.gate_confidence),
    }
    if plan.adaptive is not None:
        final[ADAPTIVE_FUSED] = together(answers.gate_edge, answers.adapted, plan.adaptive)
    return final


def deployments(
    split: str,
    boundary_codec: str,
    image_codec: str,
    plan: Plan,
    guard: Mapping[str, GuardResult],
) -> dict[str, Deployment]:
    """The deployments as the manifest lists them."""
    boundary = {"cloud": TAIL, "sends": "boundary", "boundary": split, "codec": boundary_codec}
    image = {"cloud": FULL, "sends": "input", "codec": image_codec}
    facts: dict[str, dict] = {
        "edge-only": {"edge": EXIT},
        "cloud-only": image,
        "independent": {"edge": EXIT, **image, **vars(plan.independent)},
        "adaptive": {"edge": ENCODE, **boundary},
        "dynamic": {"edge": EXIT_AND_ENCODE, **boundary, **vars(plan.dynamic)},
    }
    if plan.adaptive is not None:
        fused = {"architecture": "adaptive", "fusion": plan.adaptive}
        facts[ADAPTIVE_FUSED] = {"edge": EXIT_AND_ENCODE, **boundary, **fused}
    return {
        name: Deployment.model_validate({"architecture": name, "guard": guard[name], **fields})
        for name, fields in facts.items()
    }
