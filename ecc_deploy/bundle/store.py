"""Bundles on disk: writing one whole, opening one only if every byte is what the manifest says."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ecc_deploy.bundle import signing
from ecc_deploy.bundle.manifest import File, Manifest, canonical
from ecc_deploy.errors import BundleError

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
MADE_AGAIN = "The bundle was changed or damaged after it was made: copy or export it again."


@dataclass(frozen=True)
class Bundle:
    """A verified bundle."""

    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """The path of a file that the manifest lists."""
        if name not in self.manifest.files:
            raise BundleError(f"{self.path} lists no file {name!r}")
        return self.path / name


def hash_file(path: Path) -> File:
    """Size and SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return File(sha256=digest.hexdigest(), bytes=path.stat().st_size)


def _document(manifest: Manifest) -> bytes:
    """``manifest.json``: the manifest, its pair_id, and a digest over both, so that no edit goes unseen."""
    facts = {**manifest.model_dump(mode="json"), "pair_id": manifest.pair_id}
    return canonical({**facts, "digest": hashlib.sha256(canonical(facts)).hexdigest()})


def write_bundle(out: Path, fill: Callable[[Path], Manifest]) -> Bundle:
    """Make a bundle at ``out``: ``fill`` writes the files into the folder it is given and returns the manifest.

    The bundle appears whole or not at all. A bundle that stands at ``out`` is replaced; anything else there is an
    error, :class:`BundleError`.
    """
    if out.exists() and not (out / MANIFEST).is_file():
        raise BundleError(f"{out} exists and is not a bundle", "Give another --out, or remove it.")
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    try:
        manifest = fill(work)
        (work / MANIFEST).write_bytes(_document(manifest))
        work.chmod(0o755)
        if out.exists():
            old = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-old-"))
            out.replace(old / "bundle")
            work.replace(out)
            shutil.rmtree(old)
        else:
            work.replace(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Bundle(out, manifest)


def open_bundle(path: str | Path, verify_key: str | Path | None = None) -> Bundle:
    """Open a bundle and verify all of it. Raises :class:`BundleError` naming what is wrong.

    ``verify_key``: a public key, or a folder of them, one of which must have signed the bundle; see
    :mod:`~ecc_deploy.bundle.signing`. ``None``: what the environment variable ``ECC_DEPLOY_VERIFY_KEY`` says, where it
    is set; ``""``: signatures are not looked at.
    """
    path = Path(path)
    trusted = os.environ.get(signing.VERIFY_KEY, "") if verify_key is None else verify_key
    text = manifest_bytes(path)
    if str(trusted):
        signing.verify(path, text, trusted)
    return Bundle(path, _verify_files(path, _parse(path / MANIFEST, text)))


def read_manifest(path: Path) -> Manifest:
    """The manifest of the bundle at ``path``; its files are not looked at. Raises :class:`BundleError`."""
    return _parse(path / MANIFEST, manifest_bytes(path))


def manifest_bytes(path: Path) -> bytes:
    """The manifest of the bundle at ``path``, unread. Raises :class:`BundleError` for what cannot be one."""
    source = path / MANIFEST
    try:
        # A pipe or a device in its place would never end.
        if not stat.S_ISREG(source.stat().st_mode):
            raise BundleError(f"{source} is not a file", MADE_AGAIN)
        with source.open("rb") as stream:
            text = stream.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise BundleError(
            f"{path} is not a bundle: {MANIFEST} cannot be read ({error.strerror})",
            "`ecc-deploy export RUN --out BUNDLE` makes one.",
        ) from error
    if len(text) > MAX_MANIFEST_BYTES:
        raise BundleError(f"{source} is larger than {MAX_MANIFEST_BYTES} bytes", MADE_AGAIN)
    return text


def _parse(source: Path, text: bytes) -> Manifest:
    try:
        facts = json.loads(text)
        version = facts.get("schema_version")
        pair_id, digest = facts.pop("pair_id"), facts.pop("digest")
        if version != 1:
            raise BundleError(
                f"{source} has schema version {version!r}; this ecc-deploy reads version 1",
                "Use the ecc-deploy that made the bundle, or export it again.",
            )
        manifest = Manifest.model_validate_json(json.dumps(facts))
        document = _document(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "(file)"
        raise BundleError(f"{source} is not a valid manifest: {where}: {first['msg']}", MADE_AGAIN) from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise BundleError(f"{source} is not a manifest: {type(error).__name__}: {error}", MADE_AGAIN) from error
    if text != document:
        raise BundleError(f"{source} was edited: its digest is {digest!r} for pair {pair_id!r}", MADE_AGAIN)
    return manifest


def _verify_files(path: Path, manifest: Manifest) -> Manifest:
    root = path.resolve()
    for name, facts in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise BundleError(f"{file} is missing", MADE_AGAIN)
        if not file.resolve().is_relative_to(root):
            raise BundleError(f"{file} leads out of the bundle", MADE_AGAIN)
        size = file.stat().st_size
        if size != facts.bytes:
            raise BundleError(f"{file} has {size} bytes, the manifest says {facts.bytes}", MADE_AGAIN)
        try:
            found = hash_file(file)
        except OSError as error:
            raise BundleError(f"{file} cannot be read: {error.strerror}") from error
        if found.sha256 != facts.sha256:
            raise BundleError(
                f"{file} is not the file that the manifest lists: its SHA-256 is {found.sha256[:12]}…, "
                f"not {facts.sha256[:12]}…",
                MADE_AGAIN,
            )
    return manifest
