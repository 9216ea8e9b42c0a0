"""Certificates, keys and tokens from files, checked when they are read: gRPC would only say that no connection came."""

from __future__ import annotations

import os
import re
import ssl
import stat
from pathlib import Path

from ecc_deploy.errors import UsageError

MAX_BYTES = 1 << 20
"""Of a file with certificates or tokens."""
_TOKEN = re.compile(r"[!-~]{16,256}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def read_authorities(path: str | Path) -> bytes:
    """The certificates (PEM) of those whose signature is trusted. Raises :class:`UsageError`."""
    content = _read(path)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=content.decode("ascii", "replace"))
        if not context.cert_store_stats()["x509"]:
            raise ssl.SSLError("no certificate")
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(f"{path} has no certificate in PEM form", "It begins with -----BEGIN CERTIFICATE-----.") from (
            error
        )
    return content


def read_pair(cert: str | Path, key: str | Path) -> tuple[bytes, bytes]:
    """A certificate with its chain, and its private key without a passphrase (PEM). Raises :class:`UsageError`."""
    contents = _read(cert), _read(key)

    def no_passphrase() -> str:
        raise UsageError(f"the key {key} has a passphrase", "A server cannot be asked for it: store the key without.")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, no_passphrase)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(
            f"{cert} and {key} are not a certificate and its key in PEM form ({getattr(error, 'reason', error)})",
            "The first has the certificate and those that signed it, the second the private key that belongs to it.",
        ) from error
    return contents


def read_tokens(path: str | Path) -> dict[str, str]:
    """The tokens of a server, by name: a line each, ``NAME TOKEN``; ``#`` begins a comment.

    Raises :class:`UsageError` for a file that others can read, or that says something else. No message shows a token.
    """
    lines = _lines(path)
    tokens: dict[str, str] = {}
    for number, words in lines:
        if len(words) != 2 or not _NAME.fullmatch(words[0]) or not _TOKEN.fullmatch(words[1]):
            raise UsageError(f"line {number} of {path} is not NAME TOKEN", _FORM)
        if words[0] in tokens or words[1] in tokens.values():
            raise UsageError(f"line {number} of {path} repeats a name or a token", "Each client has its own.")
        tokens[words[0]] = words[1]
    if not tokens:
        raise UsageError(f"{path} has no token", _FORM)
    return tokens


def read_token(path: str | Path) -> str:
    """The one token of a client: ``TOKEN``, or its line of the server's file. Raises as :func:`read_tokens`."""
    lines = _lines(path)
    if len(lines) != 1 or len(lines[0][1]) > 2 or not _TOKEN.fullmatch(lines[0][1][-1]):
        raise UsageError(
            f"{path} does not have one token", f"A client's file has one line, TOKEN or NAME TOKEN. {_FORM}"
        )
    return lines[0][1][-1]


_FORM = (
    "A token has 16 to 256 printable ASCII characters without spaces, for example from: "
    'python -c "import secrets; print(secrets.token_urlsafe())"'
)


def _lines(path: str | Path) -> list[tuple[int, list[str]]]:
    text = _read(path).decode("utf-8", "replace")
    if os.name == "posix" and stat.S_IMODE(Path(path).stat().st_mode) & stat.S_IRWXO:
        raise UsageError(f"everybody on this machine can read or write {path}", f"Run: chmod o= {path}")
    lines = [(number, line.partition("#")[0].split()) for number, line in enumerate(text.splitlines(), 1)]
    return [(number, words) for number, words in lines if words]


def _read(path: str | Path) -> bytes:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise UsageError(f"{path} has more than {MAX_BYTES} bytes", "Is it the right file?")
    return content
