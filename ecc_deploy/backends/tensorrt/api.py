"""TensorRT's Python API, whose versions differ: what is built with, and how a network and its settings are made.

Sources: NVIDIA's API documentation of 8.5, 10.x and 11, and its migration guides. The run side is the same from 8.5 on.

=====================  ======================  =============================  =================
\\                      8.5, 8.6                10.x                           11, TensorRT-RTX
=====================  ======================  =============================  =================
network                ``EXPLICIT_BATCH``      always explicit                always explicit
types                  weak                    weak, or ``STRONGLY_TYPED``    strong
half precision         flag ``FP16``           the file's, strongly typed     the file's
int8                   ``INT8`` and Q/DQ       ``INT8`` and Q/DQ              Q/DQ
=====================  ======================  =============================  =================
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from ecc_deploy.bundle.manifest import Precision
from ecc_deploy.errors import BackendMissingError

OLDEST = (8, 5)
"""The first with access to tensors by name, and what JetPack 5.1 brings."""


@dataclass(frozen=True)
class Api:
    """One installed TensorRT."""

    module: Any
    """``tensorrt``, or ``tensorrt_rtx``."""
    version: tuple[int, ...]
    is_rtx: bool = False

    @property
    def title(self) -> str:
        """Name and version, for people and sidecars."""
        return f"{'TensorRT-RTX' if self.is_rtx else 'TensorRT'} {'.'.join(map(str, self.version))}"

    @property
    def is_weak(self) -> bool:
        """Whether a network's types are a choice of the builder, within flags, unless the network says otherwise."""
        return not self.is_rtx and self.version[0] < 11

    def network(self, builder: Any, precision: Precision) -> Any:
        """An empty network, with the typing that ``precision`` wants."""
        flags = self.module.NetworkDefinitionCreationFlag
        wanted = 0
        if not self.is_rtx and self.version[0] < 10:
            wanted |= 1 << int(flags.EXPLICIT_BATCH)
        elif self.is_weak and precision != "int8":
            wanted |= 1 << int(flags.STRONGLY_TYPED)  # the types that the file has are meant
        return builder.create_network(wanted)

    def set_precision(self, config: Any, precision: Precision) -> list[str]:
        """Set the builder flags that ``precision`` wants, where there are such; returns their names."""
        names: list[str] = []
        if self.is_weak and precision == "int8":
            names = ["INT8", "FP16"]  # between quantized layers the faster of float and half
        elif self.is_weak and precision == "fp16" and self.version[0] < 10:
            names = ["FP16"]
        for name in names:
            config.set_flag(getattr(self.module.BuilderFlag, name))
        return names


def api_of(module: Any, *, is_rtx: bool = False) -> Api:
    """The API of an imported module. Raises :class:`BackendMissingError` for one that is too old."""
    version = tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in module.__version__.split(".")[:4])
    if not is_rtx and version < OLDEST:
        raise BackendMissingError(
            f"TensorRT {module.__version__} is too old: {'.'.join(map(str, OLDEST))} is the oldest that works",
            "On a Jetson it comes with JetPack: 5.1 brings 8.5, 6.2 brings 10.3.",
        )
    return Api(module, version, is_rtx)


def device_api() -> Api:
    """The TensorRT of this machine. Raises :class:`BackendMissingError` where there is none, or too old a one."""
    try:
        return api_of(importlib.import_module("tensorrt"))
    except (ImportError, OSError) as error:  # OSError: its libraries are not there
        raise BackendMissingError(
            f"TensorRT is not installed here, or does not load: {error}",
            "On a Jetson it comes with JetPack (`apt install nvidia-jetpack`), for Python 3.10 with JetPack 6, 3.12 "
            "with JetPack 7 (5: `ecc-deploy targets show jetson-xavier-nx`); on servers: pip install tensorrt.",
        ) from error


def rtx_api() -> Api | None:
    """TensorRT-RTX, which parses and builds without a GPU; ``None`` where it is not installed."""
    try:
        return api_of(importlib.import_module("tensorrt_rtx"), is_rtx=True)
    except (ImportError, OSError):
        return None
