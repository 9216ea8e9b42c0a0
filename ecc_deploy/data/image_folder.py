"""The user's own images: ``FOLDER/train/CLASS/*.png``, and ``val`` and ``test`` beside ``train``."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecc_deploy.data.image_file import ENDINGS, read_image
from ecc_deploy.data.interface import IMAGENET, PARTS, DatasetInfo, Normalisation, Samples, dataset
from ecc_deploy.errors import DataError

MAX_BYTES = 16 * 1024**3
"""Of the decoded images of one part: they are held in memory."""
MAX_SIDE = 8192
VAL_SHARE = 0.1

_LAYOUT = "The layout: FOLDER/train/CLASS/*.png (or .jpg, .webp), FOLDER/test/CLASS/..., optional FOLDER/val/CLASS/..."


@dataset("image-folder")
class ImageFolder:
    """Images in one folder per class, ``train``, ``val`` and ``test`` apart.

    Where ``val`` is absent it is taken from ``train``: of each class the tenth (rounded, at least one) whose
    ``CLASS/FILE`` has the smallest SHA-256. Every part is in the order of that hash, so its first images are a fair
    draw. Files with other endings and hidden ones are left out.

    ``classes``: names of the class folders, in the order of their labels; without it, those in ``train`` (where there
    is none: in ``val``, else ``test``), sorted.

    ``size``: side, or ``[height, width]``, to scale all images to (bilinear, the aspect ratio is not kept); without
    it, all must have one size. ``channels``: 3 (RGB) or 1 (grey). ``mean``, ``std``: per channel, on pixels in
    [0, 1]; by default ImageNet's, for grey images the averages of those.
    """

    name = "image-folder"

    def __init__(
        self,
        folder: Path | None = None,
        *,
        size: int | Sequence[int] | None = None,
        channels: int = 3,
        classes: Sequence[str] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        if folder is None:
            raise DataError(
                "image-folder needs the folder of your images",
                "Give it: `folder` under [data] in a recipe, `--data FOLDER` for bench, `folder=` in Python.",
            )
        self._folder = Path(folder).expanduser()
        self._size = _checked_size(size)
        if channels not in (1, 3):
            raise DataError(f"channels of image-folder is {channels!r}", "Give 3 (RGB) or 1 (grey).")
        self._channels = channels
        self.normalisation = Normalisation(
            _per_channel("mean", mean, IMAGENET.mean, channels), _per_channel("std", std, IMAGENET.std, channels)
        )
        if min(self.normalisation.std) <= 0:
            raise DataError(f"std of image-folder is {list(self.normalisation.std)}", "It must be above 0.")
        present = [part for part in PARTS if (self._folder / part).is_dir()]
        if not present:
            raise DataError(f"{self._folder} has no folder train, val or test", _LAYOUT)
        found = [path.name for path in _classes(self._folder / present[0])]
        self.classes: tuple[str, ...] = tuple(found if classes is None else _texts(classes))
        if len(self.classes) < 2:
            raise DataError(f"{self._folder / present[0]} has {len(found)} class folders; two are needed", _LAYOUT)
        height, width = self._size or read_image(self._files(present[0])[0][0], channels, None).shape[:2]
        self.image_shape = (height, width, channels)

    @classmethod
    def info(cls) -> DatasetInfo:
        """What ``ecc-deploy data list`` shows."""
        return DatasetInfo(cls.name, "your own images, one folder per class", how="see docs/data.md")

    def part(self, name: str) -> Samples:
        """Decode one part. Raises :class:`DataError`, naming the file or folder that is wrong."""
        if name not in PARTS:
            raise DataError(f"{self.name} has no part {name!r}", f"Its parts: {', '.join(PARTS)}.")
        files = self._files(name)
        needed = len(files) * math.prod(self.image_shape)
        if needed > MAX_BYTES:
            raise DataError(
                f"the {len(files)} images of {self._folder / name} need {needed / 1e9:.0f} GB as pixels; "
                f"{MAX_BYTES / 1e9:.0f} GB are allowed",
                "Scale them down with `size`, or give fewer.",
            )
        images = np.empty((len(files), *self.image_shape), np.uint8)
        for i, (path, _) in enumerate(files):
            image = read_image(path, self._channels, self._size)
            if image.shape != self.image_shape:
                found, wanted = (f"{shape[1]}x{shape[0]}" for shape in (image.shape, self.image_shape))
                raise DataError(
                    f"{path} has {found} pixels, and others have {wanted}",
                    "Let all be scaled: `arguments = { size = [height, width] }` under [data].",
                )
            images[i] = image
        return Samples(images, np.array([label for _, label in files], np.int64))

    def _files(self, part: str) -> list[tuple[Path, int]]:
        """Paths and labels of a part, in its order."""
        is_split = part in ("train", "val") and not (self._folder / "val").is_dir()
        source = self._folder / ("train" if is_split else part)
        if not source.is_dir():
            raise DataError(f"there is no folder {source}, so there is no part {part}", _LAYOUT)
        chosen: list[Path] = []
        for folder in _classes(source):
            if folder.name not in self.classes:
                raise DataError(f"{folder} is not among the classes: {', '.join(self.classes)}", _LAYOUT)
            files = sorted((path for path in folder.iterdir() if _is_image(path)), key=_hash)
            if not files and source.name == "train":
                raise DataError(f"{folder} has no images", _LAYOUT)
            if is_split:
                held_out = max(1, round(VAL_SHARE * len(files)))
                if len(files) == 1:
                    raise DataError(f"{folder} has one image, so none can be held out for val", "Add images.")
                files = files[:held_out] if part == "val" else files[held_out:]
            chosen += files
        if not chosen:
            raise DataError(f"{source} has no images", _LAYOUT)
        labels = {name: label for label, name in enumerate(self.classes)}
        return [(path, labels[path.parent.name]) for path in sorted(chosen, key=_hash)]


def _classes(part: Path) -> list[Path]:
    loose = [path for path in part.iterdir() if _is_image(path)]
    if loose:
        raise DataError(f"{min(loose)} lies in no class folder", _LAYOUT)
    return sorted(path for path in part.iterdir() if path.is_dir() and not path.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()


def _hash(path: Path) -> bytes:
    return hashlib.sha256(f"{path.parent.name}/{path.name}".encode(errors="surrogateescape")).digest()


def _texts(classes: Sequence[str]) -> Sequence[str]:
    is_sequence = isinstance(classes, list | tuple) and all(isinstance(name, str) for name in classes)
    if not is_sequence or len(set(classes)) < max(2, len(classes)):
        raise DataError(f"classes of image-folder is {classes!r}", "Give at least two different names of folders.")
    return classes


def _checked_size(size: object) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = [size, size] if type(size) is int else size
    if not isinstance(sides, list | tuple) or len(sides) != 2:
        raise DataError(f"size of image-folder is {size!r}", "Give the side in pixels, or [height, width].")
    if not all(type(side) is int and 1 <= side <= MAX_SIDE for side in sides):
        raise DataError(f"size of image-folder is {size!r}", f"A side is a whole number from 1 to {MAX_SIDE}.")
    return sides[0], sides[1]


def _per_channel(fact: str, given: object, default: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if given is None:
        return default if channels == len(default) else (round(sum(default) / len(default), 3),)
    values = given if isinstance(given, list | tuple) else ()
    if len(values) != channels or not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
        raise DataError(f"{fact} of image-folder is {given!r}", f"Give a list of {channels} numbers.")
    return tuple(float(value) for value in values)
