"""Builds an engine from an ONNX file with the TensorRT that is installed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ecc_deploy.backends.tensorrt.api import Api
from ecc_deploy.bundle.manifest import Precision
from ecc_deploy.errors import CompileError

MIB = 1 << 20


@dataclass(frozen=True)
class Settings:
    """What an engine is built with; JSON values only, as they are kept beside the engine."""

    precision: Precision
    dla: bool = False
    workspace_mb: int | None = None
    """The most scratch memory that a layer may take, MiB; ``None``: TensorRT's default, all of it."""
    builder_mb: int | None = None
    """The most memory that building may take on a device that shares it (TensorRT 10 and newer), MiB."""
    optimization_level: int | None = None
    """0 to 5; ``None``: TensorRT's default, 3."""
    stand_in: str | None = None
    """Compute capability to build for without the GPU, as ``SM86``; TensorRT-RTX only."""


@dataclass(frozen=True)
class Built:
    """An engine, and what is known of how it was made."""

    engine: bytes
    timing_cache: bytes
    layers: int
    flags: tuple[str, ...]
    on_gpu: tuple[str, ...] = field(default=())
    """With DLA: the layers that it does not take, which run on the GPU."""


def build(api: Api, model: bytes, settings: Settings, *, timing_cache: bytes = b"", title: str = "the model") -> Built:
    """Parse the ONNX ``model`` and build an engine for the GPU at hand, or the stand-in.

    Raises :class:`CompileError` with what the parser does not take, or what the builder says.
    """
    trt = api.module
    log = _Log(trt)
    builder = trt.Builder(log.logger)
    network = api.network(builder, settings.precision)
    _parse(trt, network, log, model, title)
    config = builder.create_builder_config()
    flags = api.set_precision(config, settings.precision)
    _set_limits(trt, config, settings)
    if settings.stand_in is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, settings.stand_in), 0)
    on_gpu = _use_dla(trt, builder, network, config, title) if settings.dla else ()
    cache = None if api.is_rtx else _timing_cache(config, timing_cache)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise CompileError(
            f"{api.title} cannot build {title}: {log.reason}", "The layer's name says which module made it."
        )
    kept = config.get_timing_cache() if cache is not None else None
    return Built(
        engine=bytes(engine),
        timing_cache=bytes(kept.serialize()) if kept is not None else b"",
        layers=network.num_layers,
        flags=tuple(flags),
        on_gpu=on_gpu,
    )


def _parse(trt: Any, network: Any, log: _Log, model: bytes, title: str) -> None:
    parser = trt.OnnxParser(network, log.logger)
    if not parser.parse(model):
        errors = [parser.get_error(i) for i in range(parser.num_errors)]
        lines = [f"  {_where(error)}{_said(error.desc())}" for error in errors] or [f"  {log.reason}"]
        raise CompileError(
            f"TensorRT's parser does not take {title}:\n" + "\n".join(lines),
            "An operator's name begins with the path of the module that made it. Write the module with other "
            "operators, or compile this half for another target.",
        )


def _where(error: Any) -> str:
    """The operator's name and kind; versions before 10 have both only in the description."""
    names = [getattr(error, name)() for name in ("node_name", "node_operator") if hasattr(error, name)]
    found = [name for name in names if name]
    return f"{' '.join(found)}: " if found else ""


def _said(description: str) -> str:
    """Of an operator that it has no support for, the parser says ``false``."""
    return "it is not supported" if description in ("", "false") else description


def _set_limits(trt: Any, config: Any, settings: Settings) -> None:
    pools = trt.MemoryPoolType
    if settings.workspace_mb is not None:
        config.set_memory_pool_limit(pools.WORKSPACE, settings.workspace_mb * MIB)
    if settings.builder_mb is not None and hasattr(pools, "TACTIC_DRAM"):
        config.set_memory_pool_limit(pools.TACTIC_DRAM, settings.builder_mb * MIB)
    if settings.optimization_level is not None and hasattr(config, "builder_optimization_level"):
        config.builder_optimization_level = settings.optimization_level


def _use_dla(trt: Any, builder: Any, network: Any, config: Any, title: str) -> tuple[str, ...]:
    """Send to the first DLA core what it takes; returns the names of the layers that it does not."""
    if getattr(builder, "num_DLA_cores", 0) == 0:
        raise CompileError(
            f"{title} is to run on a DLA, and TensorRT finds none on this device",
            "Orin Nano and Thor have none; on the others JetPack decides. Compile without --dla.",
        )
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = 0
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    return tuple(layer.name for layer in layers if not config.can_run_on_DLA(layer))


def _timing_cache(config: Any, content: bytes) -> Any:
    """The timing cache in use, which must outlive the build; ``None`` where this TensorRT has none."""
    if not hasattr(config, "create_timing_cache"):
        return None
    cache = config.create_timing_cache(content)
    return cache if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False) else None


class _Log:
    """Collects what TensorRT reports: its functions return nothing where they fail, and the log has the reason."""

    def __init__(self, trt: Any) -> None:
        self.lines: list[str] = []
        lines, worst = self.lines, (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR)

        class Logger(trt.ILogger):  # type: ignore[misc]  # of the module at hand
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                if severity in worst:
                    lines.append(message)

        self.logger = Logger()

    @property
    def reason(self) -> str:
        return "; ".join(self.lines[-3:]) or "it gives no reason"
