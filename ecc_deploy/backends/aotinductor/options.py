"""What a target says of AOTInductor."""

from __future__ import annotations

from typing import Literal

from ecc_deploy.backends.accelerators import Accelerator
from ecc_deploy.backends.options import BackendOptions


class Options(BackendOptions):
    """The table ``[options]`` of a target whose backend is ``aotinductor``."""

    device: Literal["cpu", "cuda"] = "cuda"

    @property
    def accelerator(self) -> Accelerator | None:
        """See :class:`BackendOptions`."""
        return "NVIDIA GPU" if self.device == "cuda" else None
