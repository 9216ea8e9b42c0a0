"""What a backend is: a compiler, which needs the toolchain, and a runner, which needs only its runtime."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from ecc_deploy.bundle.manifest import Boundary, Half, Precision, TensorInfo
from ecc_deploy.closing import Closing

if TYPE_CHECKING:
    from torch import nn


class Runner(Closing):
    """A loaded half, ready to run: a context manager with one method. Safe to call from several threads."""

    @abstractmethod
    def __init__(self, path: Path, half: Half, threads: int) -> None:
        """Load the model file ``path``; ``threads``: CPU threads of one inference.

        Raises :class:`~ecc_deploy.errors.BundleError` where the file's tensors are not those that ``half`` lists.
        """

    @abstractmethod
    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run one batch. Arrays are ``[batch, *shape]`` with the names, dtypes and layouts of the half's tensors."""


@dataclass(frozen=True)
class HalfSource:
    """One half before it is compiled.

    ``module`` takes and gives float32 NCHW tensors named and ordered as ``inputs`` and ``outputs``. Where one of them
    is the integer ``boundary``, the compiled half takes or gives its codes instead, quantized once with the boundary's
    scale: the module's own tensor is the float one, before the quantizer on the edge and after it in the cloud.
    """

    key: str
    side: Literal["edge", "cloud"]
    module: nn.Module
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    boundary: Boundary | None
    macs: int


Calibration = Iterable[Mapping[str, np.ndarray]]
"""Batches of a half's float inputs, by name; may be iterated more than once."""


class Compiler(Protocol):
    """A backend's compiler module."""

    def compile_half(
        self, source: HalfSource, folder: Path, *, precision: Precision, calibration: Calibration, method: str
    ) -> Half:
        """Compile ``source`` into ``folder/<side>/`` and return what the manifest says of it.

        ``method``: how int8 ranges are found from ``calibration`` (``minmax``, ``percentile`` or ``entropy``).
        """
        ...

    def versions(self) -> dict[str, str]:
        """Versions of what compiles, by package."""
        ...
