"""Rows from figures: what they are as shares of the comparators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ecc_deploy.evaluation.criteria import gap_recovered
from ecc_deploy.evaluation.result import Architecture, Row

EQUAL_ACCURACY = 0.005
"""An image codec counts as equally accurate up to half a point below: a tolerance that favours the codec."""
_EPSILON = 1e-9  # accuracies are counts over counts: what lies exactly on the line is inside it


@dataclass(frozen=True)
class Rows:
    """Makes rows. Accuracies are those of edge-only and of cloud-only on untouched images."""

    edge_accuracy: float
    cloud_accuracy: float
    raw_bytes: int

    def make(
        self,
        name: str,
        architecture: Architecture,
        *,
        accuracy: float,
        offload_rate: float,
        edge_macs: float,
        cloud_macs: float,
        payload_bytes: float,
        codec: str | None = None,
        gate: str | None = None,
        fused: bool = False,
    ) -> Row:
        """``cloud_macs`` and ``payload_bytes``: means over all samples."""
        return Row(
            name=name,
            architecture=architecture,
            codec=codec,
            gate=gate,
            fused=fused,
            accuracy=accuracy,
            of_cloud=accuracy / self.cloud_accuracy if self.cloud_accuracy else None,
            gap_recovered=gap_recovered(accuracy, self.edge_accuracy, self.cloud_accuracy),
            offload_rate=offload_rate,
            edge_macs=edge_macs,
            cloud_macs=cloud_macs,
            payload_bytes=payload_bytes,
            bytes_of_raw=payload_bytes / self.raw_bytes,
        )


def with_best_image(rows: Sequence[Row]) -> tuple[Row, ...]:
    """``rows``, each compared in bytes with the best image codec at equal accuracy, among the cloud-only rows."""
    images = [row for row in rows if row.architecture == "cloud-only"]

    def compared(row: Row) -> Row:
        equal = [image for image in images if image.accuracy >= row.accuracy - EQUAL_ACCURACY - _EPSILON]
        if not equal:
            return row
        best = min(equal, key=lambda image: (image.payload_bytes, -image.accuracy))
        share = row.payload_bytes / best.payload_bytes
        return replace(row, bytes_of_best_image=share, best_image=best.codec)

    return tuple(map(compared, rows))
