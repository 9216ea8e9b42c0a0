"""A device that is a folder, reached by an ssh that is a script."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ecc_deploy.devices.bench import Device

ROOT = Path(__file__).parents[2]
DATASET = "tests.devices.toy_data:make"
"""Of the toy bundle, as the device knows it."""


class FakeDevice:
    """``folder/home`` is its home; ``mode``: what its ssh does, see ``fake_ssh.py``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        (folder / "path").mkdir()
        self.mode("device")
        self.environment(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")

    def mode(self, mode: str) -> None:
        (self.folder / "mode").write_text(mode)

    def environment(self, **values: str) -> None:
        (self.folder / "environment").write_text(json.dumps(values))

    @property
    def arguments(self) -> list[str]:
        """What ssh was given last."""
        return json.loads((self.folder / "arguments").read_text())

    def python(self, place: str) -> Path:
        """Put an interpreter with ecc-deploy at ``place`` of its home."""
        path = self.home / place
        path.parent.mkdir(parents=True)
        path.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        path.chmod(0o755)
        return path

    @property
    def there(self) -> Device:
        """With the Python of the tests."""
        return Device("user@pi:2022", python=sys.executable)


def make_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    """Reached by whatever calls ``ssh`` in this test."""
    folder = tmp_path / "device"
    folder.mkdir()
    programs = tmp_path / "programs"
    programs.mkdir()
    ssh = programs / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).parent / "fake_ssh.py"} "$@"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE_SSH", str(folder))
    return FakeDevice(folder)


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    """See :func:`make_device`."""
    return make_device(tmp_path, monkeypatch)
