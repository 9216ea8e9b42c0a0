"""The bundles to be compared: opened, named, and known to be of one system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ecc_deploy.bundle import Bundle, open_bundle
from ecc_deploy.bundle.manifest import canonical
from ecc_deploy.bundle.store import MANIFEST
from ecc_deploy.errors import BundleError, UsageError

SYSTEM = "system"
"""What ``Manifest.calibration`` calls the digest of the float system."""


def open_all(paths: Sequence[str | Path]) -> dict[str, Bundle]:
    """The bundles at ``paths`` by name: that of their folder. A folder of bundles stands for all of them.

    Each is verified. Raises :class:`BundleError`, and :class:`UsageError` where there is none.
    """
    found: dict[str, Bundle] = {}
    seen: set[Path] = set()
    for path in paths:
        for place in _places(Path(path)):
            if place.resolve() not in seen:
                seen.add(place.resolve())
                found[_name(place.resolve(), found)] = open_bundle(place)
    if not found:
        raise UsageError("there is no bundle to compare", "Give bundles, or a folder of `export --all-targets`.")
    return found


def _places(path: Path) -> list[Path]:
    if (path / MANIFEST).is_file() or not path.is_dir():
        return [path]
    # What begins with a dot is a bundle that was never finished.
    inside = sorted(p for p in path.iterdir() if (p / MANIFEST).is_file() and not p.name.startswith("."))
    if not inside:
        raise BundleError(
            f"{path} is no bundle and holds none", "`ecc-deploy export RUN --all-targets --out FOLDER` makes a folder."
        )
    return inside


def _name(place: Path, taken: Mapping[str, Bundle]) -> str:
    names = [place.name, f"{place.parent.name}/{place.name}", str(place)]
    return next(name for name in names if name not in taken)


def common_system(bundles: Mapping[str, Bundle]) -> dict[str, Any]:
    """What identifies the one system that all ``bundles`` are of.

    Raises :class:`BundleError` where they are not of one system: another run, other weights, another dataset.
    """
    facts = {name: _system(bundle) for name, bundle in bundles.items()}
    (first, wanted), *others = facts.items()
    for name, found in others:
        differing = [key for key in wanted if found[key] != wanted[key]]
        if differing:
            lines = [f"  {key}: {_short(wanted[key])} and {_short(found[key])}" for key in differing]
            raise BundleError(
                f"{first} and {name} are not of the same system:\n" + "\n".join(lines),
                "Compare bundles of one run. Those of an older export do not name their weights: export them again.",
            )
    return wanted


def _system(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "name": manifest.name,
        "dataset": manifest.dataset,
        "classes": list(manifest.classes),
        "input": manifest.input.model_dump(mode="json"),
        "boundaries": {
            key: {"shape": list(item.tensor.shape), "bits": item.bits, "scale": item.scale}
            for key, item in manifest.boundaries.items()
        },
        "weights": manifest.calibration.get(SYSTEM),
    }


def _short(value: Any) -> str:
    text = "not recorded" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def content(bundle: Bundle, key: str) -> str:
    """What a half is, as one text: its facts and the digests of its files. The same text, the same answers."""
    half = bundle.manifest.halves[key]
    return canonical([half.model_dump(mode="json"), _digests(bundle, key)]).decode()


def disk_bytes(bundle: Bundle, key: str) -> int:
    """Of all files of a half."""
    return sum(bundle.manifest.files[name].bytes for name in _digests(bundle, key))


def _digests(bundle: Bundle, key: str) -> dict[str, str]:
    """A half's files: the one that the manifest names, and those beside it with the same name and another ending."""
    stem = Path(bundle.manifest.halves[key].file).with_suffix("")
    files = bundle.manifest.files.items()
    return {name: facts.sha256 for name, facts in files if Path(name).with_suffix("") == stem}


def same_settings(bundle: Bundle) -> str:
    """What a bundle answers with, as one text: equal where only target, time and toolchain are others."""
    manifest = bundle.manifest
    facts = manifest.model_dump(mode="json", include={"halves", "deployments", "files", "boundaries"})
    return canonical(facts).decode()
