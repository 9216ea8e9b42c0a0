"""Mistakes that are found before the work starts rather than after it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ecc_deploy.errors import UsageError


def output_file(path: Path) -> Path:
    """``path``, if a file can be written there. Raises :class:`UsageError`."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder, and a file is to be written", f"Give --out {path / 'NAME'}.")
    _check_place(path)
    return path


def output_folder(path: Path, option: str = "--out") -> Path:
    """``path``, if a folder is there or can be made. Raises :class:`UsageError`."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, and a folder is to be written", f"Give another {option}.")
    _check_place(path, option)
    return path


def only_with(name: str, value: object, others: Mapping[str, object]) -> None:
    """The options ``others`` mean something only beside ``name``. Raises :class:`UsageError`."""
    given = [other for other, its in others.items() if its is not None]
    if value is None and given:
        raise UsageError(f"{given[0]} is given without {name}", f"It says something about {name}: give both.")


def _check_place(path: Path, option: str = "--out") -> None:
    """The nearest folder above that exists must be one, and be ours to write in."""
    place = next(parent for parent in path.absolute().parents if parent.exists() or parent.is_symlink())
    if not place.is_dir():
        raise UsageError(f"{path} cannot be written: {place} is not a folder", f"Give another {option}.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"{path} cannot be written: {place} is not writable for you", f"Give another {option}.")
