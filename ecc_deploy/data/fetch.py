"""Datasets from the network: one archive, verified before any of it is used, and nothing left where that fails."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Generator
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from typing import IO, Protocol, runtime_checkable
from urllib.error import URLError

from ecc_deploy.data.archive import Archive, Member, is_whole
from ecc_deploy.data.registry import registered
from ecc_deploy.errors import DataError
from ecc_deploy.progress import Progress, silent

TIMEOUT_S = 30.0
"""The longest silence of the server."""
_CHUNK = 1 << 20
_MEGABYTE = 1_000_000


@runtime_checkable
class Downloadable(Protocol):
    """A dataset's class that knows where its files come from, and where they belong."""

    archive: Archive

    def place(self, folder: Path | None = None) -> Path:
        """The folder of the files for a folder that was given, or for none."""
        ...


def fetch_dataset(name: str, folder: str | Path | None = None, *, progress: Progress = silent) -> Path:
    """Download a dataset from its official address, verify it and unpack it; returns the folder of its files.

    ``folder``: as for :func:`~ecc_deploy.data.registry.load`; ``None`` is the dataset's default place. Where the files
    are there and whole, nothing is downloaded. Raises :class:`DataError`, also for a dataset that cannot be downloaded.
    """
    factory = registered(name)
    if not isinstance(factory, Downloadable):
        how = f"How to get it: {factory.info().how}." if hasattr(factory, "info") else ""
        raise DataError(f"ecc-deploy does not download the dataset {name}", how)
    target = factory.place(None if folder is None else Path(folder))
    fetch_archive(factory.archive, target, progress)
    return target


def fetch_archive(archive: Archive, target: Path, progress: Progress, timeout_s: float = TIMEOUT_S) -> None:
    """Make ``target`` hold the members of ``archive``; other files in it stay as they are.

    Everything happens under a temporary name beside ``target`` and is renamed at the end. Raises :class:`DataError`.
    """
    if is_whole(target, archive.members):
        return
    if target.exists() and not target.is_dir():
        raise DataError(f"{target} is a file, and a folder is to be written", "Give another folder.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as name:
            packed, unpacked = Path(name) / "packed", Path(name) / "unpacked"
            unpacked.mkdir()
            _download(archive, packed, progress, timeout_s)
            _unpack(archive, packed, unpacked, progress)
            if target.is_dir():
                for path in sorted(unpacked.iterdir()):
                    path.replace(target / path.name)
            else:
                unpacked.rename(target)
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror or error}", "Give another folder.") from error


def _download(archive: Archive, path: Path, progress: Progress, timeout_s: float) -> None:
    total = archive.bytes // _MEGABYTE
    digest, done = hashlib.sha256(), 0
    again = "Try again later. Somebody may have changed the file at that address, or what lies in between."
    with path.open("xb") as out, closing(_chunks(archive.url, timeout_s)) as chunks:
        for chunk in chunks:
            done += len(chunk)
            if done > archive.bytes:
                raise DataError(f"{archive.url} has more than the {archive.bytes} bytes of the official file", again)
            digest.update(chunk)
            out.write(chunk)
            progress("Download, MB", min(done // _MEGABYTE, total), total, archive.url)
    if done < archive.bytes:
        raise DataError(f"the download of {archive.url} ended after {done} of {archive.bytes} bytes", "Try again.")
    if digest.hexdigest() != archive.sha256:
        raise DataError(f"{archive.url} is not the official file: its SHA-256 is {digest.hexdigest()}", again)


def _chunks(url: str, timeout_s: float) -> Generator[bytes]:
    request = urllib.request.Request(url, headers={"User-Agent": "ecc-deploy"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            while chunk := response.read(_CHUNK):
                yield chunk
    except (OSError, HTTPException) as error:
        reason = error.reason if type(error) is URLError else error
        raise DataError(f"{url} cannot be downloaded: {reason}", "Check the connection, then try again.") from error


def _unpack(archive: Archive, packed: Path, folder: Path, progress: Progress) -> None:
    """Write the members into ``folder``, each under its own plain name: no name in the archive becomes a path."""
    wanted = {f"{archive.folder}/{name}": name for name in archive.members}
    try:
        with tarfile.open(packed, "r:gz") as tar:
            for entry in tar:
                name = wanted.pop(entry.name, None)
                if name is None:
                    continue
                member = archive.members[name]
                source = tar.extractfile(entry) if entry.isreg() and entry.size == member.bytes else None
                if source is None:
                    raise DataError(f"{entry.name} in {archive.url} is not a file of {member.bytes} bytes")
                _copy(source, folder / name, member)
                progress("Unpack", len(archive.members) - len(wanted), len(archive.members), name)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{archive.url} is not a gzipped tar file: {error}") from error
    if wanted:
        raise DataError(f"{archive.url} lacks {', '.join(wanted)}")


def _copy(source: IO[bytes], path: Path, member: Member) -> None:
    digest = hashlib.sha256()
    with path.open("xb") as out:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            out.write(chunk)
    if digest.hexdigest() != member.sha256:
        raise DataError(f"the SHA-256 of {path.name} in the archive is not that of the official file")
