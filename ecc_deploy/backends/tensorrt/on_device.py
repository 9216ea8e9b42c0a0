"""Building engines on the device: in a process of its own, whose death by lack of memory can be explained."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ecc_deploy import child
from ecc_deploy.backends.tensorrt import engines
from ecc_deploy.backends.tensorrt.api import Api, device_api
from ecc_deploy.backends.tensorrt.build import MIB, Settings, build
from ecc_deploy.backends.tensorrt.cuda import Cuda
from ecc_deploy.bundle.manifest import Half
from ecc_deploy.errors import CompileError, DeviceError

NEEDED_MB, NEEDED_PER_BYTE = 512, 8
"""Memory that building is assumed to take: TensorRT itself, and so many times the model. Rules of thumb, to be measured
on a device."""
FAILED = 3
"""Exit code of the process where TensorRT says no."""


@dataclass(frozen=True)
class Compiled:
    """One engine that is ready."""

    path: Path
    was_there: bool
    facts: dict[str, Any]


def finish(
    model: Path,
    half: Half,
    *,
    workspace_mb: int | None,
    builder_mb: int | None,
    optimization_level: int | None,
    dla: bool | None,
    rebuild: bool,
    ignore_memory: bool,
) -> Compiled:
    """The engine of ``half``, whose ONNX file is ``model``, for GPU and TensorRT at hand; see :class:`Settings`.

    ``dla``: instead of what the half was compiled for. Raises as :func:`compile_engine`, and
    :class:`BackendMissingError`.
    """
    settings = Settings(
        precision=half.precision,
        dla=bool(half.compiled.get("dla")) if dla is None else dla,
        workspace_mb=workspace_mb,
        builder_mb=builder_mb,
        optimization_level=optimization_level,
    )
    return compile_engine(
        model,
        settings,
        device=Cuda().device,
        tensorrt=device_api().title,
        rebuild=rebuild,
        ignore_memory=ignore_memory,
    )


def compile_engine(
    model: Path, settings: Settings, *, device: str, tensorrt: str, rebuild: bool = False, ignore_memory: bool = False
) -> Compiled:
    """The engine of the ONNX file ``model``, built where there is none of it with these settings.

    ``device``, ``tensorrt``: what it is for. Raises :class:`CompileError`, and :class:`DeviceError` for lack of memory.
    """
    content = model.read_bytes()
    origin = engines.origin_of(content, device, tensorrt)
    known = engines.sidecar_of(origin)
    if known is not None and known.get("settings") == asdict(settings) and not rebuild:
        return Compiled(origin.path, was_there=True, facts=known)
    if not ignore_memory:
        _check_memory(len(content), model.name)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        job = {"model": str(model), "timing_cache": str(origin.timing_cache), "settings": asdict(settings)}
        (work / "job.json").write_text(json.dumps(job))
        command = child.command("ecc_deploy.backends.tensorrt.on_device", str(work))
        done = subprocess.run(command, env=child.environment(), capture_output=True, text=True, check=False)
        _explain(done, work, model.name)
        found = json.loads((work / "built.json").read_text())
        facts = {"settings": asdict(settings), **found, "build_s": round(time.perf_counter() - started, 1)}
        sidecar = engines.store(origin, (work / "engine").read_bytes(), facts)
        if (work / "timing").stat().st_size:
            origin.timing_cache.write_bytes((work / "timing").read_bytes())
    return Compiled(origin.path, was_there=False, facts=sidecar)


def _check_memory(model_bytes: int, title: str) -> None:
    there = available_mb()
    needed = NEEDED_MB + NEEDED_PER_BYTE * model_bytes // MIB
    if there is not None and there < needed:
        raise DeviceError(
            f"building the engine of {title} wants about {needed} MiB of memory, and {there} are free",
            "Stop what else runs (a desktop takes a gigabyte: `sudo systemctl isolate multi-user.target`) or add swap; "
            "--ignore-memory tries all the same.",
        )


def available_mb() -> int | None:
    """Free memory in MiB, as the kernel reckons it; ``None`` where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) // 1024 if found else None


def _explain(done: subprocess.CompletedProcess[str], work: Path, title: str) -> None:
    if done.returncode == 0:
        return
    if done.returncode == FAILED:
        said = json.loads((work / "error.json").read_text())
        raise CompileError(said["message"], said["hint"])
    if done.returncode == -signal.SIGKILL:
        raise DeviceError(
            f"the process that built the engine of {title} was killed, as the kernel does when memory runs out",
            "Give --workspace and --builder-memory lower limits, stop what else runs, or add swap.",
        )
    last = "\n".join(done.stderr.strip().splitlines()[-5:])
    ended = signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit code {done.returncode}"
    raise DeviceError(f"the process that built the engine of {title} ended with {ended}:\n{last}")


def work_on(folder: Path, api: Api) -> int:
    """What the process does with the job in ``folder``; returns its exit code."""
    job = json.loads((folder / "job.json").read_text())
    model, cache = Path(job["model"]), Path(job["timing_cache"])
    known = cache.read_bytes() if cache.is_file() else b""
    try:
        built = build(api, model.read_bytes(), Settings(**job["settings"]), timing_cache=known, title=model.name)
    except CompileError as error:
        (folder / "error.json").write_text(json.dumps({"message": error.message, "hint": error.hint}))
        return FAILED
    (folder / "engine").write_bytes(built.engine)
    (folder / "timing").write_bytes(built.timing_cache)
    facts = {"layers": built.layers, "flags": built.flags, "on_gpu": built.on_gpu, "bytes": len(built.engine)}
    (folder / "built.json").write_text(json.dumps(facts))
    return 0


if __name__ == "__main__":
    sys.exit(work_on(Path(sys.argv[1]), device_api()))
