"""A graph as a module of its groups gives what the model gives, and its modules' paths say whose an operator is."""

from __future__ import annotations

import pytest
import torch

from ecc_deploy.partition.cuts import legal_cuts
from ecc_deploy.partition.graph import export
from ecc_deploy.partition.grouped import Grouped, name_of
from tests.partition.networks import NETWORKS, SHAPE


@pytest.mark.parametrize("name", NETWORKS)
def test_it_gives_what_the_model_gives(name: str) -> None:
    torch.manual_seed(0)
    model = NETWORKS[name]().eval()
    grouped = Grouped(legal_cuts(export(model, SHAPE))).eval()
    image = torch.randn(3, *SHAPE)
    with torch.no_grad():
        whole = model(image)
        for one, other in zip(grouped(image), whole.values() if isinstance(whole, dict) else [whole], strict=True):
            assert torch.equal(one, other)


def test_every_weight_is_its_groups() -> None:
    torch.manual_seed(0)
    model = NETWORKS["Residual"]().eval()
    cuts = legal_cuts(export(model, SHAPE))
    found = {name.partition(".")[0] for name, _ in Grouped(cuts).named_parameters()}
    assert found == {name_of(group) for group in cuts.groups if group.macs}
