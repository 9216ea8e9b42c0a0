"""Residual networks for small images (He et al. 2016, section 4.2): a 3x3 stem and stages of basic blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ecc_deploy.errors import RecipeError
from ecc_deploy.zoo.backbone import Backbone, backbone


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    """A convolution with "same" padding, and its batch normalisation."""
    return [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected (1x1) where the shape changes (option B of the paper)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*conv_bn(inputs, outputs, 3, stride), nn.ReLU(), *conv_bn(outputs, outputs))
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(*conv_bn(inputs, outputs, 1, stride))
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.body(x) + self.shortcut(x))


@backbone("resnet")
def resnet(
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    widths: Sequence[int] = (16, 32, 64),
    blocks: int | Sequence[int] = 3,
) -> Backbone:
    """``stem``, ``stage1`` … ``stageN`` (each but the first halves height and width) and ``head``.

    ``widths``: channels of each stage; ``blocks``: basic blocks in each stage. ``widths=(16, 32, 64), blocks=3`` is
    the paper's ResNet-20 with projection shortcuts.
    """
    counts = [blocks] * len(widths) if isinstance(blocks, int) else list(blocks)
    if not widths or len(counts) != len(widths) or min(*counts, *widths) < 1:
        raise RecipeError(f"a resnet needs positive widths and as many block counts, not {widths} and {blocks}")
    channels = widths[0]
    stages: list[tuple[str, nn.Module]] = [
        ("stem", nn.Sequential(*conv_bn(input_shape[0], channels), nn.ReLU())),
    ]
    for number, (width, count) in enumerate(zip(widths, counts, strict=True), start=1):
        layers = []
        for position in range(count):
            layers.append(BasicBlock(channels, width, stride=2 if number > 1 and position == 0 else 1))
            channels = width
        stages.append((f"stage{number}", nn.Sequential(*layers)))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    return Backbone([*stages, ("head", head)], input_shape)
