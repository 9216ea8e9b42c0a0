"""What a target says of ONNX Runtime."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ecc_deploy.backends.accelerators import Accelerator
from ecc_deploy.backends.options import BackendOptions

Provider = Literal["CPUExecutionProvider", "CUDAExecutionProvider"]


class Options(BackendOptions):
    """The table ``[options]`` of a target whose backend is ``onnxruntime``."""

    providers: Annotated[tuple[Provider, ...], Field(min_length=1)] = ("CPUExecutionProvider",)
    """Execution providers, the preferred first. The first must load; what it has no kernel for goes to the next."""

    @property
    def accelerator(self) -> Accelerator | None:
        """See :class:`BackendOptions`."""
        return "NVIDIA GPU" if self.providers[0] == "CUDAExecutionProvider" else None

    @property
    def distribution(self) -> str | None:
        """See :class:`BackendOptions`."""
        return "onnxruntime-gpu" if self.accelerator else None
