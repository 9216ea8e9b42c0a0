"""Stands in for ``ssh`` on PATH: the device is a folder of this machine, or fails as OpenSSH would tell it.

What it is to do stands in ``$FAKE_SSH``, a folder: ``mode``, and ``arguments``, which it writes.
"""

import json
import os
import sys
from pathlib import Path

FAILURES = {
    "unknown-key": "No ED25519 host key is known for [pi]:22 and you have requested strict checking.\n"
    "Host key verification failed.",
    "changed-key": "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key for pi has changed and you have "
    "requested strict checking.\nHost key verification failed.",
    "refused-key": "user@pi: Permission denied (publickey).",
    "no-name": "ssh: Could not resolve hostname pi: Name or service not known",
    "no-sshd": "ssh: connect to host pi port 22: Connection refused",
    "no-route": "ssh: connect to host pi port 22: No route to host",
    "slow": "ssh: connect to host pi port 22: Connection timed out",
    "bad-config": "/home/me/.ssh/config: line 3: Bad configuration option: hostnam",
    "dropped": "client_loop: send disconnect: Broken pipe",
}


def main() -> None:
    folder = Path(os.environ["FAKE_SSH"])
    arguments = sys.argv[1:]
    (folder / "arguments").write_text(json.dumps(arguments))
    mode = (folder / "mode").read_text()
    if mode in FAILURES:
        print(FAILURES[mode], file=sys.stderr)
        sys.exit(255)
    if "-R" in arguments:
        port = arguments[arguments.index("-R") + 1].rpartition(":")[2]
        refused = "Warning: remote port forwarding failed for listen port 0"
        allowed = f"Allocated port {port} for remote forward to 127.0.0.1:{port}"
        print(refused if mode == "no-tunnel" else allowed, file=sys.stderr, flush=True)
    if mode == "chatty":
        print("Welcome to this board!\nIt has no \N{SNOWMAN} today.", flush=True)
    if mode == "garbage":
        sys.stdout.write("x" * 200_000)
        sys.exit(0)
    if mode.startswith("says:"):
        sys.stdout.write(mode.removeprefix("says:"))
        sys.stdout.flush()
        if (folder / "listens").exists():
            sys.stdin.read()
        sys.exit(0)
    home = folder / "home"
    environment = {"HOME": str(home), "PATH": f"{folder / 'path'}:/usr/bin:/bin", "SHELL": "/bin/sh"}
    extra = folder / "environment"
    if extra.exists():
        environment |= json.loads(extra.read_text())
    os.chdir(home)
    os.execve("/bin/sh", ["sh", "-c", arguments[-1]], environment)


if __name__ == "__main__":
    main()
