import math

import pytest
import torch

from ecc_deploy.systems.rate import RateModel, context_of, ideal_bytes


def settled(codes: torch.Tensor, bits: int) -> RateModel:
    """A model that has counted ``codes`` for long."""
    model = RateModel(codes.shape[1], bits)
    model.count(codes)
    return model


def test_a_fresh_model_charges_every_code_its_bits() -> None:
    codes = torch.randint(0, 4, (3, 2, 4, 4)).float()
    assert RateModel(2, 2)(codes).item() == pytest.approx(2 * 4 * 4 * 2 / 8)


def test_a_settled_model_charges_the_entropy_of_each_channel() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.multinomial(torch.tensor([0.7, 0.2, 0.08, 0.02]), 20_000, True, generator=generator).view(
        50, 1, 20, 20
    )
    codes = torch.cat([codes, 3 - codes, torch.zeros_like(codes)], dim=1)
    p = torch.bincount(codes[:, 0].flatten(), minlength=4) / 20_000
    entropy = -(p * p.log2()).sum().item()
    wanted = 2 * 400 * entropy / 8  # the third channel is always zero
    assert ideal_bytes(codes, 4) == pytest.approx(wanted, rel=0.005)
    assert settled(codes, 2)(codes.float()).item() == pytest.approx(wanted, rel=0.01)


def test_frequencies_are_a_mean_that_forgets_slowly() -> None:
    model = RateModel(1, 1)
    zeros, ones = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    model.count(zeros)
    assert by_code(model) == [1.0, 0.0]
    model.count(ones)
    assert by_code(model) == [0.5, 0.5]
    for _ in range(500):
        model.count(ones)
    before = by_code(model)[0]
    assert before < 0.01
    model.count(zeros)
    assert by_code(model)[0] == pytest.approx(0.99 * before + 0.01, rel=1e-3)


def by_code(model: RateModel) -> list[float]:
    """Frequencies of the first channel's codes, in whatever context."""
    return model.frequencies[0].sum(0).tolist()


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_what_the_neighbours_tell_costs_nothing(bits: int) -> None:
    """Rows that copy the row above: three values, none of them the zero that stands above the first row."""
    generator = torch.Generator().manual_seed(1)
    row = torch.randint(1, 4, (4000, 1, 1, 8), generator=generator) * (2**bits // 4)
    codes = row.expand(-1, -1, 6, -1)
    first_row = 8 * math.log2(3) / 8
    assert ideal_bytes(codes, 2**bits) == pytest.approx(first_row, rel=0.002)
    assert settled(codes, bits)(codes.float()).item() == pytest.approx(first_row, rel=0.02)


def test_contexts_are_above_and_left() -> None:
    codes = torch.tensor([[1, 3], [2, 0]]).view(1, 1, 2, 2)
    assert context_of(codes, 4).view(-1).tolist() == [0, 1, 4 * 1 + 0, 4 * 3 + 2]
    assert context_of(codes * 64, 256).view(-1).tolist() == [0, 1, 4, 14]
    assert context_of(codes // 2, 2).view(-1).tolist() == [0, 0, 0, 2 * 1 + 1]


def test_between_two_codes_the_rate_is_interpolated_and_its_slope_is_their_difference() -> None:
    model = settled(torch.tensor([0, 0, 0, 0, 0, 1, 1, 3]).view(8, 1, 1, 1), 2)
    lengths = model.lengths()[0, 0]
    at = torch.full((1, 1, 1, 1), 0.25, requires_grad=True)
    rate = model(at)
    rate.backward()
    assert at.grad is not None
    assert rate.item() == pytest.approx((0.75 * lengths[0] + 0.25 * lengths[1]).item() / 8)
    assert at.grad.item() == pytest.approx((lengths[1] - lengths[0]).item() / 8)
    top = torch.full((1, 1, 1, 1), 3.0)
    assert model(top).item() == pytest.approx(lengths[3].item() / 8)


def test_descending_on_the_rate_makes_codes_cheaper() -> None:
    torch.manual_seed(0)
    x = torch.rand(32, 4, 8, 8) * 3
    x.requires_grad_(True)
    model = RateModel(4, 2)
    before = ideal_bytes(x.detach().round(), 4)
    for _ in range(300):
        model.count(x.detach().round())
        (gradient,) = torch.autograd.grad(model(x), x)
        with torch.no_grad():
            x -= 2.0 * gradient
            x.clamp_(0, 3)
    assert ideal_bytes(x.detach().round(), 4) < 0.8 * before
