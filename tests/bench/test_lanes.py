"""A benchmark over emulated links: each with a server at its far end, all in one run."""

import os
from pathlib import Path

import pytest

from ecc_deploy.bench import lanes
from ecc_deploy.bench.run import bench
from ecc_deploy.bench.schema import Bench
from ecc_deploy.bench.server_process import ServerProcess
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import EccError, LinkError, UsageError
from ecc_deploy.links.opening import why_not
from tests.bench.conftest import ToyDataset

SAMPLES = 12
PATIENT_MS = 20_000.0
SLOW, QUICK = "rate=2mbit,delay=30ms", "rate=20mbit,delay=10ms"


def _measure(bundle: Bundle, dataset: ToyDataset, **options: object) -> Bench:
    given = {"samples": SAMPLES, "warmup": 1, "deadline_ms": PATIENT_MS, "dataset": dataset, **options}
    return bench(bundle, **given)  # type: ignore[arg-type]  # options of several types


@pytest.fixture(scope="module", params=["tun", "proxy"])
def over_links(request: pytest.FixtureRequest, toy_bundle: Bundle, dataset: ToyDataset) -> Bench:
    reason = why_not(request.param)
    if reason is not None:
        assert "CI" not in os.environ or request.param != "proxy", reason
        pytest.skip(f"no link by {request.param} here: {reason}")
    arms = ["edge-only", "adaptive", "dynamic"]
    return _measure(toy_bundle, dataset, arms=arms, links=[SLOW, QUICK], link_method=request.param)


def test_every_arm_is_measured_over_every_link_and_edge_only_once(over_links: Bench) -> None:
    assert [(arm.name, arm.link) for arm in over_links.arms] == [
        ("edge-only", None), ("adaptive", SLOW), ("dynamic", SLOW), ("adaptive", QUICK), ("dynamic", QUICK),
    ]  # fmt: skip
    first = over_links.arms[0].raw
    for arm in over_links.arms:
        assert arm.fallback_rate == 0
        assert arm.raw.sample == first.sample
    assert over_links.arm("adaptive", SLOW).raw.predicted == over_links.arm("adaptive", QUICK).raw.predicted


def test_what_is_offloaded_takes_the_link_s_round_trip(over_links: Bench) -> None:
    for link, rtt_ms in ((SLOW, 30), (QUICK, 10)):
        offloaded = over_links.arm("adaptive", link).latency_offloaded_ms
        assert offloaded is not None
        assert offloaded.p50 >= rtt_ms
    edge = over_links.arm("edge-only")
    assert edge.floor is None
    assert edge.latency_offloaded_ms is None


def test_the_floor_is_below_what_was_measured_and_says_what_it_is_of(over_links: Bench) -> None:
    for arm in over_links.arms[1:]:
        assert arm.floor is not None
        assert arm.latency_offloaded_ms is not None
        assert arm.floor.measured_p50_ms == pytest.approx(arm.latency_offloaded_ms.p50)
        assert arm.floor.rtt_ms == (30 if arm.link == SLOW else 10)
        assert arm.floor.rtt_ms < arm.floor.total_ms
        assert arm.floor.overhead_ms > -1  # no sample is quicker than the link, but for what its check allows
    slow, quick = (over_links.arm("adaptive", link).floor for link in (SLOW, QUICK))
    assert slow is not None
    assert quick is not None
    assert slow.serialization_ms == pytest.approx(
        10 * quick.serialization_ms, rel=0.35
    )  # not always as many acknowledgements


def test_links_are_described_with_what_their_check_found(over_links: Bench) -> None:
    assert [link.name for link in over_links.links] == [SLOW, QUICK]
    for link in over_links.links:
        assert link.measured_rtt_ms == pytest.approx(link.rtt_ms, rel=0.05)
        assert link.measured_up_mbit == pytest.approx(link.up_mbit, rel=0.05)
        assert link.deviations.keys() == {"up_mbit", "down_mbit", "rtt_ms"}
        assert link.tcp_info_up_bytes is not None
        if link.method == "proxy":
            assert link.wire_up_bytes is None
        else:
            # Two independent counts of the same packets: the kernel's, per connection, and the link's own.
            assert link.wire_up_bytes == pytest.approx(link.tcp_info_up_bytes, rel=0.02)
            assert link.wire_down_bytes == pytest.approx(link.tcp_info_down_bytes, rel=0.02)
    assert "emulated" in over_links.settings["link"]
    assert over_links.settings["threads_cloud"] == 1


def test_the_network_as_it_is_can_be_one_of_the_links(toy_bundle: Bundle, dataset: ToyDataset) -> None:
    found = _measure(
        toy_bundle, dataset, arms=["edge-only", "adaptive"], links=["as-is", QUICK], link_method="proxy"
    )  # fmt: skip
    assert [(arm.name, arm.link) for arm in found.arms] == [
        ("edge-only", None),
        ("adaptive", None),
        ("adaptive", QUICK),
    ]
    assert found.arms[1].floor is None
    assert found.arms[1].latency_ms.p50 < found.arms[2].latency_ms.p50


def test_a_running_server_is_reached_through_a_proxy(
    toy_bundle: Bundle, dataset: ToyDataset, server: ServerProcess, own_servers: list[ServerProcess]
) -> None:
    found = _measure(toy_bundle, dataset, arms=["adaptive"], cloud=server.url, links=[QUICK])
    assert own_servers == []
    assert found.links[0].method == "proxy"
    assert found.arms[0].link == QUICK
    assert found.arms[0].latency_ms.p50 >= 10


def test_a_server_elsewhere_cannot_be_reached_through_an_emulated_link(toy_bundle: Bundle, dataset: ToyDataset) -> None:
    with pytest.raises(UsageError, match="cannot be reached through the emulated link"):
        _measure(toy_bundle, dataset, arms=["adaptive"], cloud="192.0.2.1:8001", links=[QUICK])


@pytest.mark.parametrize(
    ("links", "said"),
    [([QUICK, QUICK], "given twice"), (["as-is", "as-is"], "given twice"), (["carrier-pigeon"], "no link named")],
)
def test_links_that_make_no_sense_are_refused_before_anything_is_started(
    toy_bundle: Bundle, dataset: ToyDataset, links: list[str], said: str
) -> None:
    with pytest.raises(EccError, match=said):
        _measure(toy_bundle, dataset, links=links)


def test_methods_by_name(tmp_path: Path) -> None:
    assert lanes.link_method("tun") == "tun"
    with pytest.raises(UsageError, match="no method 'magic'"):
        lanes.link_method("magic")
    with pytest.raises(LinkError):
        lanes.profiles([str(tmp_path / "absent.toml")])


def test_a_budget_ends_the_main_series_with_the_same_samples_for_all(toy_bundle: Bundle, dataset: ToyDataset) -> None:
    found = _measure(
        toy_bundle, dataset, arms=["edge-only", "adaptive"], links=[SLOW], link_method="proxy", budget_minutes=1e-6
    )  # fmt: skip
    assert [arm.samples for arm in found.arms] == [1, 1]
    assert found.settings["samples"] == 1
    assert any("budget" in warning and f"1 of {SAMPLES}" in warning for warning in found.warnings)
