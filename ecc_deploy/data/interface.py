"""What a dataset is, and the decorator that registers one by its name.

A dataset is one module with one class and the decorator :func:`dataset`. It needs numpy only: a device that
benchmarks a bundle reads its samples through here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

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
        return np.ascontiguousarray(self.nhwc(images).transpose(0, 3, 1, 2))

    def nhwc(self, images: np.ndarray) -> np.ndarray:
        """uint8 ``[N, H, W, C]`` to float32 of the same layout, contiguous."""
        scale, shift = self._steps
        pixels = images.astype(np.float32, order="C")
        pixels *= scale
        pixels -= shift
        return pixels

    @cached_property
    def _steps(self) -> tuple[np.ndarray, np.ndarray]:
        """What a pixel is multiplied by, and what is subtracted then."""
        scale = np.asarray([1.0 / (255.0 * s) for s in self.std], np.float32)
        return scale, np.asarray([m / s for m, s in zip(self.mean, self.std, strict=True)], np.float32)


IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""Of the ImageNet training images, RGB: what most published checkpoints were trained with, on other images too."""


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


@dataclass(frozen=True)
class DatasetInfo:
    """What is known about a dataset before it is read. A registered class gives it by a class method ``info()``."""

    name: str
    title: str
    images: Mapping[str, int] = field(default_factory=dict)
    """Of each part; empty where they are the user's."""
    bytes: int | None = None
    """On disk."""
    folder: Path | None = None
    """Where its files are expected."""
    is_there: bool | None = None
    """Whether they are; ``None`` where there is no expected place. Names and sizes are looked at, not the content."""
    how: str = ""
    """How to get it."""


_REGISTER: dict[str, Callable[..., Dataset]] = {}


def dataset(name: str) -> Callable[[type], type]:
    """Class decorator: register a dataset.

    Its constructor takes the folder of its files, or ``None``, and what ``arguments`` it likes by keyword. Reading
    belongs into ``part``: a dataset is also made where only its facts are wanted.
    """

    def register(cls: type) -> type:
        _REGISTER[name] = cls
        return cls

    return register
