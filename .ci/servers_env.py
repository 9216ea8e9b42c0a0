"""Other servers, each in a virtual environment of its own, because their pins clash with ours and with one another.

    python .ci/servers_env.py              # makes .servers/triton, .servers/ray, .servers/kserve
    python .ci/servers_env.py ray          # one of them

What is there already, made of the same pins by the same Python, is kept. Exit code 1 where one cannot be made: it says
why, and leaves nothing half made.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = Path(__file__).resolve().parent / "servers"
SERVERS = ROOT / ".servers"
NAMES = ("triton", "ray", "kserve")
OURS = ("ray", "kserve")
"""Those that run this package; Triton runs what was exported."""
STUBS = tuple((3, minor) for minor in range(8, 13))
"""Versions of Python that the wheel's Python backend and its numpy are for."""


class UnavailableError(Exception):
    """Why an environment cannot be had here."""


def make(name: str) -> str:
    """Make the environment ``name``; returns what was done. Raises :class:`UnavailableError`."""
    folder, pins = SERVERS / name, PINS / f"{name}.txt"
    made_of = f"{hashlib.sha256(pins.read_bytes()).hexdigest()} {sys.version} {ROOT}\n"
    stamp = folder / ".made"
    if stamp.is_file() and stamp.read_text() == made_of:
        return "is there"
    if name == "triton":
        _check_triton()
    started = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    try:
        _run(sys.executable, "-m", "venv", str(folder))
        python = str(folder / "bin/python")
        _pip(python, "--requirement", str(pins))
        if name in OURS:
            _pip(python, "--no-build-isolation", "--editable", str(ROOT))
        if name == "triton":
            _lay_out_triton(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    stamp.write_text(made_of)
    return f"made in {time.monotonic() - started:.0f} s"


def _check_triton() -> None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise UnavailableError("the wheel nvidia-pytriton 0.7.0 is for x86-64 Linux")
    if sys.version_info[:2] not in STUBS:
        raise UnavailableError(f"its Python backend is not for Python {sys.version_info[0]}.{sys.version_info[1]}")
    library = Path(sysconfig.get_config_var("LIBDIR") or "") / (sysconfig.get_config_var("INSTSONAME") or "")
    if not sysconfig.get_config_var("Py_ENABLE_SHARED") or not library.is_file():
        raise UnavailableError("its Python backend needs an interpreter with a shared library (libpython3.so)")


def _lay_out_triton(folder: Path) -> None:
    """The Python backend as Triton wants to find it: with the stub of this interpreter."""
    (wheel,) = folder.glob("lib/python*/site-packages/pytriton/tritonserver")
    target = folder / "backends/python"
    shutil.copytree(wheel / "backends/python", target, ignore=shutil.ignore_patterns("__pycache__"))
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    shutil.copy(wheel / "python_backend_stubs" / version / "triton_python_backend_stub", target)


def _pip(python: str, *what: str) -> None:
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-deps", "--no-compile"]
    _run(*command, "--progress-bar", "off", *what)


def _run(*command: str) -> None:
    # Not the caller's constraints: they are for our own environment.
    environment = {name: value for name, value in os.environ.items() if name not in ("PIP_CONSTRAINT", "PYTHONPATH")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        words = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise UnavailableError(f"`{' '.join(command[:6])} ...` failed with exit code {done.returncode}:\n{words}")


def main() -> int:
    """Exit code 0: all are there; 1: not all of them can be made; 2: there is no such server."""
    wanted = sys.argv[1:] or NAMES
    if strange := set(wanted) - set(NAMES):
        print(f"there is no server {sorted(strange)[0]!r}; known are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    failed = False
    for name in wanted:
        try:
            print(f".servers/{name} {make(name)}", flush=True)
        except UnavailableError as error:
            failed = True
            print(f"ERROR: .servers/{name} CANNOT BE MADE: {error}", file=sys.stderr, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
