"""The options of devices on the command line, with an ssh that is a script."""

import json
import sys
from pathlib import Path

import pytest

from ecc_deploy.bench.schema import load_bench
from ecc_deploy.bundle import Bundle
from tests.cli.conftest import Cli
from tests.devices.conftest import DATASET, FakeDevice, make_device


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    return make_device(tmp_path, monkeypatch)


def test_bench_on_a_device(cli: Cli, device: FakeDevice, toy_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    done = cli(
        *(
            "bench",
            toy_bundle.path,
            "--device",
            "pi",
            "--device-python",
            sys.executable,
            "--ssh-config",
            "/some/config",
        ),
        *("--samples", 6, "--warmup", 0, "--arch", "adaptive", "--dataset", DATASET, "--out", out),
    )
    assert done.code == 0, done.err
    assert load_bench(out).arms[0].samples == 6
    assert "ssh tunnel" in done.err
    assert device.arguments[:3] == ["-T", "-F", "/some/config"]


def test_doctor_of_a_device(cli: Cli, device: FakeDevice) -> None:
    done = cli("doctor", "--device", "pi", "--device-python", sys.executable, "--json")
    assert done.code == 0, done.err
    assert {target["name"] for target in json.loads(done.out)["targets"]} >= {"onnxruntime-cpu", "raspberry-pi-5"}


@pytest.mark.parametrize("option", ["--serve-at", "--device-python", "--device-install", "--ssh-config"])
def test_what_belongs_to_a_device_needs_one(cli: Cli, toy_bundle: Bundle, tmp_path: Path, option: str) -> None:
    done = cli("bench", toy_bundle.path, option, "127.0.0.1", "--out", tmp_path / "bench.json")
    assert done.code == 2
    assert f"{option} is given without --device" in done.err
