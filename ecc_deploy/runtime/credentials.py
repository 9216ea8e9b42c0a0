"""How a client makes sure of its server, and how it shows the server who it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from ecc_deploy.errors import UsageError
from ecc_deploy.pem import read_authorities, read_pair, read_token

_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|\[(::1|::ffff:127(\.[0-9]{1,3}){3})\]")


@dataclass(frozen=True)
class Credentials:
    """What a client needs to know and to have. Files are PEM, and are read when a client is made.

    ``ca``: certificates of those who may have signed the server's; with it the connection is encrypted. ``cert`` and
    ``key``: the client's own, where the server wants one. ``token``: sent with every request; only through an encrypted
    connection, or to this machine itself.

    Raises :class:`UsageError` for parts that do not go together.
    """

    ca: str | Path | None = None
    cert: str | Path | None = None
    key: str | Path | None = None
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise UsageError("a client's certificate and its key go together", "Give --tls-cert and --tls-key.")
        if self.cert is not None and self.ca is None:
            raise UsageError(
                "a client's certificate is for an encrypted connection",
                "Give --tls-ca too: the certificates of those who may have signed the server's.",
            )

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every request."""
        return () if self.token is None else (("authorization", f"Bearer {self.token}"),)

    def to_json(self) -> dict[str, str | None]:
        """What another process of this machine makes the same from: paths, and the token itself."""
        files = {"ca": self.ca, "cert": self.cert, "key": self.key}
        named = {name: None if path is None else str(Path(path).absolute()) for name, path in files.items()}
        return {**named, "token": self.token}

    def opener(self, url: str, options: Sequence[tuple[str, Any]]) -> Callable[[], grpc.Channel]:
        """What opens connections to ``url`` (``host:port``). Files are read now. Raises :class:`UsageError`."""
        if self.ca is None:
            host = url.rpartition(":")[0]
            if self.token is not None and not _LOOPBACK.fullmatch(host):
                raise UsageError(
                    f"the token would go to {host} for everybody on the way to read",
                    "Encrypt the connection: start the server with --tls-cert and --tls-key, and give --tls-ca.",
                )
            return lambda: grpc.insecure_channel(url, options)
        cert, key = (None, None) if self.cert is None or self.key is None else read_pair(self.cert, self.key)
        encrypted = grpc.ssl_channel_credentials(read_authorities(self.ca), key, cert)
        return lambda: grpc.secure_channel(url, encrypted, options)


def load_credentials(
    *,
    ca: str | Path | None = None,
    cert: str | Path | None = None,
    key: str | Path | None = None,
    token_file: str | Path | None = None,
) -> Credentials | None:
    """The credentials of these files; ``None`` where there are none. Raises :class:`UsageError`."""
    if ca is None and cert is None and key is None and token_file is None:
        return None
    return Credentials(ca, cert, key, None if token_file is None else read_token(token_file))


@dataclass(frozen=True)
class Trouble:
    """Why there is no connection, in plain words, where gRPC's own do not say it."""

    message: str
    hint: str
    is_final: bool
    """Trying again would not help."""


def trouble(url: str, credentials: Credentials, detail: str) -> Trouble | None:
    """What the ``detail`` of gRPC's UNAVAILABLE means for a client with these ``credentials``, where that is known."""
    if "certificate has expired" in detail:
        return Trouble("the server's certificate has expired", "Renew it, or set this machine's clock.", True)
    if "certificate is not yet valid" in detail:
        return Trouble("the server's certificate is not yet valid", "Set this machine's clock.", True)
    if "CERTIFICATE_VERIFY_FAILED" in detail:
        return Trouble(
            f"the server's certificate is not signed by one of those in {credentials.ca}",
            "Give the certificate of who signed it: --tls-ca.",
            True,
        )
    if "Hostname Verification Check failed" in detail or "not in peer certificate" in detail:
        return Trouble(
            f"the server's certificate is not for {url.rpartition(':')[0]}",
            "Use a name or an address that the certificate has.",
            True,
        )
    if "WRONG_VERSION_NUMBER" in detail:
        return Trouble(
            "the server does not encrypt", "Start it with --tls-cert and --tls-key, or leave --tls-ca out.", True
        )
    if "Socket closed" in detail or "Connection reset" in detail:
        # Which of both it is, only the server's side knows: the connection just ends.
        if credentials.ca is None:
            return Trouble(
                "the server ends the connection: it may be one that encrypts",
                "Then give --tls-ca, the certificate of who signed the server's.",
                False,
            )
        mine = "it may want a client's certificate" if credentials.cert is None else "it may not take this certificate"
        return Trouble(
            f"the server ends the connection: {mine}",
            "Give --tls-cert and --tls-key, of somebody whom the server trusts (its --tls-client-ca).",
            False,
        )
    return None
