"""A Triton model repository of a bundle's cloud halves: for each an ensemble, its decode step and its engine."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from pathlib import Path
from typing import Literal

import numpy as np

import ecc_deploy
from ecc_deploy import wire
from ecc_deploy.bundle import Bundle
from ecc_deploy.bundle.golden import load_golden
from ecc_deploy.errors import UsageError
from ecc_deploy.preprocess import Preprocess
from ecc_deploy.scaling import triton_config
from ecc_deploy.serving.half import ServedHalf

Engine = Literal["onnxruntime", "python"]
RUNS = ("onnxruntime", "tensorrt")
"""Backends whose halves are ONNX files, which Triton's own ONNX Runtime runs."""
VENDORED = ("__init__.py", "errors.py", "payload")
"""What the decode step needs of this package: copied, so that the repository is whole by itself."""


def write_repository(bundle: Bundle, folder: Path, *, engine: Engine, threads: int, decoders: int) -> list[str]:
    """Write the models into ``folder``, which is there; returns the names that edges ask for.

    Raises :class:`UsageError` for a half that Triton cannot run.
    """
    halves = [ServedHalf(bundle, k) for k, half in sorted(bundle.manifest.halves.items()) if half.side == "cloud"]
    if not halves:
        raise UsageError(f"there is no cloud half in {bundle.path}", "Export a bundle with a deployment that has one.")
    for half in halves:
        _check(half, engine)
    names = [name for half in halves for name in (half.key, *_parts(half))]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two models would be called {name!r}", "Name the cloud halves otherwise.")
    for half in halves:
        _write_half(half, folder, engine=engine, threads=threads, decoders=decoders)
    return [half.key for half in halves]


def _parts(half: ServedHalf) -> tuple[str, str]:
    return f"{half.key}.decode", f"{half.key}.engine"


def _check(half: ServedHalf, engine: Engine) -> None:
    found = half.half
    if found.backend not in RUNS:
        raise UsageError(
            f"the half {half.key!r} of {half.bundle.path} is for {found.backend}; Triton is given ONNX files, "
            f"of the backends {' and '.join(RUNS)}",
            "Export the bundle with --cloud onnxruntime-cpu or --cloud cuda, or serve it by --serving kserve or ray.",
        )
    if engine == "python" and found.backend != "onnxruntime":
        raise UsageError(
            f"the half {half.key!r} is for {found.backend}, and a Python model runs onnxruntime's halves",
            "Leave --engine out: Triton's own ONNX Runtime builds TensorRT engines.",
        )
    if found.batch not in ("dynamic", 1):
        raise UsageError(
            f"the half {half.key!r} takes batches of exactly {found.batch}, and edges send one sample at a time",
            "Export the bundle with a cloud target whose batch is dynamic, or 1.",
        )


def _write_half(half: ServedHalf, folder: Path, *, engine: Engine, threads: int, decoders: int) -> None:
    decode, run = _parts(half)
    in_python = engine == "python"
    payload, versions = _default_payload(half), {}
    for name, config in (
        (half.key, triton_config.ensemble(half, decode, run)),
        (decode, triton_config.decoder(half, decode, instances=decoders, warm_up=payload is not None)),
        (run, triton_config.engine(half, run, threads=threads, in_python=in_python)),
    ):
        versions[name] = folder / name / wire.MODEL_VERSION
        versions[name].mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(triton_config.text(config), encoding="utf-8")
    # Git and object stores keep no empty folder, and without its version the ensemble would not be served.
    (versions[half.key] / "ensemble").write_text("Its steps are in config.pbtxt.\n", encoding="utf-8")
    _write_decoder(half, versions[decode])
    if payload is not None:
        (folder / decode / "warmup").mkdir()
        (folder / decode / "warmup" / triton_config.WARM_UP).write_bytes(wire.pack_bytes([payload]))
    shutil.copyfile(half.bundle.file(half.half.file), versions[run] / "model.onnx")
    if in_python:
        _write_python_engine(half, versions[run], threads)


def _write_python_engine(half: ServedHalf, folder: Path, threads: int) -> None:
    providers = half.half.compiled.get("providers")
    facts = {
        "input": half.half.inputs[0].name,
        "output": wire.LOGITS,
        "threads": threads,
        "providers": list(providers) if isinstance(providers, tuple) else ["CPUExecutionProvider"],
    }
    shutil.copyfile(_package() / "scaling/triton_models/engine.py", folder / "model.py")
    _write_json(folder / "engine.json", facts)


def _write_decoder(half: ServedHalf, folder: Path) -> None:
    package = _package()
    shutil.copyfile(package / "scaling/triton_models/decode.py", folder / "model.py")
    for name in VENDORED:
        source, target = package / name, folder / "ecc_deploy" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=lambda _, names: {n for n in names if not n.endswith(".py")})
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, target)
    tensor, table = half.half.inputs[0], half.sent_as.table
    if table is not None:
        (folder / "codec.table").write_bytes(table)
    if half.preprocess is not None:
        np.save(folder / "pixels.npy", _pixels(half.preprocess, half.sent.shape[2]), allow_pickle=False)
    facts = {
        "pair_id": half.pair_id,
        "codec": half.default_codec,
        "max_batch": half.max_batch,
        "max_codec_length": wire.MAX_CODEC_LENGTH,
        "dtype": half.sent.dtype,
        "shape": list(half.sent.shape),
        "output": tensor.name,
        "is_image": half.preprocess is not None,
        "is_nchw": tensor.layout == "NCHW",
        "has_table": table is not None,
        "golden": _golden(half),
    }
    _write_json(folder / "decode.json", facts)


def _pixels(preprocess: Preprocess, channels: int) -> np.ndarray:
    """What each value of a pixel becomes, ``[channels, 256]``: preprocessing treats every pixel by itself."""
    every = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None], (256, channels))
    values = preprocess(np.ascontiguousarray(every)[np.newaxis, :, np.newaxis])
    found = values.reshape(channels, 256) if values.shape[1] == channels else values.reshape(256, channels).T
    return np.ascontiguousarray(found)


def _golden(half: ServedHalf) -> list[dict[str, str]]:
    """One golden payload of each lossless codec, with the digest of what the engine must be given."""
    golden = load_golden(half.bundle)
    found: dict[str, dict[str, str]] = {}
    for deployment, spec in half.codecs.items():
        codec = half.codec(spec)
        if not codec.is_lossless or spec in found:
            continue
        payload = golden.payload(deployment, 0)
        prepared = half.prepare(half.decode([memoryview(payload)], codec))
        digest = hashlib.sha256(np.ascontiguousarray(prepared).tobytes()).hexdigest()
        found[spec] = {"codec": spec, "payload": base64.b64encode(payload).decode(), "sha256": digest}
    return list(found.values())


def _default_payload(half: ServedHalf) -> bytes | None:
    """A golden payload of the default codec; ``None`` where no deployment uses the half."""
    deployment = next((name for name, spec in half.codecs.items() if spec == half.default_codec), None)
    return None if deployment is None else load_golden(half.bundle).payload(deployment, 0)


def _package() -> Path:
    return Path(ecc_deploy.__file__).parent


def _write_json(path: Path, facts: object) -> None:
    path.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
