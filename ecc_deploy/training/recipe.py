"""The training recipe: a TOML file, typed and validated."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ecc_deploy import resources
from ecc_deploy.bundle.manifest import Bits
from ecc_deploy.errors import RecipeError

Part = Literal["edge", "cloud", "adapter", "tail"]
Positive = Annotated[int, Field(gt=0)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataRecipe(_Strict):
    name: str
    folder: Path | None = None


class ModelRecipe(_Strict):
    model: str
    """A name of the zoo."""
    arguments: dict[str, Any] = {}


class SplitRecipe(_Strict):
    edge_after: str
    cloud_from: str


class AdapterRecipe(_Strict):
    channels: Positive = 8
    encoder_stride: Positive = 2
    bits: Bits = 4
    decoder_blocks: Annotated[int, Field(ge=0)] = 1


class LossRecipe(_Strict):
    """Weights of the objectives, applied to every path that the phase trains."""

    cross_entropy: Weight = 1.0
    distillation: Weight = 0.0
    """KL divergence to the frozen cloud model's answer (Hinton et al. 2015)."""
    temperature: Annotated[float, Field(gt=0)] = 4.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0


class AugmentRecipe(_Strict):
    flip: bool = True
    """Mirror half of the images left to right."""
    shift: Annotated[int, Field(ge=0, le=16)] = 2
    """Move each image by up to this many pixels each way; the border is repeated."""


class Phase(_Strict):
    """One training run over some of the parts; the others are frozen, in evaluation mode."""

    name: str
    train: Annotated[list[Part], Field(min_length=1)]
    epochs: Positive
    batch: Positive = 128
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    """Peak of a one-cycle schedule (SGD, Nesterov momentum 0.9)."""
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    loss: LossRecipe = LossRecipe()
    augment: AugmentRecipe = AugmentRecipe()

    @model_validator(mode="after")
    def _cloud_has_no_teacher(self) -> Phase:
        if "cloud" in self.train and (len(self.train) > 1 or self.loss.distillation > 0):
            raise ValueError("a phase that trains the cloud trains it alone, and without distillation")
        return self


class Recipe(_Strict):
    """What to train, on what, how. ``init`` names a run directory (or ``shipped:NAME``) whose weights to start from."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    seed: int = 0
    data: DataRecipe
    edge: ModelRecipe
    cloud: ModelRecipe
    split: SplitRecipe
    adapter: AdapterRecipe = AdapterRecipe()
    init: str | None = None
    phases: Annotated[list[Phase], Field(min_length=1)]


def explain(error: ValidationError) -> str:
    """A pydantic error as ``field: what is wrong`` lines."""
    return "\n".join(f"  {'.'.join(map(str, e['loc'])) or '(file)'}: {e['msg']}" for e in error.errors())


def parse_recipe(text: str, source: str) -> Recipe:
    """Parse a recipe; ``source`` names it in errors. Raises :class:`RecipeError`."""
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source} is not TOML: {error}") from error
    except ValidationError as error:
        raise RecipeError(f"{source} is not a recipe:\n{explain(error)}", "See docs/recipes.md.") from error


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read and parse a recipe: a file, or one that ships with ecc-deploy, by its name. Raises :class:`RecipeError`."""
    path = Path(name_or_path)
    shipped = resources.folder("recipes") / f"{name_or_path}.toml"
    if path.name == str(name_or_path) and not path.suffix and shipped.is_file():
        path = shipped
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(sorted(p.stem for p in resources.folder("recipes").glob("*.toml")))
        raise RecipeError(f"the recipe {path} cannot be read: {error}", f"Shipped recipes: {known}.") from error
    return parse_recipe(text, str(path))
