"""Bundles on a device: files by their SHA-256, so that only what changed is sent; bundles whole or not at all.

``files/HASH`` holds contents, ``bundles/HASH`` bundles by the hash of their manifest, made of hard links to them, and
``work`` what is being made. The folder may be removed at any time.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ecc_deploy.bundle import Bundle, Manifest, hash_file, open_bundle
from ecc_deploy.bundle.store import MANIFEST, read_manifest
from ecc_deploy.closing import Closing
from ecc_deploy.errors import BundleError, DeviceError
from ecc_deploy.user_cache import user_cache

MAX_BYTES = 4 << 30
"""Of all bundles: what was not used for the longest time goes first."""
RESERVE_BYTES = 32 << 20
"""What stays free on the disk."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class DeviceStore(Closing):
    """The store of this user. One process at a time: two benchmarks on one device would measure each other.

    Raises :class:`DeviceError` where another one holds it, or where the folder cannot be written.
    """

    def __init__(self, folder: Path | None = None, *, max_bytes: int = MAX_BYTES) -> None:
        self.folder = folder or user_cache("device")
        self._max_bytes = max_bytes
        self._offered: tuple[bytes, Manifest] | None = None
        with _told(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._lock)
                raise DeviceError(
                    "another benchmark is running on this device, for the same user",
                    "Two at the same time would measure each other: wait until it has ended.",
                ) from None
            shutil.rmtree(self.folder / "work", ignore_errors=True)  # of a process that was killed
            for name in ("files", "bundles", "work"):
                (self.folder / name).mkdir(exist_ok=True)

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def offer(self, document: bytes) -> list[str]:
        """Take a manifest; the hashes of the files that are to be sent.

        Raises :class:`BundleError` for what is no manifest, :class:`DeviceError` where the disk has no room.
        """
        with _told(self.folder), self._workplace() as work:
            (work / MANIFEST).write_bytes(document)
            manifest = read_manifest(work)
            sizes = {facts.sha256: facts.bytes for facts in manifest.files.values()}
            wanted = {sha256: size for sha256, size in sizes.items() if not self._has(sha256, size)}
            needed, free = sum(wanted.values()), shutil.disk_usage(self.folder).free
        if wanted and needed + RESERVE_BYTES > free:
            raise DeviceError(
                f"the disk is too full: {_mib(needed)} MiB are to come, {_mib(RESERVE_BYTES)} stay free, and "
                f"{_mib(free)} are free in {self.folder}",
                "Make room there, or name another folder by XDG_CACHE_HOME on the device.",
            )
        self._offered = (document, manifest)
        return sorted(wanted)

    def receive(self, sha256: str, size: int, chunks: Iterator[bytes]) -> None:
        """Store one file, whole or not at all. Raises :class:`DeviceError` where it is not what was announced."""
        known = {(facts.sha256, facts.bytes) for facts in self._offer[1].files.values()}
        if not _SHA256.fullmatch(sha256) or (sha256, size) not in known:
            raise DeviceError("a file came that the manifest does not list")
        with _told(self.folder):
            handle, name = tempfile.mkstemp(dir=self.folder / "work")
            digest, left = hashlib.sha256(), size
            try:
                with os.fdopen(handle, "wb") as stream:
                    while left > 0:
                        chunk = next(chunks, b"")
                        if not chunk or len(chunk) > left:
                            raise DeviceError("a file came with another size than was announced")
                        digest.update(chunk)
                        stream.write(chunk)
                        left -= len(chunk)
                if digest.hexdigest() != sha256:
                    raise DeviceError("a file came with another SHA-256 than was announced", "Try again.")
                Path(name).replace(self.folder / "files" / sha256)
            finally:
                Path(name).unlink(missing_ok=True)

    def bundle(self) -> Bundle:
        """The offered bundle, verified. Raises :class:`BundleError` where a file is missing or damaged."""
        document, manifest = self._offer
        place = self.folder / "bundles" / hashlib.sha256(document).hexdigest()
        with _told(self.folder):
            with suppress(BundleError):
                found = open_bundle(place)
                os.utime(place)
                return found
            with self._workplace() as work:
                made = work / "bundle"
                for name, facts in manifest.files.items():
                    (made / name).parent.mkdir(parents=True, exist_ok=True)
                    _link(self.folder / "files" / facts.sha256, made / name)
                (made / MANIFEST).write_bytes(document)
                open_bundle(made)
                shutil.rmtree(place, ignore_errors=True)
                made.replace(place)
            self._make_room(place)
            return open_bundle(place)

    @property
    def _offer(self) -> tuple[bytes, Manifest]:
        if self._offered is None:
            raise DeviceError("no bundle was offered")
        return self._offered

    def _has(self, sha256: str, size: int) -> bool:
        path = self.folder / "files" / sha256
        if not path.is_file():
            return False
        if path.stat().st_size == size and hash_file(path).sha256 == sha256:
            return True
        path.unlink()  # damaged: bundles that link to it are found damaged too, and are made again
        return False

    def _make_room(self, newest: Path) -> None:
        """Bundles beyond the limit go, then files that belong to none."""
        kept = sorted((self.folder / "bundles").iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        total, used = 0, set()
        for path in kept:
            names = {file.name: file for file in path.rglob("*") if file.is_file()}
            total += sum(file.stat().st_size for file in names.values())
            if path != newest and total > self._max_bytes:
                shutil.rmtree(path, ignore_errors=True)
                continue
            with suppress(BundleError):
                used |= {facts.sha256 for facts in read_manifest(path).files.values()}
        for file in (self.folder / "files").iterdir():
            if file.name not in used:
                file.unlink(missing_ok=True)

    @contextmanager
    def _workplace(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.folder / "work") as name:
            yield Path(name)


def _link(source: Path, place: Path) -> None:
    try:
        place.hardlink_to(source)
    except FileNotFoundError:
        raise BundleError(f"a file of the bundle did not arrive: {place.name}") from None
    except OSError:  # not every file system has hard links
        shutil.copyfile(source, place)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DeviceError(f"the disk became full in {folder}", "Make room there, and try again.") from error
        raise DeviceError(
            f"{folder} cannot be used: {error.strerror or error}",
            "Name another folder by XDG_CACHE_HOME on the device.",
        ) from error


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.1f}"
