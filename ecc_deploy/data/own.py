"""Datasets of the user's own: ``package.module:factory``, and what they return, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ecc_deploy.data.interface import Dataset, Normalisation, Samples
from ecc_deploy.errors import DataError
from ecc_deploy.own_code import blamed, import_factory

_SEE = "A dataset has name, classes, image_shape, normalisation and part(name): see docs/data.md."


def load_own(name: str, folder: Path | None, arguments: dict[str, Any]) -> Dataset:
    """Import ``package.module:factory``, call it as ``factory(folder, **arguments)`` and check what it returns.

    Raises :class:`DataError`: for a name that is not of this form, a module or factory that is absent or fails, and
    for what is not a :class:`Dataset`. The returned dataset checks each part when it is read.
    """
    factory = import_factory(name, "dataset", DataError)
    with blamed(f"the dataset {name}", DataError):
        made = factory(folder, **arguments)
    return _Checked(name, made)


class _Checked:
    """A dataset whose facts and parts are what :class:`Dataset` promises."""

    def __init__(self, spec: str, made: Any) -> None:
        self._spec, self._made = spec, made
        absent = [key for key in ("name", "classes", "image_shape", "normalisation", "part") if not hasattr(made, key)]
        if absent:
            raise DataError(f"{spec} made a {type(made).__name__}, which has no {' and no '.join(absent)}", _SEE)
        self.name: str = made.name
        self._require(isinstance(self.name, str) and bool(self.name), "name", "a text", made.name)
        classes = made.classes
        is_sequence = isinstance(classes, list | tuple) and all(isinstance(c, str) for c in classes)
        distinct = is_sequence and len(set(classes)) == len(classes) >= 2
        self._require(distinct, "classes", "a sequence of at least two different texts", classes)
        self.classes: tuple[str, ...] = tuple(classes)
        shape = made.image_shape
        is_shape = isinstance(shape, list | tuple) and len(shape) == 3 and all(type(n) is int and n > 0 for n in shape)
        self._require(is_shape and shape[2] in (1, 3), "image_shape", "(height, width, 1 or 3)", shape)
        self.image_shape: tuple[int, int, int] = tuple(shape)
        self.normalisation: Normalisation = made.normalisation
        per_channel = isinstance(self.normalisation, Normalisation) and (
            len(self.normalisation.mean) == len(self.normalisation.std) == shape[2]
        )
        wanted = f"an ecc_deploy.Normalisation of {shape[2]} channels"
        self._require(per_channel, "normalisation", wanted, made.normalisation)

    def _require(self, is_so: bool, fact: str, wanted: str, found: object) -> None:
        if not is_so:
            raise DataError(f"{fact} of the dataset {self._spec} is {found!r}, and must be {wanted}", _SEE)

    def part(self, name: str) -> Samples:
        """Return one part, as :meth:`Dataset.part` does."""
        what = f"the part {name} of the dataset {self._spec}"
        with blamed(what, DataError):
            samples = self._made.part(name)
            images, labels = np.asarray(samples.images), np.asarray(samples.labels)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != self.image_shape or not len(images):
            raise DataError(
                f"{what} has images {images.dtype} {list(images.shape)}",
                f"They must be uint8, [N, {', '.join(map(str, self.image_shape))}], N at least 1.",
            )
        if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
            raise DataError(f"{what} has labels {labels.dtype} {list(labels.shape)}", f"Give int64 [{len(images)}].")
        if labels.min() < 0 or labels.max() >= len(self.classes):
            raise DataError(
                f"{what} has labels from {labels.min()} to {labels.max()}, and there are {len(self.classes)} classes"
            )
        return Samples(images, labels.astype(np.int64))
