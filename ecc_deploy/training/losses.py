"""Training objectives: what is made small. Logits are ``[N, classes]``, labels int64 ``[N]``, features NCHW."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ecc_deploy.training.phase import LossRecipe, RecallRecipe


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


def fused_log_probabilities(edge: torch.Tensor, cloud: torch.Tensor) -> torch.Tensor:
    """Logarithm of the mean of both answers' probabilities, ``[N, classes]``."""
    both = torch.stack([F.log_softmax(edge, dim=1), F.log_softmax(cloud, dim=1)])
    return torch.logsumexp(both, dim=0) - torch.log(torch.tensor(2.0))


def feature_error(adapted: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean squared error of the adapted feature, per unit of the wanted feature's mean square.

    Scaled so that a weight means the same at every joint, whatever size the activations there have.
    """
    wanted = wanted.detach()
    return F.mse_loss(adapted, wanted) / wanted.square().mean().clamp(min=1e-12)


def attention_error(adapted: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Distance of the normalised attention maps, the channels' mean square at each place (Zagoruyko and Komodakis
    2017, equation 2; squared distance, batch mean).
    """

    def attention(feature: torch.Tensor) -> torch.Tensor:
        return F.normalize(feature.square().mean(dim=1).flatten(1), dim=1)

    return (attention(adapted) - attention(wanted.detach())).square().sum(dim=1).mean()


def recall_error(confidence: torch.Tensor, worth_sending: torch.Tensor, recipe: RecallRecipe) -> torch.Tensor:
    """How badly a gate finds the samples that are worth sending.

    ``confidence``: ``[N]``, of the edge in its own answer; ``worth_sending``: bool ``[N]``, the edge is wrong and the
    cloud is right. Binary cross-entropy of "is sent" against "is worth sending", the samples worth sending weighted by
    ``beta``: their recall is what is boosted, since what the edge keeps is never corrected.

    The edge's own scores live between 0 and 1, so there "is sent" is the distance below the batch's quantile at the
    wanted offload rate, in standard deviations. The learned confidence is a logit itself: with a threshold that moves
    along with it, nothing would hold its mean in place, and it would run away.
    """
    confidence = confidence.float()
    if recipe.score == "learned":
        sent = -confidence
    else:
        with torch.no_grad():
            threshold = torch.quantile(confidence, recipe.offload_rate)
            unit = confidence.std().clamp(min=1e-6) * recipe.softness
        sent = (threshold - confidence) / unit
    weight = torch.where(worth_sending, recipe.beta, 1.0)
    loss = F.binary_cross_entropy_with_logits(sent, worth_sending.to(sent.dtype), reduction="none")
    return (weight * loss).sum() / weight.sum()


def soft_confidence(logits: torch.Tensor, score: str) -> torch.Tensor:
    """The gates' scores of :mod:`ecc_deploy.runtime.gate` as differentiable functions of logits, ``[N]``."""
    probabilities = F.softmax(logits.float(), dim=1)
    if score == "max-softmax":
        return probabilities.max(dim=1).values
    if score == "entropy":
        logs = F.log_softmax(logits.float(), dim=1)
        return 1 + (probabilities * logs).sum(dim=1) / torch.log(torch.tensor(float(logits.shape[1])))
    if score == "margin":
        two = probabilities.topk(2, dim=1).values
        return two[:, 0] - two[:, 1]
    raise ValueError(score)
