"""Makes a virtual environment on a device and installs a wheel in it. Its text is sent there and run by Python itself.

So it needs nothing but the standard library, and speaks ``frames`` in their simplest form. It ends with its stdin, and
pip with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading

GREETING, PROTOCOL = "ecc-deploy-device ", 1
MAX_WHEEL_BYTES = 256 << 20
MAX_LINE_BYTES = 1 << 16
LAST_WORDS = 3000
VENV = "~/.ecc-deploy/venv"


class Refusal(Exception):  # noqa: N818 - a sentence for the user, and what to do
    """What is wrong, and a hint."""


def say(kind: str, **facts: object) -> None:
    """One frame."""
    os.write(1, json.dumps({"kind": kind, "facts": facts, "bytes": 0}).encode() + b"\n")


def progress(done: int, note: str) -> None:
    """Of the three steps."""
    say("progress", what="Install", done=done, total=3, note=note)


def received() -> tuple[dict, bytes]:
    """What is to be installed: the wheel's facts, and the wheel."""
    while True:
        line = sys.stdin.buffer.readline(MAX_LINE_BYTES)
        if not line:
            sys.exit(1)
        frame = json.loads(line)
        size = int(frame["bytes"])
        if not 0 <= size <= MAX_WHEEL_BYTES:
            raise Refusal("the wheel is too large", "")
        body = sys.stdin.buffer.read(size)
        if len(body) < size:
            sys.exit(1)
        if frame["kind"] == "install":
            return frame["facts"], body


def end_with_stdin() -> None:
    """When nobody is there any more, this process and pip go."""
    while os.read(0, 65536):
        pass
    os.killpg(0, signal.SIGKILL)


def run(command: list[str], what: str, hint: str) -> None:
    """Run a command. Raises :class:`Refusal` with the end of what it said."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode != 0:
        raise Refusal(f"{what} failed", hint + "\n" + done.stdout.decode(errors="replace")[-LAST_WORDS:].strip())


def install() -> str:
    """Do it; the path of the environment's Python."""
    facts, wheel = received()
    threading.Thread(target=end_with_stdin, daemon=True).start()
    name, extra = str(facts["name"]), str(facts["extra"])
    if not re.fullmatch(r"[A-Za-z0-9._+-]{1,200}\.whl", name) or not re.fullmatch(r"[a-z0-9,-]{1,200}", extra):
        raise Refusal("this is no wheel's name, or no extra", "")
    if hashlib.sha256(wheel).hexdigest() != facts["sha256"]:
        raise Refusal("the wheel did not arrive whole", "Try again.")
    venv = os.path.expanduser(VENV)  # noqa: PTH111 - plain enough for any Python
    python = os.path.join(venv, "bin", "python3")  # noqa: PTH118
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name)  # noqa: PTH118
        with open(path, "wb") as stream:  # noqa: PTH123
            stream.write(wheel)
        progress(1, "environment")
        if not os.path.exists(python):  # noqa: PTH110
            on_debian = "On Debian, Ubuntu and Raspberry Pi OS: sudo apt install python3-venv"
            run([sys.executable, "-m", "venv", "--clear", venv], f"making {venv}", on_debian)
        progress(2, "packages")
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--upgrade"]
        needs = (
            "pip fetches the packages that ecc-deploy needs: the device needs a way to a package index, or a pip.conf."
        )
        run([*pip, f"{path}[{extra}]"], "installing", needs)
        # The same version again: pip would leave what is there.
        run([*pip, "--force-reinstall", "--no-deps", path], "installing", needs)
    progress(3, "done")
    return python


def main() -> None:
    """Greet, install, tell."""
    if sys.version_info < (3, 10):  # noqa: UP036 - what the device has is not known before
        version = ".".join(map(str, sys.version_info[:2]))
        print("ecc-deploy-probe 1 Python " + version, flush=True)
        sys.exit(86)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    print(
        GREETING + json.dumps({"protocol": PROTOCOL, "version": "", "code": "", "python": sys.executable}), flush=True
    )
    try:
        say("done", python=install())
    except Refusal as refusal:
        message, hint = refusal.args
        say("error", type="DeviceError", message=message, hint=hint)


if __name__ == "__main__":
    main()
