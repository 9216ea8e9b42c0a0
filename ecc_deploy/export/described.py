"""The manifest of what an export made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ecc_deploy.backends.targets import Target
from ecc_deploy.bundle import Boundary, Deployment, Half, InputInfo, Manifest, hash_file
from ecc_deploy.data import Dataset
from ecc_deploy.export.golden import FILE
from ecc_deploy.partition.halves import EXIT


def describe(
    folder: Path,
    *,
    name: str,
    dataset: Dataset,
    boundaries: dict[str, Boundary],
    halves: dict[str, Half],
    listed: dict[str, Deployment],
    targets: Mapping[str, Target],
    calibration: dict[str, Any],
    toolchain: dict[str, str],
) -> Manifest:
    """The manifest of the bundle whose files lie in ``folder``, all of them written; ``listed``: its deployments."""
    height, width, channels = dataset.image_shape
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return Manifest(
        name=name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        classes=dataset.classes,
        dataset=dataset.name,
        input=InputInfo(
            height=height,
            width=width,
            channels=1 if channels == 1 else 3,
            mean=dataset.normalisation.mean,
            std=dataset.normalisation.std,
        ),
        boundaries=boundaries,
        halves=halves,
        fallback=EXIT,
        deployments=listed,
        targets={"edge": targets["edge"].name, "cloud": targets["cloud"].name},
        calibration=calibration,
        toolchain=toolchain,
        files={file: hash_file(folder / file) for file in files},
        golden=FILE,
    )
