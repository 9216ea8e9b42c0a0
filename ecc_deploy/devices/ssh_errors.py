"""From what OpenSSH says when it fails to what is wrong and what to do."""

from __future__ import annotations

from ecc_deploy.devices.destination import Destination
from ecc_deploy.devices.frames import shown
from ecc_deploy.errors import DeviceError, EccError

SSH_FAILED = 255
"""Exit code of ssh itself; others are those of the program at the far end."""
_LAST_WORDS = 1500


def explained(destination: Destination, code: int | None, said: str) -> EccError:
    """The error for an ssh that ended with ``code``, having written ``said``."""
    by_hand = destination.command
    for signs, message, hint in (
        (
            ("REMOTE HOST IDENTIFICATION HAS CHANGED",),
            f"{destination} shows another host key than the one that is known: it was set up anew, or it is not it",
            "If it was set up anew, forget the old key (`ssh-keygen -R HOST`, or `-R [HOST]:PORT`), then log in once "
            f"by hand and compare the fingerprint: {by_hand}",
        ),
        (
            ("host key is known for", "Host key verification failed"),
            f"the host key of {destination} is not known, so that it could be anyone",
            f"Log in once by hand, compare the fingerprint with the device's, and answer yes: {by_hand}",
        ),
        (
            ("Permission denied", "Too many authentication failures"),
            f"{destination} accepts none of your keys",
            f"Keys alone are used, and no passphrase is asked for. Put yours there: ssh-copy-id"
            f"{f' -p {destination.port}' if destination.port else ''} {destination.login}; with a passphrase, load it "
            "first: ssh-add.",
        ),
        (
            ("Could not resolve hostname",),
            f"the name {destination.host!r} cannot be resolved",
            "Check the name, or give the IP address; names that end in .local need mDNS (avahi) on both sides.",
        ),
        (
            ("Connection refused",),
            f"{destination} refuses connections: no sshd listens there",
            "Start it on the device (`sudo systemctl enable --now ssh`), or give the right port: user@host:port.",
        ),
        (
            ("No route to host", "Network is unreachable", "onnection timed out", "Operation timed out"),
            f"{destination} cannot be reached",
            f"Is it switched on, and in this network? It must answer: {by_hand}",
        ),
        (
            ("Bad configuration option", "bad configuration options", "Can't open user config file"),
            "ssh does not take its configuration",
            shown(said[-_LAST_WORDS:], _LAST_WORDS),
        ),
    ):
        if code == SSH_FAILED and any(sign in said for sign in signs):
            return DeviceError(message, hint)
    words = "\n".join(shown(line, 400) for line in said[-_LAST_WORDS:].splitlines())
    if code == SSH_FAILED:
        return DeviceError(f"the connection to {destination} broke", words or f"Does this work? {by_hand}")
    how = "did not end" if code is None else f"ended with exit code {code}"
    return DeviceError(f"the program on {destination} {how} before it had answered", words)
