"""What a phase makes small on one batch: its objectives by name."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ecc_deploy.systems.rate import RateModel
from ecc_deploy.systems.system import EdgeCloudSystem
from ecc_deploy.training.losses import (
    attention_error,
    distillation,
    feature_error,
    fused_log_probabilities,
    objective,
    recall_error,
    soft_confidence,
)
from ecc_deploy.training.paths import Outputs, run_paths
from ecc_deploy.training.phase import FeatureRecipe, Phase, RecallRecipe
from ecc_deploy.training.teacher import Teacher


def paths_of(phase: Phase) -> tuple[str, ...]:
    """The paths that a phase runs on every batch: ``edge``, ``cloud``, ``adapted``, ``gate``."""
    paths: list[str] = [path for path in ("edge", "cloud") if path in phase.train]
    if phase.joins:
        paths.append("adapted")
    if phase.recall:
        # What the cloud gets right is what an offloaded sample would get: the adapted answer.
        wanted = ("edge", "adapted", "gate") if phase.recall.score == "learned" else ("edge", "adapted")
        paths += [path for path in wanted if path not in paths]
    return tuple(paths)


class Objectives:
    """The objectives of one phase."""

    def __init__(
        self, system: EdgeCloudSystem, phase: Phase, rate: RateModel | None, teacher: Teacher | None = None
    ) -> None:
        """``rate``: the code-length model of the boundary, or ``None`` without. ``teacher``: the cloud by default."""
        self.system, self.phase, self.rate = system, phase, rate
        self.paths = paths_of(phase)
        self._teacher = (teacher or Teacher(system)) if phase.is_taught else None
        self._wants_feature = phase.feature is not None and phase.feature.method != "regression"

    def __call__(self, x: torch.Tensor, y: torch.Tensor, taught: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """The weighted objectives of a batch, each a scalar: ``edge``, ``cloud``, ``adapted``, ``fused``, ``feature``,
        ``rate``, ``recall``, as the phase has them. ``taught``: the teacher's logits for ``x``, where they are known.
        """
        teacher, wanted = self._teach(x, taught)
        outputs = run_paths(self.system, x, self.paths)
        loss = self.phase.loss
        trained: list[str] = [path for path in ("edge", "cloud") if path in self.phase.train]
        trained += ["adapted"] if self.phase.joins else []
        found: dict[str, torch.Tensor] = {path: objective(outputs.logits(path), y, teacher, loss) for path in trained}
        if loss.fused:
            mixture = fused_log_probabilities(outputs.logits("edge"), outputs.logits("adapted"))
            found["fused"] = loss.fused * F.nll_loss(mixture, y)
        if self.phase.feature:
            found["feature"] = self._feature(outputs, teacher, wanted, self.phase.feature)
        if self.phase.rate:
            assert self.rate is not None
            assert outputs.unrounded is not None
            size = self.rate(outputs.unrounded)
            self.rate.count(outputs.unrounded.detach().round())
            found["rate"] = self.phase.rate.weight * (size - self.phase.rate.budget).clamp(min=0)
        if self.phase.recall:
            found["recall"] = self.phase.recall.weight * _recall(outputs, y, self.phase.recall)
        return found

    def _teach(self, x: torch.Tensor, known: torch.Tensor | None) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """The teacher's logits, and the cloud's own feature at the joint, where the phase wants them."""
        if self._teacher is None:
            return None, None
        feature = self._teacher.feature(x) if self._wants_feature else None
        return self._teacher.logits(x, feature) if known is None else known, feature

    def _feature(
        self, outputs: Outputs, teacher: torch.Tensor | None, wanted: torch.Tensor | None, recipe: FeatureRecipe
    ) -> torch.Tensor:
        assert outputs.decoded is not None
        if recipe.method == "regression":
            assert teacher is not None
            assert self._teacher is not None
            logits = self._teacher.tail(outputs.decoded).float()
            return recipe.weight * distillation(logits, teacher, self.phase.loss.temperature)
        assert wanted is not None
        error = feature_error if recipe.method == "mse" else attention_error
        return recipe.weight * error(outputs.decoded.float(), wanted.float())


def _recall(outputs: Outputs, y: torch.Tensor, recipe: RecallRecipe) -> torch.Tensor:
    edge = outputs.logits("edge")
    worth_sending = (edge.argmax(1) != y) & (outputs.logits("adapted").argmax(1) == y)
    if recipe.score == "learned":
        assert outputs.confidence is not None
        return recall_error(outputs.confidence, worth_sending, recipe)
    return recall_error(soft_confidence(edge, recipe.score), worth_sending, recipe)
