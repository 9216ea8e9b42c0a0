"""Networks of every structure that a cut has to deal with."""

from __future__ import annotations

import random

import torch
from torch import nn


class Residual(nn.Module):
    """Stem, a residual block that adds in place, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.inner = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn(self.stem(x)))
        y = self.inner(x)
        y += x
        return self.head(self.relu(y).mean((2, 3)))


class UNet(nn.Module):
    """Two levels and skips: behind the encoder, three tensors are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.down1 = nn.Conv2d(3, 4, 3, padding=1)
        self.down2 = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.down3 = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.up2 = nn.Conv2d(8 + 6, 6, 3, padding=1)
        self.up1 = nn.Conv2d(6 + 4, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = torch.relu(self.down1(x))
        b = torch.relu(self.down2(a))
        c = torch.relu(self.down3(b))
        b = torch.relu(self.up2(torch.cat([nn.functional.interpolate(c, scale_factor=2), b], 1)))
        return self.up1(torch.cat([nn.functional.interpolate(b, scale_factor=2), a], 1))


class Scales(nn.Module):
    """Hand-written SiLU, a chunk, and answers of two scales."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.left = nn.Conv2d(4, 4, 1)
        self.last = nn.Conv2d(8, 4, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.first(x)
        x = x * torch.sigmoid(x)
        left, right = x.chunk(2, 1)
        x = torch.cat([self.left(left), right], 1)
        return {"large": x.flatten(2).transpose(1, 2), "small": self.last(x)}


class Attention(nn.Module):
    """A block of a transformer with a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.norm = nn.LayerNorm(8)
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        y = self.norm(x)
        q, k, v = (part(y).view(y.shape[0], -1, 2, 4).transpose(1, 2) for part in (self.q, self.k, self.v))
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + y.transpose(1, 2).reshape(x.shape[0], -1, 8)
        return self.head(x[:, 0])


class Masked(nn.Module):
    """A comparison, whose result is no number that could cross, is used far behind."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = x > 0
        return self.last(torch.relu(self.first(x)) * mask)


class Random(nn.Module):
    """Any composition of what the others are made of, from a seed."""

    def __init__(self, seed: int, steps: int = 7) -> None:
        super().__init__()
        self.seed, self.steps = seed, steps
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(steps))
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(steps))
        self.mixes = nn.ModuleList(nn.Conv2d(8, 4, 1) for _ in range(steps))
        self.stem, self.head = nn.Conv2d(3, 4, 1), nn.Linear(4, 3)
        for norm in self.norms:
            nn.init.uniform_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        choose = random.Random(self.seed)
        alive = [self.stem(x)]
        for step in range(self.steps):
            a, b = choose.choice(alive), choose.choice(alive)
            kind = choose.randrange(7)
            if kind == 0:
                y = torch.relu(self.norms[step](self.convs[step](a)))
            elif kind == 1:
                y = a + b
            elif kind == 2:
                y = self.mixes[step](torch.cat([a, b], 1))
            elif kind == 3:
                left, right = a.split([1, 3], 1)
                y = torch.cat([right, left], 1)
            elif kind == 4:
                y = nn.functional.hardswish(self.convs[step](a))
            elif kind == 5:
                y = a * torch.sigmoid(a)
            else:
                y = a.permute(0, 2, 3, 1).softmax(-1).permute(0, 3, 1, 2)
            alive.append(y)
        return self.head(sum(alive[-3:]).mean((2, 3)))


SHAPE = (3, 16, 16)
NETWORKS = {net.__name__: net for net in (Residual, UNet, Scales, Attention, Masked)}
