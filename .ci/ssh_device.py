"""A device on this machine's loopback: a user of its own, and an sshd of its own, which are gone afterwards.

The user has a virtual environment with nothing in it, and pip's configuration names a folder with what ecc-deploy and
ONNX Runtime need. What was downloaded for that stays in a cache folder; delete it to have it fetched anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from arm_userland import CommandError, run

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".sshd"
SBIN = "/usr/sbin:/sbin:/usr/local/sbin"
PRIVILEGE_SEPARATION = Path("/run/sshd")

SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile none
AllowUsers {user}
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
AllowTcpForwarding yes
"""

# What a user's ~/.ssh/config would say; -F instead, so that this machine's own stays as it is.
SSH = """\
Host {alias}
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {folder}/{key}
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/{known}
    GlobalKnownHostsFile none

"""


class UnavailableError(Exception):
    """This machine cannot be its own device; the text says why."""


@dataclass(frozen=True)
class Device:
    """A user of this machine that ssh reaches.

    Names in ``config``: ``device``; ``stranger``, whose host key is not known; ``keyless``, which takes no key;
    ``boxed``, whose key allows no tunnel.
    """

    config: Path
    home: Path
    user: str
    uid: int

    @property
    def dist(self) -> Path:
        """Where the wheel of this checkout is."""
        return self.config.parent / "dist"

    @property
    def wheel(self) -> Path:
        """What is to be installed."""
        (found,) = self.dist.glob("*.whl")
        return found

    def processes(self) -> dict[int, str]:
        """What runs as the user: process id to command line."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if path.stat().st_uid == self.uid:
                    found[int(path.name)] = (
                        (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    )
        return found


@contextmanager
def opened_device() -> Iterator[Device]:
    """Make the user, its environment and the sshd; undo it all on exit. Raises :class:`UnavailableError`."""
    if os.geteuid() != 0:
        raise UnavailableError("making a user and running sshd for it takes root")
    sshd = _sshd()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ecc-ssh-")))
        folder.chmod(0o755)  # the user's home is in it
        device = stack.enter_context(_user(folder))
        _environment(device)
        port = _free_port()
        _configure(device, folder, port)
        stack.enter_context(_running(sshd, folder, port))
        yield device


def _sshd() -> str:
    if found := shutil.which("sshd", path=SBIN):
        return found
    if Path("/run/systemd/system").exists() or shutil.which("apt-get") is None:
        # where services are run, the package would start one that listens to the network
        raise UnavailableError("there is no sshd (on Debian and Ubuntu: apt install openssh-server)")
    print("Installing openssh-server", flush=True)
    install = ("apt-get", "install", "-y", "--no-install-recommends", "openssh-server")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        try:
            run(install, env=quiet)
        except CommandError:
            run(["apt-get", "update"])
            run(install, env=quiet)
    except CommandError as error:
        raise UnavailableError(f"openssh-server cannot be installed: {error}") from error
    found = shutil.which("sshd", path=SBIN)
    if found is None:
        raise UnavailableError("openssh-server is installed, and there is no sshd")
    return found


@contextmanager
def _user(folder: Path) -> Iterator[Device]:
    name, home = f"ecc-ssh-{secrets.token_hex(3)}", folder / "home"
    # Another than "*" in place of the password is a locked account, which sshd refuses.
    words = (
        "useradd",
        "--no-log-init",
        "--no-create-home",
        "--home-dir",
        home,
        "--shell",
        "/bin/sh",
        "--password",
        "*",
    )
    try:
        run([*words, name])
    except CommandError as error:
        raise UnavailableError(f"a user cannot be made: {error}") from error
    try:
        entry = pwd.getpwnam(name)
        device = Device(folder / "ssh_config", home, name, entry.pw_uid)
        home.mkdir(mode=0o700)
        os.chown(home, entry.pw_uid, entry.pw_gid)
        yield device
    finally:
        for pid in device.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        run(["userdel", name])


def _environment(device: Device) -> None:
    """A bare virtual environment, whose pip finds what it needs in a folder; ecc-deploy is not installed yet."""
    venv = device.home / ".ecc-deploy/venv"
    _make_venv(device, venv)
    pip = (venv / "bin/python", "-m", "pip", "--disable-pip-version-check", "--quiet")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", device.dist], cwd=ROOT)
    wheel = device.wheel
    facts = (
        (ROOT / "constraints.txt").read_bytes()
        + (ROOT / "pyproject.toml").read_bytes()
        + run([venv / "bin/python", "-VV"]).encode()
    )
    kept = CACHE / hashlib.sha256(facts).hexdigest()[:16]
    if not kept.is_dir():
        print("Downloading what the device installs", flush=True)
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as name:
            run([*pip, "download", "-d", name, "-c", ROOT / "constraints.txt", f"{wheel}[onnxruntime]"])
            (Path(name) / wheel.name).unlink(missing_ok=True)  # the checkout's own changes
            shutil.copytree(name, kept)
    wheels = device.home / "wheels"
    shutil.copytree(kept, wheels)
    settings = device.home / ".config/pip/pip.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"[global]\nno-index = true\nfind-links = {wheels}\nno-compile = true\n")
    for path in (wheels, *wheels.iterdir(), device.home / ".config", settings.parent, settings):
        os.chown(path, device.uid, -1)


def _make_venv(device: Device, venv: Path) -> None:
    """With the first Python that the user may run: what belongs to root's home is none."""
    names = ("python3", "python3.13", "python3.12", "python3.11", "python3.10")
    for python in (sys.executable, *(shutil.which(name, path="/usr/local/bin:/usr/bin") for name in names)):
        if python is not None:
            resolved = Path(python).resolve()
            with contextlib.suppress(CommandError):
                _as_user(device, [resolved, "-c", "import sys; sys.exit(sys.version_info < (3, 10))"])
                _as_user(device, [resolved, "-m", "venv", "--clear", venv])
                return
    raise UnavailableError("no Python 3.10 or newer with venv that another user may run (apt install python3-venv)")


def _as_user(device: Device, command: Sequence[str | Path]) -> None:
    words = ("setpriv", f"--reuid={device.uid}", f"--regid={pwd.getpwuid(device.uid).pw_gid}", "--clear-groups")
    run([*words, *command], env={"HOME": str(device.home), "PATH": "/usr/local/bin:/usr/bin:/bin"}, cwd=device.home)


def _configure(device: Device, folder: Path, port: int) -> None:
    for key in ("host_key", "key", "other_key", "boxed_key"):
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", folder / key])
    keys = (folder / "key.pub").read_text() + "restrict " + (folder / "boxed_key.pub").read_text()
    authorized = device.home / ".ssh/authorized_keys"
    authorized.parent.mkdir(mode=0o700)
    authorized.write_text(keys)
    for path in (authorized.parent, authorized):
        os.chown(path, device.uid, -1)
    (folder / "sshd_config").write_text(SSHD.format(port=port, folder=folder, user=device.user))
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host_key.pub').read_text()}")
    (folder / "no_hosts").touch()
    names = {
        "device": ("key", "known_hosts"),
        "stranger": ("key", "no_hosts"),
        "keyless": ("other_key", "known_hosts"),
        "boxed": ("boxed_key", "known_hosts"),
    }
    device.config.write_text(
        "".join(
            SSH.format(alias=alias, port=port, user=device.user, folder=folder, key=key, known=known)
            for alias, (key, known) in names.items()
        )
    )


@contextmanager
def _running(sshd: str, folder: Path, port: int) -> Iterator[None]:
    PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    log = folder / "sshd.log"
    with log.open("wb") as stream:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=stream)
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise UnavailableError(f"sshd does not run: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])
