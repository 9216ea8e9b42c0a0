"""What the manifest's parts are made of: the types of their fields, and how far they may go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
FileName = Annotated[str, Field(pattern=r"^(edge|cloud|golden|codec)/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Dimension = Annotated[int, Field(gt=0, le=65536)]
Shape = Annotated[tuple[Dimension, ...], Field(min_length=1, max_length=4)]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
Bits = Literal[1, 2, 4, 8, 16, 32]
Score = Literal["max-softmax", "entropy", "margin", "learned"]
Rate = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Temperature = Annotated[float, Field(ge=1e-3, le=1e3)]

MAX_ELEMENTS = 64 * 1024 * 1024
"""Of a tensor without batch."""
MAX_TABLE_BYTES = 8 << 20
"""Of a codec's table."""


class Strict(BaseModel):
    """Facts that nobody changes, without fields that nobody knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)
