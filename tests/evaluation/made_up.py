"""An evaluation whose figures are written down here, so that what is said of it can be known beforehand."""

from __future__ import annotations

from dataclasses import replace

from ecc_deploy.evaluation.result import Architecture, Curve, Evaluation, Recall
from ecc_deploy.evaluation.rows import Rows, with_best_image

EDGE, CLOUD = 0.90, 0.94
FULL_MACS, TAIL_MACS, EDGE_MACS = 100e6, 40e6, 40e6


def curve(
    architecture: Architecture,
    codec: str,
    accuracy: tuple[float, ...],
    size: float,
    *,
    name: str = "",
    gate: str = "auto",
    rates: tuple[float, ...] = (0.0, 0.1, 0.5, 1.0),
) -> Curve:
    """``size``: bytes of one sample that is sent."""
    macs = TAIL_MACS if architecture == "dynamic" else FULL_MACS
    return Curve(
        name=name or architecture,
        architecture=architecture,
        codec=codec,
        gate=gate,
        fused=True,
        edge_macs=EDGE_MACS,
        wanted_rate=rates,
        offload_rate=rates,
        accuracy=accuracy,
        payload_bytes=tuple(rate * size for rate in rates),
        cloud_macs=tuple(rate * macs for rate in rates),
    )


def evaluation(*, shift: float = 0.0, system: str = "made up") -> Evaluation:
    """ECC-D is best from 20 to 200 bytes, ECC-I from 200 on and in accuracy at any cost. ``shift``: of ECC-D."""
    make = Rows(EDGE, CLOUD, 3072).make
    own = (EDGE, 0.93 + shift, 0.935 + shift, 0.936 + shift)
    facts = {"edge_macs": EDGE_MACS, "fused": True, "offload_rate": 0.1, "gate": "margin"}
    rows = (
        make("edge-only", "edge-only", accuracy=EDGE, offload_rate=0.0, edge_macs=EDGE_MACS, cloud_macs=0.0,
             payload_bytes=0.0),
        make("cloud-only/raw", "cloud-only", accuracy=CLOUD, offload_rate=1.0, edge_macs=0.0, cloud_macs=FULL_MACS,
             payload_bytes=3072.0, codec="raw"),
        make("cloud-only/webp:50", "cloud-only", accuracy=0.936, offload_rate=1.0, edge_macs=0.0,
             cloud_macs=FULL_MACS, payload_bytes=400.0, codec="webp:50"),
        make("independent", "independent", accuracy=0.936, cloud_macs=10e6, payload_bytes=200.0, codec="png", **facts),
        make("adaptive", "adaptive", accuracy=0.934, offload_rate=1.0, edge_macs=20e6, cloud_macs=TAIL_MACS,
             payload_bytes=200.0, codec="int2"),
        make("dynamic", "dynamic", accuracy=own[1], cloud_macs=4e6, payload_bytes=20.0, codec="int2", **facts),
    )  # fmt: skip
    recall = Recall("dynamic", "margin", 0.05, (0.0, 0.1, 0.5, 1.0), (0.0, 0.6, 0.9, 1.0), 0.82)
    return Evaluation(
        system=system,
        kind="compiled",
        split="stage2-stage3",
        dataset="toy",
        part="test",
        samples=10_000,
        gate="auto",
        fusion="auto",
        offload_rate=0.1,
        raw_bytes=3072,
        rows=with_best_image(rows),
        curves=(
            curve("independent", "png", (EDGE, 0.936, 0.944, CLOUD), 2000),
            curve("independent", "webp:50", (EDGE, 0.929, 0.938, 0.936), 400, name="independent/webp:50"),
            curve("dynamic", "int2", own, 200),
            curve("dynamic", "int2", own, 200, gate="margin"),
        ),
        recalls=(recall, replace(recall, gate="entropy", area=0.7)),
    )
