"""What every backend's options have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from ecc_deploy.backends.accelerators import Accelerator


class BackendOptions(BaseModel):
    """The table ``[options]`` of a target; each backend has its own below this."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def accelerator(self) -> Accelerator | None:
        """What beside a CPU the compiled half runs on."""
        return None

    @property
    def distribution(self) -> str | None:
        """The build of the runtime that this needs, where it is not the usual one."""
        return None
