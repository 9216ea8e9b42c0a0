"""What is predicted of a cut, and which is best."""

from __future__ import annotations

import pytest
import torch

from ecc_deploy.errors import UsageError
from ecc_deploy.links import load_link
from ecc_deploy.partition.cuts import Cuts, legal_cuts
from ecc_deploy.partition.graph import export
from ecc_deploy.partition.predict import HEADERS_BYTES, Predicted, best, predict
from ecc_deploy.partition.profile import Profile
from tests.partition.networks import SHAPE, Residual

LINK = load_link("rate=10mbit,delay=20ms")


@pytest.fixture(scope="module")
def cuts() -> Cuts:
    torch.manual_seed(0)
    return legal_cuts(export(Residual().eval(), SHAPE))


def profile(per_group_ms: float) -> Profile:
    groups = (per_group_ms,) * 5
    return Profile("some", 1, call_ms=0.1, whole_ms=0.1 + sum(groups), group_ms=groups, unaccounted=0.0)


def test_stages_of_a_cut(cuts: Cuts) -> None:
    found = predict(cuts, profile(2.0), profile(0.5), LINK, bits=4)
    behind_stem = found[1]
    assert behind_stem.cut is not None
    assert [tensor.shape for tensor in behind_stem.cut.crossing] == [(4, 16, 16)]
    assert behind_stem.payload_bytes == 4 * 256 // 2
    assert behind_stem.edge_ms == pytest.approx(0.1 + 2.0)
    assert behind_stem.cloud_ms == pytest.approx(0.1 + 4 * 0.5)
    assert behind_stem.up_ms == pytest.approx((512 * 1500 / 1448 + HEADERS_BYTES) * 8 / 10e3)
    assert behind_stem.down_ms == pytest.approx((5 * 4 * 1500 / 1448 + HEADERS_BYTES) * 8 / 10e3)
    stages = (behind_stem.edge_ms, behind_stem.up_ms, 20.0, behind_stem.cloud_ms, behind_stem.down_ms)
    assert behind_stem.latency_ms == pytest.approx(sum(stages))


def test_the_image_is_sent_in_bytes_and_the_edge_does_nothing_then(cuts: Cuts) -> None:
    sent = predict(cuts, profile(2.0), profile(0.5), LINK, bits=4)[0]
    assert (sent.payload_bytes, sent.edge_ms, sent.edge_macs) == (3 * 256, 0.0, 0)


def test_the_edge_alone_needs_no_link(cuts: Cuts) -> None:
    alone = predict(cuts, profile(2.0), profile(0.5), LINK, bits=4)[-1]
    assert alone.cut is None
    assert alone.latency_ms == pytest.approx(10.1)
    assert (alone.payload_bytes, alone.cloud_macs) == (0, 0)


def best_of(found: list[Predicted], *limits: str, objective: str = "latency") -> Predicted:
    return best(found, objective, limits)[0]


def test_where_the_best_cut_is_depends_on_the_link(cuts: Cuts) -> None:
    slow_edge, quick_cloud = profile(20.0), profile(0.1)
    quick = predict(cuts, slow_edge, quick_cloud, load_link("rate=1000mbit,delay=1ms"), bits=8)
    slow = predict(cuts, slow_edge, quick_cloud, load_link("rate=1mbit,delay=500ms"), bits=8)
    assert best_of(quick).edge_macs == 0
    assert best_of(slow).cut is None


def test_objectives_and_limits(cuts: Cuts) -> None:
    found = predict(cuts, profile(2.0), profile(0.5), LINK, bits=8)
    sent = [one for one in found if one.cut is not None]
    assert best_of(found, objective="bytes").payload_bytes == 0
    assert best_of(sent, objective="bytes").payload_bytes == 4
    assert best_of(found, objective="cloud-macs").cloud_macs == 0
    assert all(len(one.cut.crossing) == 1 for one in best(sent, "latency", ["tensors<=1"]) if one.cut)
    assert len(best(sent, "latency", ["tensors<=1"])) < len(sent)
    assert best(found, "latency", ["latency_ms<=0"]) == []
    assert all(one.edge_ms <= 4.2 for one in best(found, "latency", ["edge_ms <= 4.2"]))


@pytest.mark.parametrize("text", ["latency<=3", "latency_ms<3", "latency_ms<=x", "latency_ms<=1.2.3", ""])
def test_what_is_no_limit(cuts: Cuts, text: str) -> None:
    with pytest.raises(UsageError, match="is none") as error:
        best([], "latency", [text])
    assert "latency_ms<=80" in error.value.hint


def test_what_is_no_objective() -> None:
    with pytest.raises(UsageError, match="no objective 'joy'") as error:
        best([], "joy")
    assert "latency, bytes, cloud-macs" in error.value.hint
