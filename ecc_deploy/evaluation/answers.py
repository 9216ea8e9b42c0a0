"""The answers of a system on a set of samples, whoever computed them; and those of the float system."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ecc_deploy.systems.system import EdgeCloudSystem
from ecc_deploy.training.paths import path_logits


@dataclass(frozen=True)
class Answers:
    """Logits ``[N, classes]`` of every way to answer; gates are applied later, on ``edge`` and ``gate_edge``."""

    edge: np.ndarray
    """Of the edge model, as edge-only and ECC-I run it."""
    gate_edge: np.ndarray
    """Of the edge head, as ECC-D runs it beside the encoder."""
    cloud: np.ndarray
    """Of the whole cloud model, on the input as the image codec delivers it."""
    adapted: np.ndarray
    """Of the cloud tail, on the boundary as the codec delivers it."""
    confidence: np.ndarray | None = None
    """Of the learned gate beside ``edge``, ``[N]``; ``None`` where it is not trained."""
    gate_confidence: np.ndarray | None = None
    """Of the learned gate beside ``gate_edge``."""


def float_answers(system: EdgeCloudSystem, images: np.ndarray, *, learned_gate: bool = False) -> Answers:
    """Answers of the float system; ``images``: normalised float32 ``[N, C, H, W]``.

    The bottleneck's quantizer is part of the system as it was trained, so it acts here too. ``learned_gate``: whether
    the system's gate is trained.
    """
    wanted = ("edge", "cloud", "adapted", *(("gate",) if learned_gate else ()))
    paths = {path: out.numpy() for path, out in path_logits(system, torch.from_numpy(images), wanted).items()}
    sure = paths.get("gate")
    return Answers(paths["edge"], paths["edge"], paths["cloud"], paths["adapted"], sure, sure)
