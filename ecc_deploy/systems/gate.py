"""The learned gate: a small head that judges whether the edge's answer should be kept."""

from __future__ import annotations

import torch
from torch import nn


class LearnedGate(nn.Module):
    """Two linear layers on what the edge knows anyway: its sorted probabilities and the mean of its feature.

    Sorted, because how sure an answer is does not depend on which class it names; the feature at the split, pooled
    over height and width, because it is there before the edge's own later stages have thrown anything away.
    """

    HIDDEN = 32
    TOP = 5
    """How many of the largest probabilities are looked at."""

    def __init__(self, classes: int, feature_channels: int) -> None:
        super().__init__()
        self.top = min(self.TOP, classes)
        self.feature_norm = nn.BatchNorm1d(feature_channels)
        self.layers = nn.Sequential(
            nn.Linear(self.top + feature_channels, self.HIDDEN), nn.ReLU(), nn.Linear(self.HIDDEN, 1)
        )

    def forward(self, logits: torch.Tensor, feature: torch.Tensor) -> torch.Tensor:
        """``logits``: ``[N, classes]`` of the edge head; ``feature``: ``[N, C, H, W]``, what leaves the split's stage.

        Returns ``[N, 1]``, a logit: the higher, the surer that the edge's answer should be kept.
        """
        largest = torch.topk(torch.softmax(logits, dim=1), self.top, dim=1).values
        pooled = self.feature_norm(feature.mean(dim=(2, 3)))
        confidence: torch.Tensor = self.layers(torch.cat([largest, pooled], dim=1))
        return confidence
