"""The paths through a system: what a batch gives on its way through edge, adapter and cloud, each part run once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import torch

from ecc_deploy.systems.system import EdgeCloudSystem

Path = Literal["edge", "cloud", "adapted", "gate"]


@dataclass
class Outputs:
    """What was asked for; logits are ``[N, classes]``."""

    edge: torch.Tensor | None = None
    cloud: torch.Tensor | None = None
    adapted: torch.Tensor | None = None
    confidence: torch.Tensor | None = None
    """Of the learned gate, ``[N]``."""
    unrounded: torch.Tensor | None = None
    """The boundary's codes before rounding, NCHW."""
    decoded: torch.Tensor | None = None
    """What enters the cloud tail, NCHW."""

    def logits(self, path: str) -> torch.Tensor:
        """Of ``edge``, ``cloud`` or ``adapted``, which were asked for."""
        value = getattr(self, path)
        assert isinstance(value, torch.Tensor)
        return value


def run_paths(system: EdgeCloudSystem, x: torch.Tensor, paths: Collection[str]) -> Outputs:
    """Run the ``paths`` (``edge``, ``cloud``, ``adapted``, ``gate``) on images ``[N, C, H, W]``.

    The gate sees edge logits and feature without gradient: it judges the edge and does not train it.
    """
    out = Outputs()
    if "cloud" in paths:
        out.cloud = system.cloud(x).float()
    if not {"edge", "adapted", "gate"} & set(paths):
        return out
    feature = system.edge.through(system.split.edge_after)(x)
    if "edge" in paths or "gate" in paths:
        out.edge = system.edge.after(system.split.edge_after)(feature).float()
    if "gate" in paths:
        assert out.edge is not None
        out.confidence = system.gate(out.edge.detach(), feature.detach().float()).float().squeeze(1)
    if "adapted" in paths:
        received, out.unrounded = system.adapter.quantizer.rounded(system.adapter.encoder(feature))
        out.decoded = system.adapter.decoder(received)
        out.adapted = system.tail(out.decoded).float()
    return out


EVALUATION_BATCH = 500


@torch.no_grad()
def path_logits(system: EdgeCloudSystem, images: torch.Tensor, paths: Collection[str]) -> dict[str, torch.Tensor]:
    """Logits ``[N, classes]`` of ``edge``, ``cloud``, ``adapted``, and confidence ``[N]`` of ``gate``, as asked for.

    Over all ``images``, in evaluation mode, on the CPU.
    """
    system.eval()
    device = next(system.parameters()).device
    found: dict[str, list[torch.Tensor]] = {path: [] for path in paths}
    for chunk in torch.split(images, EVALUATION_BATCH):
        outputs = run_paths(system, chunk.to(device), paths)
        for path in paths:
            value = outputs.confidence if path == "gate" else outputs.logits(path)
            assert value is not None
            found[path].append(value.cpu())
    return {path: torch.cat(chunks) for path, chunks in found.items()}
