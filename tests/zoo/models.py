"""Models of a user's own, as recipes name them: ``tests.zoo.models:small``."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ecc_deploy.errors import RecipeError


class Block(nn.Module):
    """Python of its own inside: a loop and a branch over values, which stay its own business."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, 2, 1)
        self.norm = nn.BatchNorm2d(outputs)
        self.drop = nn.Dropout(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.conv, self.norm):
            x = layer(x)
        return self.drop(functional.relu(x, inplace=True))


class Branching(Block):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return y * 2 if y.mean() > 0.4 else y


class Small(nn.Module):
    """Its own code uses dropout, weights and a plain tensor between its blocks, and answers with a dictionary."""

    def __init__(self, num_classes: int, middle: type[Block] = Block) -> None:
        super().__init__()
        self.body = nn.ModuleDict({"first": Block(3, 4), "second": middle(4, 8)})
        self.project = nn.Conv2d(8, 8, 1)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(8, num_classes)
        self.scale = nn.Parameter(torch.full((1, 8, 1, 1), 0.5))
        self.register_buffer("offset", torch.arange(8.0))
        self.two = torch.tensor(2.0)

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        if x.shape[1] != 3:
            raise ValueError("three channels")
        grid = torch.linspace(0, 1, x.shape[3] // 4, device=x.device)
        x = self.body["second"](functional.dropout(self.body["first"](x), 0.3, self.training))
        x = self.act(self.project(x)) * self.scale * self.two + self.offset.view(1, -1, 1, 1) + grid
        if self.training:
            x = x * (1 + 0.1 * torch.rand(x.shape[0], 1, 1, 1, device=x.device))
        left, right = x.chunk(2, dim=1)
        x = torch.cat([right, left], 1).mean((2, 3)).view(x.size(0), -1)
        total = torch.zeros(x.shape[0], 8, device=x.device)
        total[:, :4] = x[:, :4]
        total += x
        return {"logits": self.fc(self.drop(total))}


def small(num_classes: int) -> nn.Module:
    return Small(num_classes)


def branching(num_classes: int) -> nn.Module:
    return Small(num_classes, Branching)


class Wrong(Small):
    """Cannot be cut behind ``body.second``; ``why`` says for which reason."""

    def __init__(self, num_classes: int, why: str) -> None:
        super().__init__(num_classes)
        self.why = why

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.body["first"](x)
        y = self.body["second"](first)
        if self.why == "values" and y.mean() > 0:
            y = y + 1
        if self.why == "chance" and torch.rand(1) < 2:
            y = y + 1
        if self.why == "twice":
            y = y + self.body["second"](first)
        if self.why == "two":
            y = y + first.mean((2, 3), keepdim=True).repeat(1, 2, 1, 1)
        if self.why == "batch":
            return torch.stack([self.fc(sample.mean((1, 2))) for sample in y])
        if self.why == "outside":
            y = torch.from_dlpack(y.detach())
        if self.why == "side":
            return self.fc(functional.adaptive_avg_pool2d(first, 1).flatten(1).repeat(1, 2))
        return self.fc(y.mean((2, 3)))


def resnet_of_transformers(classes: int, input_shape: tuple[int, int, int]) -> nn.Module:
    from transformers import ResNetConfig, ResNetForImageClassification

    shape = {"hidden_sizes": [8, 16, 24], "depths": [1, 2, 1], "layer_type": "basic", "embedding_size": 8}
    return ResNetForImageClassification(ResNetConfig(num_channels=input_shape[0], num_labels=classes, **shape))


def mobilenet_of_transformers(classes: int) -> nn.Module:
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    return MobileNetV2ForImageClassification(MobileNetV2Config(num_labels=classes, depth_multiplier=0.25))


def failing() -> nn.Module:
    raise KeyError("no such size")


def refusing() -> nn.Module:
    raise RecipeError("the factory's own words")


def no_module() -> int:
    return 3


not_a_factory = 3
