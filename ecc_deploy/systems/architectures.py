"""The three ways of collaborating, each as the module that runs on the edge and the module that runs in the cloud.

Halves share the parameters of the :class:`EdgeCloudSystem` that they are taken from. An edge half ends in the float
boundary, before its quantizer: the compiled half quantizes it once, with the step that training learned. A cloud half
that continues a boundary starts with the dequantized one. Where the system's gate is trained, an edge half that answers
gives its confidence too.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from ecc_deploy.systems.system import EdgeCloudSystem

ARCHITECTURES = ("independent", "adaptive", "dynamic")


class Architecture(Protocol):
    """``edge_half``, ``cloud_half`` and whether a gate decides what is sent."""

    name: str
    sends_boundary: bool
    """Whether the boundary is sent, or the input."""
    is_gated: bool

    def edge_half(self) -> nn.Module: ...
    def cloud_half(self) -> nn.Module: ...


class _AdaptiveEdge(nn.Module):
    def __init__(self, system: EdgeCloudSystem) -> None:
        super().__init__()
        self.stages = system.edge.through(system.split.edge_after)
        self.encoder = system.adapter.encoder

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        boundary: torch.Tensor = self.encoder(self.stages(image))
        return boundary


class _AnsweringEdge(nn.Module):
    """The edge model cut at the split, for what else is made of the feature there: boundary, confidence, or both."""

    def __init__(self, system: EdgeCloudSystem, *, encodes: bool, learned_gate: bool) -> None:
        super().__init__()
        self.stages = system.edge.through(system.split.edge_after)
        self.rest = system.edge.after(system.split.edge_after)
        self.encoder = system.adapter.encoder if encodes else None
        self.gate = system.gate if learned_gate else None

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        feature = self.stages(image)
        logits = self.rest(feature)
        outputs = [logits]
        if self.encoder is not None:
            outputs.append(self.encoder(feature))
        if self.gate is not None:
            outputs.append(self.gate(logits, feature))
        return tuple(outputs)


class _BoundaryCloud(nn.Module):
    def __init__(self, system: EdgeCloudSystem) -> None:
        super().__init__()
        self.decoder = system.adapter.decoder
        self.tail = system.tail

    def forward(self, boundary: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.tail(self.decoder(boundary))
        return logits


class Independent:
    """ECC-I: the edge model answers; what the gate offloads, the whole cloud model answers from the input.

    ``learned_gate``: whether the edge half also gives what the system's own gate says.
    """

    name = "independent"
    sends_boundary = False
    is_gated = True

    def __init__(self, system: EdgeCloudSystem, *, learned_gate: bool = False) -> None:
        self.system = system
        self.learned_gate = learned_gate

    def edge_half(self) -> nn.Module:
        """Image ``[N, C, H, W]`` to edge logits ``[N, classes]``; with a learned gate also confidence ``[N, 1]``."""
        if not self.learned_gate:
            return self.system.edge
        return _AnsweringEdge(self.system, encodes=False, learned_gate=True)

    def cloud_half(self) -> nn.Module:
        """Image ``[N, C, H, W]`` to cloud logits ``[N, classes]``."""
        return self.system.cloud


class Adaptive:
    """ECC-A: every sample goes on through encoder, link, decoder and cloud tail."""

    name = "adaptive"
    sends_boundary = True
    is_gated = False

    def __init__(self, system: EdgeCloudSystem) -> None:
        self.system = system

    def edge_half(self) -> nn.Module:
        """Image ``[N, C, H, W]`` to float boundary ``[N, c, h, w]``."""
        return _AdaptiveEdge(self.system)

    def cloud_half(self) -> nn.Module:
        """Boundary ``[N, c, h, w]`` to logits ``[N, classes]``."""
        return _BoundaryCloud(self.system)


class Dynamic(Adaptive):
    """ECC-D: the edge head answers; what the gate offloads goes on from the feature that is already there.

    ``learned_gate``: as for :class:`Independent`.
    """

    name = "dynamic"
    is_gated = True

    def __init__(self, system: EdgeCloudSystem, *, learned_gate: bool = False) -> None:
        super().__init__(system)
        self.learned_gate = learned_gate

    def edge_half(self) -> nn.Module:
        """Image ``[N, C, H, W]`` to edge logits ``[N, classes]`` and float boundary ``[N, c, h, w]``; with a learned
        gate also confidence ``[N, 1]``. The same half serves ECC-A where the cloud's answer is fused with the edge's.
        """
        return _AnsweringEdge(self.system, encodes=True, learned_gate=self.learned_gate)
