"""What an evaluation finds, as plain data. No torch here: the report reads it too.

Accuracies and rates are shares, 0 to 1; MACs are multiply-accumulates, bytes are payload after the codec, both means
over all samples, sent or not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Architecture = Literal["edge-only", "cloud-only", "independent", "adaptive", "dynamic"]
AUTO = "auto"
"""Of a gate: the score that gave the best accuracy on the val part, at each rate."""


@dataclass(frozen=True)
class Row:
    """One way to answer."""

    name: str
    """The architecture, with ``/CODEC`` behind it where the codec is not the system's own; unique."""
    architecture: Architecture
    codec: str | None
    """Of what is sent; ``None`` where nothing is."""
    gate: str | None
    """The gate's score; ``random`` where chance chose."""
    fused: bool
    """Whether what was sent is answered by edge and cloud together."""
    accuracy: float
    of_cloud: float | None
    """Accuracy over that of cloud-only on untouched images."""
    gap_recovered: float | None
    """Share of the way from edge-only to that cloud-only accuracy; ``None`` where the cloud is not better."""
    offload_rate: float
    edge_macs: float
    cloud_macs: float
    payload_bytes: float
    bytes_of_raw: float
    """Payload bytes over those of the raw uint8 input."""
    bytes_of_best_image: float | None = None
    """Payload bytes over those of cloud-only with ``best_image``; ``None`` where there is no such codec."""
    best_image: str | None = None
    """The image codec with the fewest bytes at equal accuracy: at most 0.5 points below this row."""


@dataclass(frozen=True)
class Curve:
    """One gated architecture with one codec and one gate over all offload rates; one item of each tuple per rate."""

    name: str
    """As the row of the same architecture and codec."""
    architecture: Architecture
    codec: str
    gate: str
    """A gate's score, or :data:`AUTO`."""
    fused: bool
    edge_macs: float
    wanted_rate: tuple[float, ...]
    """The rate that the threshold was chosen for on the val part."""
    offload_rate: tuple[float, ...]
    """The rate that it gave."""
    accuracy: tuple[float, ...]
    payload_bytes: tuple[float, ...]
    cloud_macs: tuple[float, ...]


@dataclass(frozen=True)
class Recall:
    """Of the samples that sending would correct, the share that a gate sends, against the share of all that it sends.

    Sending corrects what the edge gets wrong and the final answer of a sent sample gets right. A gate that sends at
    random lies on the diagonal, with an area of 0.5.
    """

    architecture: Architecture
    gate: str
    correctable: float
    """Share of all samples."""
    offload_rate: tuple[float, ...]
    recall: tuple[float, ...]
    area: float
    """Under the whole curve, between all thresholds, by the trapezoid rule."""


@dataclass(frozen=True)
class Evaluation:
    """All that was found of one system on one part of its dataset."""

    system: str
    kind: Literal["float", "compiled"]
    """The float system of a run directory, or the compiled halves of a bundle."""
    split: str
    dataset: str
    part: str
    samples: int
    gate: str
    """As asked for: a score, or :data:`AUTO`."""
    fusion: Literal["auto", "off"]
    offload_rate: float
    """As asked for, on the val part; what it gave on ``part`` is in the rows."""
    raw_bytes: int
    """Of one uint8 input."""
    rows: tuple[Row, ...]
    curves: tuple[Curve, ...]
    recalls: tuple[Recall, ...]

    def row(self, name: str) -> Row:
        """The row ``name``; raises KeyError."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def curve(self, name: str, gate: str | None = None) -> Curve:
        """The curve ``name`` with the gate that was asked for, or with ``gate``; raises KeyError."""
        for curve in self.curves:
            if (curve.name, curve.gate) == (name, gate or self.gate):
                return curve
        raise KeyError(name)

    def to_json(self) -> dict:
        """The evaluation as plain data, the findings in words among it."""
        from ecc_deploy.evaluation.findings import findings

        return {**asdict(self), "findings": [asdict(finding) for finding in findings(self)]}
