"""ecc-deploy put on a device: into a virtual environment of its own, from a wheel that is sent."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from pathlib import Path

from ecc_deploy.devices import remote_install
from ecc_deploy.devices.destination import Destination
from ecc_deploy.devices.session import Session
from ecc_deploy.errors import DeviceError, UsageError
from ecc_deploy.progress import Progress, silent

MAX_WHEEL_BYTES = remote_install.MAX_WHEEL_BYTES
_NAME = re.compile(r"ecc_deploy-[A-Za-z0-9.+_]+-py3-none-any\.whl")


def install(
    destination: Destination,
    wheel: Path,
    extra: str,
    *,
    python: str | None = None,
    config: Path | None = None,
    progress: Progress = silent,
) -> str:
    """Install ``wheel`` with ``extra`` in ``~/.ecc-deploy/venv`` of the device; the path of its Python there.

    ``python``: what makes the environment; ``None``: ``python3``. What the wheel needs comes from the package index of
    the device. Raises :class:`UsageError` for what is no wheel of ecc-deploy, :class:`DeviceError`.
    """
    content = read_wheel(wheel)
    with Session(destination, command=install_command(python or "python3"), config=config, extra=extra) as session:
        facts = {"name": wheel.name, "extra": extra, "sha256": hashlib.sha256(content).hexdigest()}
        found = session.ask("install", facts, content, progress).facts.get("python")
    if not isinstance(found, str):
        raise DeviceError(f"{destination} does not say where it installed ecc-deploy")
    return found


def read_wheel(wheel: Path) -> bytes:
    """The wheel's content. Raises :class:`UsageError`."""
    hint = "`make wheel` builds dist/ecc_deploy-VERSION-py3-none-any.whl from a checkout."
    if not _NAME.fullmatch(wheel.name):
        raise UsageError(f"{wheel} is no wheel of ecc-deploy", hint)
    try:
        if wheel.stat().st_size > MAX_WHEEL_BYTES:
            raise UsageError(f"{wheel} is larger than {MAX_WHEEL_BYTES} bytes", hint)
        return wheel.read_bytes()
    except OSError as error:
        raise UsageError(f"{wheel} cannot be read: {error.strerror}", hint) from error


def install_command(python: str) -> str:
    """The line for the device's shell: the program's text in characters that no shell acts on."""
    text = base64.b64encode(Path(remote_install.__file__).read_bytes()).decode()
    start = f'import base64; exec(compile(base64.b64decode("{text}"), "install", "exec"))'
    return f"exec {shlex.quote(python)} -c {shlex.quote(start)}"
