"""What a target says of ONNX Runtime."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Provider = Literal["CPUExecutionProvider", "CUDAExecutionProvider"]


class Options(BaseModel):
    """The table ``[options]`` of a target whose backend is ``onnxruntime``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    providers: Annotated[tuple[Provider, ...], Field(min_length=1)] = ("CPUExecutionProvider",)
    """Execution providers, the preferred first. The first must load; what it has no kernel for goes to the next."""
