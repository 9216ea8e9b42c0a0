"""Compiled halves in the user's cache folder: what was compiled once is not compiled again.

A half is found by a digest of all that decides how it comes out: graph and weights, every field of the job (the
calibration samples among them), the calibration recipe, the toolchain's versions, the code here, the machine's kind.
One file per half, a zip that holds the compiled files, what the manifest says of them, and their SHA-256. It appears
whole or not at all, and a damaged one is not used. The folder may be removed at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ecc_deploy.atomic import replacing
from ecc_deploy.backends.interface import HalfSource, Job
from ecc_deploy.backends.registry import load_compiler
from ecc_deploy.bundle import Half
from ecc_deploy.bundle.fields import FileName, Sha256
from ecc_deploy.errors import UsageError
from ecc_deploy.export.identity import Traced, code_identity, machine, plain, traced
from ecc_deploy.quantization.calibration import CalibrationRecipe
from ecc_deploy.user_cache import user_cache

MAX_BYTES = 2 << 30
"""Of the whole folder: what was not used for the longest time goes first."""
_FACTS = "half.json"
_MAX_FACTS_BYTES = 1 << 20


def cache_folder() -> Path:
    """Where compiled halves are kept."""
    return user_cache("halves")


def half_key(
    source: HalfSource, graph: Traced, job: Job, recipe: CalibrationRecipe, backend: str, versions: Mapping[str, str]
) -> str:
    """The digest that a compiled half is found by; 64 hex digits. ``graph``: of the source's module."""
    facts = {
        "backend": backend,
        "half": {field.name: plain(getattr(source, field.name)) for field in fields(source) if field.name != "module"},
        "graph": graph.digest,
        "job": plain(job),
        "calibration": plain(recipe),
        "versions": dict(versions),
        "code": code_identity(backend),
        "machine": machine(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid")

    half: Half
    files: dict[FileName, Sha256]


class HalfCache:
    """Compiled halves by the digest of :func:`half_key`."""

    def __init__(self, folder: Path | None = None, max_bytes: int = MAX_BYTES) -> None:
        """``folder``: another than the user's."""
        self.folder, self._max_bytes = folder or cache_folder(), max_bytes

    def take(self, key: str, out: Path) -> Half | None:
        """Write the files of the half ``key`` to the bundle at ``out``; ``None`` where it is absent, or damaged."""
        path = self._path(key)
        try:
            with zipfile.ZipFile(path) as kept:
                facts, contents = _read(kept)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
            with suppress(OSError):
                path.unlink()  # the next half with this key takes its place
            return None
        for name, content in contents.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(content)
        with suppress(OSError):
            os.utime(path)
        return facts.half

    def keep(self, key: str, half: Half, out: Path, names: list[str]) -> None:
        """Keep ``half``, whose files are ``names`` in the bundle at ``out``.

        Raises :class:`UsageError` where the folder cannot be written.
        """
        contents = {name: (out / name).read_bytes() for name in names}
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        facts = _Facts(half=half, files=digests).model_dump_json().encode()
        try:
            with replacing(self._path(key)) as work, zipfile.ZipFile(work, "w") as kept:
                kept.writestr(zipfile.ZipInfo(_FACTS), facts)
                for name, content in contents.items():
                    kept.writestr(zipfile.ZipInfo(name), content)
            self._make_room()
        except OSError as error:
            raise UsageError(
                f"compiled halves cannot be kept in {self.folder}: {error.strerror}",
                "Choose another cache folder with XDG_CACHE_HOME, or export without one: --no-cache.",
            ) from error

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.half"

    def _make_room(self) -> None:
        found: list[tuple[float, int, Path]] = []
        for path in self.folder.glob("*.half"):
            with suppress(FileNotFoundError):  # another process makes room too
                found.append((path.stat().st_mtime, path.stat().st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found)[:-1]:  # the newest stays, however large
            if total <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size


def _read(kept: zipfile.ZipFile) -> tuple[_Facts, dict[str, bytes]]:
    """Everything in one file of the cache. Raises ValueError where it is not what was kept."""
    if kept.getinfo(_FACTS).file_size > _MAX_FACTS_BYTES:
        raise ValueError("too large")
    try:
        facts = _Facts.model_validate_json(kept.read(_FACTS))
    except ValidationError as error:
        raise ValueError("not a half") from error
    contents = {name: kept.read(name) for name in facts.files}
    if facts.half.file not in contents:
        raise ValueError("the half has no file")
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != facts.files[name]:
            raise ValueError(f"{name} was changed")
    return facts, contents


def compile_half(
    backend: str, source: HalfSource, out: Path, job: Job, recipe: CalibrationRecipe, cache: HalfCache | None
) -> tuple[Half, bool]:
    """Compile ``source`` into the bundle at ``out``, or take it from ``cache``; and whether it came from there.

    ``recipe``: what the job's calibration was drawn by. What the manifest says of the half has its ``weights``, where
    they are known. Raises what the backend's compiler raises.
    """
    compiler = load_compiler(backend)
    graph = traced(source)
    key = half_key(source, graph, job, recipe, backend, compiler.versions()) if graph and cache else ""
    if cache and key:
        taken = cache.take(key, out)
        if taken is not None:
            return taken, True
    before = _files_in(out)
    half = compiler.compile_half(source, out, job)
    if graph is not None:
        half = half.model_copy(update={"compiled": {**half.compiled, "weights": graph.weights}})
    if cache and key:
        cache.keep(key, half, out, sorted(_files_in(out) - before))
    return half, False


def _files_in(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
