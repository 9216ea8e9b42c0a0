"""``ecc-deploy sign``"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ecc_deploy.cli import terminal
from ecc_deploy.errors import UsageError

PASSWORD = "ECC_DEPLOY_KEY_PASSWORD"


def sign(
    bundle: Annotated[Path | None, typer.Argument(metavar="[BUNDLE]", help="Bundle to sign.")] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="KEY", help="Private key to sign with.")] = None,
    new_key: Annotated[
        Path | None,
        typer.Option("--new-key", metavar="KEY", help="Make a key pair instead: KEY, to be kept secret, and KEY.pub."),
    ] = None,
    password: Annotated[
        bool,
        typer.Option("--password", help=f"The private key is encrypted: ask for its password, or take ${PASSWORD}."),
    ] = False,
) -> None:
    """Sign a bundle, or make the key to do so.

    Whoever has KEY.pub can then make sure that the bundle is yours and unchanged, by --verify-key of serve, run, bench,
    evaluate and compile.
    """
    from ecc_deploy.bundle import signing

    if new_key is not None and bundle is None and key is None:
        public = signing.new_key(new_key, _password(is_new=True) if password else None)
        terminal.show(f"Wrote {new_key} (keep it secret) and {new_key}.pub: {public}")
    elif bundle is not None and key is not None and new_key is None:
        public = signing.sign_bundle(bundle, key, _password(is_new=False) if password else None)
        terminal.show(f"Signed {bundle} by {public}")
    else:
        raise UsageError(
            "a bundle is signed with a key, or a key is made",
            "Either: ecc-deploy sign BUNDLE --key KEY. Or: ecc-deploy sign --new-key KEY.",
        )


def _password(is_new: bool) -> bytes:
    given = os.environ.get(PASSWORD)
    if given is None:
        if sys.stdin is None or not sys.stdin.isatty():
            raise UsageError("there is nobody here to ask for the password", f"Set {PASSWORD}.")
        given = typer.prompt("Password of the key", hide_input=True, confirmation_prompt=is_new, err=True)
    if not given:
        raise UsageError("the password is empty", "Leave --password out for a key that is not encrypted.")
    return str(given).encode()
