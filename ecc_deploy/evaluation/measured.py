"""What a subject answers and sends on one part of its dataset, each thing computed once and kept."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ecc_deploy.evaluation.subject import EdgeSide, Subject
from ecc_deploy.payload import Codec
from ecc_deploy.payload.choice import through

_UNTOUCHED = ""


class Measured:
    """One subject on one part; logits are float32 ``[N, classes]``, sizes are payload bytes, int64 ``[N]``."""

    def __init__(self, subject: Subject, part: str) -> None:
        """Raises :class:`DataError` for an unknown part."""
        self.subject = subject
        self.samples = subject.dataset.part(part)
        self._clouds: dict[str, np.ndarray] = {}
        self._image_sizes: dict[str, np.ndarray] = {}
        self._adapted: dict[str, np.ndarray] = {}
        self._boundary_sizes: dict[str, np.ndarray] = {}

    @property
    def labels(self) -> np.ndarray:
        """int64 ``[N]``."""
        return self.samples.labels

    @cached_property
    def edge_side(self) -> EdgeSide:
        """What the edge halves give."""
        return self.subject.edge_side(self.samples.images)

    def cloud(self, codec: Codec | None = None) -> np.ndarray:
        """Of the whole cloud model on images as ``codec`` delivers them, or on untouched ones for ``None``."""
        key = _UNTOUCHED if codec is None or codec.is_lossless else codec.spec
        if key not in self._clouds:
            images = self.samples.images if codec is None or codec.is_lossless else self._delivered(codec)
            self._clouds[key] = self.subject.cloud_logits(images)
        return self._clouds[key]

    def _delivered(self, codec: Codec) -> np.ndarray:
        """The images at the other end of the link; their sizes are kept on the way."""
        payloads = [codec.encode(image) for image in self.samples.images]
        self._image_sizes[codec.spec] = _lengths(payloads)
        return np.stack([codec.decode(payload) for payload in payloads])

    def image_sizes(self, codec: Codec) -> np.ndarray:
        """Of every image."""
        if codec.spec not in self._image_sizes:
            self._image_sizes[codec.spec] = _lengths([codec.encode(image) for image in self.samples.images])
        return self._image_sizes[codec.spec]

    def adapted(self, architecture: str, codec: Codec) -> np.ndarray:
        """Of the cloud tail on what the edge half of ``adaptive`` or ``dynamic`` sends, as ``codec`` delivers it."""
        key, codes = self._codes(architecture)
        if key not in self._adapted:
            received = codes if codec.is_lossless else through(codec, codes)
            self._adapted[key] = self.subject.tail_logits(received)
        return self._adapted[key]

    def boundary_sizes(self, architecture: str, codec: Codec) -> np.ndarray:
        """Of what the edge half of ``adaptive`` or ``dynamic`` sends."""
        key, codes = self._codes(architecture)
        if key not in self._boundary_sizes:
            self._boundary_sizes[key] = _lengths([codec.encode(code) for code in codes])
        return self._boundary_sizes[key]

    def _codes(self, architecture: str) -> tuple[str, np.ndarray]:
        """What is sent, and under which key its answers are kept: the same codes give the same answers."""
        side = self.edge_side
        assert side.codes is not None
        assert side.gate_codes is not None
        if architecture == "dynamic" or side.codes is side.gate_codes or np.array_equal(side.codes, side.gate_codes):
            return "dynamic", side.gate_codes
        return architecture, side.codes


def _lengths(payloads: list[bytes]) -> np.ndarray:
    return np.asarray([len(payload) for payload in payloads], np.int64)
