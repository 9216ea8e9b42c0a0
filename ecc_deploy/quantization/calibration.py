"""Calibration recipes: which samples, and how integer ranges are found from them. Data, in ``calibration/*.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ecc_deploy import resources, toml
from ecc_deploy.data import Dataset
from ecc_deploy.data.loose_images import draw_images
from ecc_deploy.errors import DataError, RecipeError
from ecc_deploy.quantization.degenerate import check_samples
from ecc_deploy.quantization.ranges import Method, RangeMethod

EVERY_HALF = "*"


class CalibrationRecipe(BaseModel):
    """``method``: how the range of an activation is found from what was seen of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    method: Method = "minmax"
    percentile: Annotated[float, Field(gt=50, lt=100)] = 99.99
    """The share in percent that the method ``percentile`` keeps."""
    samples: Annotated[int, Field(gt=0, le=100_000)] = 256
    part: Literal["train"] = "train"
    """Of the data. Never val or test: those judge the result."""
    source: Path | None = None
    """Folder of image files of the user's own to draw from, instead of the data's part; they need no labels."""
    seed: int = 0
    exclude: dict[str, tuple[str, ...]] = {}
    """What stays float in int8: paths of modules, by the key of the half, or for ``*`` in every half that has them."""

    @property
    def ranges(self) -> RangeMethod:
        """How ranges are found."""
        return RangeMethod(self.method, self.percentile)


def load_calibration(name: str | Path) -> CalibrationRecipe:
    """Load a recipe by name, from ``calibration/``, or by path. Raises :class:`RecipeError`."""
    path = Path(name)
    if path.suffix != ".toml":
        path = resources.folder("calibration") / f"{name}.toml"
    try:
        return CalibrationRecipe.model_validate(toml.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(sorted(p.stem for p in resources.folder("calibration").glob("*.toml")))
        raise RecipeError(
            f"the calibration recipe {path} cannot be read: {error}", f"Shipped recipes: {known}."
        ) from error
    except toml.tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RecipeError(f"{path} is not a calibration recipe: {where}: {first['msg']}") from error


def draw(recipe: CalibrationRecipe, dataset: Dataset) -> np.ndarray:
    """The recipe's images, for a system that was trained on ``dataset``: a seeded draw without repetition.

    uint8 ``[N, H, W, C]``. Raises :class:`DataError`, also for degenerate ones.
    """
    if recipe.source is not None:
        images, name = draw_images(recipe.source, recipe.samples, recipe.seed, dataset.image_shape), str(recipe.source)
    else:
        part, name = dataset.part(recipe.part), dataset.name
        if len(part) < recipe.samples:
            raise DataError(
                f"the calibration recipe {recipe.name!r} wants {recipe.samples} samples; "
                f"the {recipe.part} part of {name} has {len(part)}"
            )
        images = part.images[np.random.default_rng(recipe.seed).permutation(len(part))[: recipe.samples]]
    check_samples(images, dataset.image_shape, name)
    return images
