"""Training objectives."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ecc_deploy.training.recipe import LossRecipe


def distillation(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """``T^2 · KL(softmax(teacher / T) ‖ softmax(student / T))``, batch mean (Hinton et al. 2015, section 2).

    Both arguments are logits ``[N, classes]``; the gradient flows to the student only.
    """
    log_student = F.log_softmax(student / temperature, dim=1)
    log_teacher = F.log_softmax(teacher.detach() / temperature, dim=1)
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True) * temperature**2


def objective(
    logits: torch.Tensor, labels: torch.Tensor, teacher: torch.Tensor | None, recipe: LossRecipe
) -> torch.Tensor:
    """The weighted sum of a path's objectives; ``teacher`` may be ``None`` where nothing is distilled."""
    total = logits.new_zeros(())
    if recipe.cross_entropy:
        total = total + recipe.cross_entropy * F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    if recipe.distillation:
        assert teacher is not None
        total = total + recipe.distillation * distillation(logits, teacher, recipe.temperature)
    return total
