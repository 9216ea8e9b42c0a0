"""What a backend is: a compiler, which needs the toolchain, and a runner, which needs only its runtime."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from pydantic import BaseModel

from ecc_deploy.bundle.manifest import Boundary, Half, Precision, TensorInfo
from ecc_deploy.closing import Closing
from ecc_deploy.quantization.ranges import MINMAX, RangeMethod

if TYPE_CHECKING:
    from torch import nn


class Runner(Closing):
    """A loaded half, ready to run: a context manager with one method. Safe to call from several threads."""

    half: Half
    """What it runs, as the manifest lists it; set by :func:`~ecc_deploy.backends.registry.open_runner`."""

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


@dataclass(frozen=True)
class Job:
    """How a half is to be compiled."""

    precision: Precision
    calibration: Calibration
    ranges: RangeMethod = MINMAX
    """How the ends of int8 ranges are found from ``calibration``."""
    options: BaseModel | None = None
    """The backend's own ``Options``, from the target; ``None`` for its defaults."""
    exclude: tuple[str, ...] = ()
    """Paths of modules within the half, such as ``stages.stage1.0``: what they compute stays float in int8."""
    threads: int = 1


class Compiler(Protocol):
    """A backend's compiler module."""

    def compile_half(self, source: HalfSource, folder: Path, job: Job) -> Half:
        """Compile ``source`` into ``folder/<side>/`` and return what the manifest says of it.

        Raises :class:`~ecc_deploy.errors.CompileError` where the toolchain cannot, naming operator and module.
        """
        ...

    def versions(self) -> dict[str, str]:
        """Versions of what compiles, by package."""
        ...
