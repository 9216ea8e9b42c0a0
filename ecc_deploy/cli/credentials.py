"""The options by which a client is let in, of every verb that talks to a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ecc_deploy.runtime.credentials import Credentials

TlsCa = Annotated[
    Path | None,
    typer.Option("--tls-ca", metavar="FILE", help="Certificates (PEM) of who may have signed the server's; encrypts."),
]
TlsCert = Annotated[
    Path | None,
    typer.Option("--tls-cert", metavar="FILE", help="This client's certificate (PEM), where the server wants one."),
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="The key of --tls-cert (PEM).")]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="File with the token that the server knows this client by."),
]


def read(ca: Path | None, cert: Path | None, key: Path | None, token_file: Path | None) -> Credentials | None:
    """What the options make; ``None`` where none is given. Raises :class:`~ecc_deploy.errors.UsageError`."""
    if (ca, cert, key, token_file) == (None, None, None, None):
        return None
    from ecc_deploy.runtime.credentials import load_credentials

    return load_credentials(ca=ca, cert=cert, key=key, token_file=token_file)
