"""The run directory: what training leaves behind and everything later reads.

``system.toml``         the recipe, from which the system's structure is rebuilt
``system.safetensors``  the weights of the parts that hold trained weights
``metrics.json``        what was measured while training
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tomli_w
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ecc_deploy import data, resources, zoo
from ecc_deploy.data import Dataset
from ecc_deploy.errors import DataError, RunError
from ecc_deploy.systems.adapter import Adapter
from ecc_deploy.systems.gate import LearnedGate
from ecc_deploy.systems.system import EdgeCloudSystem, Split
from ecc_deploy.training.recipe import DataRecipe, ModelRecipe, Recipe, load_recipe

PARTS = ("edge", "cloud", "adapter", "tail", "gate")
_WEIGHTS = "system.safetensors"
_SHIPPED = "shipped:"


@dataclass(frozen=True)
class Run:
    """A loaded run: ``parts`` names those of ``system`` that hold trained weights."""

    recipe: Recipe
    system: EdgeCloudSystem
    parts: frozenset[str]
    metrics: dict
    path: Path


def load_data(recipe: Recipe) -> Dataset:
    """The dataset of a recipe. Raises :class:`DataError`."""
    return data.load(recipe.data.name, recipe.data.folder, **recipe.data.arguments)


def load_starting_weights(system: EdgeCloudSystem, recipe: Recipe) -> frozenset[str]:
    """Load what the recipe starts from: checkpoints of the models, then ``init``; returns the parts that have weights.

    Raises :class:`RecipeError` for a checkpoint that does not fit, :class:`RunError` for a run that does not.
    """
    parts: frozenset[str] = frozenset()
    for part, model in (("edge", recipe.edge), ("cloud", recipe.cloud)):
        if model.weights is not None:
            load_model_weights(getattr(system, part), model)
            parts |= {part}
    if "cloud" in parts:
        system.reset_tail()
    return parts | load_weights(system, resolve(recipe.init)) if recipe.init else parts


def build_model(model: ModelRecipe, facts: Dataset) -> zoo.Backbone:
    """The model for images and classes of a dataset, with fresh weights. Raises :class:`RecipeError`."""
    height, width, channels = facts.image_shape
    shape, classes = (channels, height, width), len(facts.classes)
    return zoo.build(model.model, input_shape=shape, classes=classes, **model.arguments)


def load_model_weights(module: zoo.Backbone, model: ModelRecipe) -> None:
    """Load the checkpoint that ``model`` names. Raises :class:`RecipeError` for one that does not fit."""
    assert model.weights is not None
    file = os.path.expandvars(model.weights.file)
    path = resolve(file) / _WEIGHTS if file.startswith(_SHIPPED) or Path(file).is_dir() else Path(file)
    zoo.load_weights(module, path, prefix=model.weights.prefix, rename=model.weights.rename)


def build_system(recipe: Recipe) -> EdgeCloudSystem:
    """Build the system that a recipe describes, with fresh weights. Raises :class:`RecipeError`."""
    facts = load_data(recipe)
    edge, cloud = build_model(recipe.edge, facts), build_model(recipe.cloud, facts)
    split = Split(recipe.split.edge_after, recipe.split.cloud_from)
    feature_shape = edge.feature_shape(split.edge_after)
    adapter = Adapter(
        feature_shape,
        cloud.entry_shape(split.cloud_from),
        **recipe.adapter.model_dump(),
    )
    return EdgeCloudSystem(edge, cloud, split, adapter, LearnedGate(len(facts.classes), feature_shape[0]))


def resolve(run: str | Path) -> Path:
    """The folder of a run; ``shipped:NAME`` is one that comes with the package."""
    text = str(run)
    path = resources.shipped_weights(text.removeprefix(_SHIPPED)) if text.startswith(_SHIPPED) else Path(run)
    if not (path / _WEIGHTS).is_file() or not (path / "system.toml").is_file():
        raise RunError(
            f"{text} is not a run directory: it has no system.safetensors and system.toml",
            "`ecc-deploy train RECIPE --out RUN` makes one; `shipped:fashion-mnist` comes with ecc-deploy.",
        )
    return path


def load_weights(system: EdgeCloudSystem, path: Path) -> frozenset[str]:
    """Load the parts that ``system.safetensors`` in ``path`` holds; returns their names. Raises :class:`RunError`.

    A tail that is absent follows the cloud model. Where ``system`` has other boundary bits than the run, the weights
    are a start, but its quantizer finds its step anew in training, and until then the adapter is not a trained part.
    """
    try:
        state = load_file(path / _WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path / 'system.safetensors'} cannot be read: {error}") from error
    parts = frozenset(key.split(".", 1)[0] for key in state)
    if not parts <= set(PARTS):
        raise RunError(f"{path} holds weights of unknown parts: {', '.join(sorted(parts - set(PARTS)))}")
    for part in [name for name in PARTS if name in parts]:
        own = {key.split(".", 1)[1]: value for key, value in state.items() if key.split(".", 1)[0] == part}
        try:
            getattr(system, part).load_state_dict(own)
        except RuntimeError as error:
            raise RunError(
                f"the weights of the {part} in {path} do not fit the recipe: {error}",
                "The recipe's models must have the shapes of the run that it starts from.",
            ) from error
    if "cloud" in parts and "tail" not in parts:
        system.reset_tail()
    if "adapter" in parts and load_recipe(path / "system.toml").adapter.bits != system.adapter.quantizer.bits:
        system.adapter.quantizer.reset()
        parts -= {"adapter"}
    return parts


def load_run(run: str | Path, *, dataset: str | None = None, data_folder: str | Path | None = None) -> Run:
    """Load a run directory, or ``shipped:NAME``.

    ``dataset``, ``data_folder``: instead of those of its recipe. Raises :class:`RunError`, :class:`DataError`.
    """
    path = resolve(run)
    recipe = _with_data(load_recipe(path / "system.toml"), dataset, None if data_folder is None else Path(data_folder))
    system = build_system(recipe)
    parts = load_weights(system, path)
    metrics_path = path / "metrics.json"
    metrics = json.loads(metrics_path.read_text()) if metrics_path.is_file() else {}
    return Run(recipe, system.eval(), parts, metrics, path)


def _with_data(recipe: Recipe, dataset: str | None, folder: Path | None) -> Recipe:
    """``recipe`` with another dataset of the same kind, or the same one at another place."""
    if dataset is None and folder is None:
        return recipe
    if dataset is None:
        return recipe.model_copy(update={"data": recipe.data.model_copy(update={"folder": folder})})
    other = recipe.model_copy(update={"data": DataRecipe(name=dataset, folder=folder)})
    given, own = load_data(other), load_data(recipe)
    for what, a, b in (("classes", given.classes, own.classes), ("images", given.image_shape, own.image_shape)):
        if tuple(a) != tuple(b):
            raise DataError(
                f"the dataset {dataset} has the {what} {tuple(a)}, and {own.name}, of the run, has {tuple(b)}",
                "Give a dataset with the classes and the image size that the run was trained for.",
            )
    return other


def save_run(path: Path, recipe: Recipe, system: EdgeCloudSystem, parts: frozenset[str], metrics: dict) -> None:
    """Write a run directory; each file appears whole or not at all."""
    path.mkdir(parents=True, exist_ok=True)
    state = {k: v.contiguous() for k, v in system.state_dict().items() if k.split(".", 1)[0] in parts}
    with tempfile.TemporaryDirectory(dir=path, prefix=".writing-") as folder:
        work = Path(folder)
        save_file(state, work / _WEIGHTS, metadata={"parts": ",".join(sorted(parts))})
        (work / "system.toml").write_text(tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True)))
        (work / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
        for name in (_WEIGHTS, "system.toml", "metrics.json"):
            (work / name).replace(path / name)
