"""Fashion-MNIST (Xiao et al. 2017, MIT licence): the sample that ships, and the full set from its IDX files."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import os
from pathlib import Path

import numpy as np

from ecc_deploy import resources
from ecc_deploy.data.interface import DatasetInfo, Normalisation, Samples, dataset
from ecc_deploy.errors import DataError

CLASSES = (
    "t-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
NORMALISATION = Normalisation(mean=(0.2860,), std=(0.3530,))
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
VARIABLE = "ECC_DEPLOY_FASHION_MNIST"
TITLE = "clothing of 10 classes, 28×28, grey"
FILES = tuple(f"{stem}-{kind}-ubyte.gz" for stem in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))


@functools.cache
def _index(folder: Path) -> dict:
    return json.loads((folder / "index.json").read_text())


@dataset("fashion-mnist-sample")
class FashionMnistSample:
    """3,000 train, 1,000 val and 1,000 test images, stratified; embedded in the package."""

    name = "fashion-mnist-sample"
    classes = CLASSES
    image_shape = (28, 28, 1)
    normalisation = NORMALISATION

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or resources.folder("calibration") / "fashion_mnist"

    @classmethod
    def info(cls) -> DatasetInfo:
        """What ``ecc-deploy data list`` shows."""
        folder = resources.folder("calibration") / "fashion_mnist"
        parts = _index(folder)["parts"]
        files = [folder / f"{part}.webp" for part in parts]
        is_there = all(path.is_file() for path in files)
        return DatasetInfo(
            name=cls.name,
            title=TITLE,
            images={part: len(facts["labels"]) for part, facts in parts.items()},
            bytes=sum(path.stat().st_size for path in files) if is_there else None,
            folder=folder,
            is_there=is_there,
            how="comes with ecc-deploy",
        )

    def part(self, name: str) -> Samples:
        from PIL import Image

        index = _index(self._folder)
        if name not in index["parts"]:
            raise DataError(f"{self.name} has no part {name!r}", f"Its parts: {', '.join(index['parts'])}.")
        facts = index["parts"][name]
        path = self._folder / f"{name}.webp"
        height, width, columns = index["height"], index["width"], index["columns"]
        try:
            with Image.open(path, formats=["WEBP"]) as sheet:
                pixels = np.asarray(sheet.convert("L"))
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error}", "Install ecc-deploy again.") from error
        tiles = pixels.reshape(-1, height, columns, width).transpose(0, 2, 1, 3)
        images = np.ascontiguousarray(tiles).reshape(-1, height, width, 1)
        if hashlib.sha256(images.tobytes()).hexdigest() != facts["pixels_sha256"]:
            raise DataError(f"the pixels of {path} are not those of the index", "Install ecc-deploy again.")
        return Samples(images, np.asarray(facts["labels"], np.int64))


@dataset("fashion-mnist")
class FashionMnist:
    """The full set: 59,000 train, 1,000 val, 10,000 test images.

    The folder is the one given, else ``$ECC_DEPLOY_FASHION_MNIST``, else where Debian's ``dataset-fashion-mnist``
    puts it. ``val`` is the sample's ``val``; those images are left out of ``train``.
    """

    name = "fashion-mnist"
    classes = CLASSES
    image_shape = (28, 28, 1)
    normalisation = NORMALISATION

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(os.environ.get(VARIABLE, DEBIAN_FOLDER))

    @classmethod
    def info(cls) -> DatasetInfo:
        """What ``ecc-deploy data list`` shows."""
        folder = Path(os.environ.get(VARIABLE, DEBIAN_FOLDER))
        return DatasetInfo(
            name=cls.name,
            title=TITLE,
            images={"train": 59_000, "val": 1_000, "test": 10_000},
            bytes=30_878_645,
            folder=folder,
            is_there=all((folder / name).is_file() for name in FILES),
            how=f"Debian's package dataset-fashion-mnist; or set {VARIABLE} to the folder of the four IDX files",
        )

    def _read(self, stem: str, kind: str) -> np.ndarray:
        path = self._folder / f"{stem}-{kind}-ubyte.gz"
        try:
            raw = gzip.decompress(path.read_bytes())
        except OSError as error:
            raise DataError(
                f"Fashion-MNIST is not at {self._folder}: {error}",
                "Install Debian's package dataset-fashion-mnist, or set ECC_DEPLOY_FASHION_MNIST to the folder of "
                "the four IDX files. The dataset fashion-mnist-sample is embedded and needs nothing.",
            ) from error
        rank = raw[3]
        shape = np.frombuffer(raw, ">u4", count=rank, offset=4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)

    def part(self, name: str) -> Samples:
        if name not in ("train", "val", "test"):
            raise DataError(f"{self.name} has no part {name!r}", "Its parts: train, val, test.")
        stem = "t10k" if name == "test" else "train"
        images = self._read(stem, "images-idx3")[..., None]
        labels = self._read(stem, "labels-idx1").astype(np.int64)
        if name != "test":
            held_out = _index(resources.folder("calibration") / "fashion_mnist")["parts"]["val"]["indices"]
            mask = np.zeros(len(labels), bool)
            mask[held_out] = True
            keep = mask if name == "val" else ~mask
            images, labels = images[keep], labels[keep]
        return Samples(images, labels)
