"""What several exports of one run have in common, computed once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path

from ecc_deploy.backends.targets import Target
from ecc_deploy.bundle import Bundle, Half, Manifest, hash_file
from ecc_deploy.evaluation.answers import Answers


class Shared:
    """For exports of the same run with the same data, calibration and choices; only targets and precisions differ."""

    def __init__(self) -> None:
        self._floats: Answers | None = None
        self._bundles: list[Bundle] = []

    def floats(self, make: Callable[[], Answers]) -> Answers:
        """The answers of the float system on the val part; ``make`` gives them the first time."""
        if self._floats is None:
            self._floats = make()
        return self._floats

    def add(self, bundle: Bundle) -> None:
        """A bundle that is finished."""
        self._bundles.append(bundle)

    def twin(self, folder: Path, halves: Mapping[str, Half]) -> Bundle | None:
        """A finished bundle whose halves are those in ``folder``, byte by byte: all that follows is the same, too."""
        for bundle in self._bundles:
            manifest = bundle.manifest
            compiled = {name: facts for name, facts in manifest.files.items() if name.startswith(("edge/", "cloud/"))}
            if manifest.halves == halves and all(
                (folder / name).is_file() and hash_file(folder / name) == facts for name, facts in compiled.items()
            ):
                return bundle
        return None


def finish_like(twin: Bundle, folder: Path, targets: Mapping[str, Target], toolchain: dict[str, str]) -> Manifest:
    """Copy what ``twin`` has beside its halves into ``folder``; the manifest is the twin's, for other ``targets``."""
    for name in twin.manifest.files:
        if not (folder / name).exists():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(twin.file(name), folder / name)
    own = {
        "targets": {side: target.name for side, target in targets.items()},
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "toolchain": toolchain,
    }
    return Manifest.model_validate({**twin.manifest.model_dump(), **own})
