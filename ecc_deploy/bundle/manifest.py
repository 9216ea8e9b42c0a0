"""The manifest: what a bundle says about itself. Data only, typed, versioned; the schema of ``manifest.json``."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ecc_deploy.bundle.deployment import Deployment as Deployment
from ecc_deploy.bundle.deployment import Fusion as Fusion
from ecc_deploy.bundle.deployment import Gate as Gate
from ecc_deploy.bundle.deployment import GuardResult as GuardResult
from ecc_deploy.bundle.fields import MAX_ELEMENTS as MAX_ELEMENTS
from ecc_deploy.bundle.fields import MAX_TABLE_BYTES, Dimension, FileName, Finite, Positive, Sha256, Shape, Strict
from ecc_deploy.bundle.fields import Bits as Bits
from ecc_deploy.bundle.fields import Name as Name
from ecc_deploy.bundle.fields import Precision as Precision
from ecc_deploy.bundle.fields import Score as Score

LOGITS, CONFIDENCE = "logits", "confidence"
"""Outputs of an edge half that answers: float32 ``[classes]``, and a learned gate's word on them, float32 ``[1]``."""


class Quantization(Strict):
    """What the codes of an int8 input mean: ``(code - zero_point) * scale``."""

    scale: Positive
    zero_point: Annotated[int, Field(ge=-128, le=127)]


class TensorInfo(Strict):
    """A tensor of a compiled half; ``shape`` without the batch dimension, which comes first.

    ``quantization``: of an int8 image.
    """

    name: Name
    dtype: Literal["uint8", "int8", "float32"]
    shape: Shape
    layout: Literal["NCHW", "NHWC", "NC"]
    quantization: Quantization | None = None

    @model_validator(mode="after")
    def _only_int8_is_quantized(self) -> TensorInfo:
        if self.quantization is not None and self.dtype != "int8":
            raise ValueError(f"a {self.dtype} tensor has no quantization")
        return self

    @model_validator(mode="after")
    def _bounded(self) -> TensorInfo:
        elements = 1
        for dimension in self.shape:
            elements *= dimension
        if elements > MAX_ELEMENTS:
            raise ValueError(f"{elements} elements are more than the {MAX_ELEMENTS} allowed")
        return self


class InputInfo(Strict):
    """What users give: uint8 images (height, width, channels), and how a half's input is made of them.

    ``(pixel / 255 - mean) / std`` per channel, then the layout of the half's input tensor.
    """

    height: Dimension
    width: Dimension
    channels: Literal[1, 3]
    mean: tuple[Finite, ...]
    std: tuple[Positive, ...]

    @model_validator(mode="after")
    def _one_per_channel(self) -> InputInfo:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(f"mean and std need {self.channels} values each")
        return self


class Boundary(Strict):
    """The tensor that crosses at one split. Integer codes mean ``(code - zero_point) * scale``.

    ``scale`` and ``zero_point`` are absent where the boundary is float32.
    """

    tensor: TensorInfo
    bits: Bits
    scale: Positive | None = None
    zero_point: int | None = None
    table: FileName | None = None
    """What its codecs with a table are made with, on both sides; see :mod:`ecc_deploy.bundle.codecs`."""

    @model_validator(mode="after")
    def _scale_where_integer(self) -> Boundary:
        is_integer = self.tensor.dtype != "float32"
        if is_integer != (self.scale is not None) or is_integer != (self.zero_point is not None):
            raise ValueError("an integer boundary has a scale and a zero point, a float one has neither")
        if is_integer != (self.bits <= 8):
            raise ValueError(f"a {self.tensor.dtype} boundary cannot have {self.bits} bits")
        return self


class Half(Strict):
    """One compiled model. ``macs``: multiply-accumulates of one sample."""

    side: Literal["edge", "cloud"]
    backend: Name
    precision: Precision
    file: FileName
    inputs: Annotated[tuple[TensorInfo, ...], Field(min_length=1)]
    outputs: Annotated[tuple[TensorInfo, ...], Field(min_length=1)]
    batch: Literal["dynamic"] | Annotated[int, Field(gt=0)] = "dynamic"
    macs: Annotated[int, Field(ge=0)]
    compiled: dict[Name, str | int | float | bool | tuple[str, ...]] = Field(default_factory=dict)
    """What the backend says of its file: what it chose, what its runner is to set."""


class File(Strict):
    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]


class Manifest(Strict):
    """``manifest.json``.

    Half outputs are named ``logits``, ``boundary`` and ``confidence``; inputs ``image`` and ``boundary``.
    """

    schema_version: Literal[1] = 1
    name: Name
    task: Literal["classification"] = "classification"
    created: str
    """UTC, ISO 8601; the one field in which two exports of the same inputs differ."""
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    dataset: str
    input: InputInfo
    boundaries: dict[Name, Boundary]
    halves: dict[Name, Half]
    fallback: Name
    """Key of the edge half that answers where the cloud does not: the edge model with its own head."""
    deployments: dict[Name, Deployment]
    targets: dict[Literal["edge", "cloud"], Name]
    calibration: dict[str, Any]
    """The calibration recipe, with what was read."""
    toolchain: dict[str, str]
    """Versions of what made the bundle."""
    files: dict[FileName, File]
    golden: FileName

    @model_validator(mode="after")
    def _references_resolve(self) -> Manifest:
        def half(key: str, side: str) -> Half:
            if key not in self.halves or self.halves[key].side != side:
                raise ValueError(f"there is no {side} half {key!r}")
            return self.halves[key]

        half(self.fallback, "edge")
        for key, item in self.halves.items():
            if item.file not in self.files:
                raise ValueError(f"the file of the half {key!r} is not listed")
        sent_to: dict[str, str] = {}
        for name, deployment in self.deployments.items():
            if deployment.edge is not None:
                _check_outputs(name, deployment, half(deployment.edge, "edge"))
            if deployment.cloud is not None:
                half(deployment.cloud, "cloud")
            if deployment.boundary is not None:
                if deployment.boundary not in self.boundaries:
                    raise ValueError(f"the boundary of the deployment {name!r} is not listed")
                if sent_to.setdefault(deployment.cloud or "", deployment.boundary) != deployment.boundary:
                    raise ValueError(f"deployments send different boundaries to the half {deployment.cloud!r}")
        for key, boundary in self.boundaries.items():
            if boundary.table is None:
                continue
            if boundary.table not in self.files:
                raise ValueError(f"the codec's table of the boundary {key!r} is not listed")
            if self.files[boundary.table].bytes > MAX_TABLE_BYTES:
                raise ValueError(f"the codec's table of the boundary {key!r} is larger than {MAX_TABLE_BYTES} bytes")
        if self.golden not in self.files:
            raise ValueError("the golden samples are not listed")
        return self

    @property
    def pair_id(self) -> str:
        """Identity of the two halves together: a hash of everything here but ``created``. 32 hex digits."""
        facts = self.model_dump(mode="json", exclude={"created"})
        return hashlib.sha256(canonical(facts)).hexdigest()[:32]

    def half_of(self, deployment: Deployment, side: Literal["edge", "cloud"]) -> Half | None:
        """The deployment's half on ``side``, where it has one."""
        key = deployment.edge if side == "edge" else deployment.cloud
        return None if key is None else self.halves[key]


def _check_outputs(name: str, deployment: Deployment, half: Half) -> None:
    """What a gate or a fusion works on must come out of the edge half."""
    outputs = {t.name: (t.dtype, t.shape) for t in half.outputs}
    is_learned = deployment.gate is not None and deployment.gate.score == "learned"
    if is_learned and outputs.get(CONFIDENCE) != ("float32", (1,)):
        raise ValueError(
            f"the gate of the deployment {name!r} is learned, and its edge half gives no float32 {CONFIDENCE} [1]"
        )
    if deployment.fusion is not None and LOGITS not in outputs:
        raise ValueError(f"the deployment {name!r} fuses answers, and its edge half gives no {LOGITS}")


def canonical(value: object) -> bytes:
    """The one JSON text of ``value``: sorted keys, indent 1, a newline at the end."""
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()
