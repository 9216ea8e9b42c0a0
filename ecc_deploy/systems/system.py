"""An edge model, a cloud model and the adapter between them: the parts that every architecture is made of."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from ecc_deploy.systems.adapter import Adapter
from ecc_deploy.systems.gate import LearnedGate
from ecc_deploy.zoo.backbone import Backbone


@dataclass(frozen=True)
class Split:
    """Which edge stage feeds which cloud stage."""

    edge_after: str
    """The last edge stage whose output is used."""
    cloud_from: str
    """The first cloud stage that runs on the adapted feature."""

    @property
    def name(self) -> str:
        return f"{self.edge_after}-{self.cloud_from}"


class EdgeCloudSystem(nn.Module):
    """The parts of one edge-cloud system at one split.

    ``tail`` starts as a copy of the cloud model from ``split.cloud_from`` on. It is a copy because training may tune
    it to the adapted feature, while ``cloud`` stays the model that answers alone. ``gate`` judges the edge's answers;
    it is a part like the others, and of use once it is trained.
    """

    def __init__(self, edge: Backbone, cloud: Backbone, split: Split, adapter: Adapter, gate: LearnedGate) -> None:
        super().__init__()
        self.edge = edge
        self.cloud = cloud
        self.split = split
        self.adapter = adapter
        self.gate = gate
        self.tail = copy.deepcopy(cloud.from_stage(split.cloud_from))
        edge.through(split.edge_after)  # a wrong stage name is an error here, not at the first batch

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self.edge.input_shape

    def reset_tail(self) -> None:
        """Make the tail a fresh copy of the cloud model's, as after loading new cloud weights."""
        self.tail.load_state_dict(self.cloud.from_stage(self.split.cloud_from).state_dict())

    def adapted(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits by way of edge stages, adapter and cloud tail."""
        logits: torch.Tensor = self.tail(self.adapter(self.edge.through(self.split.edge_after)(x)))
        return logits

    def edge_and_adapted(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Edge logits and adapted logits, the shared edge stages run once."""
        feature = self.edge.through(self.split.edge_after)(x)
        return self.edge.after(self.split.edge_after)(feature), self.tail(self.adapter(feature))
