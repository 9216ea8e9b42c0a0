"""CIFAR-10 (Krizhevsky 2009) in its official binary layout: ``cifar-10-batches-bin``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ecc_deploy.data.archive import Archive, Member, is_there, read_verified
from ecc_deploy.data.interface import IMAGENET, DatasetInfo, Samples, dataset
from ecc_deploy.errors import DataError
from ecc_deploy.user_cache import user_cache

FOLDER = "cifar-10-batches-bin"
VARIABLE = "ECC_DEPLOY_CIFAR10"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE, CHANNELS = 32, 3
RECORD = 1 + CHANNELS * SIDE * SIDE
"""Bytes of one record: the label, then the pixels, channel by channel, row by row."""


@dataclass(frozen=True)
class Layout:
    """The files of both official parts, in order, and how many images of each class are held out as ``val``."""

    train: Mapping[str, Member]
    test: Mapping[str, Member]
    val_per_class: int


_FILE_BYTES = 10_000 * RECORD
OFFICIAL = Layout(
    train={
        "data_batch_1.bin": Member(_FILE_BYTES, "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
        "data_batch_2.bin": Member(_FILE_BYTES, "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
        "data_batch_3.bin": Member(_FILE_BYTES, "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
        "data_batch_4.bin": Member(_FILE_BYTES, "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
        "data_batch_5.bin": Member(_FILE_BYTES, "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
    },
    test={"test_batch.bin": Member(_FILE_BYTES, "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b")},
    val_per_class=500,
)


@dataset("cifar10")
class Cifar10:
    """45,000 train, 5,000 val and 10,000 test images.

    ``val`` is taken from the official training images, 500 of each class: number the training images from 0 in the
    order of the files, and take of each class those with the smallest SHA-256 of that number, written in ASCII. So
    the choice hangs on no random generator.

    The folder is the one given, else ``$ECC_DEPLOY_CIFAR10``, else ``ecc-deploy/cifar-10-batches-bin`` in the user's
    cache folder; it may also be the one that contains ``cifar-10-batches-bin``. Only the files of the parts that are
    read need be there. Pixels are normalised as ImageNet's, which is what published CIFAR-10 checkpoints expect.
    """

    name = "cifar10"
    classes = CLASSES
    image_shape = (SIDE, SIDE, CHANNELS)
    normalisation = IMAGENET
    layout: ClassVar[Layout] = OFFICIAL
    archive: ClassVar[Archive] = Archive(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        bytes=170_052_171,
        sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        folder=FOLDER,
        members={**OFFICIAL.train, **OFFICIAL.test},
    )

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = self.place(folder)

    @classmethod
    def place(cls, folder: Path | None = None) -> Path:
        """The folder of the files for a folder that was given, or for none."""
        root = Path(folder or os.environ.get(VARIABLE) or user_cache(FOLDER)).expanduser()
        holds_files = any((root / name).exists() for name in (*cls.layout.train, *cls.layout.test))
        return root if holds_files or root.name == FOLDER else root / FOLDER

    @classmethod
    def info(cls) -> DatasetInfo:
        """What ``ecc-deploy data list`` shows."""
        members = {**cls.layout.train, **cls.layout.test}
        train, test = (sum(m.bytes for m in files.values()) // RECORD for files in (cls.layout.train, cls.layout.test))
        val = cls.layout.val_per_class * len(CLASSES)
        return DatasetInfo(
            name=cls.name,
            title="photos of 10 classes, 32×32, RGB",
            images={"train": train - val, "val": val, "test": test},
            bytes=sum(member.bytes for member in members.values()),
            folder=cls.place(),
            is_there=is_there(cls.place(), members),
            how=f"ecc-deploy data fetch cifar10; or set {VARIABLE} to the folder of the official binary version",
        )

    def part(self, name: str) -> Samples:
        """Return ``train``, ``val`` or ``test``. Raises :class:`DataError` for files that are absent or damaged."""
        if name == "test":
            files, keep = self._records(self.layout.test), None
        elif name in ("train", "val"):
            files = self._records(self.layout.train)
            is_val = _held_out(np.concatenate([file[:, 0] for file in files]), self.layout.val_per_class)
            keep = np.split(is_val if name == "val" else ~is_val, np.cumsum([len(file) for file in files])[:-1])
        else:
            raise DataError(f"{self.name} has no part {name!r}", "Its parts: train, val, test.")
        kept = files if keep is None else [file[mask] for file, mask in zip(files, keep, strict=True)]
        planes = [file[:, 1:].reshape(-1, CHANNELS, SIDE, SIDE) for file in kept]
        images = np.concatenate([np.ascontiguousarray(p.transpose(0, 2, 3, 1)) for p in planes])
        return Samples(images, np.concatenate([file[:, 0] for file in kept]).astype(np.int64))

    def _records(self, files: Mapping[str, Member]) -> list[np.ndarray]:
        """Per file, uint8 ``[N, RECORD]``."""
        hint = (
            f"Run `ecc-deploy data fetch cifar10`, or set {VARIABLE} to the folder of the official binary version "
            f"({FOLDER})."
        )
        if not any((self._folder / name).exists() for name in files):
            raise DataError(f"CIFAR-10 is not at {self._folder}", hint)
        raw = [read_verified(self._folder / name, member, hint) for name, member in files.items()]
        return [np.frombuffer(content, np.uint8).reshape(-1, RECORD) for content in raw]


def _held_out(labels: np.ndarray, per_class: int) -> np.ndarray:
    """bool ``[N]``: the images of ``val``, by the rule that :class:`Cifar10` states."""
    order = np.array(sorted(range(len(labels)), key=lambda i: hashlib.sha256(b"%d" % i).digest()))
    mask = np.zeros(len(labels), bool)
    for label in range(len(CLASSES)):
        mask[order[labels[order] == label][:per_class]] = True
    return mask
