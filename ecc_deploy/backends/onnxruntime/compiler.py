"""Makes ONNX files for ONNX Runtime on CPUs: float32, or static INT8 in Q/DQ form."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import onnx

from ecc_deploy.backends import onnx_quantize
from ecc_deploy.backends.interface import HalfSource, Job
from ecc_deploy.backends.onnx_graph import send_codes, take_codes, to_onnx
from ecc_deploy.backends.onnxruntime.options import Options
from ecc_deploy.backends.onnxruntime.runner import CPU
from ecc_deploy.bundle.manifest import Half
from ecc_deploy.errors import UsageError


def versions() -> dict[str, str]:
    """Versions of what compiles, by package."""
    return {name: version(name) for name in ("torch", "onnx", "onnxscript", "onnxruntime")}


def compile_half(source: HalfSource, folder: Path, job: Job) -> Half:
    """See :class:`~ecc_deploy.backends.interface.Compiler`."""
    if job.precision not in ("fp32", "int8"):
        raise UsageError(f"ONNX Runtime on CPUs runs fp32 and int8, not {job.precision}")
    providers = job.options.providers if isinstance(job.options, Options) else (CPU,)
    model = to_onnx(source)
    if job.precision == "int8":
        model = onnx_quantize.quantize(model, source, job, onnx_quantize.CPU)
    boundary = source.boundary
    if boundary is not None and boundary.tensor.dtype != "float32":
        (send_codes if source.side == "edge" else take_codes)(model, boundary)
    onnx.checker.check_model(model, full_check=True)
    file = f"{source.side}/{source.key}.onnx"
    (folder / source.side).mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(model.SerializeToString(deterministic=True))
    return Half(
        side=source.side,
        backend="onnxruntime",
        precision=job.precision,
        file=file,
        inputs=source.inputs,
        outputs=source.outputs,
        batch="dynamic",
        macs=source.macs,
        compiled={"providers": providers} if providers != (CPU,) else {},
    )
