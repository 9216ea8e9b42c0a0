"""One connection through the system's OpenSSH, with one program at its far end.

The program lives exactly as long as the connection: its stdin is ours, and closes when this process ends, however it
ends. So there is nothing to be found and killed on the device later.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import threading
import time
from collections import deque
from pathlib import Path

from ecc_deploy.closing import Closing
from ecc_deploy.devices.destination import Destination
from ecc_deploy.devices.ssh_errors import explained
from ecc_deploy.errors import DeviceError, EccError, UsageError

CONNECT_TIMEOUT_S = 15
_CLOSE_TIMEOUT_S = 12.0
_LAST_LINES, _MAX_LINE_BYTES = 60, 2000

OPTIONS = (
    # Nobody is asked anything: keys or nothing, known hosts or nothing.
    *("BatchMode=yes", "PreferredAuthentications=publickey", "StrictHostKeyChecking=yes", "UpdateHostKeys=no"),
    # What ~/.ssh/config may add for people at a terminal, the device is not to have.
    *("ForwardAgent=no", "ForwardX11=no", "PermitLocalCommand=no", "RemoteCommand=none", "RequestTTY=no", "Tunnel=no"),
    # A connection of its own: a shared one would outlive this process, and its tunnel with it.
    *("ControlMaster=no", "ControlPath=none", "ControlPersist=no"),
    # A device that went away is noticed within a minute; compressing would add to what is measured.
    *(f"ConnectTimeout={CONNECT_TIMEOUT_S}", "ServerAliveInterval=15", "ServerAliveCountMax=4", "Compression=no"),
    *("LogLevel=INFO", "ExitOnForwardFailure=no", "EscapeChar=none"),
)
"""Of every connection; beside them ~/.ssh/config holds: host names, keys, jump hosts, known hosts."""


def ssh_command(
    destination: Destination, remote: str, *, config: Path | None = None, forward: int | None = None
) -> list[str]:
    """The command that runs ``remote``, a line for the device's shell, at ``destination``.

    ``config``: instead of ``~/.ssh/config``. ``forward``: port here that a free port of the device's loopback leads to.
    Raises :class:`UsageError` where there is no ssh here.
    """
    program = shutil.which("ssh")
    if program is None:
        raise UsageError("there is no ssh on this machine", "On Debian and Ubuntu: sudo apt install openssh-client")
    command = [program, "-T"]
    if config is not None:
        command += ["-F", str(config)]
    for option in OPTIONS:
        command += ["-o", option]
    if forward is None:
        command += ["-o", "ClearAllForwardings=yes"]
    else:
        command += ["-R", f"127.0.0.1:0:127.0.0.1:{forward}"]
    if destination.port is not None:
        command += ["-p", str(destination.port)]
    return [*command, "--", destination.login, remote]


class Connection(Closing):
    """A running ssh. Raises :class:`UsageError` where it cannot be started."""

    def __init__(
        self, destination: Destination, remote: str, *, config: Path | None = None, forward: int | None = None
    ) -> None:
        self.destination = destination
        self._forward = forward
        self._said: deque[str] = deque(maxlen=_LAST_LINES)
        self._heard = threading.Condition()
        self._tunnel: int | str | None = None
        self._process = subprocess.Popen(
            ssh_command(destination, remote, config=config, forward=forward),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C reaches this program, which ends the connection in order
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.stdin, self.stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def said(self) -> str:
        """The end of what ssh, and the program at the far end, wrote to stderr."""
        return "\n".join(self._said)

    def tunnel_port(self, timeout_s: float = 20.0) -> int:
        """The device's port that leads here. Raises :class:`DeviceError` where the device allows no tunnel."""
        deadline = time.monotonic() + timeout_s
        with self._heard:
            while self._tunnel is None and self._process.poll() is None and time.monotonic() < deadline:
                self._heard.wait(0.2)
        if isinstance(self._tunnel, int):
            return self._tunnel
        raise DeviceError(
            f"{self.destination} does not open a tunnel back to here ({self._tunnel or 'it did not say why'})",
            "Its sshd must allow it (AllowTcpForwarding). Without a tunnel: --serve-at with an address of this machine "
            "that the device reaches, or --cloud with a server that runs.",
        )

    def failure(self) -> EccError:
        """Why the connection ended, once it has: to be raised."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_TIMEOUT_S)
        self._listener.join(2)
        return explained(self.destination, self._process.poll(), self.said())

    def close(self) -> None:
        """Tell the far end that nothing more comes, and wait until its program has ended; in the worst case, kill."""
        process = self._process
        try:
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            if process.poll() is None:
                drain = threading.Thread(target=self._drain, daemon=True)  # what is in the pipe must not block ssh
                drain.start()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_CLOSE_TIMEOUT_S)
        finally:  # a second Ctrl-C lands here too; the far end then sees its connection close
            if process.poll() is None:
                process.kill()
                process.wait()
            self._listener.join(2)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None and not self._listener.is_alive():
                    pipe.close()

    def _drain(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while os.read(self.stdout, 65536):
                pass

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            pending = b""
            while more := os.read(self._process.stderr.fileno(), 4096):
                *lines, pending = (pending + more).split(b"\n")
                for line in lines:
                    self._note(line)
                pending = pending[:_MAX_LINE_BYTES]
            if pending:
                self._note(pending)
        with self._heard:
            self._heard.notify_all()

    def _note(self, raw: bytes) -> None:
        line = raw[:_MAX_LINE_BYTES].decode(errors="replace").rstrip("\r")
        with self._heard:
            if self._forward is not None and self._tunnel is None:
                found = re.search(
                    rf"Allocated port (\d{{1,5}}) for remote forward to 127\.0\.0\.1:{self._forward}\b", line
                )
                if found:
                    self._tunnel = int(found[1])
                elif "remote port forwarding failed" in line or "remote forward failure" in line:
                    self._tunnel = "it refused the port"
                self._heard.notify_all()
            self._said.append(line)
