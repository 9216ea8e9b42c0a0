"""The manifest: what a bundle says about itself. Data only, typed, versioned; the schema of ``manifest.json``."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
FileName = Annotated[str, Field(pattern=r"^(edge|cloud|golden)/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Dimension = Annotated[int, Field(gt=0, le=65536)]
Shape = Annotated[tuple[Dimension, ...], Field(min_length=1, max_length=4)]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
Bits = Literal[1, 2, 4, 8, 16, 32]
Score = Literal["max-softmax", "entropy", "margin"]
Rate = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]

MAX_ELEMENTS = 64 * 1024 * 1024


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TensorInfo(_Strict):
    """A tensor of a compiled half; ``shape`` without the batch dimension, which comes first."""

    name: Name
    dtype: Literal["uint8", "int8", "float32"]
    shape: Shape
    layout: Literal["NCHW", "NHWC", "NC"]

    @model_validator(mode="after")
    def _bounded(self) -> TensorInfo:
        elements = 1
        for dimension in self.shape:
            elements *= dimension
        if elements > MAX_ELEMENTS:
            raise ValueError(f"{elements} elements are more than the {MAX_ELEMENTS} allowed")
        return self


class InputInfo(_Strict):
    """What users give: uint8 images (height, width, channels), and how a half's input is made of them.

    ``(pixel / 255 - mean) / std`` per channel, then the layout of the half's input tensor.
    """

    height: Dimension
    width: Dimension
    channels: Literal[1, 3]
    mean: tuple[Finite, ...]
    std: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...]

    @model_validator(mode="after")
    def _one_per_channel(self) -> InputInfo:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(f"mean and std need {self.channels} values each")
        return self


class Boundary(_Strict):
    """The tensor that crosses at one split. Integer codes mean ``(code - zero_point) * scale``.

    ``scale`` and ``zero_point`` are absent where the boundary is float32.
    """

    tensor: TensorInfo
    bits: Bits
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    zero_point: int | None = None

    @model_validator(mode="after")
    def _scale_where_integer(self) -> Boundary:
        is_integer = self.tensor.dtype != "float32"
        if is_integer != (self.scale is not None) or is_integer != (self.zero_point is not None):
            raise ValueError("an integer boundary has a scale and a zero point, a float one has neither")
        if is_integer != (self.bits <= 8):
            raise ValueError(f"a {self.tensor.dtype} boundary cannot have {self.bits} bits")
        return self


class Half(_Strict):
    """One compiled model. ``macs``: multiply-accumulates of one sample."""

    side: Literal["edge", "cloud"]
    backend: Name
    precision: Precision
    file: FileName
    inputs: Annotated[tuple[TensorInfo, ...], Field(min_length=1)]
    outputs: Annotated[tuple[TensorInfo, ...], Field(min_length=1)]
    batch: Literal["dynamic"] | Annotated[int, Field(gt=0)] = "dynamic"
    macs: Annotated[int, Field(ge=0)]


class Gate(_Strict):
    """Exit on the edge where ``score`` is at least ``threshold``; the scores are in ``runtime/gate.py``."""

    score: Score
    threshold: Finite
    offload_rate: Rate
    """Share that was offloaded where the threshold was chosen, by the compiled edge half."""
    chosen_on: str
    """The data that the threshold was chosen on."""


class GuardResult(_Strict):
    """Accuracy (0 to 1) on the held-out split, float and as compiled; ``drop_points`` in percentage points."""

    data: str
    samples: Annotated[int, Field(gt=0)]
    float_accuracy: Rate
    compiled_accuracy: Rate
    drop_points: Finite
    max_drop_points: Finite


class Deployment(_Strict):
    """One way to run the bundle: which halves, what is sent, when.

    ========== ======== ======== ========== =====
    architecture edge     cloud    sends      gate
    ========== ======== ======== ========== =====
    edge-only  exit     —        —          —
    cloud-only —        full     input      —
    independent exit    full     input      yes
    adaptive   boundary tail     boundary   —
    dynamic    both     tail     boundary   yes
    ========== ======== ======== ========== =====
    """

    architecture: Literal["edge-only", "cloud-only", "independent", "adaptive", "dynamic"]
    edge: Name | None = None
    """Key of the edge half in ``Manifest.halves``."""
    cloud: Name | None = None
    sends: Literal["input", "boundary"] | None = None
    boundary: Name | None = None
    """Key in ``Manifest.boundaries``, where a boundary is sent."""
    codec: Annotated[str, Field(max_length=64)] | None = None
    gate: Gate | None = None
    guard: GuardResult | None = None

    @model_validator(mode="after")
    def _shape_of_architecture(self) -> Deployment:
        wanted = {
            "edge-only": (True, False, None, False),
            "cloud-only": (False, True, "input", False),
            "independent": (True, True, "input", True),
            "adaptive": (True, True, "boundary", False),
            "dynamic": (True, True, "boundary", True),
        }[self.architecture]
        if (self.edge is not None, self.cloud is not None, self.sends, self.gate is not None) != wanted:
            raise ValueError(f"edge, cloud, sends and gate are not those of {self.architecture}")
        if (self.codec is not None) != (self.sends is not None):
            raise ValueError("a codec belongs to what is sent")
        if (self.boundary is not None) != (self.sends == "boundary"):
            raise ValueError("a boundary is named where one is sent")
        return self


class File(_Strict):
    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]


class Manifest(_Strict):
    """``manifest.json``. Half outputs are named ``logits`` and ``boundary``; inputs ``image`` and ``boundary``."""

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
        for name, deployment in self.deployments.items():
            if deployment.edge is not None:
                half(deployment.edge, "edge")
            if deployment.cloud is not None:
                half(deployment.cloud, "cloud")
            if deployment.boundary is not None and deployment.boundary not in self.boundaries:
                raise ValueError(f"the boundary of the deployment {name!r} is not listed")
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


def canonical(value: object) -> bytes:
    """The one JSON text of ``value``: sorted keys, indent 1, a newline at the end."""
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()
