"""``benchmarks/link_floor.py`` on a small bundle: its bytes are exact; how fast this machine is, is not asked."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import LinkError
from tests.bench.conftest import ToyDataset
from tests.links.conformance import needs

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "link_floor.py"
ARMS = ["adaptive", "cloud-only/png"]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def facts(script: dict[str, Any], toy_bundle: Bundle) -> dict[str, Any]:
    for attempt in range(3):  # on a busy machine the link's check may refuse
        try:
            return script["measure"](toy_bundle.path, "rate=10mbit,delay=20ms", 20, ARMS, ToyDataset())
        except LinkError:
            if attempt == 2:
                raise
    raise AssertionError


@needs("tun")
def test_floors_are_sums_and_are_below_what_was_measured(facts: dict[str, Any]) -> None:
    assert set(facts["arms"]) == set(ARMS)
    for arm in facts["arms"].values():
        parts = ("edge_ms", "serialization_ms", "rtt_ms", "cloud_ms")
        assert arm["total_ms"] == pytest.approx(sum(arm[part] for part in parts))
        assert arm["measured_p50_ms"] > arm["total_ms"] > arm["rtt_ms"] == 20
        assert arm["samples"] == 20


@needs("tun")
def test_bare_round_trips_are_measured_on_the_same_link(facts: dict[str, Any]) -> None:
    assert set(facts["bare"]) == {"socket", "grpc"}
    for bare in facts["bare"].values():
        assert bare["measured_p50_ms"] > 0.95 * 20  # as far off as the link's own check lets it be
        line_ms = bare["measured_p50_ms"] - 20 - bare["overhead_ms"]
        assert 2 * 52 * 2 * 8 / 1e4 < line_ms < 2 * 1500 * 8 / 1e4  # headers at least, a packet each way at most


@needs("tun")
def test_all_counts_of_bytes_agree_with_the_capture(facts: dict[str, Any]) -> None:
    found = facts["bytes"]
    assert min(found["captured"].values()) > 20 * 52
    assert set(found["off"]) == {"link_up", "link_down", "tcp_info_up", "tcp_info_down"}
    assert max(abs(share) for share in found["off"].values()) < facts["limits"]["bytes"] == 0.005
    assert facts["packets_missed_by_capture"] == 0


@needs("tun")
def test_the_text_says_it_all(script: dict[str, Any], facts: dict[str, Any]) -> None:
    shown = script["text"](facts)
    assert all(name in shown for name in (*ARMS, "rate=10mbit,delay=20ms", facts["link"]["method"], "captured"))
    verdicts = {True: "\nwithin 5% of the floor", False: "\nNOT within 5% of the floor"}
    assert verdicts[facts["within"]] in shown


def test_what_is_no_bundle_is_a_mistake(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
