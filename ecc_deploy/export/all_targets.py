"""One run for every target: a folder of bundles, and what came of each target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ecc_deploy.backends.registry import get, install_command, load_compiler, missing
from ecc_deploy.backends.targets import Side, Target, list_targets, load_target
from ecc_deploy.bundle import Bundle
from ecc_deploy.bundle.manifest import Precision
from ecc_deploy.bundle.store import MANIFEST
from ecc_deploy.errors import (
    BackendMissingError,
    BundleError,
    CompileError,
    DeviceError,
    EccError,
    ExportRejectedError,
    PayloadError,
    UsageError,
)
from ecc_deploy.evaluation.result import AUTO
from ecc_deploy.export.cache import HalfCache
from ecc_deploy.export.choices import Choices, check_side, check_trained, precision_beside
from ecc_deploy.export.exporter import export_loaded
from ecc_deploy.export.identity import code_identity, data_identity, machine, plain, system_identity
from ecc_deploy.export.index import Index
from ecc_deploy.export.shared import Shared
from ecc_deploy.progress import Progress, silent
from ecc_deploy.quantization.calibration import draw, load_calibration
from ecc_deploy.training.run import load_data, load_run

Status = Literal["exported", "kept", "no toolchain", "needs the device", "no such precision", "failed"]
EDGE_OF_CLOUDS = "onnxruntime-cpu"
"""The edge beside a target that can only be a cloud."""


@dataclass(frozen=True)
class TargetExport:
    """What came of one target in one precision."""

    name: str
    """``TARGET-PRECISION``: of the bundle's folder."""
    target: str
    precision: str
    side: Side
    """Which half is for the target."""
    status: Status
    reason: str = ""
    """Where there is no bundle: why not, and what to do about it."""
    bundle: Bundle | None = None
    """Of what was exported, or kept."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        facts = {name: getattr(self, name) for name in ("name", "target", "precision", "side", "status", "reason")}
        path, pair = (str(self.bundle.path), self.bundle.manifest.pair_id) if self.bundle else (None, None)
        return {**facts, "bundle": path, "pair_id": pair}


@dataclass(frozen=True)
class _Plan:
    """One bundle to be made: the target that it is for, and both halves."""

    target: Target
    precision: Precision
    side: Side
    targets: dict[str, Target]
    precisions: dict[str, Precision]

    @property
    def name(self) -> str:
        return f"{self.target.name}-{self.precision}"

    def ended(self, status: Status, reason: str = "", bundle: Bundle | None = None) -> TargetExport:
        return TargetExport(self.name, self.target.name, self.precision, self.side, status, reason, bundle)

    def cannot(self) -> TargetExport | None:
        """Why it cannot even be begun here."""
        if self.precision not in self.target.precisions:
            return self.ended("no such precision", f"it has: {', '.join(self.target.precisions)}")
        for target in self.targets.values():
            backend = get(target.backend)
            if absent := missing(backend.compiles_with):
                reason = f"{', '.join(absent)} is not installed; run: {install_command(backend.compile_extra)}"
                return self.ended("no toolchain", reason)
        return None

    def facts(self) -> dict[str, Any]:
        """What of its bundle is its own, as plain data."""
        backends = sorted({target.backend for target in self.targets.values()})
        return {
            "targets": {
                side: [target.name, target.backend, plain(target.backend_options)]
                for side, target in self.targets.items()
            },
            "precisions": dict(self.precisions),
            "versions": {name: load_compiler(name).versions() for name in backends},
            "code": {name: code_identity(name) for name in backends},
        }


def export_all(
    run: str | Path,
    out: str | Path,
    *,
    cloud_target: str = "onnxruntime-cpu",
    precisions: Sequence[str] = (),
    calibration: str | Path = "minmax",
    gate: str = AUTO,
    offload_rate: float | None = None,
    min_accuracy: float | None = None,
    fusion: str = AUTO,
    codec: str = AUTO,
    image_codec: str = AUTO,
    max_drop: float = 1.0,
    dataset: str | None = None,
    data_folder: str | Path | None = None,
    threads: int = 1,
    cache: bool = True,
    restart: bool = False,
    progress: Progress = silent,
) -> tuple[TargetExport, ...]:
    """Export the run ``run`` (a folder, or ``shipped:NAME``) for every target that ships, to ``out/TARGET-PRECISION``.

    A target that can be an edge is one, beside ``cloud_target``; one that can only be a cloud is that, beside an edge
    of :data:`EDGE_OF_CLOUDS`. ``precisions``: of the target's half; its default for none. The other half has the same,
    or the next more exact one that its target has. The rest is as for :func:`~ecc_deploy.export.exporter.export`.

    What cannot be done for one target does not stop the others. A bundle that is there, is whole, and was made of the
    same system, data, targets, recipe, choices and toolchains is kept, unless ``restart``.

    Raises :class:`RunError`, :class:`RecipeError`, :class:`TargetError`, :class:`DataError`, :class:`UsageError` for
    what would be wrong with all of them, and :class:`BackendMissingError` where the cloud's toolchain is missing.
    """
    out = Path(out)
    choices = Choices(gate, offload_rate, min_accuracy, fusion, codec, image_codec, max_drop)
    recipe, cloud = load_calibration(calibration), load_target(cloud_target)
    check_side(cloud, "cloud")
    if (out / MANIFEST).is_file():
        raise UsageError(f"{out} is a bundle, and a folder for many of them is wanted", "Give another --out.")
    plans = list(_plans(cloud, precisions))
    loaded = load_run(run, dataset=dataset, data_folder=data_folder)
    check_trained(loaded)
    choices.wanted(loaded)
    load_compiler(cloud.backend)
    common = {
        "name": loaded.recipe.name,
        "system": system_identity(loaded),
        "data": [loaded.recipe.data.name, data_identity(load_data(loaded.recipe))],
        "calibration": [plain(recipe), plain(draw(recipe, load_data(loaded.recipe)))],
        "choices": asdict(choices),
        "threads": threads,
        "machine": machine(),
    }
    index, shared = Index(out), Shared()

    def one(plan: _Plan) -> TargetExport:
        refused = plan.cannot()
        if refused is not None:
            return refused
        facts = {**common, **plan.facts()}
        kept = None if restart else index.same(plan.name, facts)
        if kept is not None:
            shared.add(kept)
            return plan.ended("kept", bundle=kept)
        done = _tried(
            plan,
            partial(
                export_loaded, loaded, out / plan.name, plan.targets, plan.precisions, recipe, choices, threads=threads,
                cache=HalfCache() if cache else None, shared=shared, progress=partial(_named, progress, plan.name),
            ),
        )  # fmt: skip
        if done.bundle is not None:
            index.record(plan.name, facts, done.bundle)
        return done

    found: list[TargetExport] = []
    for number, plan in enumerate(plans):
        progress("All targets", number, len(plans), plan.name)
        found.append(one(plan))
    progress("All targets", len(plans), len(plans), "done")
    return tuple(found)


def _plans(cloud: Target, precisions: Sequence[str]) -> Iterator[_Plan]:
    targets, edge = list_targets(), load_target(EDGE_OF_CLOUDS)
    known: dict[str, Precision] = {precision: precision for target in targets for precision in target.precisions}
    unknown = [precision for precision in precisions if precision not in known]
    if unknown:
        raise UsageError(f"no target has the precision {', '.join(unknown)}", f"There are: {', '.join(sorted(known))}.")
    for target in targets:
        for wanted in dict.fromkeys(precisions) or (target.default_precision,):
            precision = known[wanted]
            if "edge" in target.sides:
                both = {"edge": precision, "cloud": precision_beside(cloud, precision)}
                yield _Plan(target, precision, "edge", {"edge": target, "cloud": cloud}, both)
            else:
                both = {"edge": precision_beside(edge, precision), "cloud": precision}
                yield _Plan(target, precision, "cloud", {"edge": edge, "cloud": target}, both)


def _tried(plan: _Plan, make: Callable[[], Bundle]) -> TargetExport:
    """What came of making it. Toolchains are all here, so what is missing is the device, or what it alone has."""
    try:
        return plan.ended("exported", bundle=make())
    except (BackendMissingError, DeviceError) as error:
        return plan.ended("needs the device", str(error))
    except (BundleError, CompileError, ExportRejectedError, PayloadError, UsageError) as error:
        return plan.ended("failed", str(error))
    except EccError:
        raise  # wrong data or a wrong run would fail for every target
    except Exception as error:  # a toolchain's fault, or ours: no reason not to go on with the others
        alone = f"`ecc-deploy export` with --target {plan.target.name} --precision {plan.precision} shows where"
        return plan.ended("failed", f"{type(error).__name__}: {error}\nThis was not foreseen; {alone}.")


def _named(progress: Progress, name: str, what: str, done: int, total: int, note: str = "") -> None:
    progress(f"{what} {name}", done, total, note)
