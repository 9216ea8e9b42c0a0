"""Make the Fashion-MNIST sample that ships with ecc-deploy.

Reads the four original IDX files (Debian package ``dataset-fashion-mnist``) and writes, beside this script, one
lossless WebP contact sheet per part and ``index.json``:

* ``train`` and ``val`` are disjoint draws from the original 60,000 training images, ``test`` from the original
  10,000 test images; every part holds the same number of images of each class.
* ``val`` is kept out of the training of the shipped backbones as well (see ``data/fashion_mnist.py``), so that
  thresholds chosen on it are not flattered.

    apt-get install dataset-fashion-mnist
    python calibration/fashion_mnist/make_sample.py /usr/share/datasets/fashion-mnist

The same input gives the same pixels and the same index; the draw depends on ``SEED`` alone.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SEED = 20171
COLUMNS = 50  # images in one row of a contact sheet
PARTS = {"train": ("train", 3000), "val": ("train", 1000), "test": ("t10k", 1000)}
LIMIT_BYTES = 2_000_000


def read_idx(path: Path) -> np.ndarray:
    """Return the array in a gzipped IDX file of unsigned bytes."""
    raw = gzip.decompress(path.read_bytes())
    rank = raw[3]
    shape = np.frombuffer(raw, ">u4", count=rank, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def contact_sheet(images: np.ndarray) -> Image.Image:
    """Tile ``[N, 28, 28]`` images row by row, ``COLUMNS`` to a row."""
    n, height, width = images.shape
    tiles = images.reshape(n // COLUMNS, COLUMNS, height, width)
    return Image.fromarray(tiles.transpose(0, 2, 1, 3).reshape(-1, COLUMNS * width))


def main(source: Path, out: Path) -> None:
    originals = {
        stem: (read_idx(source / f"{stem}-images-idx3-ubyte.gz"), read_idx(source / f"{stem}-labels-idx1-ubyte.gz"))
        for stem in ("train", "t10k")
    }
    rng = np.random.default_rng(SEED)
    shuffled = {stem: rng.permutation(len(labels)) for stem, (_, labels) in originals.items()}
    taken: dict[str, set[int]] = {stem: set() for stem in originals}
    parts: dict[str, dict[str, object]] = {}
    total = 0
    for part, (stem, count) in PARTS.items():
        images, labels = originals[stem]
        free = np.array([i for i in shuffled[stem] if i not in taken[stem]])
        per_class = [free[labels[free] == c][: count // 10] for c in range(10)]
        # Interleaved by class, so that any leading run of a part is itself stratified.
        chosen = np.stack(per_class, axis=1).reshape(-1)
        taken[stem].update(chosen.tolist())
        path = out / f"{part}.webp"
        contact_sheet(images[chosen]).save(path, "WEBP", lossless=True, quality=100, method=6)
        total += path.stat().st_size
        parts[part] = {
            "source": f"{stem}-images-idx3-ubyte",
            "indices": chosen.tolist(),
            "labels": labels[chosen].tolist(),
            "pixels_sha256": hashlib.sha256(images[chosen].tobytes()).hexdigest(),
        }
    index = {"seed": SEED, "columns": COLUMNS, "height": 28, "width": 28, "parts": parts}
    text = json.dumps(index, separators=(",", ":"))
    (out / "index.json").write_text(text + "\n")
    total += len(text) + 1
    if total > LIMIT_BYTES:
        raise SystemExit(f"the sample takes {total} bytes, more than the {LIMIT_BYTES} that it may")
    print(f"{total} bytes in {out}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: make_sample.py FOLDER_WITH_THE_IDX_FILES")
    main(Path(sys.argv[1]), Path(__file__).resolve().parent)
