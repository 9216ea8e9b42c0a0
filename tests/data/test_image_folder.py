import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecc_deploy import data
from ecc_deploy.data import image_file, image_folder
from ecc_deploy.errors import DataError


def save(path: Path, value: int, width: int = 6, height: int = 4, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (width, height), value if mode == "L" else (value, 2, 3)).save(path, lossless=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """20 train images of each of two classes, 3 and 2 test images; the red of an image is its number."""
    for number in range(20):
        save(tmp_path / f"train/cat/{number}.png", number)
        save(tmp_path / f"train/dog/{number}.WebP", 100 + number)
    for number in range(3):
        save(tmp_path / f"test/cat/{number}.png", 50 + number)
        save(tmp_path / f"test/dog/{number}.png", 150 + number)
    (tmp_path / "test/dog/2.png").unlink()
    (tmp_path / "train/cat/notes.txt").write_text("not an image")
    (tmp_path / "train/.hidden").mkdir()
    save(tmp_path / "train/cat/.thumbnail.png", 255)
    return tmp_path


def reds(samples: data.Samples) -> list[int]:
    return samples.images[:, 0, 0, 0].tolist()


def test_parts_are_read_and_val_is_split_off(folder: Path) -> None:
    facts = data.load("image-folder", folder)
    assert facts.classes == ("cat", "dog")
    assert facts.image_shape == (4, 6, 3)
    train, val, test = (facts.part(name) for name in ("train", "val", "test"))
    assert train.images.dtype == np.uint8
    assert train.labels.dtype == np.int64
    assert sorted(reds(train) + reds(val)) == [*range(20), *range(100, 120)]
    assert sorted(reds(test)) == [50, 51, 52, 150, 151]
    for part in (train, val, test):
        assert part.labels.tolist() == [int(red >= 100) for red in reds(part)]


def test_val_and_the_order_follow_the_stated_hash(folder: Path) -> None:
    names = {f"cat/{n}.png": n for n in range(20)} | {f"dog/{n}.WebP": 100 + n for n in range(20)}
    order = [names[name] for name in sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())]
    held_out = [red for red in order if red < 100][:2] + [red for red in order if red >= 100][:2]
    facts = data.load("image-folder", folder)
    assert reds(facts.part("val")) == [red for red in order if red in held_out]
    assert reds(facts.part("train")) == [red for red in order if red not in held_out]


def test_a_val_folder_of_ones_own(folder: Path) -> None:
    save(folder / "val/dog/9.jpg", 7)
    facts = data.load("image-folder", folder)
    assert facts.part("val").labels.tolist() == [1]
    assert len(facts.part("train")) == 40


def test_a_device_may_hold_the_test_part_alone(folder: Path) -> None:
    (folder / "train").rename(folder / "elsewhere")
    facts = data.load_for_bundle("image-folder", (8, 8, 1), ("bird", "cat", "dog"), folder)
    assert facts.image_shape == (8, 8, 1)
    assert sorted(facts.part("test").labels.tolist()) == [1, 1, 1, 2, 2]
    with pytest.raises(DataError, match=r"there is no folder .*train, so there is no part val"):
        facts.part("val")
    with pytest.raises(DataError, match="cat is not among the classes: bird, dog"):
        data.load("image-folder", folder, classes=["bird", "dog"]).part("test")


def test_images_of_several_sizes_need_size(folder: Path) -> None:
    gradient = np.arange(48, dtype=np.uint8).reshape(4, 12)
    Image.fromarray(gradient).save(folder / "test/dog/wide.png")
    with pytest.raises(DataError, match=r"wide\.png has 12x4 pixels, and others have 6x4") as caught:
        data.load("image-folder", folder).part("test")
    assert "size = [height, width]" in caught.value.hint
    scaled = data.load("image-folder", folder, size=[2, 3], channels=1).part("test")
    wanted = np.asarray(Image.fromarray(gradient).resize((3, 2), Image.Resampling.BILINEAR))
    assert scaled.images.shape == (6, 2, 3, 1)
    assert (scaled.images[..., 0] == wanted).all(axis=(1, 2)).sum() == 1
    assert data.load("image-folder", folder, size=5).image_shape == (5, 5, 3)


def test_orientation_and_kinds_of_pixels(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    assert (image_file.read_image(tmp_path / "turned.png", 1, None)[..., 0] == np.rot90(pixels, -1)).all()
    assert image_file.read_image(tmp_path / "turned.png", 3, None).shape == (6, 4, 3)
    Image.fromarray(pixels.astype(np.uint16) * 1000).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png has pixels of the kind 'I;16'"):
        image_file.read_image(tmp_path / "deep.png", 1, None)


def test_normalisation(folder: Path) -> None:
    assert data.load("image-folder", folder).normalisation.mean == (0.485, 0.456, 0.406)
    assert data.load("image-folder", folder, channels=1).normalisation == data.Normalisation((0.449,), (0.226,))
    own = data.load("image-folder", folder, mean=[0.1, 0.2, 0.3], std=[1, 2, 3]).normalisation
    assert own == data.Normalisation((0.1, 0.2, 0.3), (1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size of image-folder is 0"),
        ({"size": [32]}, "size of image-folder"),
        ({"size": [32, 1e9]}, "size of image-folder"),
        ({"size": True}, "size of image-folder"),
        ({"channels": 4}, "channels of image-folder is 4"),
        ({"mean": [0.5]}, "mean of image-folder"),
        ({"mean": "0.5"}, "mean of image-folder"),
        ({"std": [1, 0, 1]}, "It must be above 0"),
        ({"std": [1, float("nan"), 1]}, "std of image-folder"),
        ({"classes": ["cat"]}, "classes of image-folder"),
        ({"classes": ["cat", "cat"]}, "classes of image-folder"),
        ({"colour": 3}, "image-folder cannot be made from the given arguments: .*'colour'"),
    ],
)
def test_arguments_that_make_no_sense(folder: Path, arguments: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        data.load("image-folder", folder, **arguments)


def test_a_folder_of_another_layout(tmp_path: Path) -> None:
    def refused(message: str, part: str = "train") -> None:
        with pytest.raises(DataError, match=message):
            data.load("image-folder", tmp_path).part(part)

    with pytest.raises(DataError, match="needs the folder of your images") as caught:
        data.load("image-folder")
    assert "--data FOLDER" in caught.value.hint
    refused("has no folder train, val or test")
    (tmp_path / "train").mkdir()
    refused("has 0 class folders")
    save(tmp_path / "train/cat/1.png", 1)
    refused("has 1 class folders")
    (tmp_path / "train/dog").mkdir()
    save(tmp_path / "train/cat/2.png", 1)
    refused("dog has no images")
    save(tmp_path / "train/dog/1.png", 1)
    refused("has one image, so none can be held out")
    save(tmp_path / "train/dog/2.png", 1)
    refused("there is no folder .*test", "test")
    refused("no part 'validation'", "validation")
    save(tmp_path / "test/bird/1.png", 1)
    refused("bird is not among the classes: cat, dog", "test")
    save(tmp_path / "train/loose.png", 1)
    refused(r"loose\.png lies in no class folder")


def test_images_that_cannot_be_trusted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(content: bytes, message: str) -> None:
        (folder / "test/cat/x.png").write_bytes(content)
        with pytest.raises(DataError, match=message):
            data.load("image-folder", folder).part("test")

    refused(b"", r"x\.png is no image")
    refused((folder / "test/cat/1.png").read_bytes()[:50], r"x\.png cannot be read")
    refused(b"GIF89a" + bytes(40), r"x\.png is no image")
    Image.new("1", (9000, 9000)).save(folder / "bomb.png")
    refused((folder / "bomb.png").read_bytes(), r"x\.png has 9000x9000 pixels; 67108864 in all are allowed")
    monkeypatch.setattr(image_folder, "MAX_BYTES", 1000)
    with pytest.raises(DataError, match=r"the 36 images of .*train need 0 GB as pixels"):
        data.load("image-folder", folder).part("train")
