"""The training recipe: a TOML file, typed and validated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from ecc_deploy import resources, toml
from ecc_deploy.bundle.manifest import Bits
from ecc_deploy.errors import RecipeError
from ecc_deploy.training.phase import Phase, Positive, Strict


class DataRecipe(Strict):
    name: str
    """Of a dataset, or ``package.module:factory`` of one's own."""
    folder: Path | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)


class WeightsRecipe(Strict):
    """A checkpoint to start from: safetensors, or ``.pt`` and ``.th`` without code in them."""

    file: str
    """A path, in which environment variables are expanded; of a run directory, or ``shipped:NAME``, the weights."""
    prefix: str = ""
    """What is cut from the front of every key, as ``module.``."""
    rename: dict[str, str] = Field(default_factory=dict)


class ModelRecipe(Strict):
    model: str
    """A name of the zoo, or ``package.module:factory`` that makes an ``nn.Module`` of one's own."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    weights: WeightsRecipe | None = None


class SplitRecipe(Strict):
    edge_after: str
    cloud_from: str


class AdapterRecipe(Strict):
    channels: Positive = 8
    encoder_stride: Positive = 2
    bits: Bits = 4
    encoder_blocks: Annotated[int, Field(ge=0)] = 0
    decoder_blocks: Annotated[int, Field(ge=0)] = 1


class TeacherRecipe(Strict):
    """Whose answers are distilled. Without this table: the cloud model's, to every batch anew."""

    also: list[ModelRecipe] = Field(default_factory=list)
    """Trained models beside the cloud model; the teacher's logits are the mean of all of theirs."""
    mirrored: bool = False
    """The mean over an image and its mirror image."""
    views: Annotated[int, Field(ge=0, le=1024)] = 0
    """So many fixed augmented views of each image, to which the teacher answers once
    (:mod:`~ecc_deploy.training.views`); 0: images are augmented anew each time, and it answers every batch."""

    @model_validator(mode="after")
    def _is_trained(self) -> TeacherRecipe:
        for model in self.also:
            if model.weights is None:
                raise ValueError(f"the teacher {model.model} needs weights: it is not trained here")
        return self


class Recipe(Strict):
    """What to train, on what, how. ``init`` names a run directory (or ``shipped:NAME``) whose weights to start from."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    seed: int = 0
    data: DataRecipe
    edge: ModelRecipe
    cloud: ModelRecipe
    split: SplitRecipe
    adapter: AdapterRecipe = AdapterRecipe()
    teacher: TeacherRecipe = TeacherRecipe()
    init: str | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """Of training: bfloat16 autocast, or not; ``auto`` takes it where the machine multiplies bfloat16 natively."""
    phases: Annotated[list[Phase], Field(min_length=1)]


def explain(error: ValidationError) -> str:
    """A pydantic error as ``field: what is wrong`` lines."""
    return "\n".join(f"  {'.'.join(map(str, e['loc'])) or '(file)'}: {e['msg']}" for e in error.errors())


def parse_recipe(text: str, source: str) -> Recipe:
    """Parse a recipe; ``source`` names it in errors. Raises :class:`RecipeError`."""
    try:
        tables = toml.loads(text)
        if "sweep" in tables:
            raise RecipeError(f"{source} describes a sweep, not one training", "Add --sweep; see docs/sweeps.md.")
        return Recipe.model_validate(tables)
    except toml.tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source} is not TOML: {error}") from error
    except ValidationError as error:
        raise RecipeError(f"{source} is not a recipe:\n{explain(error)}", "See docs/recipes.md.") from error


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read and parse a recipe: a file, or one that ships with ecc-deploy, by its name. Raises :class:`RecipeError`."""
    return parse_recipe(*read_recipe(name_or_path))


def read_recipe(name_or_path: str | Path) -> tuple[str, str]:
    """The text of a recipe, and what to call it in errors. Raises :class:`RecipeError`."""
    path = Path(name_or_path)
    shipped = resources.folder("recipes") / f"{name_or_path}.toml"
    if path.name == str(name_or_path) and not path.suffix and shipped.is_file():
        path = shipped
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(sorted(p.stem for p in resources.folder("recipes").glob("*.toml")))
        raise RecipeError(f"the recipe {path} cannot be read: {error}", f"Shipped recipes: {known}.") from error
    return text, str(path)
