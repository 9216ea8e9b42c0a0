"""What the validation part says of a system after an epoch."""

from __future__ import annotations

from collections.abc import Collection

import torch

from ecc_deploy.systems.rate import ideal_bytes
from ecc_deploy.systems.system import EdgeCloudSystem
from ecc_deploy.training.batches import Labelled
from ecc_deploy.training.losses import fused_log_probabilities, soft_confidence
from ecc_deploy.training.paths import EVALUATION_BATCH, path_logits
from ecc_deploy.training.phase import Phase


def validate(system: EdgeCloudSystem, val: Labelled, paths: Collection[str], phase: Phase) -> dict[str, object]:
    """Metrics of ``paths`` on the validation part, in float32.

    ``val_accuracy``: top-1, 0 to 1, of each path, and ``fused`` where edge and adapted path both ran;
    ``val_payload_bytes``: entropy of the boundary's codes, where the adapter is trained;
    ``val_recall``: of the samples worth sending, at the offload rate of the phase's recall.
    """
    logits = path_logits(system, val.images, paths)
    labels = val.labels.cpu()
    right = {path: out.argmax(1) == labels for path, out in logits.items() if path != "gate"}
    if "edge" in right and "adapted" in right:
        right["fused"] = fused_log_probabilities(logits["edge"], logits["adapted"]).argmax(1) == labels
    found: dict[str, object] = {"val_accuracy": {path: hits.double().mean().item() for path, hits in right.items()}}
    if "adapter" in phase.train and system.adapter.quantizer.is_integer:
        found["val_payload_bytes"] = ideal_bytes(boundary_codes(system, val.images), system.adapter.quantizer.top + 1)
    if phase.recall:
        score = phase.recall.score
        confidence = logits["gate"] if score == "learned" else soft_confidence(logits["edge"], score)
        worth_sending = ~right["edge"] & right["adapted"]
        sent = confidence < torch.quantile(confidence, phase.recall.offload_rate)
        found["val_recall"] = (sent & worth_sending).sum().item() / max(1, int(worth_sending.sum()))
    return found


@torch.no_grad()
def boundary_codes(system: EdgeCloudSystem, images: torch.Tensor) -> torch.Tensor:
    """What crosses the link: uint8 codes, or floats, ``[N, c, h, w]``, on the CPU, in evaluation mode."""
    system.eval()
    adapter, edge = system.adapter, system.edge.through(system.split.edge_after)
    device = next(system.parameters()).device
    chunks = torch.split(images, EVALUATION_BATCH)
    return torch.cat([adapter.quantizer.codes(adapter.encoder(edge(chunk.to(device)))).cpu() for chunk in chunks])
