"""Makes .tflite files: float32, or full-integer int8 with weights per channel."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from ecc_deploy.backends.interface import HalfSource, Job
from ecc_deploy.backends.named import NamedHalf
from ecc_deploy.backends.quiet import quiet
from ecc_deploy.backends.rewrites import SaferOperators
from ecc_deploy.backends.tflite.coverage import coverage
from ecc_deploy.backends.tflite.interpreter import open_interpreter
from ecc_deploy.backends.tflite.quantize import quantize
from ecc_deploy.bundle.manifest import Half, Quantization, TensorInfo
from ecc_deploy.errors import CompileError, UsageError
from ecc_deploy.zoo.backbone import evaluating


def versions() -> dict[str, str]:
    """Versions of what compiles, by package."""
    return {name: version(name) for name in ("torch", "litert-torch", "ai-edge-quantizer", "ai-edge-litert")}


def compile_half(source: HalfSource, folder: Path, job: Job) -> Half:
    """See :class:`~ecc_deploy.backends.interface.Compiler`.

    The file has a batch of one, takes its image in NHWC and gives its boundary in NHWC; in int8 both are int8.
    """
    if job.precision not in ("fp32", "int8"):
        raise UsageError(f"LiteRT runs fp32 and int8, not {job.precision}")
    is_int8 = job.precision == "int8"
    content = _convert(source, "values" if is_int8 else "codes")
    if is_int8:
        content = quantize(content, source, job)
    try:
        facts = coverage(content)
    except RuntimeError as error:
        raise CompileError(
            f"LiteRT's runtime cannot run the {source.side} half {source.key!r} that its converter made: {error}",
            "The message names the operator. Write the module with others, or compile this half for another target.",
        ) from error
    if is_int8 and source.side == "edge" and source.boundary is not None and source.boundary.scale is not None:
        facts["top_code"] = 2**source.boundary.bits - 1
    file = f"{source.side}/{source.key}.tflite"
    (folder / source.side).mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content)
    return Half(
        side=source.side,
        backend="tflite",
        precision=job.precision,
        file=file,
        inputs=tuple(_image(tensor, content) if tensor.name == "image" else tensor for tensor in source.inputs),
        outputs=source.outputs,
        batch=1,
        macs=source.macs,
        compiled=facts,
    )


def _image(tensor: TensorInfo, content: bytes) -> TensorInfo:
    """The image as the file takes it: NHWC, in int8 as the codes of its quantization."""
    channels, height, width = tensor.shape
    facts: dict[str, object] = {"shape": (height, width, channels), "layout": "NHWC"}
    details = open_interpreter(content).get_input_details()[0]
    if np.dtype(details["dtype"]) == np.int8:
        scale, zero_point = details["quantization"]
        facts |= {"dtype": "int8", "quantization": Quantization(scale=float(scale), zero_point=int(zero_point))}
    return tensor.model_copy(update=facts)


def _convert(source: HalfSource, codes: str) -> bytes:
    with quiet():  # its import alone prints a page
        import litert_torch

        from ecc_deploy.backends.tflite import decompositions
        from ecc_deploy.backends.tflite.operators import check_operators

        decompositions.register()
    (entry,) = source.inputs
    shape = (entry.shape[1], entry.shape[2], entry.shape[0]) if len(entry.shape) == 3 else entry.shape
    module = NamedHalf(source, nhwc=True, codes=codes).eval()
    example = {entry.name: torch.zeros(1, *shape)}
    try:
        with quiet(), evaluating(module), SaferOperators():
            try:
                converted = litert_torch.convert(module, sample_kwargs=example)
            except Exception:  # it raises many kinds
                check_operators(module, example, f"the {source.side} half {source.key!r}")
                raise
            with tempfile.TemporaryDirectory() as work:
                converted.export(str(Path(work) / "half.tflite"))
                return (Path(work) / "half.tflite").read_bytes()
    except CompileError:
        raise
    except Exception as error:  # the converter raises many kinds
        raise CompileError(
            f"LiteRT cannot take the {source.side} half {source.key!r}: {error}",
            "torch.export must be able to trace the module, and LiteRT must know its operators.",
        ) from error
