"""A store of benchmarks: a folder with one JSON file per run, to which runs are added and never changed.

Several processes may add at once, also over a shared folder: every run has a name of its own, and appears whole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ecc_deploy.atomic import write_file
from ecc_deploy.bench.schema import Bench, load_bench
from ecc_deploy.errors import UsageError

_SUFFIX = ".bench.json"
MOST_FILES = 10_000


@dataclass(frozen=True)
class Stored:
    """One run of a store. ``id`` is the name of its file without the ending."""

    id: str
    path: Path
    bench: Bench


def add(bench: Bench, folder: str | Path) -> Path:
    """Add a run; returns its file. The same run added twice is there once.

    Its name is the time at which it ended, the bundle's name and a digest of all it says. Raises :class:`UsageError`
    where ``folder`` is a file.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, and a store is a folder")
    content = (bench.model_dump_json(indent=1) + "\n").encode()
    when = re.sub(r"[^0-9TZ]", "", bench.created)
    name = re.sub(r"[^A-Za-z0-9._-]", "_", str(bench.bundle.get("name", "bundle")))[:60]
    path = folder / f"{when}-{name}-{hashlib.sha256(content).hexdigest()[:8]}{_SUFFIX}"
    write_file(path, content)
    return path


def runs(places: Sequence[str | Path]) -> list[Stored]:
    """The runs of folders and files, in the order of their time, each once.

    A folder's are its files ``*.json`` that are benchmarks; a file has to be one. Raises :class:`UsageError` for a
    place that is not there, a file that is no benchmark, and for places without any run.
    """
    found: dict[Path, Stored] = {}
    for place in map(Path, places):
        if not place.exists():
            raise UsageError(f"{place} is not there", "`ecc-deploy bench BUNDLE --store FOLDER` makes a store.")
        paths = [place] if not place.is_dir() else sorted(place.glob("*.json"))
        if len(paths) > MOST_FILES:
            raise UsageError(f"{place} has more than {MOST_FILES} files", "Give the files themselves.")
        for path in paths:
            if path.resolve() in found:
                continue
            try:
                bench = load_bench(path)
            except UsageError:
                if path.name.endswith(_SUFFIX) or not place.is_dir():
                    raise
                continue  # a folder may hold other JSON
            found[path.resolve()] = Stored(path.name.removesuffix(_SUFFIX).removesuffix(".json"), path, bench)
    if not found:
        raise UsageError(
            f"there is no benchmark in {', '.join(map(str, places))}",
            "`ecc-deploy bench BUNDLE --store FOLDER` adds one.",
        )
    return sorted(found.values(), key=lambda run: (run.bench.created, run.id))


def pair(places: Sequence[str | Path]) -> tuple[Stored, Stored]:
    """The two runs to compare, the older first: two files, or the last run of one store and the last before it of the
    same bundle name and dataset.

    Raises :class:`UsageError` where there are not two.
    """
    found = runs(places)
    if len(found) == 2:
        return found[0], found[1]
    if len(places) == 1:
        last = found[-1]
        like = [run for run in found[:-1] if _kind(run.bench) == _kind(last.bench)]
        if like:
            return like[-1], last
    raise UsageError(
        f"two runs are compared, and {len(found)} were given",
        "Give two files; or one store, of which the last run and the one before it of the same bundle are taken.",
    )


def _kind(bench: Bench) -> tuple[object, object]:
    return bench.bundle.get("name"), bench.settings.get("dataset")
