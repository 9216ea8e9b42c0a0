"""The benchmarks over emulated links, in short, by the method that needs no root."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import UsageError
from tests.toy import samples

FOLDER = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="links are emulated on Linux only")


def test_in_flight(toy_bundle: Bundle) -> None:
    given = ["--rtt", "60", "--in-flight", "1", "8", "--seconds", "0.6", "--method", "proxy", "--json"]
    command = [sys.executable, str(FOLDER / "in_flight.py"), str(toy_bundle.path), *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    alone, eight = json.loads(done.stdout)["rows"]
    assert (alone["in_flight"], eight["in_flight"], alone["rtt_ms"]) == (1, 8, 60)
    assert alone["by_cloud"] == eight["by_cloud"] == 1
    assert alone["samples_per_s"] < 1 / 0.06, "quicker than the delay allows"


def test_adaptive(toy_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import adaptive

    monkeypatch.setattr(adaptive, "load_for_bundle", lambda *given: SimpleNamespace(part=lambda name: samples(40)))
    given = argparse.Namespace(
        budget=50.0, deadline=1000.0, phase=["rate=10mbit,delay=10ms:0.6", "rate=10mbit,delay=300ms:0.6"],
        method="proxy", samples_per_s=25.0, in_flight=8, codec=None, arm=["edge-only", "dynamic", "dynamic/adaptive"],
    )  # fmt: skip
    result = adaptive.measure(toy_bundle, given)
    edge, fixed, policy = result["arms"]
    assert [row["samples"] for row in result["arms"]] == [30, 30, 30]
    assert edge["by_cloud"] == edge["payload_bytes_per_sample"] == 0
    assert fixed["phases"][1]["by_cloud"] > 0
    assert policy["payload_bytes_per_sample"] < fixed["payload_bytes_per_sample"]
    assert set(policy["reasons"]) <= {"offloaded", "confident", "link", "deadline"}
    table = adaptive._table(result)
    assert "dynamic/adaptive" in table
    given.arm = ["dynamik"]
    with pytest.raises(UsageError, match="dynamik"):
        adaptive.measure(toy_bundle, given)
    with pytest.raises(UsageError, match="no phase"):
        adaptive._phase("lte:soon")
