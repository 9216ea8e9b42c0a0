"""What a user is told where the device, or the way there, is not as it should be."""

import json
from pathlib import Path

import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.devices.bench import Device, bench_on_device, diagnose_device
from ecc_deploy.devices.frames import GREETING, PROTOCOL, encoded
from ecc_deploy.errors import BackendMissingError, DataError, DeviceError, EccError, UsageError
from tests.bench.conftest import ToyDataset
from tests.devices.conftest import DATASET, FakeDevice

FEW = {"samples": 4, "warmup": 0, "arms": ["edge-only"], "dataset": DATASET}
HELLO = {"protocol": PROTOCOL, "version": "0.1.0", "code": "", "python": "/usr/bin/python3"}


def greeting(**facts: object) -> str:
    return GREETING + json.dumps({**HELLO, **facts}) + "\n"


@pytest.mark.parametrize(
    ("mode", "message", "hint"),
    [
        ("unknown-key", "host key of user@pi:2022 is not known", "ssh -p 2022 user@pi"),
        ("changed-key", "another host key", "ssh-keygen -R"),
        ("refused-key", "accepts none of your keys", "ssh-copy-id -p 2022 user@pi"),
        ("no-name", "'pi' cannot be resolved", "mDNS"),
        ("no-sshd", "no sshd listens", "systemctl"),
        ("no-route", "cannot be reached", "switched on"),
        ("slow", "cannot be reached", "switched on"),
        ("bad-config", "does not take its configuration", "hostnam"),
        ("dropped", "broke", "Broken pipe"),
        ("garbage", "not ecc-deploy's", "start-up files"),
        ("says:" + greeting(protocol=99), "another protocol", "--device-install"),
        ("says:" + greeting(version="9.9"), "has ecc-deploy 9.9", "--device-install"),
        ("says:" + GREETING + "[1, 2]\n", "not ecc-deploy's", "start-up"),
    ],
)
def test_what_ssh_or_the_device_says(
    device: FakeDevice, toy_bundle: Bundle, mode: str, message: str, hint: str
) -> None:
    device.mode(mode)
    with pytest.raises(DeviceError) as raised:
        bench_on_device(toy_bundle, device.there, **FEW)
    assert message in raised.value.message
    assert hint in raised.value.hint


def test_text_of_a_login_shell_is_passed_over(device: FakeDevice) -> None:
    device.mode("chatty")
    assert diagnose_device(device.there).version


def test_a_device_without_tunnels(device: FakeDevice, toy_bundle: Bundle) -> None:
    device.mode("no-tunnel")
    with pytest.raises(DeviceError, match="does not open a tunnel") as raised:
        bench_on_device(toy_bundle, device.there, **{**FEW, "arms": ["dynamic"]})
    assert "--serve-at" in raised.value.hint


def test_the_python_that_was_named_is_not_there(device: FakeDevice) -> None:
    with pytest.raises(DeviceError, match="no /opt/it's/python on pi"):
        diagnose_device(Device("pi", python="/opt/it's/python"))


def test_a_device_without_ecc_deploy(device: FakeDevice, toy_bundle: Bundle) -> None:
    device.environment()
    bare = device.folder / "path/python3"
    bare.write_text('#!/bin/sh\nexec /usr/bin/env python3 -I -S "$@"\n')
    with pytest.raises(DeviceError, match="has no") as raised:
        bench_on_device(toy_bundle, Device("pi"), **FEW)
    assert "python3" in raised.value.hint


@pytest.mark.parametrize(
    ("code", "message"), [(3, "too old to be used"), (2, "has no ecc-deploy"), (1, "no Python 3.10")]
)
def test_a_python_that_does_not_do(device: FakeDevice, code: int, message: str) -> None:
    bare = device.folder / "path/python3"
    bare.write_text(f"#!/bin/sh\nexit {code}\n")
    bare.chmod(0o755)
    with pytest.raises(DeviceError, match=message):
        diagnose_device(Device("pi"))


def test_a_command_in_the_name_of_python_is_not_run(device: FakeDevice, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="there is no"):
        diagnose_device(Device("pi", python=f"x'; touch {tmp_path}/seen; echo '$(touch {tmp_path}/seen)"))
    assert not (tmp_path / "seen").exists()


def test_a_missing_runtime_is_named_with_its_command(device: FakeDevice, toy_bundle: Bundle, tmp_path: Path) -> None:
    """A file in place of the runtime's package hides it, on the device's path before it."""
    hiding = tmp_path / "hiding"
    hiding.mkdir()
    code = (
        "import importlib.util as u, sys\nfound = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'onnxruntime' else found(name, package)\n"
    )
    (hiding / "sitecustomize.py").write_text(code)
    device.environment(PYTHONPATH=f"{hiding}:{Path(__file__).parents[2]}")
    with pytest.raises(BackendMissingError, match=r"on user@pi:2022: .*ONNX Runtime") as raised:
        bench_on_device(toy_bundle, device.there, **FEW)
    assert "-m pip install 'ecc-deploy[onnxruntime]'" in raised.value.hint


def test_an_error_of_the_benchmark_is_raised_as_what_it_is(device: FakeDevice, toy_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="on user@pi:2022: 4000 samples were asked for"):
        bench_on_device(toy_bundle, device.there, **{**FEW, "samples": 4000})
    with pytest.raises(EccError, match="on user@pi:2022"):
        bench_on_device(toy_bundle, device.there, **{**FEW, "dataset": "nothing-like-it"})


def test_an_option_that_the_device_does_not_know(device: FakeDevice, toy_bundle: Bundle) -> None:
    with pytest.raises(DeviceError, match="does not know an option"):
        bench_on_device(toy_bundle, device.there, **FEW, moon_phase=3)


def test_what_cannot_travel_is_refused_here(device: FakeDevice, toy_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="dataset cannot be sent to a device: it is a ToyDataset"):
        bench_on_device(toy_bundle, device.there, dataset=ToyDataset())
    assert not (device.folder / "arguments").exists()


def test_one_benchmark_at_a_time(device: FakeDevice, toy_bundle: Bundle) -> None:
    with device.there.session() as session:
        session.send_bundle(toy_bundle)
        with pytest.raises(DeviceError, match="another benchmark is running"):
            bench_on_device(toy_bundle, device.there, **FEW)
    bench_on_device(toy_bundle, device.there, **FEW)


def test_a_full_disk(device: FakeDevice, toy_bundle: Bundle, tmp_path: Path) -> None:
    hiding = tmp_path / "hiding"
    hiding.mkdir()
    code = "import shutil, types\nshutil.disk_usage = lambda path: types.SimpleNamespace(free=1 << 20)\n"
    (hiding / "sitecustomize.py").write_text(code)
    device.environment(PYTHONPATH=f"{hiding}:{Path(__file__).parents[2]}")
    with pytest.raises(DeviceError, match="disk is too full"):
        bench_on_device(toy_bundle, device.there, **FEW)


@pytest.mark.parametrize(
    "answer",
    [
        encoded("done", {"wanted": ["0" * 64]}),
        encoded("done", {"wanted": 7}),
        b'{"kind": "done", "facts": {}, "bytes": 999999999999}\n',
        b'{"kind": "done", "facts": {}, "bytes": -1}\n',
        b"[" * 100_000 + b"\n",
        b'{"kind": "done", "facts": {}, "bytes": 10}\nshort',
        b"not json\n",
        encoded("error", {"type": "SystemExit", "message": "\x1b[31mred" * 10_000, "hint": 7}),
        encoded("crash", {"traceback": ["?"]}),
    ],
)
def test_a_device_that_talks_nonsense(device: FakeDevice, toy_bundle: Bundle, answer: bytes) -> None:
    device.mode("says:" + greeting() + answer.decode())
    with pytest.raises(DeviceError) as raised, device.there.session() as session:
        session.send_bundle(toy_bundle)
    assert "\x1b" not in str(raised.value)
    assert len(str(raised.value)) < 10_000


def test_results_of_another_bundle_are_refused(device: FakeDevice, toy_bundle: Bundle, other_bundle: Bundle) -> None:
    result = bench_on_device(toy_bundle, device.there, **FEW).model_dump_json()
    hello = greeting(version=diagnose_device(device.there).version)
    answers = encoded("done", {"wanted": []}) + encoded("done") + encoded("done", body=result.encode())
    (device.folder / "listens").touch()
    device.mode("says:" + hello + answers.decode())
    assert bench_on_device(toy_bundle, device.there, **FEW).arms
    with pytest.raises(DeviceError, match="another bundle"):
        bench_on_device(other_bundle, device.there, **FEW)
    device.mode("says:" + hello + answers.decode().replace('"schema_version":2', '"schema_version":7'))
    with pytest.raises(DeviceError, match="is not the result of a benchmark"):
        bench_on_device(toy_bundle, device.there, **FEW)


def test_there_is_no_ssh_here(toy_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no ssh on this machine"):
        bench_on_device(toy_bundle, "pi", **FEW)


def test_arms_are_checked_before_anything_is_sent(device: FakeDevice, toy_bundle: Bundle) -> None:
    with pytest.raises(UsageError):
        bench_on_device(toy_bundle, device.there, **{**FEW, "arms": ["no-such-arm"]})
    assert not (device.folder / "arguments").exists()
    with pytest.raises(UsageError, match="exclude each other"):
        bench_on_device(toy_bundle, device.there, cloud="a:1", serve_at="127.0.0.1", **FEW)
    for address in ("0.0.0.0", "203.0.113.7", "pi.local"):
        with pytest.raises(UsageError):
            bench_on_device(toy_bundle, device.there, serve_at=address, **FEW)


def test_data_that_only_the_device_lacks(device: FakeDevice, toy_bundle: Bundle) -> None:
    with pytest.raises(DataError, match="on user@pi:2022"):
        bench_on_device(toy_bundle, device.there, samples=4, dataset="cifar10", data_folder="/no/such/folder")
