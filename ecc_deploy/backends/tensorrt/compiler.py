"""Makes the ONNX file that a device's TensorRT builds its engine from, and has NVIDIA's own parser and builder try it.

Engines belong to one GPU and one version of TensorRT, so the bundle carries the file, and ``ecc-deploy compile`` builds
on the device. Where TensorRT-RTX is installed here, it parses the file and builds for the nearest GPU that it knows,
without one: what it does not take is an error now and not on the device.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from ecc_deploy.backends.interface import HalfSource, Job
from ecc_deploy.backends.tensorrt.api import rtx_api
from ecc_deploy.backends.tensorrt.build import Settings, build
from ecc_deploy.backends.tensorrt.graph import for_tensorrt
from ecc_deploy.backends.tensorrt.options import Options
from ecc_deploy.bundle.manifest import Half
from ecc_deploy.errors import UsageError


def versions() -> dict[str, str]:
    """Versions of what compiles, by package."""
    rtx = rtx_api()
    found = {name: version(name) for name in ("torch", "onnx", "onnxscript", "onnxruntime")}
    return found | ({"tensorrt-rtx": ".".join(map(str, rtx.version))} if rtx else {})


def compile_half(source: HalfSource, folder: Path, job: Job) -> Half:
    """See :class:`~ecc_deploy.backends.interface.Compiler`."""
    if job.precision not in ("fp32", "fp16", "int8"):
        raise UsageError(f"TensorRT runs fp32, fp16 and int8, not {job.precision}")
    options = job.options if isinstance(job.options, Options) else Options()
    model = for_tensorrt(source, job, opset=options.opset, batch=options.batch)
    content = model.SerializeToString(deterministic=True)
    facts: dict[str, Any] = {"opset": options.opset, "dla": options.dla, **_tried(content, source, job, options)}
    file = f"{source.side}/{source.key}.onnx"
    (folder / source.side).mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content)
    return Half(
        side=source.side,
        backend="tensorrt",
        precision=job.precision,
        file=file,
        inputs=source.inputs,
        outputs=source.outputs,
        batch=options.batch,
        macs=source.macs,
        compiled=facts,
    )


def _tried(content: bytes, source: HalfSource, job: Job, options: Options) -> dict[str, Any]:
    """What came of building it without the device."""
    rtx = rtx_api()
    if rtx is None:
        return {"tried_with": "nothing: TensorRT-RTX is not installed"}
    if options.stand_in is None:
        return {"tried_with": "nothing: the target names no compute capability that TensorRT-RTX has"}
    settings = Settings(job.precision, stand_in=options.stand_in)
    built = build(rtx, content, settings, title=f"the {source.side} half {source.key!r}")
    return {"tried_with": rtx.title, "tried_for": options.stand_in, "layers": built.layers}
