"""What a backbone is: a sequence of named stages that can be cut between any two of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ecc_deploy.errors import RecipeError


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every submodule is in the mode that it was in.

    ``module.train(was_training)`` would not do: it sets all submodules alike, and parts of a system share them.
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode


class Backbone(nn.Module):
    """A classifier as an ordered set of named stages; the last one, the head, gives logits ``[N, classes]``.

    Parameters are named ``<stage>.<...>``, so a state dict says which stage each tensor belongs to.
    """

    def __init__(self, stages: Iterable[tuple[str, nn.Module]], input_shape: tuple[int, int, int]) -> None:
        """``input_shape``: channels, height, width of one input."""
        super().__init__()
        self.stages = nn.Sequential(OrderedDict(stages))
        self.input_shape = input_shape

    @property
    def stage_names(self) -> list[str]:
        return list(self.stages._modules)

    def _position(self, stage: str) -> int:
        names = self.stage_names
        if stage not in names:
            raise RecipeError(
                f"{type(self).__name__} has no stage {stage!r}", f"Its stages, in order: {', '.join(names)}."
            )
        return names.index(stage)

    def _named(self, start: int, stop: int | None = None) -> OrderedDict[str, nn.Module]:
        return OrderedDict(list(self.stages.named_children())[start:stop])

    def through(self, stage: str) -> nn.Sequential:
        """The stages up to and with ``stage``, sharing this backbone's parameters."""
        return nn.Sequential(self._named(0, self._position(stage) + 1))

    def after(self, stage: str) -> nn.Sequential:
        """The stages behind ``stage``; with :meth:`through` it makes up the whole backbone."""
        return nn.Sequential(self._named(self._position(stage) + 1))

    def from_stage(self, stage: str) -> nn.Sequential:
        """The stages from ``stage`` on: the tail that continues a feature which enters ``stage``."""
        return nn.Sequential(self._named(self._position(stage)))

    def feature_shape(self, stage: str) -> tuple[int, int, int]:
        """Channels, height, width of what leaves ``stage``."""
        with evaluating(self):
            shape = self.through(stage)(torch.zeros(1, *self.input_shape)).shape[1:]
        return (int(shape[0]), int(shape[1]), int(shape[2]))

    def entry_shape(self, stage: str) -> tuple[int, int, int]:
        """Channels, height, width of what enters ``stage``."""
        position = self._position(stage)
        return self.input_shape if position == 0 else self.feature_shape(self.stage_names[position - 1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x``: float ``[N, C, H, W]``, normalised; returns logits ``[N, classes]``."""
        logits: torch.Tensor = self.stages(x)
        return logits


_REGISTER: dict[str, Callable[..., Backbone]] = {}


def backbone(name: str) -> Callable[[Callable[..., Backbone]], Callable[..., Backbone]]:
    """Decorator: register a factory that takes ``input_shape``, ``classes`` and its own keyword arguments."""

    def register(factory: Callable[..., Backbone]) -> Callable[..., Backbone]:
        _REGISTER[name] = factory
        return factory

    return register


def names() -> list[str]:
    """The names that :func:`build` takes."""
    return sorted(_REGISTER)


def build(name: str, *, input_shape: tuple[int, int, int], classes: int, **arguments: object) -> Backbone:
    """Build the backbone ``name``. Raises :class:`RecipeError` for an unknown name or argument."""
    if name not in _REGISTER:
        raise RecipeError(f"there is no backbone named {name!r}", f"Known backbones: {', '.join(names())}.")
    try:
        return _REGISTER[name](input_shape=input_shape, classes=classes, **arguments)
    except TypeError as error:
        raise RecipeError(f"the backbone {name!r} cannot be built: {error}") from error
