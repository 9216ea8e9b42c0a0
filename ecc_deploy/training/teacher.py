"""The teacher: whose logits are distilled. The frozen cloud model, alone or together with others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ecc_deploy.systems.system import EdgeCloudSystem
from ecc_deploy.training.folding import folded
from ecc_deploy.training.views import identity_of


class Teacher:
    """Answers with the mean of its models' logits; takes copies, so later training of the system does not move it."""

    def __init__(self, system: EdgeCloudSystem, others: Sequence[nn.Module] = (), *, mirrored: bool = False) -> None:
        """``others``: more models, images to logits. ``mirrored``: each answers the mirror image too."""
        self._before_joint = folded(system.cloud.before(system.split.cloud_from))
        self.tail = folded(system.cloud.from_stage(system.split.cloud_from))
        """From the cloud's own feature at the joint to its logits; gradients flow through it."""
        self._others = [folded(model) for model in others]
        self.mirrored = mirrored

    @property
    def identity(self) -> str:
        """The same for teachers that give the same answers."""
        return identity_of([self._before_joint, self.tail, *self._others], self.mirrored)

    @torch.no_grad()
    def feature(self, x: torch.Tensor) -> torch.Tensor:
        """The cloud model's own feature at the joint, NCHW."""
        found: torch.Tensor = self._before_joint(x)
        return found

    @torch.no_grad()
    def logits(self, x: torch.Tensor, feature: torch.Tensor | None = None) -> torch.Tensor:
        """Of images ``[N, C, H, W]``, float32 ``[N, classes]``; ``feature``: theirs at the joint, where it is known."""
        answers = self._answers(x, self.feature(x) if feature is None else feature)
        if self.mirrored:
            other = x.flip(3)
            answers += self._answers(other, self.feature(other))
        return torch.stack(answers).mean(dim=0)

    def _answers(self, x: torch.Tensor, feature: torch.Tensor) -> list[torch.Tensor]:
        return [self.tail(feature).float(), *(model(x).float() for model in self._others)]
