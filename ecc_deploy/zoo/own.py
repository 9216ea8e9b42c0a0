"""Your own model as a backbone: any torch module that classifies images, cut at its submodules by their paths."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ecc_deploy.errors import RecipeError
from ecc_deploy.own_code import blamed, import_factory
from ecc_deploy.zoo.backbone import Backbone, Shape, evaluating
from ecc_deploy.zoo.cut import Cut, cut
from ecc_deploy.zoo.part import Part
from ecc_deploy.zoo.recording import logits_of
from ecc_deploy.zoo.steps import UntraceableError


class ModuleBackbone(Backbone):
    """A torch module that takes images and gives logits, or something with ``.logits``.

    Its stages are its submodules, named by their paths (``layer1``, ``resnet.encoder.stages.0``). It can be cut at
    each that runs exactly once and where one feature map crosses. The first cut at a path runs a copy of the module on
    random images. Parameters are named as in the module, behind ``model.``.
    """

    def __init__(self, model: nn.Module, input_shape: Shape, classes: int) -> None:
        """Raises :class:`RecipeError` where ``model`` does not give ``[N, classes]`` for ``input_shape``."""
        super().__init__(input_shape)
        self.model = model
        self._cuts: dict[tuple[str, bool], Cut] = {}
        kind = type(model).__name__
        with evaluating(self), torch.random.fork_rng(devices=[]), _blamed(f"{kind} on {list(input_shape)} images"):
            shape = list(self(torch.zeros(2, *input_shape, device=_device(model))).shape)
        if shape != [2, classes]:
            raise RecipeError(
                f"{kind} gives {shape} for a batch of 2, and must give logits [2, {classes}]",
                "The number of classes is among the arguments of most factories.",
            )

    @property
    def stage_names(self) -> list[str]:
        return [path for path, _ in self.model.named_modules() if path]

    def _cut(self, path: str, *, is_behind: bool) -> Cut:
        names = [name for name, _ in self.model.named_modules(remove_duplicate=False) if name]
        if path not in names:
            near = difflib.get_close_matches(path, names, n=5, cutoff=0.3) or self.stage_names[:5]
            raise RecipeError(
                f"{type(self.model).__name__} has no module {path!r}", f"The nearest are {', '.join(near)}."
            )
        if (path, is_behind) not in self._cuts:
            self._cuts[path, is_behind] = cut(self.model, path, self.input_shape, is_behind=is_behind)
        return self._cuts[path, is_behind]

    def through(self, stage: str) -> nn.Module:
        return Part(self.model, self._cut(stage, is_behind=True).before)

    def after(self, stage: str) -> nn.Module:
        return Part(self.model, self._cut(stage, is_behind=True).behind)

    def before(self, stage: str) -> nn.Module:
        return Part(self.model, self._cut(stage, is_behind=False).before)

    def from_stage(self, stage: str) -> nn.Module:
        return Part(self.model, self._cut(stage, is_behind=False).behind)

    def feature_shape(self, stage: str) -> Shape:
        return self._cut(stage, is_behind=True).shape

    def entry_shape(self, stage: str) -> Shape:
        return self._cut(stage, is_behind=False).shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return logits_of(self.model(x))

    def own_key(self, key: str) -> str:
        return f"model.{key}"


def build_own(name: str, input_shape: Shape, classes: int, arguments: Mapping[str, Any]) -> ModuleBackbone:
    """Import ``package.module:factory``, call it with ``arguments`` and wrap what it returns.

    ``num_classes``, ``classes`` and ``input_shape`` are given to a factory that has parameters of these names.
    Raises :class:`RecipeError` for what cannot be imported or called, or is no such model.
    """
    factory = import_factory(name, "model", RecipeError)
    try:
        parameters: Mapping[str, Any] = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        parameters = {}
    facts = {"num_classes": classes, "classes": classes, "input_shape": input_shape}
    given = {key: value for key, value in facts.items() if key in parameters}
    with _blamed(f"the model {name}"):
        model = factory(**{**given, **arguments})
    if not isinstance(model, nn.Module):
        raise RecipeError(f"{name} made a {type(model).__name__}, and must make a torch.nn.Module")
    return ModuleBackbone(model, input_shape, classes)


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


@contextmanager
def _blamed(what: str) -> Iterator[None]:
    """As :func:`blamed`; that a model cannot be followed has no line of its own."""
    with blamed(what, RecipeError):
        try:
            yield
        except UntraceableError as error:
            raise RecipeError(f"{what}: {error}") from error
