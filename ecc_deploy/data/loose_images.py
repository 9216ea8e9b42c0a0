"""Image files without labels, such as a device's camera gave them: good enough to calibrate on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ecc_deploy.data.image_file import ENDINGS, read_image
from ecc_deploy.errors import DataError


def draw_images(folder: Path, count: int, seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    """``count`` images of ``folder`` and the folders below it: a seeded draw without repetition.

    uint8 ``[count, *shape]``, scaled to ``shape`` (height, width, channels) as ``ecc-deploy run --resize`` does. Hidden
    files and those with other endings are left out. Raises :class:`DataError`.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}", "`source` is a folder of image files.")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    files = [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if len(files) < count:
        raise DataError(
            f"{folder} has {len(files)} images, and {count} are wanted",
            f"Add images ({', '.join(ENDINGS)}), or want fewer `samples`.",
        )
    height, width, channels = shape
    chosen = np.random.default_rng(seed).permutation(len(files))[:count]
    return np.stack([read_image(files[i], channels, (height, width)) for i in chosen])
