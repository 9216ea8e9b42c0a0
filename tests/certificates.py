"""Certificates and tokens for tests, made on the spot."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import trustme

TOKENS = {"kitchen": "kitchen-token-0123456789", "garage": "garage-token-0123456789"}


@dataclass(frozen=True)
class Pair:
    """Files of a certificate and its key."""

    cert: Path
    key: Path


@dataclass
class Authority:
    """Signs certificates, and writes them into ``folder``."""

    folder: Path
    name: str = "ca"
    _ca: trustme.CA = field(default_factory=trustme.CA)

    @property
    def file(self) -> Path:
        """Its own certificate."""
        path = self.folder / f"{self.name}.pem"
        self._ca.cert_pem.write_to_path(path)
        return path

    def sign(self, *names: str, to: str = "server", is_expired: bool = False) -> Pair:
        """A certificate for ``names``; an expired one ended in 2020."""
        times = {}
        if is_expired:
            end = datetime(2020, 1, 2, tzinfo=timezone.utc)
            times = {"not_before": end - timedelta(days=1), "not_after": end}
        issued = self._ca.issue_cert(*(names or ("127.0.0.1", "localhost")), **times)
        pair = Pair(self.folder / f"{to}.pem", self.folder / f"{to}.key")
        pair.cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(pair.key)
        return pair


def token_file(folder: Path, **tokens: str) -> Path:
    """A server's file of ``tokens``, or of :data:`TOKENS`."""
    path = folder / "tokens"
    path.write_text("# who may use the server\n" + "".join(f"{n} {t}\n" for n, t in (tokens or TOKENS).items()))
    path.chmod(0o600)
    return path
