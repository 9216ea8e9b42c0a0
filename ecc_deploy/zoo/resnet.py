"""Residual networks (He et al. 2016): for small images (section 4.2) and with four residual stages (table 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import nn

from ecc_deploy.errors import RecipeError
from ecc_deploy.zoo.backbone import Backbone, Shape, StagedBackbone
from ecc_deploy.zoo.registry import backbone

Shortcut = Literal["projection", "identity"]
"""Where a block changes the shape: a strided 1x1 convolution (option B of the paper), or no parameters (option A)."""
Stem = Literal["small", "large"]
"""3x3 with stride 1, for images of about 32 pixels; or 7x7 with stride 2 and max pooling, for about 224."""

FIELD_KEYS = (
    (r"conv1\.", "stages.stem.0."),
    (r"bn1\.", "stages.stem.1."),
    *(
        (rf"layer(\d+)\.(\d+)\.{name}\.", rf"stages.stage\1.\2.body.{position}.")
        for name, position in (("conv1", 0), ("bn1", 1), ("conv2", 3), ("bn2", 4), ("conv3", 6), ("bn3", 7))
    ),
    (r"layer(\d+)\.(\d+)\.(?:downsample|shortcut)\.", r"stages.stage\1.\2.shortcut."),
    (r"(?:fc|linear)\.", "stages.head.2."),
)
"""The names of torchvision's and timm's ResNets, and of the usual ones for CIFAR."""


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution with "same" padding, and its batch normalisation."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


def he_initialised(model: Backbone) -> Backbone:
    """``model`` with its convolutions drawn anew as in He et al. 2015 (normal, fan-out)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


class PaddedShortcut(nn.Module):
    """Every ``stride``-th pixel, and zeros for the new channels: half of them before, half behind (option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        if outputs < inputs:
            raise RecipeError(
                f"an identity shortcut cannot go from {inputs} to {outputs} channels",
                'Widths that shrink need shortcut = "projection".',
            )
        self.stride = stride
        before = (outputs - inputs) // 2
        self.padding = (0, 0, 0, 0, before, outputs - inputs - before)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.pad(x[:, :, :: self.stride, :: self.stride], self.padding)


def _shortcut(kind: Shortcut, inputs: int, outputs: int, stride: int) -> nn.Module:
    if inputs == outputs and stride == 1:
        return nn.Identity()
    if kind == "identity":
        return PaddedShortcut(inputs, outputs, stride)
    return nn.Sequential(*conv_bn(inputs, outputs, 1, stride))


class _Residual(nn.Module):
    def __init__(self, body: Sequence[nn.Module], shortcut: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)
        self.shortcut = shortcut
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.body(x) + self.shortcut(x))


class BasicBlock(_Residual):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1
    """Channels out of the block, per unit of a stage's width."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Shortcut = "projection") -> None:
        body = [*conv_bn(inputs, outputs, 3, stride), nn.ReLU(inplace=True), *conv_bn(outputs, outputs)]
        super().__init__(body, _shortcut(shortcut, inputs, outputs, stride))


class Bottleneck(_Residual):
    """1x1 to a quarter of the channels, 3x3, 1x1 back, and a shortcut; the 3x3 has the stride, as in torchvision."""

    expansion = 4

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Shortcut = "projection") -> None:
        inner = outputs // self.expansion
        spatial = [*conv_bn(inner, inner, 3, stride), nn.ReLU(inplace=True)]
        body = [*conv_bn(inputs, inner, 1), nn.ReLU(inplace=True), *spatial, *conv_bn(inner, outputs, 1)]
        super().__init__(body, _shortcut(shortcut, inputs, outputs, stride))


def one_of(name: str, value: object, kind: object) -> None:
    """Raise :class:`RecipeError` unless the argument ``name`` is one of the literal type ``kind``."""
    if value not in get_args(kind):
        raise RecipeError(f"{name} is one of {', '.join(get_args(kind))}, not {value!r}")


def _residual_network(
    input_shape: Shape,
    classes: int,
    block: type[BasicBlock] | type[Bottleneck],
    widths: Sequence[int],
    counts: Sequence[int],
    stem: Stem,
    shortcut: Shortcut,
) -> StagedBackbone:
    one_of("stem", stem, Stem)
    one_of("shortcut", shortcut, Shortcut)
    if not widths or len(counts) != len(widths) or min(*counts, *widths) < 1:
        raise RecipeError(f"a resnet needs positive widths and as many block counts, not {widths} and {counts}")
    channels = widths[0]
    entry = conv_bn(input_shape[0], channels, *((3, 1) if stem == "small" else (7, 2)))
    pool = [nn.MaxPool2d(3, 2, 1)] if stem == "large" else []
    stages: list[tuple[str, nn.Module]] = [("stem", nn.Sequential(*entry, nn.ReLU(inplace=True), *pool))]
    for number, (width, count) in enumerate(zip(widths, counts, strict=True), start=1):
        layers = []
        for position in range(count):
            stride = 2 if number > 1 and position == 0 else 1
            layers.append(block(channels, width * block.expansion, stride, shortcut))
            channels = width * block.expansion
        stages.append((f"stage{number}", nn.Sequential(*layers)))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    return StagedBackbone([*stages, ("head", head)], input_shape, FIELD_KEYS)


@backbone("resnet")
def resnet(
    *,
    input_shape: Shape,
    classes: int,
    widths: Sequence[int] = (16, 32, 64),
    blocks: int | Sequence[int] = 3,
    shortcut: Shortcut = "projection",
) -> Backbone:
    """``stem`` (3x3), ``stage1`` … ``stageN`` (each but the first halves height and width) and ``head``.

    ``widths``: channels of each stage; ``blocks``: basic blocks in each stage. ``widths=(16, 32, 64), blocks=3`` is
    the paper's ResNet-20 with projection shortcuts.
    """
    counts = [blocks] * len(widths) if isinstance(blocks, int) else list(blocks)
    return _residual_network(input_shape, classes, BasicBlock, widths, counts, "small", shortcut)


@backbone("cifar-resnet")
def cifar_resnet(
    *, input_shape: Shape, classes: int, depth: int = 20, width: int = 16, shortcut: Shortcut = "identity"
) -> Backbone:
    """The paper's networks for CIFAR: ``stem``, ``stage1`` … ``stage3``, ``head``; ``depth`` = 6n + 2 layers.

    ``width``: channels of the first stage; the others have two and four times as many.
    """
    if depth < 8 or depth % 6 != 2:
        near = [d for d in (20, 32, 44, 56, 110) if abs(d - depth) < 12] or [20]
        raise RecipeError(
            f"a cifar-resnet has a depth of 6n + 2 layers, not {depth}",
            f"For example {', '.join(map(str, near))}.",
        )
    widths, counts = (width, 2 * width, 4 * width), [(depth - 2) // 6] * 3
    return he_initialised(_residual_network(input_shape, classes, BasicBlock, widths, counts, "small", shortcut))


def _four_stages(
    name: str, block: type[BasicBlock] | type[Bottleneck], counts: tuple[int, int, int, int]
) -> Callable[..., Backbone]:
    @backbone(name)
    def build(
        *,
        input_shape: Shape,
        classes: int,
        width: int = 64,
        stem: Stem = "small",
        shortcut: Shortcut = "projection",
    ) -> Backbone:
        widths = (width, 2 * width, 4 * width, 8 * width)
        return he_initialised(_residual_network(input_shape, classes, block, widths, counts, stem, shortcut))

    build.__doc__ = (
        f"``{name}`` of the paper: ``stem``, ``stage1`` … ``stage4`` with {counts} blocks, ``head``.\n\n"
        "``width``: base width; a stage has 1, 2, 4 and 8 times as much."
    )
    return build


resnet18 = _four_stages("resnet18", BasicBlock, (2, 2, 2, 2))
resnet34 = _four_stages("resnet34", BasicBlock, (3, 4, 6, 3))
resnet50 = _four_stages("resnet50", Bottleneck, (3, 4, 6, 3))
