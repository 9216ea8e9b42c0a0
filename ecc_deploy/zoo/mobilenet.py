"""MobileNetV2 (Sandler et al. 2018): inverted residuals with linear bottlenecks, a network for edge devices."""

from __future__ import annotations

import re

import torch
from torch import nn

from ecc_deploy.errors import RecipeError
from ecc_deploy.zoo.backbone import Backbone, Shape, StagedBackbone
from ecc_deploy.zoo.registry import backbone
from ecc_deploy.zoo.resnet import Stem, conv_bn, he_initialised, one_of

# Table 2 of the paper: expansion, channels, blocks, stride of the first block.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM, LAST = 32, 1280


class InvertedResidual(nn.Module):
    """1x1 to ``expansion`` times the channels, depthwise 3x3, linear 1x1; a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        expand = [nn.Sequential(*conv_bn(inputs, inner, 1), nn.ReLU6(inplace=True))] if expansion > 1 else []
        depthwise = nn.Sequential(*conv_bn(inner, inner, 3, stride, groups=inner), nn.ReLU6(inplace=True))
        self.conv = nn.Sequential(*expand, depthwise, *conv_bn(inner, outputs, 1))
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(x)
        return x + y if self.is_residual else y


def divisible(channels: float) -> int:
    """The nearest multiple of 8, at least 8 and not more than a tenth below ``channels``, as in the authors' code."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


@backbone("mobilenet-v2")
def mobilenet_v2(
    *, input_shape: Shape, classes: int, width: float = 1.0, stem: Stem = "small", dropout: float = 0.2
) -> Backbone:
    """``stem``, ``stage1`` … ``stage7`` (the rows of the paper's table 2) and ``head``.

    Every stage ends in a thin linear bottleneck, a good place to cut. ``width`` multiplies the channels; ``stem``:
    "large" is the paper's plan for about 224 pixels, "small" leaves out its first two strides, for about 32.
    """
    one_of("stem", stem, Stem)
    if width <= 0 or not 0 <= dropout < 1:
        raise RecipeError(f"a mobilenet needs a positive width and a dropout below 1, not {width} and {dropout}")
    channels = divisible(STEM * width)
    entry = conv_bn(input_shape[0], channels, 3, 2 if stem == "large" else 1)
    stages: list[tuple[str, nn.Module]] = [("stem", nn.Sequential(*entry, nn.ReLU6(inplace=True)))]
    keys = [(r"features\.0\.", "stages.stem.")]
    index = 1
    for number, (expansion, base, count, stride) in enumerate(STAGES, start=1):
        blocks: list[nn.Module] = []
        for position in range(count):
            step = stride if position == 0 and not (stem == "small" and number == 2) else 1
            blocks.append(InvertedResidual(channels, divisible(base * width), step, expansion))
            channels = divisible(base * width)
            keys.append((rf"features\.{index}\.", f"stages.stage{number}.{position}."))
            index += 1
        stages.append((f"stage{number}", nn.Sequential(*blocks)))
    last = divisible(LAST * max(1.0, width))
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout)]
    head = [*conv_bn(channels, last, 1), nn.ReLU6(inplace=True), *pooled]
    keys += [(rf"features\.{index}\.", "stages.head."), (re.escape("classifier.1."), f"stages.head.{len(head)}.")]
    stages.append(("head", nn.Sequential(*head, nn.Linear(last, classes))))
    return he_initialised(StagedBackbone(stages, input_shape, keys))
