"""Gated architectures over all offload rates: accuracy, bytes and cloud MACs, and what a gate's choice is worth."""

from __future__ import annotations

import numpy as np

from ecc_deploy.evaluation.arms import Arm
from ecc_deploy.evaluation.result import Architecture, Curve, Recall
from ecc_deploy.evaluation.thresholds import candidates, offload_rates

RATES: tuple[float, ...] = (
    *(0.0, 0.001, 0.002, 0.003, 0.005, 0.0075),
    *(percent / 100 for percent in range(1, 20)),
    *(percent / 100 for percent in range(20, 101, 5)),
)
"""Dense where few samples are sent: there one more percent changes most."""


def curve(arm: Arm, gate: str) -> Curve:
    """``arm`` at all :data:`RATES`; ``gate``: a score, or :data:`~ecc_deploy.evaluation.result.AUTO`."""
    points = [arm.gated.at(gate, rate) for rate in RATES]
    return Curve(
        name=arm.name,
        architecture=arm.architecture,
        codec=arm.codec,
        gate=gate,
        fused=arm.gated.fused,
        edge_macs=arm.edge_macs,
        wanted_rate=RATES,
        offload_rate=tuple(point.offload_rate for point in points),
        accuracy=tuple(point.accuracy for point in points),
        payload_bytes=tuple(point.payload_bytes for point in points),
        cloud_macs=tuple(point.offload_rate * arm.cloud_macs for point in points),
    )


def recall(architecture: Architecture, gate: str, confidence: np.ndarray, correctable: np.ndarray) -> Recall | None:
    """Recall against offload rate over all thresholds; None where sending would correct nothing.

    ``confidence``: float ``[N]``, higher is surer; ``correctable``: bool ``[N]``. The area is that of the curve itself,
    which is then given at :data:`RATES`.
    """
    if not correctable.any():
        return None
    thresholds = candidates(confidence)
    rates = offload_rates(confidence, thresholds)
    found = offload_rates(confidence[correctable], thresholds)
    return Recall(
        architecture=architecture,
        gate=gate,
        correctable=float(correctable.mean()),
        offload_rate=RATES,
        recall=tuple(map(float, np.interp(RATES, rates, found))),
        area=float(np.trapezoid(found, rates)),
    )
