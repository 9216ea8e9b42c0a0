"""Makes AOTInductor packages (``.pt2``): PyTorch's own compiler, ahead of time, for CUDA or a CPU."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

import torch

from ecc_deploy.backends.aotinductor.options import Options
from ecc_deploy.backends.aotinductor.package import device_kind, slim, tensors_as_text
from ecc_deploy.backends.interface import HalfSource, Job
from ecc_deploy.backends.named import NamedHalf
from ecc_deploy.backends.quiet import quiet
from ecc_deploy.bundle.manifest import Half
from ecc_deploy.errors import BackendMissingError, CompileError, UsageError
from ecc_deploy.zoo.backbone import evaluating

LARGEST_BATCH = 64


def versions() -> dict[str, str]:
    """Versions of what compiles, by package."""
    return {"torch": version("torch")}


def compile_half(source: HalfSource, folder: Path, job: Job) -> Half:
    """See :class:`~ecc_deploy.backends.interface.Compiler`.

    Compiling for CUDA needs the GPU at hand, and a package runs on GPUs of its kind only.
    """
    if job.precision not in ("fp32", "fp16", "bf16"):
        raise UsageError(f"AOTInductor runs fp32, fp16 and bf16, not {job.precision}")
    options = job.options if isinstance(job.options, Options) else Options()
    _check_machine(options.device)
    file = f"{source.side}/{source.key}.pt2"
    (folder / source.side).mkdir(parents=True, exist_ok=True)
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[job.precision]
    module = _InPrecision(source, dtype).eval().to(options.device)
    (entry,) = source.inputs
    example = torch.zeros(2, *entry.shape, device=options.device)
    batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
    try:
        with quiet(), evaluating(module):
            program = torch.export.export(module, (example,), dynamic_shapes=({0: batch},))
            torch._inductor.aoti_compile_and_package(
                program,
                package_path=str(folder / file),
                inductor_configs={
                    "freezing": True,
                    "aot_inductor.metadata": {
                        "inputs": tensors_as_text(source.inputs),
                        "outputs": tensors_as_text(source.outputs),
                        "torch": torch.__version__,
                    },
                },
            )
            slim(folder / file)
    except Exception as error:  # the exporter and the compiler raise many kinds
        raise CompileError(
            f"AOTInductor cannot compile the {source.side} half {source.key!r}: {error}",
            "torch.export must be able to trace the module: no data-dependent Python control flow.",
        ) from error
    finally:
        source.module.to("cpu")
    return Half(
        side=source.side,
        backend="aotinductor",
        precision=job.precision,
        file=file,
        inputs=source.inputs,
        outputs=source.outputs,
        batch="dynamic",
        macs=source.macs,
        compiled={"device": options.device, "runs_on": device_kind(options.device)},
    )


class _InPrecision(torch.nn.Module):
    """The half from one tensor to a tuple, its inner part in another floating-point type."""

    def __init__(self, source: HalfSource, dtype: torch.dtype) -> None:
        super().__init__()
        self.inner = NamedHalf(source)
        self._dtype = dtype

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.autocast(x.device.type, self._dtype, enabled=self._dtype != torch.float32):
            found = self.inner(x)
        return tuple(value.float() for value in found.values())


def _check_machine(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        raise BackendMissingError(
            "compiling for CUDA ahead of time needs a GPU, and torch finds none here",
            "Compile on the server; or take the target cuda, whose ONNX file is made anywhere.",
        )
    if device == "cpu" and shutil.which("g++") is None and shutil.which("clang++") is None:
        raise BackendMissingError(
            "AOTInductor compiles C++ for a CPU, and there is no compiler here", "Run: apt install g++"
        )
