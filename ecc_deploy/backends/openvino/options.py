"""What a target says of OpenVINO."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ecc_deploy.backends.accelerators import Accelerator
from ecc_deploy.backends.options import BackendOptions


class Options(BackendOptions):
    """The table ``[options]`` of a target whose backend is ``openvino``."""

    device: Annotated[str, Field(pattern=r"^(CPU|GPU|NPU)(\.\d+)?$")] = "CPU"
    static_shapes: bool = False
    """Whether the device takes a fixed batch only: it is 1, then."""
    inference_precision: Literal["f32", "f16", "bf16"] = "f32"
    """What float layers are computed in. OpenVINO's own choice differs from CPU to CPU, so it is never left open."""

    @property
    def accelerator(self) -> Accelerator | None:
        """See :class:`BackendOptions`."""
        match self.device.partition(".")[0]:
            case "GPU":
                return "Intel GPU"
            case "NPU":
                return "Intel NPU"
            case _:
                return None
