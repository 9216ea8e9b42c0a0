"""Dataset files that are known byte for byte: what they are, and reading them verified."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ecc_deploy.errors import DataError


@dataclass(frozen=True)
class Member:
    """One file of a dataset."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Archive:
    """A gzipped tar file on the network that holds ``folder/NAME`` for each of ``members``; the rest is not used."""

    url: str
    bytes: int
    sha256: str
    folder: str
    members: Mapping[str, Member]


# Files that this process has hashed already, by what changes when a file does.
_verified: set[tuple[str, int, int, int, str]] = set()


def read_verified(path: Path, member: Member, hint: str) -> bytes:
    """The content of a file that must be ``member``. Raises :class:`DataError`, with ``hint``.

    A file is hashed once per process, and again when its size, inode or time of change is another.
    """
    try:
        with path.open("rb") as stream:
            stat = os.fstat(stream.fileno())
            if stat.st_size != member.bytes:
                raise DataError(f"{path} has {stat.st_size} bytes, and must have {member.bytes}", hint)
            content = stream.read()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", hint) from error
    seen = (str(path), stat.st_size, stat.st_ino, stat.st_mtime_ns, member.sha256)
    if seen not in _verified:
        if hashlib.sha256(content).hexdigest() != member.sha256:
            raise DataError(f"{path} is damaged: its SHA-256 is not that of the official file", hint)
        _verified.add(seen)
    return content


def is_there(folder: Path, members: Mapping[str, Member]) -> bool:
    """Whether all files are in ``folder`` with their sizes."""
    paths = {folder / name: member for name, member in members.items()}
    return all(path.is_file() and path.stat().st_size == member.bytes for path, member in paths.items())


def is_whole(folder: Path, members: Mapping[str, Member]) -> bool:
    """Whether all files are in ``folder``, byte for byte."""
    try:
        return all(read_verified(folder / name, member, "") for name, member in members.items())
    except DataError:
        return False
