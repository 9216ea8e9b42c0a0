import hashlib
from pathlib import Path

import numpy as np
import pytest

from ecc_deploy import data
from ecc_deploy.data.archive import Archive, Member
from ecc_deploy.data.cifar10 import FOLDER, OFFICIAL, RECORD, Cifar10, Layout
from ecc_deploy.errors import DataError


def records(labels: list[int], seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), RECORD - 1), np.uint8)
    return np.concatenate([np.array(labels, np.uint8)[:, None], pixels], axis=1).tobytes()


FILES = {
    "a.bin": records([0, 1, 2, 0, 1, 2, 0], seed=1),
    "b.bin": records([2, 1, 0, 2, 1], seed=2),
    "test.bin": records([2, 0, 1], seed=3),
}


def member(content: bytes) -> Member:
    return Member(len(content), hashlib.sha256(content).hexdigest())


class Tiny(Cifar10):
    """Made-up files in the official layout."""

    layout = Layout(
        train={name: member(FILES[name]) for name in ("a.bin", "b.bin")},
        test={"test.bin": member(FILES["test.bin"])},
        val_per_class=2,
    )


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    folder = tmp_path / FOLDER
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


def test_pixels_lie_as_in_the_records(tiny: Path) -> None:
    test = Tiny(tiny).part("test")
    assert test.labels.tolist() == [2, 0, 1]
    planes = np.frombuffer(FILES["test.bin"], np.uint8).reshape(3, RECORD)[:, 1:].reshape(3, 3, 1024)
    for row, column in ((0, 0), (0, 5), (31, 2)):
        assert (test.images[:, row, column] == planes[:, :, 32 * row + column]).all()


def test_val_is_chosen_by_the_stated_rule(tiny: Path) -> None:
    labels = [0, 1, 2, 0, 1, 2, 0, 2, 1, 0, 2, 1]
    pixels = np.concatenate([np.frombuffer(FILES[name], np.uint8).reshape(-1, RECORD) for name in ("a.bin", "b.bin")])
    by_hash = sorted(range(12), key=lambda i: hashlib.sha256(str(i).encode()).hexdigest())
    wanted = {i for label in range(3) for i in [k for k in by_hash if labels[k] == label][:2]}
    train, val = Tiny(tiny).part("train"), Tiny(tiny).part("val")
    assert val.labels.tolist() == [labels[i] for i in sorted(wanted)]
    first_red = pixels[sorted(wanted), 1:4]
    assert (val.images[:, 0, :3, 0] == first_red).all()
    assert len(train) == 6
    assert not {i.tobytes() for i in train.images} & {i.tobytes() for i in val.images}


def test_the_folder_may_be_the_one_above(tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert len(Tiny(tiny.parent).part("test")) == 3
    monkeypatch.setenv("ECC_DEPLOY_CIFAR10", str(tiny.parent))
    assert len(Tiny().part("test")) == 3
    renamed = tiny.rename(tmp_path / "mine")
    assert len(Tiny(renamed).part("test")) == 3


def test_a_device_may_hold_the_test_part_alone(tiny: Path) -> None:
    (tiny / "a.bin").unlink()
    assert len(Tiny(tiny).part("test")) == 3
    with pytest.raises(DataError, match=r"a\.bin cannot be read: No such file"):
        Tiny(tiny).part("val")


def test_absent_files_say_the_two_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ECC_DEPLOY_CIFAR10", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DataError, match=f"not at {tmp_path}/ecc-deploy/cifar-10-batches-bin") as caught:
        data.load("cifar10").part("test")
    assert "ecc-deploy data fetch cifar10" in caught.value.hint
    assert "ECC_DEPLOY_CIFAR10" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (FILES["test.bin"][:-1], "has 9218 bytes, and must have 9219"),
        (b"\x01" + FILES["test.bin"][1:], "is damaged"),
    ],
)
def test_damaged_files_are_noticed_after_whole_ones_were_read(tiny: Path, content: bytes, message: str) -> None:
    assert len(Tiny(tiny).part("test")) == 3
    (tiny / "test.bin").unlink()
    (tiny / "test.bin").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        Tiny(tiny).part("test")
    assert "ecc-deploy data fetch cifar10" in caught.value.hint


def test_there_are_three_parts(tiny: Path) -> None:
    with pytest.raises(DataError, match="no part 'validation'"):
        Tiny(tiny).part("validation")


def test_the_archive_is_described_once() -> None:
    archive: Archive = Cifar10.archive
    assert archive.members == {**OFFICIAL.train, **OFFICIAL.test}
    assert len({m.sha256 for m in archive.members.values()}) == 6
    info = Cifar10.info()
    assert info.images == {"train": 45_000, "val": 5_000, "test": 10_000}
    assert info.bytes == 184_380_000


def test_the_real_images(cifar10_folder: Path) -> None:
    facts = data.load("cifar10", cifar10_folder)
    parts = {name: facts.part(name) for name in ("train", "val", "test")}
    for name, per_class in (("train", 4500), ("val", 500), ("test", 1000)):
        images, labels = parts[name].images, parts[name].labels
        assert images.shape == (10 * per_class, 32, 32, 3)
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
        assert images.flags.c_contiguous
        assert np.bincount(labels).tolist() == [per_class] * 10
    train, val = (sorted(image.tobytes() for image in parts[name].images) for name in ("train", "val"))
    assert not set(train) & set(val)
    # The channel means of all training images that the literature gives: 125.3, 123.0, 113.9.
    sums = parts["train"].images.sum((0, 1, 2), dtype=np.int64) + parts["val"].images.sum((0, 1, 2), dtype=np.int64)
    np.testing.assert_allclose(sums / (50_000 * 1024), [125.307, 122.950, 113.865], atol=1e-3)
    first = parts["test"].images[0]  # a cat; the first test image of every copy begins with these pixels
    assert facts.classes[parts["test"].labels[0]] == "cat"
    assert first[0, 0].tolist() == [158, 112, 49]


def test_val_stays_what_it_is(cifar10_folder: Path) -> None:
    val = data.load("cifar10", cifar10_folder).part("val")
    assert hashlib.sha256(val.labels.astype(np.uint8).tobytes() + val.images.tobytes()).hexdigest() == (
        "4b2f4c21a90c2eff8d2810a7a66df7120c40f96150ccd4bfc3e71b5797b0c475"
    )
