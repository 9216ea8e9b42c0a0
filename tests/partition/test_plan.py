"""A plan, from a model's name to the cuts: profiles by the real runtime."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ecc_deploy.backends.targets import load_target
from ecc_deploy.errors import EccError, UsageError
from ecc_deploy.links import load_link
from ecc_deploy.partition.cuts import legal_cuts
from ecc_deploy.partition.graph import export
from ecc_deploy.partition.models import load_graph
from ecc_deploy.partition.plan import plan
from ecc_deploy.partition.profile import measure
from tests.partition.networks import SHAPE, Residual, Scales

TARGET = load_target("onnxruntime-cpu")
UNET = "tests.partition.networks:UNet"


@pytest.mark.parametrize("network", [Residual, Scales])
def test_a_profile_accounts_for_every_group(network: type[torch.nn.Module]) -> None:
    torch.manual_seed(0)
    cuts = legal_cuts(export(network().eval(), SHAPE))
    found = measure(cuts, TARGET)
    assert (found.target, found.threads) == ("onnxruntime-cpu", TARGET.threads)
    assert 0 < found.call_ms <= found.whole_ms
    assert found.call_ms + sum(found.group_ms) == pytest.approx(found.whole_ms)
    assert all(taken > 0 for group, taken in zip(cuts.groups, found.group_ms, strict=True) if group.macs)
    assert 0 <= found.unaccounted < 0.9
    everything = (1 << len(cuts.groups)) - 1
    assert found.half_ms(everything) == pytest.approx(found.whole_ms)
    assert found.half_ms(0) == found.call_ms


def test_a_backend_without_a_profiler_says_so() -> None:
    torch.manual_seed(0)
    cuts = legal_cuts(export(Residual().eval(), SHAPE))
    with pytest.raises(UsageError, match="what each operator takes with TensorRT") as error:
        measure(cuts, load_target("jetson-orin-nano"))
    assert "onnxruntime" in error.value.hint


def test_a_plan_of_ones_own_model_over_two_links() -> None:
    links = [load_link("wifi"), load_link("rate=1mbit,delay=300ms")]
    found = plan(UNET, TARGET, TARGET, links, input_shape=SHAPE, constraints=["tensors<=2"])
    assert list(found.by_link) == [link.name for link in links]
    for rows in found.by_link.values():
        assert rows
        assert [row.latency_ms for row in rows] == sorted(row.latency_ms for row in rows)
        assert all(row.cut is None or len(row.cut.crossing) <= 2 for row in rows)
    assert found.edge is found.cloud, "one target is measured once"
    facts = found.to_json()
    first = facts["links"]["wifi"][0]
    assert first["latency_ms"]["total"] == pytest.approx(
        sum(taken for stage, taken in first["latency_ms"].items() if stage != "total")
    )
    assert set(first["macs"]) == {"edge", "cloud"}


def test_names_of_models(tmp_path: Path) -> None:
    torch.manual_seed(0)
    program = torch.export.export(Residual().eval(), (torch.zeros(1, *SHAPE),))
    torch.export.save(program, tmp_path / "mine.pt2")
    archive = load_graph(str(tmp_path / "mine.pt2"), (1, 1, 1))
    assert archive.macs == export(Residual().eval(), SHAPE).macs
    assert load_graph("cifar-resnet", (3, 32, 32)).macs == pytest.approx(40.6e6, rel=0.02)
    for name, says in (
        ("resnet20", "no model 'resnet20'"),
        ("tests.partition.networks:Nothing", "no Nothing in it"),
        ("tests.partition.networks:SHAPE", "not callable"),
        (str(tmp_path / "other.pt2"), "no file"),
    ):
        with pytest.raises(EccError, match=says):
            load_graph(name, SHAPE)
    (tmp_path / "bad.pt2").write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"reading .*bad.pt2"):
        load_graph(str(tmp_path / "bad.pt2"), SHAPE)


def test_mistakes_are_told_before_anything_is_measured() -> None:
    for given in ({"objective": "joy"}, {"constraints": ["?"]}):
        with pytest.raises(UsageError):
            plan("nothing", TARGET, TARGET, [load_link("wifi")], **given)
    with pytest.raises(UsageError, match="no link"):
        plan(UNET, TARGET, TARGET, [])
