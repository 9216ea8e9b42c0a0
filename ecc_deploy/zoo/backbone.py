"""What a backbone is: a classifier that can be cut at named places, and the one made of a sequence of stages."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from ecc_deploy.errors import RecipeError

Shape = tuple[int, int, int]
"""Channels, height, width."""


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


class Backbone(nn.Module, ABC):
    """A classifier with places to cut it at, each named after what runs there: a *stage*.

    A part (:meth:`through`, :meth:`after`, :meth:`from_stage`) shares this backbone's submodules and parameters, and
    can be deep-copied, trained, exported and counted by itself. A name that is no stage is a :class:`RecipeError`.
    """

    def __init__(self, input_shape: Shape) -> None:
        """``input_shape``: of one input."""
        super().__init__()
        self.input_shape = input_shape

    @property
    @abstractmethod
    def stage_names(self) -> list[str]:
        """The names that the other methods take, from input to output."""

    @abstractmethod
    def through(self, stage: str) -> nn.Module:
        """From the input to what leaves ``stage``."""

    @abstractmethod
    def after(self, stage: str) -> nn.Module:
        """From what leaves ``stage`` to the logits; with :meth:`through` it makes up the whole backbone."""

    @abstractmethod
    def before(self, stage: str) -> nn.Module:
        """From the input to what enters ``stage``; with :meth:`from_stage` it makes up the whole backbone."""

    @abstractmethod
    def from_stage(self, stage: str) -> nn.Module:
        """From what enters ``stage`` to the logits: the tail that continues an adapted feature."""

    @abstractmethod
    def feature_shape(self, stage: str) -> Shape:
        """What leaves ``stage``."""

    @abstractmethod
    def entry_shape(self, stage: str) -> Shape:
        """What enters ``stage``."""

    @abstractmethod
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x``: float ``[N, C, H, W]``, normalised; returns logits ``[N, classes]``."""

    @abstractmethod
    def own_key(self, key: str) -> str:
        """What this backbone's state dict calls the tensor that the field's checkpoints call ``key``."""


class StagedBackbone(Backbone):
    """A sequence of named stages that can be cut between any two of them; the last one, the head, gives logits.

    Parameters are named ``stages.<stage>.<...>``, so a state dict says which stage each tensor belongs to.
    """

    def __init__(
        self,
        stages: Iterable[tuple[str, nn.Module]],
        input_shape: Shape,
        field_keys: Sequence[tuple[str, str]] = (),
    ) -> None:
        """``field_keys``: pattern at the start of a key in the field's checkpoints, and what stands for it here."""
        super().__init__(input_shape)
        self.stages = nn.Sequential(OrderedDict(stages))
        self.field_keys = tuple(field_keys)

    @property
    def stage_names(self) -> list[str]:
        return list(self.stages._modules)

    def _position(self, stage: str) -> int:
        names = self.stage_names
        if stage not in names:
            raise RecipeError(f"the backbone has no stage {stage!r}", f"Its stages, in order: {', '.join(names)}.")
        return names.index(stage)

    def _named(self, start: int, stop: int | None = None) -> nn.Sequential:
        return nn.Sequential(OrderedDict(list(self.stages.named_children())[start:stop]))

    def through(self, stage: str) -> nn.Sequential:
        return self._named(0, self._position(stage) + 1)

    def after(self, stage: str) -> nn.Sequential:
        return self._named(self._position(stage) + 1)

    def before(self, stage: str) -> nn.Sequential:
        return self._named(0, self._position(stage))

    def from_stage(self, stage: str) -> nn.Sequential:
        return self._named(self._position(stage))

    def feature_shape(self, stage: str) -> Shape:
        device = next(self.parameters()).device
        with evaluating(self):
            shape = self.through(stage)(torch.zeros(1, *self.input_shape, device=device)).shape[1:]
        if len(shape) != 3:
            raise RecipeError(f"what leaves the stage {stage!r} is no feature map but {list(shape)} per sample")
        return (int(shape[0]), int(shape[1]), int(shape[2]))

    def entry_shape(self, stage: str) -> Shape:
        position = self._position(stage)
        return self.input_shape if position == 0 else self.feature_shape(self.stage_names[position - 1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.stages(x)
        return logits

    def own_key(self, key: str) -> str:
        for pattern, replacement in self.field_keys:
            if found := re.match(pattern, key):
                return found.expand(replacement) + key[found.end() :]
        return key
