import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from ecc_deploy.runtime.gate import confidence
from ecc_deploy.training.losses import (
    attention_error,
    distillation,
    feature_error,
    fused_log_probabilities,
    objective,
    recall_error,
    soft_confidence,
)
from ecc_deploy.training.phase import LossRecipe, RecallRecipe


def test_distillation_is_its_formula() -> None:
    student, teacher = torch.randn(4, 5), torch.randn(4, 5)
    p, q = F.softmax(teacher / 3, 1), F.softmax(student / 3, 1)
    wanted = 9 * (p * (p.log() - q.log())).sum(1).mean()
    torch.testing.assert_close(distillation(student, teacher, 3.0), wanted)
    assert distillation(teacher, teacher, 4.0).item() == pytest.approx(0, abs=1e-6)


def test_objective_weighs_its_parts() -> None:
    logits, labels, teacher = torch.randn(4, 5), torch.tensor([0, 1, 2, 3]), torch.randn(4, 5)
    recipe = LossRecipe(cross_entropy=0.5, distillation=2.0, temperature=2.0)
    wanted = 0.5 * F.cross_entropy(logits, labels) + 2 * distillation(logits, teacher, 2.0)
    torch.testing.assert_close(objective(logits, labels, teacher, recipe), wanted)


def test_fused_answer_is_the_mean_of_probabilities() -> None:
    edge, cloud = torch.randn(6, 5), torch.randn(6, 5)
    wanted = (F.softmax(edge, 1) + F.softmax(cloud, 1)) / 2
    torch.testing.assert_close(fused_log_probabilities(edge, cloud).exp(), wanted)
    extreme = fused_log_probabilities(torch.tensor([[1e4, 0.0]]), torch.tensor([[0.0, 1e4]]))
    torch.testing.assert_close(extreme.exp(), torch.tensor([[0.5, 0.5]]))


def test_feature_error_has_no_scale_and_trains_the_student_only() -> None:
    student, teacher = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 3, 4, 4, requires_grad=True)
    torch.testing.assert_close(feature_error(student, teacher), feature_error(7 * student, 7 * teacher))
    assert feature_error(teacher, teacher).item() == 0
    feature_error(student, teacher).backward()
    assert student.grad is not None
    assert teacher.grad is None


def test_attention_error_compares_where_not_how_much() -> None:
    feature = torch.rand(2, 3, 4, 4)
    assert attention_error(5 * feature, feature).item() == pytest.approx(0, abs=1e-6)
    assert attention_error(feature[:, [2, 0, 1]], feature).item() == pytest.approx(
        0, abs=1e-6
    )  # channels do not matter
    corner, other = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    corner[0, 0, 0, 0], other[0, 0, 3, 3] = 1, 1
    assert attention_error(corner, other).item() == pytest.approx(2)


@pytest.mark.parametrize("score", ["max-softmax", "entropy", "margin"])
def test_soft_confidence_is_the_gates_own(score: str) -> None:
    logits = torch.randn(20, 10) * 3
    np.testing.assert_allclose(soft_confidence(logits, score).numpy(), confidence(logits.numpy(), score), atol=1e-6)


def test_recall_error_falls_as_the_right_samples_sink_below_the_threshold() -> None:
    worth_sending = torch.arange(100) < 10
    recipe = RecallRecipe(score="max-softmax", offload_rate=0.2)
    good = torch.where(worth_sending, 0.0, 1.0) + 0.01 * torch.arange(100) / 100
    noise = torch.randn(100, generator=torch.Generator().manual_seed(0))
    assert recall_error(good, worth_sending, recipe) < recall_error(noise, worth_sending, recipe)
    assert recall_error(noise, worth_sending, recipe) < recall_error(1 - good, worth_sending, recipe)


def test_beta_weighs_the_samples_worth_sending() -> None:
    worth_sending = torch.arange(50) < 5

    def pull(beta: float) -> float:
        confidence = torch.full((50,), 0.5) + 0.1 * torch.randn(50, generator=torch.Generator().manual_seed(1))
        confidence.requires_grad_(True)
        recall_error(confidence, worth_sending, RecallRecipe(beta=beta)).backward()
        assert confidence.grad is not None
        return confidence.grad[worth_sending].abs().sum().item()

    assert pull(1.0) < pull(4.0) < pull(16.0)


def test_the_learned_confidence_stays_where_the_odds_are() -> None:
    """With nothing to tell samples apart, the best confidence is minus the weighted log odds, and it is reached."""
    worth_sending = torch.arange(100) < 10
    bias = torch.zeros(1, requires_grad=True)
    recipe = RecallRecipe(score="learned", beta=3.0)
    optimizer = torch.optim.SGD([bias], 0.5, momentum=0.9)
    for _ in range(400):
        optimizer.zero_grad()
        recall_error(bias.expand(100), worth_sending, recipe).backward()
        optimizer.step()
    assert bias.item() == pytest.approx(-torch.log(torch.tensor(3.0 * 10 / 90)).item(), abs=1e-3)
