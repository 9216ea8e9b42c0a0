from pathlib import Path

import pytest

from ecc_deploy.bench.schema import Bench
from ecc_deploy.bundle import Bundle
from ecc_deploy.devices.bench import bench_on_device
from ecc_deploy.devices.cloud_side import TUNNEL
from ecc_deploy.serving import Server
from tests.devices.conftest import DATASET, FakeDevice

FEW = {"samples": 8, "warmup": 0, "dataset": DATASET, "deadline_ms": 5000.0}


def test_a_benchmark_through_a_tunnel(device: FakeDevice, toy_bundle: Bundle) -> None:
    said: list[tuple[str, int, int]] = []

    def progress(what: str, done: int, total: int, note: str = "") -> None:
        said.append((what, done, total))

    result = bench_on_device(toy_bundle, device.there, **FEW, progress=progress)
    assert isinstance(result, Bench)
    assert {arm.architecture for arm in result.arms} >= {
        "edge-only",
        "cloud-only",
        "independent",
        "adaptive",
        "dynamic",
    }
    assert not [arm.name for arm in result.arms if arm.fallback_rate]
    assert result.settings["link"] == TUNNEL
    assert "machine that gave the command" in result.settings["server"]
    sending = [arm for arm in result.arms if arm.codec is not None]
    assert sending
    assert all(arm.wire_up_bytes_per_sample is None for arm in sending)
    assert [warning for warning in result.warnings if "ssh tunnel" in warning]
    sent = [total for what, _, total in said if what == "Send"]
    assert sent[0] == sum(facts.bytes for facts in toy_bundle.manifest.files.values())
    assert {"Connect", "Send", "Benchmark"} <= {what for what, _, _ in said}


def test_only_what_changed_is_sent(device: FakeDevice, toy_bundle: Bundle, other_bundle: Bundle) -> None:
    def sent(bundle: Bundle) -> int:
        with device.there.session() as session:
            count = session.send_bundle(bundle)
            session.ask("ready")
            return count

    everything = sum(facts.bytes for facts in toy_bundle.manifest.files.values())
    assert sent(toy_bundle) == everything
    assert sent(toy_bundle) == 0
    changed = {facts.sha256: facts.bytes for facts in other_bundle.manifest.files.values()}
    known = {facts.sha256 for facts in toy_bundle.manifest.files.values()}
    assert sent(other_bundle) == sum(size for sha256, size in changed.items() if sha256 not in known)


def test_a_server_that_runs_is_used(device: FakeDevice, toy_bundle: Bundle, toy_server: Server) -> None:
    cloud = f"127.0.0.1:{toy_server.port}"
    series = {"cold": 1, "idle_s": [0.01], "idle_repetitions": 2}
    result = bench_on_device(toy_bundle, device.there, cloud=cloud, arms=["dynamic"], series=series, **FEW)
    assert result.arms[0].cold is not None
    assert [point.gap_s for point in result.arms[0].idle] == [0.01]
    assert "-R" not in device.arguments
    assert "ClearAllForwardings=yes" in device.arguments
    assert result.settings["link"] == "loopback"
    assert "was running" in result.settings["server"]


def test_a_server_at_an_address_of_this_machine(device: FakeDevice, toy_bundle: Bundle) -> None:
    result = bench_on_device(toy_bundle, device.there, serve_at="127.0.0.1", arms=["adaptive"], **FEW)
    assert "-R" not in device.arguments
    assert result.settings["link"] == "loopback"
    assert result.settings["cloud_environment"]["python"]
    assert result.arms[0].wire_up_bytes_per_sample is not None


def test_nothing_is_served_where_nothing_is_sent(device: FakeDevice, toy_bundle: Bundle) -> None:
    result = bench_on_device(toy_bundle, device.there, arms=["edge-only"], **FEW)
    assert "-R" not in device.arguments
    assert result.settings["link"] is None


@pytest.mark.parametrize("place", [".ecc-deploy/venv/bin/python3", ".local/bin/python3"])
def test_python_is_found(device: FakeDevice, place: str) -> None:
    python = device.python(place)
    (device.folder / "path/python3").write_text("#!/bin/sh\nexit 1\n")
    (device.folder / "path/python3").chmod(0o755)
    if ".local" in place:
        (python.parent / "ecc-deploy").write_text("#!/bin/sh\n")
        (python.parent / "ecc-deploy").chmod(0o755)
    with type(device.there)("pi").session() as session:
        assert Path(session.facts["python"]).exists()


def test_ssh_is_told_to_ask_nobody_and_to_trust_only_what_is_known(device: FakeDevice) -> None:
    with device.there.session():
        pass
    given = device.arguments
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "ForwardAgent=no", "ControlPath=none"):
        assert given[given.index(option) - 1] == "-o"
    assert given[given.index("-p") + 1] == "2022"
    assert given[-3:-1] == ["--", "user@pi"]
