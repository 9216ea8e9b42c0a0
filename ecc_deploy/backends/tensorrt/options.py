"""What a target says of TensorRT."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ecc_deploy.backends.accelerators import Accelerator
from ecc_deploy.backends.options import BackendOptions


class Options(BackendOptions):
    """The table ``[options]`` of a target whose backend is ``tensorrt``."""

    tensorrt: tuple[Annotated[str, Field(pattern=r"^\d+\.\d+(\.\d+)?$")], ...] = ()
    """Versions that the device's software brings, the oldest first."""
    opset: Annotated[int, Field(ge=17, le=25)] = 17
    """Of the ONNX file: what the parser of the oldest version takes."""
    stand_in: Literal["SM75", "SM80", "SM86", "SM89", "SM120"] | None = None
    """The compute capability of TensorRT-RTX that is nearest to the device's."""
    batch: Annotated[int, Field(gt=0, le=1024)] = 1
    """Fixed: engines with static shapes are the faster ones, and what a DLA takes."""
    dla: bool = False
    """Whether layers go to the first DLA core where it can run them."""

    @property
    def accelerator(self) -> Accelerator | None:
        """See :class:`BackendOptions`."""
        return "NVIDIA GPU"
