"""Where training runs: one process on a CPU or GPU, or several that share every batch.

Several are started by ``accelerate launch`` (or torchrun), one per GPU, on one machine or many; Accelerate makes the
process group. Every worker holds the whole system, takes its share of each batch and gets the mean gradient, so the
objectives may combine their gradients in any way, which a wrapper that averages inside ``backward`` would not allow.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch

from ecc_deploy.errors import BackendMissingError, UsageError


class Workers:
    """This process and the others that train with it."""

    def __init__(self, device: str | None = None) -> None:
        """``device``: of torch, as ``cpu`` or ``cuda:0``; by default the GPU where there is one.

        Raises :class:`UsageError` for a device that is not there, :class:`BackendMissingError` without Accelerate.
        """
        self._accelerator: Any = None
        self.rank, self.count = 0, int(os.environ.get("WORLD_SIZE", "1"))
        if self.count > 1:
            self._accelerator = _accelerator(device)
            self.rank, self.count = self._accelerator.process_index, self._accelerator.num_processes
            self.device: torch.device = self._accelerator.device
        else:
            self.device = _device(device)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and shows progress."""
        return self.rank == 0

    def average(self, gradients: Iterable[torch.Tensor | None]) -> None:
        """Replace each tensor by its mean over the workers."""
        if self._accelerator is not None:
            for gradient in gradients:
                if gradient is not None:
                    gradient.copy_(self._accelerator.reduce(gradient, reduction="mean"))

    @torch.no_grad()
    def follow_first(self, tensors: Iterable[torch.Tensor]) -> None:
        """Overwrite each tensor with the first worker's: what is found from a batch differs between its shares."""
        if self._accelerator is not None:
            from accelerate.utils import broadcast

            for tensor in tensors:
                tensor.copy_(broadcast(tensor))

    def wait(self) -> None:
        """Until every worker has come here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()

    def autocast(self, precision: str) -> AbstractContextManager:
        """The context of a forward pass in ``precision``: ``float32`` or ``bfloat16``."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bfloat16")

    def precision(self, wanted: str) -> str:
        """``wanted``, or for ``auto`` what this device is quick at: ``bfloat16`` or ``float32``."""
        if wanted != "auto":
            return wanted
        if self.device.type == "cuda":
            return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
        # Without these instructions a CPU emulates bfloat16, several times slower than float32.
        facts = torch.cpu.get_capabilities()
        native = any(facts.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
        return "bfloat16" if native else "float32"


def _accelerator(device: str | None) -> Any:
    try:
        from accelerate import Accelerator
    except ModuleNotFoundError as error:
        raise BackendMissingError(
            "training in several processes needs accelerate, which is not installed",
            "Run: pip install 'ecc-deploy[multi-gpu]'",
        ) from error
    return Accelerator(cpu=device == "cpu" or not torch.cuda.is_available())


def _device(wanted: str | None) -> torch.device:
    if wanted is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"torch has no device {wanted!r} here: {str(error).splitlines()[0]}", "Try --device cpu."
        ) from error
    return device
