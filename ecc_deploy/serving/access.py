"""Who may use a server, and that nobody on the way can read along: certificates, tokens, a limit for each client."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import grpc

from ecc_deploy.errors import EccError, UsageError
from ecc_deploy.pem import read_authorities, read_pair, read_tokens
from ecc_deploy.serving.refusal import RefusalError

log = logging.getLogger("ecc_deploy.serving")

MAX_CLIENTS = 10_000
"""Whose rate is remembered; beyond, the one that was not seen for longest is forgotten."""
RELOAD_S = 1.0
"""How often the file of tokens is looked at."""
_BEARER = "Bearer "


@dataclass(frozen=True)
class ServerTls:
    """Files (PEM): the server's certificate with its chain, its key, and who may have signed its clients' certificates.

    With ``client_ca`` only clients with such a certificate are let in (mutual TLS). Files that change are read again
    for the next connection; where they are wrong then, the ones before stay, and the log says so.
    """

    cert: str | Path
    key: str | Path
    client_ca: str | Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """For gRPC. Raises :class:`UsageError` for files that are not what they should be."""
        current = [self._stamp()]

        def changed() -> grpc.ServerCertificateConfiguration | None:
            try:
                if (stamp := self._stamp()) == current[0]:
                    return None
                configuration = self._read()
            except EccError as error:
                # Perhaps only one of two files is there yet: the next connection looks again.
                log.warning("the changed certificate is not used: %s", error.message)
                return None
            current[0] = stamp
            log.info("the certificate was read again")
            return configuration

        return grpc.dynamic_ssl_server_credentials(self._read(), changed, self.client_ca is not None)

    def _read(self) -> grpc.ServerCertificateConfiguration:
        chain, key = read_pair(self.cert, self.key)
        authorities = None if self.client_ca is None else read_authorities(self.client_ca)
        return grpc.ssl_server_certificate_configuration([(key, chain)], authorities)

    def _stamp(self) -> tuple:
        return tuple(_stamp(path) for path in (self.cert, self.key, self.client_ca) if path is not None)


def server_tls(
    cert: str | Path | None, key: str | Path | None, client_ca: str | Path | None = None
) -> ServerTls | None:
    """What these files make, ``None`` where there are none. Raises :class:`UsageError` where one of them is missing."""
    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        raise UsageError(
            "to encrypt, a server needs its certificate and the key of it", "Give both --tls-cert and --tls-key."
        )
    return ServerTls(cert, key, client_ca)


class Tokens:
    """The tokens in a file (see :func:`~ecc_deploy.pem.read_tokens`), read again when it changes.

    Raises :class:`UsageError` as that does.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._stamp: tuple | None = None
        self._digests: list[tuple[str, bytes]] = []
        self._lock = threading.Lock()
        self._look_at = 0.0
        self._load()

    def _load(self) -> None:
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._digests = [(name, _digest(token)) for name, token in read_tokens(self._path).items()]
            self._stamp = stamp

    def name_of(self, metadata: Sequence[tuple[str, str | bytes]]) -> str | None:
        """Whose token a request brings; ``None`` for none that is known."""
        self._reload()
        given = next((value for key, value in metadata if key == "authorization"), "")
        if not isinstance(given, str) or not given.startswith(_BEARER):
            return None
        digest, found = _digest(given[len(_BEARER) :]), None
        # All are compared, each in constant time: how long it takes says nothing about any of them.
        for name, known in self._digests:
            if hmac.compare_digest(digest, known):
                found = name
        return found

    def _reload(self) -> None:
        now = time.monotonic()
        with self._lock:
            if now < self._look_at:
                return
            self._look_at = now + RELOAD_S
        try:
            self._load()
        except EccError as error:
            log.warning("the changed tokens are not used: %s", error.message)


class RateLimit:
    """``rate`` requests per second of each client, and at most one second's worth (at least one) at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate)
        self._lock = threading.Lock()
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str, now: float) -> float:
        """Count a request at ``now`` (seconds): 0 where it may pass, else the seconds until one may."""
        with self._lock:
            left, since = self._clients.pop(client, (self._most, now))
            left = min(self._most, left + (now - since) * self._rate)
            passes = left >= 1
            self._clients[client] = (left - passes, now)
            if len(self._clients) > MAX_CLIENTS:
                self._clients.popitem(last=False)
        return 0.0 if passes else (1 - left) / self._rate

    def __len__(self) -> int:
        return len(self._clients)


class Access:
    """Lets requests in: those with a known token, where there are ``tokens``, at the rate of ``limit``."""

    def __init__(self, tokens: Tokens | None = None, limit: RateLimit | None = None) -> None:
        self._tokens = tokens
        self._limit = limit

    def check(self, context: grpc.aio.ServicerContext, *, counts: bool) -> None:
        """Raises :class:`RefusalError`. ``counts``: whether the request is one that the rate is limited for."""
        name = None
        if self._tokens is not None:
            name = self._tokens.name_of(context.invocation_metadata())
            if name is None:
                raise RefusalError(
                    grpc.StatusCode.UNAUTHENTICATED,
                    "this server wants a token that it knows: the metadata 'authorization' with 'Bearer TOKEN'",
                )
        if counts and self._limit is not None:
            client = f"token {name}" if name is not None else peer_address(context.peer())
            wait_s = self._limit.wait_s(client, time.monotonic())
            if wait_s:
                raise RefusalError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"too many requests of this client; the next is answered in {wait_s:.3g} s",
                )


def peer_address(peer: str) -> str:
    """The address in gRPC's name of a peer, without its port; of IPv6 the network, which is one customer's."""
    kind, _, rest = unquote(peer).partition(":")
    host = rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else rest
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return f"{kind} {host}"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if isinstance(address, ipaddress.IPv6Address) and mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(mapped or address)


def exposure(host: str, tls: ServerTls | None, *, knows_tokens: bool) -> str | None:
    """What somebody who serves at ``host`` should know; ``None`` where only this machine can reach it."""
    try:
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return None
    except ValueError:
        pass  # a name: of this machine in a network
    lacks = []
    if not knows_tokens and (tls is None or tls.client_ca is None):
        lacks.append("whoever reaches it can use it (--token-file, or --tls-client-ca)")
    if tls is None:
        lacks.append("whoever is on the way can read along (--tls-cert and --tls-key)")
    return f"the server listens beyond this machine, at {host}: {', and '.join(lacks)}" if lacks else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _stamp(path: str | Path) -> tuple[int, int, int]:
    try:
        facts = Path(path).stat()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    return facts.st_mtime_ns, facts.st_size, facts.st_ino
