"""Signed bundles: who made this one, provable to whoever has the maker's public key.

A bundle is signed by Ed25519 (RFC 8032) over the bytes of its manifest, which has the SHA-256 of every other file. The
signature is a file of the bundle, :data:`SIGNATURE`, and is verified before anything else of the bundle is read but the
manifest's bytes. Keys are PEM files, as OpenSSL writes them: PKCS #8 the private, SubjectPublicKeyInfo the public one.

A bundle that is exported again is no longer signed. Needs ``cryptography`` (extra ``sign``).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError

from ecc_deploy.atomic import write_file
from ecc_deploy.bundle.fields import Strict
from ecc_deploy.errors import BackendMissingError, BundleError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE = "manifest.sig"
VERIFY_KEY = "ECC_DEPLOY_VERIFY_KEY"
"""Environment variable: the public key, or folder of public keys, without which no bundle is opened."""
MAX_FILE_BYTES = 16 * 1024
"""Of a key or a signature."""
_CONTEXT = b"ecc-deploy bundle manifest, signature version 1\n"
"""In front of what is signed, so that the signature of something else is none of a bundle."""


class Signature(Strict):
    """``manifest.sig``. ``key``: the public key, and ``signature``, both in hexadecimal."""

    algorithm: Literal["ed25519"] = "ed25519"
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


def new_key(path: str | Path, password: bytes | None = None) -> str:
    """Make a key pair: the private one at ``path``, readable for its owner only, the public one at ``path.pub``.

    ``password``: the private key is encrypted by it. Returns the public key in hexadecimal. Raises :class:`UsageError`
    where one of the files exists; :class:`BackendMissingError`.
    """
    serialization = _cryptography().serialization
    private = _cryptography().ed25519.Ed25519PrivateKey.generate()
    path = Path(path)
    public = path.with_name(f"{path.name}.pub")
    for file in (path, public):
        if file.exists() or file.is_symlink():
            raise UsageError(f"{file} exists, and a key is never replaced", "Give another name.")
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    secret = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    text = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # Never wider than 0600, not even for a moment; and never through a link that somebody put there meanwhile.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(secret)
    write_file(public, text)
    return _hex(private.public_key())


def sign_bundle(bundle: str | Path, key: str | Path, password: bytes | None = None) -> str:
    """Sign the bundle by the private key in the file ``key``; another signature is replaced. Returns the public key.

    All of the bundle is verified first. Raises :class:`BundleError`, :class:`UsageError` where the key is none or the
    password is not its own, :class:`BackendMissingError`.
    """
    from ecc_deploy.bundle.store import manifest_bytes, open_bundle

    folder = Path(bundle)
    private = _private(Path(key), password)
    before = manifest_bytes(folder)
    open_bundle(folder, verify_key="")  # what is signed is to be whole; by whom it was signed before does not count
    manifest = manifest_bytes(folder)
    if manifest != before:
        raise BundleError(f"{folder} was changed while it was signed", "Sign it again.")
    signed = Signature(key=_hex(private.public_key()), signature=private.sign(_CONTEXT + manifest).hex())
    write_file(folder / SIGNATURE, (signed.model_dump_json(indent=1) + "\n").encode())
    return signed.key


def verify(folder: Path, manifest: bytes, trusted: str | Path) -> str:
    """Make sure that ``manifest``, the bytes of the bundle's manifest, are signed by a key that is ``trusted``.

    ``trusted``: a public key's file, or a folder, whose files ``*.pub`` are all trusted. Returns the key that signed.
    Raises :class:`BundleError` where that is not so, :class:`UsageError` where there is no such key.
    """
    keys = _trusted(Path(trusted))
    signature = _signature(folder)
    public = keys.get(signature.key)
    if public is None:
        raise BundleError(
            f"{folder} is signed by the key {signature.key[:16]}…, which is not trusted here; trusted: "
            f"{', '.join(f'{key[:16]}…' for key in sorted(keys))}",
            "Get the bundle from who you trust, or, if its maker is to be trusted, add that public key.",
        )
    try:
        public.verify(bytes.fromhex(signature.signature), _CONTEXT + manifest)
    except _cryptography().InvalidSignature:
        raise BundleError(
            f"{folder} was changed after it was signed: the signature does not match its manifest",
            "Get the bundle again; or, if you changed it, sign it again.",
        ) from None
    return signature.key


def _signature(folder: Path) -> Signature:
    file = folder / SIGNATURE
    if not file.exists():
        raise BundleError(
            f"{folder} is not signed, and only signed bundles are wanted",
            "`ecc-deploy sign BUNDLE --key KEY` signs it; an export that replaced it took its signature away.",
        )
    try:
        return Signature.model_validate_json(_read(file))
    except (ValidationError, ValueError) as error:
        raise BundleError(f"{file} is not a signature", "Sign the bundle again.") from error


def _trusted(path: Path) -> dict[str, Ed25519PublicKey]:
    """Public keys by their hexadecimal."""
    files = sorted(path.glob("*.pub")) if path.is_dir() else [path]
    if not files:
        raise UsageError(f"{path} holds no public key (*.pub)", "Copy the public keys there that are to be trusted.")
    keys = [_public(file) for file in files]
    return {_hex(key): key for key in keys}


def _public(file: Path) -> Ed25519PublicKey:
    tools = _cryptography()
    try:
        key = tools.serialization.load_pem_public_key(_read(file))
    except (ValueError, tools.UnsupportedAlgorithm):
        key = None
    if not isinstance(key, tools.ed25519.Ed25519PublicKey):
        raise UsageError(
            f"{file} is not an Ed25519 public key",
            "Give KEY.pub, beside which `ecc-deploy sign --new-key KEY` wrote KEY.",
        )
    return key


def _private(file: Path, password: bytes | None) -> Ed25519PrivateKey:
    tools = _cryptography()
    text = _read(file)
    try:
        key = tools.serialization.load_pem_private_key(text, password)
    except TypeError as error:  # its word for a password that is missing, or not needed
        if password is None:
            raise UsageError(f"the key {file} is encrypted", "Give its password.") from error
        key = tools.serialization.load_pem_private_key(text, None)
    except (ValueError, tools.UnsupportedAlgorithm) as error:
        what = "not a private key" if password is None else "not a private key, or its password is another one"
        raise UsageError(f"{file} is {what}", "`ecc-deploy sign --new-key KEY` makes one.") from error
    if not isinstance(key, tools.ed25519.Ed25519PrivateKey):
        raise UsageError(f"{file} is not an Ed25519 key", "`ecc-deploy sign --new-key KEY` makes one.")
    return key


def _read(file: Path) -> bytes:
    """The bytes of a small file that is one: no pipe that never ends, no device, nothing huge."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise UsageError(f"{file} is not a file")
        with file.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"{file} is larger than {MAX_FILE_BYTES} bytes, so it is neither a key nor a signature")
    return content


def _hex(key: Ed25519PublicKey) -> str:
    return key.public_bytes_raw().hex()


class _Tools:
    """What is used of ``cryptography``."""

    def __init__(self) -> None:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519

        self.InvalidSignature, self.UnsupportedAlgorithm = InvalidSignature, UnsupportedAlgorithm
        self.serialization: Any = serialization
        self.ed25519 = ed25519


def _cryptography() -> _Tools:
    try:
        return _Tools()
    except ModuleNotFoundError as error:
        raise BackendMissingError(
            "signatures need the package cryptography, which is not installed", "Run: pip install 'ecc-deploy[sign]'"
        ) from error
