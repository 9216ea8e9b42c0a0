"""Which cuts there are, what crosses at each, and that both sides of any of them are exact."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ecc_deploy.errors import UsageError
from ecc_deploy.partition.cuts import Cuts, legal_cuts
from ecc_deploy.partition.graph import export
from ecc_deploy.partition.slices import extract
from tests.partition.networks import NETWORKS, SHAPE, Attention, Masked, Random, Residual, Scales, UNet


def cuts_of(model: nn.Module) -> Cuts:
    torch.manual_seed(0)
    return legal_cuts(export(model.eval(), SHAPE))


def assert_exact(model: nn.Module, found: Cuts) -> None:
    """Every cut's both sides, one after the other, give what the model gives, bit for bit."""
    image = torch.randn(3, *SHAPE)
    with torch.no_grad():
        whole = model(image)
        wanted = list(whole.values()) if isinstance(whole, dict) else [whole]
        for cut in found.cuts:
            sides = extract(found.graph, cut)
            crossing = sides.edge(image)
            assert [list(one.shape) for one in crossing] == [[3, *tensor.shape] for tensor in cut.crossing]
            for one, other in zip(sides.cloud(*crossing), wanted, strict=True):
                assert torch.equal(one, other), cut.name


@pytest.mark.parametrize("name", NETWORKS)
def test_every_cut_is_exact(name: str) -> None:
    model = NETWORKS[name]().eval()
    found = cuts_of(model)
    assert found.is_complete
    assert len(found.cuts) >= 3
    assert_exact(model, found)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000))
def test_every_cut_of_a_random_network_is_exact(seed: int) -> None:
    model = Random(seed).eval()
    assert_exact(model, cuts_of(model))


def kinds(found: Cuts) -> list[list[str]]:
    return [[found.graph.operators[node].kind for node in group.nodes] for group in found.groups]


def crossing(found: Cuts) -> list[list[tuple[int, ...]]]:
    return [[tensor.shape for tensor in cut.crossing] for cut in found.cuts]


def test_what_a_compiler_makes_one_of_is_not_cut() -> None:
    found = cuts_of(Residual())
    assert kinds(found) == [
        ["conv2d", "batch_norm", "getitem", "relu"],
        ["conv2d"],
        ["add", "relu"],
        ["mean"],
        ["linear"],
    ]
    assert crossing(found) == [
        [(3, 16, 16)],
        [(4, 16, 16)],
        [(4, 16, 16), (4, 16, 16)],  # within the residual block: its branch and what goes around it
        [(4, 16, 16)],
        [(4,)],
    ]


def test_skips_cross_too() -> None:
    found = cuts_of(UNet())
    behind_the_encoder = next(cut for cut in found.cuts if len(cut.crossing) == 3)
    assert sorted(tensor.shape for tensor in behind_the_encoder.crossing) == [(4, 16, 16), (6, 8, 8), (8, 4, 4)]
    assert behind_the_encoder.elements == 4 * 256 + 6 * 64 + 8 * 16


def test_all_down_sets_are_found_not_only_those_of_one_order() -> None:
    # Three products of one norm, side by side: any of the eight sets of them may be the edge's.
    found = cuts_of(Attention())
    of = {
        index
        for index, group in enumerate(found.groups)
        if found.graph.operators[group.nodes[0]].module in ("q", "k", "v")
    }
    seen = {frozenset(i for i in of if cut.edge >> i & 1) for cut in found.cuts}
    assert len(seen) == 8


def test_a_view_is_not_carried_three_times() -> None:
    found = cuts_of(Attention())
    before = [cut for cut in found.cuts if [tensor.name for tensor in cut.crossing][-1:] == ["layer_norm"]]
    assert before
    assert all(len(cut.crossing) <= 2 for cut in before), "the norm's value, and what goes around"


def test_what_cannot_cross_is_no_cut() -> None:
    found = cuts_of(Masked())
    assert found.illegal
    assert all(tensor.dtype == "float32" for cut in found.cuts for tensor in cut.crossing)


def test_work_is_on_one_side_or_the_other() -> None:
    found = cuts_of(Residual())
    total = 3 * 4 * 9 * 256 + 4 * 4 * 9 * 256 + 4 * 5
    assert found.graph.macs == total
    assert [cut.edge_macs for cut in found.cuts][:3] == [0, 3 * 4 * 9 * 256, total - 4 * 5]
    assert all(cut.edge_macs + cut.cloud_macs == total for cut in found.cuts)
    assert found.cuts[0].edge == 0
    assert found.cuts[0].crossing[0].name == "image"


def test_answers_of_several_scales() -> None:
    found = cuts_of(Scales())
    assert any(len(cut.crossing) == 2 for cut in found.cuts)
    assert ["conv2d", "sigmoid", "mul"] in kinds(found)


def test_more_cuts_than_can_be_looked_at() -> None:
    torch.manual_seed(0)
    graph = export(Attention().eval(), SHAPE)
    all_of_them, some = legal_cuts(graph), legal_cuts(graph, most=5)
    assert (all_of_them.is_complete, some.is_complete) == (True, False)
    assert 0 < len(some.cuts) < len(all_of_them.cuts)
    assert {cut.edge for cut in some.cuts} <= {cut.edge for cut in all_of_them.cuts}


class _OnValues(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def test_a_model_that_cannot_be_exported() -> None:
    with pytest.raises(UsageError, match="PyTorch cannot export _OnValues") as error:
        export(_OnValues(), SHAPE)
    assert "control flow" in error.value.hint
