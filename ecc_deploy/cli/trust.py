"""The option ``--verify-key``, which every verb has that opens a bundle to run it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ecc_deploy.errors import UsageError


def only(path: Path | None) -> None:
    """From now on open only what a key at ``path`` signed. Raises :class:`UsageError` where there is nothing.

    For this process and the servers that it starts, however they open a bundle: none of them can forget it.
    """
    if path is None:
        return
    from ecc_deploy.bundle.signing import VERIFY_KEY

    if not path.exists():
        raise UsageError(f"{path} does not exist, and a public key was to be there", "Give KEY.pub, or a folder.")
    os.environ[VERIFY_KEY] = str(path.absolute())


VerifyKey = Annotated[
    Path | None,
    typer.Option(
        "--verify-key",
        metavar="PUB",
        help="Public key, or folder of them, that must have signed the bundle. Default: $ECC_DEPLOY_VERIFY_KEY.",
    ),
]
