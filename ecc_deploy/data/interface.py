"""What a dataset is, and the register of datasets by name.

A dataset is one module with one class and the decorator :func:`dataset`. It needs numpy only: a device that
benchmarks a bundle reads its samples through here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ecc_deploy.errors import DataError

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Samples:
    """``images``: uint8 ``[N, H, W, C]``; ``labels``: int64 ``[N]``."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int | None) -> Samples:
        """The first ``count`` samples (all of them for ``None``)."""
        return self if count is None else Samples(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class Normalisation:
    """Per channel, on pixels scaled to [0, 1]: ``(pixel / 255 - mean) / std``."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 ``[N, H, W, C]`` to float32 ``[N, C, H, W]``, contiguous."""
        scale = np.asarray([1.0 / (255.0 * s) for s in self.std], np.float32)
        shift = np.asarray([m / s for m, s in zip(self.mean, self.std, strict=True)], np.float32)
        pixels = images.astype(np.float32)
        pixels *= scale
        pixels -= shift
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


class Dataset(Protocol):
    """A labelled image dataset in three disjoint parts: ``train``, ``val`` (thresholds, guards) and ``test``."""

    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    """Height, width, channels."""
    normalisation: Normalisation

    def part(self, name: str) -> Samples:
        """Return one part. Raises :class:`DataError` where it cannot be read."""
        ...


_BUILTIN = {
    "fashion-mnist": "ecc_deploy.data.fashion_mnist",
    "fashion-mnist-sample": "ecc_deploy.data.fashion_mnist",
}
_REGISTER: dict[str, Callable[[Path | None], Dataset]] = {}


def dataset(name: str) -> Callable[[type], type]:
    """Class decorator: register a dataset whose constructor takes the folder of its files, or ``None``."""

    def register(cls: type) -> type:
        _REGISTER[name] = cls
        return cls

    return register


def names() -> list[str]:
    """The names that :func:`load` takes."""
    return sorted({*_BUILTIN, *_REGISTER})


def load(name: str, folder: Path | None = None) -> Dataset:
    """Return the dataset ``name``, its files in ``folder`` (each dataset has a default place).

    Raises :class:`DataError` for an unknown name.
    """
    if name not in _REGISTER and name in _BUILTIN:
        importlib.import_module(_BUILTIN[name])
    if name not in _REGISTER:
        raise DataError(f"there is no dataset named {name!r}", f"Known datasets: {', '.join(names())}.")
    return _REGISTER[name](folder)
