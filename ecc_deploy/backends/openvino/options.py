"""What a target says of OpenVINO."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Options(BaseModel):
    """The table ``[options]`` of a target whose backend is ``openvino``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Annotated[str, Field(pattern=r"^(CPU|GPU|NPU)(\.\d+)?$")] = "CPU"
    static_shapes: bool = False
    """Whether the device takes a fixed batch only: it is 1, then."""
    inference_precision: Literal["f32", "f16", "bf16"] = "f32"
    """What float layers are computed in. OpenVINO's own choice differs from CPU to CPU, so it is never left open."""
