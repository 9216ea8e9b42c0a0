import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from ecc_deploy.devices.bench import Device
from ecc_deploy.devices.frames import encoded
from ecc_deploy.devices.installing import install_command
from ecc_deploy.errors import DeviceError, UsageError
from tests.devices.conftest import FakeDevice
from tests.devices.test_ending import gone

NAME = "ecc_deploy-9.9-py3-none-any.whl"
PIP = """\
#!/bin/sh
echo "$@" >> "$HOME/pip"
for last; do :; done
test -f "${last%%[*}" && cp "${last%%[*}" "$HOME/arrived"
test ! -e "$HOME/hangs" || sleep 300
test ! -e "$HOME/fails" || { echo "ERROR: No matching distribution found"; exit 1; }
"""
"""The environment's Python, as far as it is asked for pip; ``make test-ssh`` installs with a real one."""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(bytes(range(256)) * 5000)
    return path


@pytest.fixture
def environment(device: FakeDevice) -> Path:
    """That is there already."""
    python = device.home / ".ecc-deploy/venv/bin/python3"
    python.parent.mkdir(parents=True)
    python.write_text(PIP)
    python.chmod(0o755)
    return python


def test_a_wheel_is_installed_in_an_environment_of_its_own(device: FakeDevice, wheel: Path, environment: Path) -> None:
    said: list[str] = []
    there = Device("pi", python=sys.executable, wheel=wheel)
    installed = there.installed("tiny", lambda what, done, total, note="": said.append(note))
    assert installed.python == str(environment)
    assert said == ["environment", "packages", "done"]
    assert (device.home / "arrived").read_bytes() == wheel.read_bytes()
    first, second = (device.home / "pip").read_text().splitlines()
    assert first.endswith(f"{NAME}[tiny]")
    assert "--force-reinstall --no-deps" in second


def test_pip_fails(device: FakeDevice, wheel: Path, environment: Path) -> None:
    (device.home / "fails").touch()
    with pytest.raises(DeviceError, match="installing failed") as raised:
        Device("pi", python=sys.executable, wheel=wheel).installed("tiny")
    assert "a way to a package index" in raised.value.hint
    assert "No matching distribution" in raised.value.hint


def test_an_environment_cannot_be_made(device: FakeDevice, wheel: Path) -> None:
    (device.home / ".ecc-deploy").write_text("a file")
    with pytest.raises(DeviceError, match=r"making .* failed") as raised:
        Device("pi", python=sys.executable, wheel=wheel).installed("tiny")
    assert "python3-venv" in raised.value.hint


def test_pip_ends_with_the_connection(device: FakeDevice, wheel: Path, environment: Path) -> None:
    (device.home / "hangs").touch()
    content = wheel.read_bytes()
    facts = {"name": NAME, "extra": "tiny", "sha256": hashlib.sha256(content).hexdigest()}
    command = ["sh", "-c", install_command(sys.executable)]
    home = {"HOME": str(device.home), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, cwd=device.home, env=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(encoded("install", facts, content))
        process.stdin.flush()
        for line in process.stdout:
            if b"packages" in line:
                break
        process.stdin.close()
        process.wait(40)
        assert gone(device.home)


def test_what_is_no_wheel_is_refused_here(device: FakeDevice, tmp_path: Path) -> None:
    (tmp_path / "other-1.0-py3-none-any.whl").write_bytes(b"")
    for name in ("other-1.0-py3-none-any.whl", NAME, "."):
        with pytest.raises(UsageError):
            Device("pi", wheel=tmp_path / name).installed("onnxruntime")
    assert not (device.folder / "arguments").exists()


def test_a_device_without_python(device: FakeDevice, wheel: Path) -> None:
    with pytest.raises(DeviceError, match="exit code 127"):
        Device("pi", python="no-such-python", wheel=wheel).installed("tiny")


def test_a_python_that_is_too_old(device: FakeDevice, wheel: Path) -> None:
    old = device.folder / "path/python3"
    old.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 8); exec(sys.argv[1])" "$2"\n'
    )
    old.chmod(0o755)
    with pytest.raises(DeviceError, match=r"Python 3\.8 on pi is no Python 3\.10"):
        Device("pi", wheel=wheel).installed("tiny")
