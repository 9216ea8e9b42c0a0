"""Final answers of one bundle's deployments, with their own gates, codecs and fusions, and of the float system."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ecc_deploy.bundle import Bundle, Deployment
from ecc_deploy.bundle.codecs import sent
from ecc_deploy.bundle.manifest import CONFIDENCE, LOGITS
from ecc_deploy.comparison.outputs import BOUNDARY, Given, Outputs, Ran
from ecc_deploy.evaluation.criteria import collaborate
from ecc_deploy.evaluation.subject import EdgeSide, Subject
from ecc_deploy.payload import Codec
from ecc_deploy.payload.choice import through
from ecc_deploy.runtime.fusion import fuse
from ecc_deploy.runtime.gate import offloads


@dataclass(frozen=True)
class Final:
    """Logits ``[N, classes]`` that samples end with, and the share of them that was sent."""

    logits: np.ndarray
    offload_rate: float


class Answered:
    """One bundle on the samples; what its halves gave by key in :attr:`ran`."""

    def __init__(self, bundle: Bundle, images: Given, outputs: Outputs) -> None:
        self._bundle, self._images, self._outputs = bundle, images, outputs
        self.ran: dict[str, Ran] = {}

    def deployment(self, name: str) -> Final | None:
        """``None`` where nothing here runs one of its halves."""
        chosen = self._bundle.manifest.deployments[name]
        edge = self._half(chosen.edge, self._images) if chosen.edge else Ran({}, "runtime")
        if edge.outputs is None or chosen.cloud is None or chosen.codec is None:
            return _final(chosen, edge.outputs, None)
        codec = sent(self._bundle, chosen.boundary).codec(chosen.codec)
        if chosen.boundary is None:
            given = _delivered(codec, self._images)
        else:
            given = _delivered(codec, Given(edge.outputs[BOUNDARY]))
        cloud = self._half(chosen.cloud, given)
        return None if cloud.outputs is None else _final(chosen, edge.outputs, cloud.outputs[LOGITS])

    def _half(self, key: str, given: Given) -> Ran:
        found = self._outputs.of(self._bundle, key, given)
        self.ran.setdefault(key, found)  # of a cloud half behind two edge halves, what the first sent
        return found


def _delivered(codec: Codec, given: Given) -> Given:
    return given if codec.is_lossless else Given(through(codec, given.array))


def _final(chosen: Deployment, edge: dict[str, np.ndarray] | None, cloud: np.ndarray | None) -> Final | None:
    if edge is None:
        return None
    own = edge.get(LOGITS)
    if cloud is None:
        return None if own is None else Final(own, 0.0)
    together = cloud if chosen.fusion is None or own is None else fuse(own, cloud, chosen.fusion)
    if chosen.gate is None or own is None:
        return Final(together, 1.0)
    leaves = offloads(own, chosen.gate, edge.get(CONFIDENCE))
    return Final(collaborate(own, together, leaves), float(leaves.mean()))


@dataclass(frozen=True)
class FloatAnswers:
    """The float system on the same samples, uint8 ``[N, H, W, C]``; each path is computed when it is first asked for.

    What it sends is whole codes already: the bottleneck's quantizer is part of the system as it was trained.
    """

    subject: Subject
    images: np.ndarray = field(repr=False)

    @cached_property
    def edge(self) -> EdgeSide:
        """Of the edge model."""
        return self.subject.edge_side(self.images)

    @cached_property
    def cloud(self) -> np.ndarray:
        """Logits of the whole cloud model on untouched images."""
        return self.subject.cloud_logits(self.images)

    @cached_property
    def adapted(self) -> np.ndarray:
        """Logits of the cloud tail."""
        assert self.edge.codes is not None
        return self.subject.tail_logits(self.edge.codes)

    def deployment(self, chosen: Deployment) -> Final | None:
        """With the gate and fusion of a bundle's deployment."""
        side = self.edge
        outputs = {LOGITS: side.edge, **({} if side.confidence is None else {CONFIDENCE: side.confidence})}
        if chosen.cloud is None:
            return _final(chosen, outputs, None)
        return _final(chosen, outputs, self.cloud if chosen.boundary is None else self.adapted)

    def agreement(self, bundle: Bundle, key: str, ran: Ran) -> float | None:
        """See :attr:`~ecc_deploy.comparison.result.HalfRow.agreement`."""
        half = bundle.manifest.halves[key]
        if ran.outputs is None:
            return None
        found = ran.outputs.get(LOGITS)
        if found is None:
            codes = self.edge.codes
            is_integer = half.outputs[0].dtype != "float32"
            return float((ran.outputs[BOUNDARY] == codes).mean()) if is_integer and codes is not None else None
        if half.side == "edge":
            wanted = self.edge.edge
        else:
            wanted = self.cloud if half.inputs[0].name == "image" else self.adapted
        return float((found.argmax(axis=1) == wanted.argmax(axis=1)).mean())
