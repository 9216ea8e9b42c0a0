"""The floor of an offloaded sample: what it takes on this link with these halves if nothing else took any time."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ecc_deploy.bench.schema import RawSamples
from ecc_deploy.bench.schema_series import Floor
from ecc_deploy.bench.wirebytes import WireBytes
from ecc_deploy.runtime.result import Route


class Line(Protocol):
    """What of a link's profile the floor needs: rates in 10^6 IP bits per second (``None``: unlimited), round trip."""

    @property
    def up_mbit(self) -> float | None: ...

    @property
    def down_mbit(self) -> float | None: ...

    @property
    def rtt_ms(self) -> float: ...


def floor(raw: RawSamples, wire: WireBytes | None, line: Line) -> Floor | None:
    """Edge + serialization at line rate + round trip + cloud, and the measured median beside it.

    ``wire``: of all samples; headers and acknowledgements are in it, so they are in the serialization too. ``None``
    where it is not known, or the cloud answered nothing.
    """
    by_cloud = np.asarray([route == Route.CLOUD for route in raw.route])
    sent = sum(size > 0 for size in raw.payload_bytes)
    if wire is None or not by_cloud.any():
        return None

    def p50(*stages: str) -> float:
        return float(np.median(np.sum([raw.stages_ms[stage] for stage in stages], axis=0)[by_cloud]))

    up, down = wire.up / sent, wire.down / sent
    edge, cloud = p50("edge", "encode"), p50("cloud_decode", "cloud_compute")
    serialization = sum(size * 8 / (mbit * 1e3) for size, mbit in ((up, line.up_mbit), (down, line.down_mbit)) if mbit)
    total, measured = edge + serialization + line.rtt_ms + cloud, p50("total")
    return Floor(
        edge_ms=edge,
        serialization_ms=serialization,
        rtt_ms=line.rtt_ms,
        cloud_ms=cloud,
        total_ms=total,
        measured_p50_ms=measured,
        overhead_ms=measured - total,
        overhead_ratio=(measured - total) / total,
        wire_up_bytes_per_offload=up,
        wire_down_bytes_per_offload=down,
    )
