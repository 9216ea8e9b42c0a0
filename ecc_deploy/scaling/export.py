"""What a bundle's cloud halves need to run behind another server: a folder that is written whole, or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal, get_args

from ecc_deploy.bundle import Bundle, open_bundle
from ecc_deploy.errors import UsageError
from ecc_deploy.scaling import kserve, rayserve, triton
from ecc_deploy.scaling.triton import Engine

Kind = Literal["triton", "kserve", "ray"]
MARKER = "serving.json"
"""Says what a folder of ours is, so that the next export may replace it."""


@dataclass(frozen=True)
class ServingExport:
    """What was written: its kind, where, the names that edges ask for, and the commands to go on with."""

    kind: Kind
    path: Path
    pair_id: str
    models: tuple[str, ...]
    next: tuple[str, ...]


def export_serving(
    bundle: Bundle | str | Path,
    out: str | Path,
    *,
    kind: Kind = "triton",
    engine: Engine = "onnxruntime",
    threads: int = 1,
    decoders: int = 1,
    image: str | None = None,
    storage_uri: str | None = None,
) -> ServingExport:
    """Write into the folder ``out`` what the server ``kind`` needs to serve the cloud halves of ``bundle``.

    ``triton``: a model repository ``models/`` and a KServe InferenceService that has Triton serve it. ``kserve``: an
    InferenceService whose container is this package's server, and the bundle. ``ray``: a configuration of Ray Serve,
    and the bundle. The client of an edge is the same for all of them, and so is the ``pair_id`` that it checks.

    ``engine`` says what runs a half in Triton: its own ONNX Runtime, or ``python``, ONNX Runtime in a Python model, for
    a Triton without that backend. ``threads``: CPU threads of one inference; ``decoders``: processes that decode
    payloads in Triton; ``image``: the container; ``storage_uri``: where KServe finds the folder's ``models`` or
    ``bundle``.

    Raises :class:`UsageError` for arguments that do not go together, a half that the server cannot run, or an ``out``
    that holds something else; :class:`BundleError` for a bundle that is none.
    """
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    out = Path(out)
    _check(kind, engine, threads, decoders)

    def fill(folder: Path) -> tuple[list[str], tuple[str, ...]]:
        if kind == "triton":
            (folder / "models").mkdir()
            names = triton.write_repository(
                opened, folder / "models", engine=engine, threads=threads, decoders=decoders
            )
            service = kserve.triton_service(opened, image=image, storage_uri=storage_uri)
            (folder / kserve.FILE).write_text(service, encoding="utf-8")
            return names, (f"tritonserver --model-repository {out / 'models'}", f"kubectl apply -f {out / kserve.FILE}")
        names = sorted(key for key, half in opened.manifest.halves.items() if half.side == "cloud")
        if not names:
            raise UsageError(
                f"there is no cloud half in {opened.path}", "Export a bundle with a deployment that has one."
            )
        shutil.copytree(opened.path, folder / "bundle")
        if kind == "kserve":
            service = kserve.own_service(opened, threads=threads, image=image, storage_uri=storage_uri)
            (folder / kserve.FILE).write_text(service, encoding="utf-8")
            return names, (f"kubectl apply -f {out / kserve.FILE}",)
        config = rayserve.config(opened, out.resolve() / "bundle", threads=threads)
        (folder / rayserve.FILE).write_text(config, encoding="utf-8")
        return names, (f"serve run {out / rayserve.FILE}",)

    names, commands = _written(out, kind, opened, fill)
    return ServingExport(kind, out, opened.manifest.pair_id, tuple(names), commands)


def _check(kind: str, engine: str, threads: int, decoders: int) -> None:
    if kind not in get_args(Kind):
        raise UsageError(f"there is no server {kind!r}", f"Known are {', '.join(get_args(Kind))}.")
    if engine not in get_args(Engine):
        raise UsageError(f"there is no engine {engine!r}", f"Known are {', '.join(get_args(Engine))}.")
    if engine != "onnxruntime" and kind != "triton":
        raise UsageError(f"an engine is chosen for triton, not for {kind}", "Leave --engine out.")
    for name, value in (("threads", threads), ("decoders", decoders)):
        if not 1 <= value <= 1024:
            raise UsageError(f"{name} is {value}; it must be from 1 to 1024")


def _written(
    out: Path, kind: str, bundle: Bundle, fill: Callable[[Path], tuple[list[str], tuple[str, ...]]]
) -> tuple[list[str], tuple[str, ...]]:
    """Fill a folder beside ``out``, then put it in its place; an older export there is replaced."""
    if out.exists() and not (out / MARKER).is_file():
        raise UsageError(
            f"{out} exists and is not what an earlier --serving wrote", "Give another --out, or remove it."
        )
    if out.resolve().is_relative_to(bundle.path.resolve()):
        raise UsageError(f"{out} is inside the bundle {bundle.path}", "Give another --out.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as held:
        work = Path(held) / "new"
        work.mkdir()
        names, commands = fill(work)
        facts = {
            "serving": kind,
            "bundle": bundle.manifest.name,
            "pair_id": bundle.manifest.pair_id,
            "models": names,
            "made_by": f"ecc-deploy {version('ecc-deploy')}",
        }
        (work / MARKER).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        if out.exists():
            out.replace(Path(held) / "old")
        work.replace(out)
    return names, commands
