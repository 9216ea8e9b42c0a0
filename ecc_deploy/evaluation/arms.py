"""The gated arms of one subject: ECC-I with any image codec, and ECC-D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ecc_deploy.bundle.manifest import Score
from ecc_deploy.evaluation.gated import Answered, Gated, confidences
from ecc_deploy.evaluation.measured import Measured
from ecc_deploy.evaluation.result import Architecture
from ecc_deploy.payload import Codec


@dataclass(frozen=True)
class Arm:
    """A gated architecture with one codec; MACs of one sample, ``cloud_macs`` where it is sent."""

    name: str
    architecture: Architecture
    codec: str
    edge_macs: int
    cloud_macs: int
    gated: Gated


class Arms:
    """Makes arms from what a subject answers on the val part, where all is chosen, and on the part that is judged."""

    def __init__(self, val: Measured, part: Measured, scores: Sequence[Score]) -> None:
        self.val, self.part, self.scores = val, part, scores
        self._known: dict[tuple[str, bool], Gated] = {}

    @cached_property
    def image_codec(self) -> Codec:
        """What ECC-I sends with, where nothing is compared."""
        return self.part.subject.image_codec(self.val.samples.images)

    @cached_property
    def boundary_codec(self) -> Codec:
        """What ECC-A and ECC-D send with."""
        codes = self.val.edge_side.gate_codes
        assert codes is not None
        return self.part.subject.boundary_codec(codes)

    def independent(self, codec: Codec, name: str, *, fused: bool) -> Arm:
        """ECC-I. What val gets back decides on score and fusion, so it comes through ``codec`` too."""
        macs = self.part.subject.macs
        if (codec.spec, fused) not in self._known:
            val, part = (self._of_edge(measured, codec) for measured in (self.val, self.part))
            self._known[codec.spec, fused] = Gated(val, part, self.part.image_sizes(codec), fused=fused)
        return Arm(name, "independent", codec.spec, macs.exit, macs.full, self._known[codec.spec, fused])

    def _of_edge(self, measured: Measured, codec: Codec) -> Answered:
        side = measured.edge_side
        sure = confidences(side.edge, self.scores, side.confidence)
        return Answered(measured.labels, side.edge, measured.cloud(codec), sure)

    def dynamic(self, name: str, *, fused: bool) -> Arm:
        """ECC-D."""
        macs, codec = self.part.subject.macs, self.boundary_codec
        if (codec.spec, fused) not in self._known:
            val, part = map(self._of_gate_edge, (self.val, self.part))
            sizes = self.part.boundary_sizes("dynamic", codec)
            self._known[codec.spec, fused] = Gated(val, part, sizes, fused=fused)
        return Arm(name, "dynamic", codec.spec, macs.exit_and_encode, macs.tail, self._known[codec.spec, fused])

    def _of_gate_edge(self, measured: Measured) -> Answered:
        side = measured.edge_side
        assert side.gate_edge is not None
        sure = confidences(side.gate_edge, self.scores, side.gate_confidence)
        return Answered(measured.labels, side.gate_edge, measured.adapted("dynamic", self.boundary_codec), sure)
