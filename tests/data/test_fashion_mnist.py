import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ecc_deploy import data, resources
from ecc_deploy.errors import DataError


def sample_folder() -> Path:
    return resources.folder("calibration") / "fashion_mnist"


@pytest.mark.parametrize(("part", "count"), [("train", 3000), ("val", 1000), ("test", 1000)])
def test_sample_parts_are_stratified(part: str, count: int) -> None:
    samples = data.load("fashion-mnist-sample").part(part)
    assert samples.images.shape == (count, 28, 28, 1)
    assert samples.images.dtype == np.uint8
    assert np.bincount(samples.labels).tolist() == [count // 10] * 10
    assert len(np.unique(samples.images.reshape(count, -1), axis=0)) > 0.99 * count


def test_sample_is_at_most_two_megabytes() -> None:
    files = [p for p in sample_folder().iterdir() if p.suffix in {".webp", ".json"}]
    assert len(files) == 4
    assert sum(p.stat().st_size for p in files) <= 2_000_000


def test_train_and_val_are_disjoint() -> None:
    parts = json.loads((sample_folder() / "index.json").read_text())["parts"]
    assert parts["train"]["source"] == parts["val"]["source"] != parts["test"]["source"]
    assert not set(parts["train"]["indices"]) & set(parts["val"]["indices"])


def test_changed_pixels_are_noticed(tmp_path: Path) -> None:
    shutil.copytree(sample_folder(), tmp_path / "sample")
    (tmp_path / "sample/test.webp").write_bytes((sample_folder() / "val.webp").read_bytes())
    with pytest.raises(DataError, match="not those of the index"):
        data.load("fashion-mnist-sample", tmp_path / "sample").part("test")


def test_truncated_sheet_is_an_error(tmp_path: Path) -> None:
    shutil.copytree(sample_folder(), tmp_path / "sample")
    (tmp_path / "sample/test.webp").write_bytes((sample_folder() / "test.webp").read_bytes()[:5000])
    with pytest.raises(DataError, match=r"cannot be read|not those of the index"):
        data.load("fashion-mnist-sample", tmp_path / "sample").part("test")


def test_unknown_names() -> None:
    with pytest.raises(DataError, match="no part 'validation'"):
        data.load("fashion-mnist-sample").part("validation")
    with pytest.raises(DataError, match="no dataset named 'mnist'"):
        data.load("mnist")


def test_normalisation_matches_its_formula() -> None:
    images = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    normalise = data.Normalisation((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    wanted = (images / 255 - np.array([0.1, 0.2, 0.3])) / np.array([0.5, 0.6, 0.7])
    got = normalise(images)
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    np.testing.assert_allclose(got, wanted.transpose(0, 3, 1, 2), atol=1e-6)


def test_normalisation_is_that_of_the_training_images() -> None:
    images = data.load("fashion-mnist-sample").part("train").images
    normalised = data.load("fashion-mnist-sample").normalisation(images)
    assert abs(normalised.mean()) < 0.05
    assert abs(normalised.std() - 1) < 0.05


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.asarray(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes(), compresslevel=1))


def test_full_set_keeps_val_out_of_train(tmp_path: Path) -> None:
    """On stand-in files of the original's sizes, each image marked with its own number."""
    numbers = np.arange(60_000, dtype=">u4").view(np.uint8).reshape(-1, 4)
    images = np.zeros((60_000, 2, 2), np.uint8)
    images.reshape(60_000, 4)[:] = numbers
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", images)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", (np.arange(60_000) % 10).astype(np.uint8))
    full = data.load("fashion-mnist", tmp_path)
    train, val = full.part("train"), full.part("val")

    def numbers_of(samples: data.Samples) -> set[int]:
        return set(samples.images.reshape(-1, 4).copy().view(">u4").ravel().tolist())

    held_out = set(json.loads((sample_folder() / "index.json").read_text())["parts"]["val"]["indices"])
    assert numbers_of(val) == held_out
    assert numbers_of(train) == set(range(60_000)) - held_out
    assert len(train) == 59_000


def test_absent_full_set_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        data.load("fashion-mnist", tmp_path).part("train")
    assert "dataset-fashion-mnist" in caught.value.hint
