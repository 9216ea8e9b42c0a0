"""Which device: ``user@host``, with a port or without, as ``ssh`` takes it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ecc_deploy.errors import UsageError

# ssh puts user and host into commands of its configuration (ProxyCommand): nothing that a shell would act on.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_HOST = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9._:%-]*")
_FORM = "Write user@host, user@host:port, user@[IPv6 address]:port, or a name of ~/.ssh/config."


@dataclass(frozen=True)
class Destination:
    """Where ssh is to go. ``user`` and ``port``: ``None`` leaves them to the configuration of ssh."""

    host: str
    user: str | None = None
    port: int | None = None

    @property
    def login(self) -> str:
        """``user@host``, the argument of ssh."""
        return f"{self.user}@{self.host}" if self.user else self.host

    @property
    def command(self) -> str:
        """What a person types to log in."""
        return f"ssh -p {self.port} {self.login}" if self.port else f"ssh {self.login}"

    def __str__(self) -> str:
        if self.port is None:
            return self.login
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{f'{self.user}@' if self.user else ''}{host}:{self.port}"


def parse_destination(text: str) -> Destination:
    """Read ``[user@]host[:port]``; an IPv6 address with a port stands in brackets. Raises :class:`UsageError`."""
    user, at, rest = text.rpartition("@")
    if at and not _USER.fullmatch(user):
        raise UsageError(f"{text!r} is no device: {user!r} is no user's name", _FORM)
    if bracketed := re.fullmatch(r"\[([^\]]+)\](?::(\d{1,5}))?", rest):
        host, port = bracketed[1], bracketed[2]
    elif rest.count(":") == 1:
        host, port = rest.split(":")
    else:  # a name, or an IPv6 address without a port
        host, port = rest, None
    if not _HOST.fullmatch(host):
        raise UsageError(f"{text!r} is no device: {host!r} is no host's name", _FORM)
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(f"{text!r} is no device: {port!r} is no port", _FORM)
    return Destination(host, user or None, int(port) if port else None)
