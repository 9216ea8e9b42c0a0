from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecc_deploy import data, resources
from ecc_deploy.errors import DataError, RecipeError
from ecc_deploy.quantization.calibration import CalibrationRecipe, draw, load_calibration

SHIPPED = sorted(p.stem for p in resources.folder("calibration").glob("*.toml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_load_and_draw(name: str) -> None:
    recipe = load_calibration(name)
    assert recipe.name == name
    assert len(draw(recipe, data.load("fashion-mnist-sample"))) == recipe.samples


def test_there_is_a_recipe_of_each_method() -> None:
    assert {load_calibration(name).method for name in SHIPPED} == {"minmax", "percentile", "entropy", "mse"}


def test_draw_is_seeded_and_without_repetition() -> None:
    sample = data.load("fashion-mnist-sample")
    first = draw(CalibrationRecipe(name="a", samples=300, seed=1), sample)
    again = draw(CalibrationRecipe(name="a", samples=300, seed=1), sample)
    other = draw(CalibrationRecipe(name="a", samples=300, seed=2), sample)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(first.reshape(300, -1), axis=0)) >= 299
    train = {image.tobytes() for image in sample.part("train").images}
    assert all(image.tobytes() in train for image in first)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 'x'\nmethod = 'magic'", "method"),
        ("name = 'x'\nsamples = 0", "samples"),
        ("name = 'x'\npart = 'test'", "part"),
        ("name = ", "not TOML"),
        ("name = 'x'\nsample = 3", "sample"),
    ],
)
def test_wrong_recipes_say_where(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_calibration(tmp_path / "mine.toml")


class Grey:
    """A dataset whose images are all of one grey each."""

    name = "grey"
    classes = ("a", "b")
    image_shape = (4, 4, 1)
    normalisation = data.Normalisation((0.5,), (0.5,))

    def part(self, name: str) -> data.Samples:
        return data.Samples(np.full((64, 4, 4, 1), 7, np.uint8), np.zeros(64, np.int64))


def test_degenerate_and_too_few_samples() -> None:
    with pytest.raises(DataError, match="64 of 64 calibration images of grey are of one single colour"):
        draw(CalibrationRecipe(name="a", samples=64), Grey())
    with pytest.raises(DataError, match="wants 65 samples; the train part of grey has 64"):
        draw(CalibrationRecipe(name="a", samples=65), Grey())


def test_images_of_the_users_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(6):
        path = tmp_path / f"camera/day{number % 2}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(path)
    (tmp_path / "camera/.thumbnails").mkdir()
    (tmp_path / "camera/.thumbnails/0.png").write_bytes(b"not an image")
    (tmp_path / "mine.toml").write_text(f"name = 'mine'\nsamples = 5\nsource = '{tmp_path / 'camera'}'\n")
    recipe = load_calibration(tmp_path / "mine.toml")
    sample = data.load("fashion-mnist-sample")
    found = draw(recipe, sample)
    assert (found.shape, found.dtype) == ((5, 28, 28, 1), np.uint8)
    assert len(np.unique(found.reshape(5, -1), axis=0)) == 5
    np.testing.assert_array_equal(found, draw(recipe, sample))
    with pytest.raises(DataError, match="has 6 images, and 7 are wanted"):
        draw(recipe.model_copy(update={"samples": 7}), sample)
    with pytest.raises(DataError, match="there is no folder"):
        draw(recipe.model_copy(update={"source": tmp_path / "none"}), sample)
    (tmp_path / "camera/day0/0.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"0\.png"):
        draw(recipe.model_copy(update={"samples": 6}), sample)
