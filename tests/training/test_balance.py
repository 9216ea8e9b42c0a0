"""The Pareto descent direction against its closed form, brute force, and what it is for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchjd.aggregation import MGDAWeighting

from ecc_deploy.training.balance import min_norm_weights, set_gradients
from ecc_deploy.training.phase import BalanceRecipe
from ecc_deploy.training.workers import Workers

PLAIN = BalanceRecipe(method="pareto", normalise="none")


@given(st.integers(0, 10_000))
def test_two_gradients_closed_form_and_library_agree(seed: int) -> None:
    gradients = torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    gramian = gradients @ gradients.T
    ours = min_norm_weights(gramian)
    length = (ours @ gramian @ ours).sqrt()
    library = MGDAWeighting(epsilon=1e-6, max_iters=1000)(gramian)
    assert length <= (library @ gramian @ library).sqrt() + 1e-9
    shares = torch.linspace(0, 1, 1001, dtype=torch.float64)
    points = shares[:, None] * gradients[0] + (1 - shares[:, None]) * gradients[1]
    assert length <= points.norm(dim=1).min() + 1e-9
    assert ours.sum().item() == pytest.approx(1)
    assert bool((ours >= 0).all())


@pytest.mark.parametrize("count", [1, 3, 4])
def test_more_gradients(count: int) -> None:
    gradients = torch.randn(count, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(count))
    gramian = gradients @ gradients.T
    weights = min_norm_weights(gramian)
    assert weights.sum().item() == pytest.approx(1)
    # Optimality of the min-norm point p: p·gᵢ >= ‖p‖² for every i, so it is a descent direction for all.
    point = weights @ gramian
    assert bool((point >= weights @ gramian @ weights - 1e-2).all())


def test_equal_gradients_do_not_divide_by_zero() -> None:
    weights = min_norm_weights(torch.ones(2, 2, dtype=torch.float64))
    assert bool(torch.isfinite(weights).all())
    assert weights.sum().item() == pytest.approx(1)


def conflict() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """A shared parameter on which a large and a small objective pull apart, and one of each objective's own."""
    shared = torch.tensor([1.0, 1.0], requires_grad=True)
    own_a, own_b = torch.tensor([2.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    a = 10 * shared[0] + shared[1] + own_a.sum() ** 2
    b = -shared[0] + shared[1] + own_b.sum() ** 2
    return shared, own_a, own_b, {"a": a, "b": b}


@pytest.mark.parametrize("normalise", ["none", "norm"])
def test_pareto_descends_on_every_objective_where_the_sum_does_not(normalise: str) -> None:
    gradient = {"a": torch.tensor([10.0, 1.0]), "b": torch.tensor([-1.0, 1.0])}
    shared, own_a, own_b, objectives = conflict()
    parameters = [shared, own_a, own_b]
    set_gradients(objectives, parameters, BalanceRecipe(), Workers("cpu"))
    assert shared.grad is not None
    assert shared.grad @ gradient["b"] < 0  # the plain sum makes b worse

    shared, own_a, own_b, objectives = conflict()
    recipe = BalanceRecipe(method="pareto", normalise=normalise)
    weights = set_gradients(objectives, [shared, own_a, own_b], recipe, Workers("cpu"))
    assert shared.grad is not None
    for name in objectives:
        assert shared.grad @ gradient[name] >= -1e-4
    assert weights["a"] < weights["b"]
    assert sum(weights.values()) == pytest.approx(2)
    # What only one objective reaches gets that objective's own gradient.
    assert own_a.grad == pytest.approx(4.0)
    assert own_b.grad == pytest.approx(6.0)


def test_the_weights_are_the_closed_form_of_the_shared_gradients() -> None:
    shared, own_a, own_b, objectives = conflict()
    weights = set_gradients(objectives, [shared, own_a, own_b], PLAIN, Workers("cpu"))
    a, b = torch.tensor([10.0, 1.0]), torch.tensor([-1.0, 1.0])
    alpha = ((b - a) @ b / (b - a).square().sum()).item()
    assert weights["a"] / 2 == pytest.approx(alpha, abs=1e-6)


def test_a_satisfied_objective_does_not_stop_the_others() -> None:
    shared = torch.tensor([1.0, 2.0], requires_grad=True)
    objectives = {"a": (shared**2).sum(), "rate": (shared.sum() - 100).clamp(min=0)}
    set_gradients(objectives, [shared], PLAIN, Workers("cpu"))
    assert shared.grad is not None
    assert shared.grad.tolist() == [2.0, 4.0]


def test_fixed_is_the_plain_sum() -> None:
    shared, own_a, own_b, objectives = conflict()
    set_gradients(objectives, [shared, own_a, own_b], BalanceRecipe(), Workers("cpu"))
    assert shared.grad is not None
    assert shared.grad.tolist() == [9.0, 2.0]
