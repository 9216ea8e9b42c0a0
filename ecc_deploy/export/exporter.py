"""From a run directory to a bundle: cut, quantize, compile, choose codec and threshold, guard, pack."""

from __future__ import annotations

import platform
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ecc_deploy import data
from ecc_deploy.backends.interface import Runner
from ecc_deploy.backends.registry import load_compiler, open_runner
from ecc_deploy.backends.targets import Target, load_target
from ecc_deploy.bundle import Bundle, Half, InputInfo, Manifest, hash_file, write_bundle
from ecc_deploy.bundle.manifest import Precision, Score
from ecc_deploy.data import Dataset
from ecc_deploy.errors import RunError, TargetError, UsageError
from ecc_deploy.evaluation.answers import float_answers
from ecc_deploy.export.compiled import compiled_answers, run_all
from ecc_deploy.export.deployments import deployments, final_answers, gate_for
from ecc_deploy.export.golden import COUNT, FILE, write_golden
from ecc_deploy.partition.halves import ENCODE, EXIT, Halves, halves_of
from ecc_deploy.payload import TensorSpec
from ecc_deploy.payload.choice import LOSSLESS_IMAGE, boundary_candidates, choose, through
from ecc_deploy.progress import Progress, silent
from ecc_deploy.quantization.calibration import CalibrationRecipe, draw, load_calibration
from ecc_deploy.quantization.guard import judge
from ecc_deploy.runtime.gate import known_score
from ecc_deploy.training.run import Run, load_run

DEFAULT_OFFLOAD_RATE = 0.3
STEPS = 8  # five halves, then codecs and thresholds, guard, golden samples


def export(
    run: str | Path,
    out: Path,
    *,
    target: str = "onnxruntime-cpu",
    cloud_target: str = "onnxruntime-cpu",
    precision: str = "int8",
    cloud_precision: str | None = None,
    calibration: str | Path = "minmax",
    gate: str = "max-softmax",
    offload_rate: float | None = None,
    min_accuracy: float | None = None,
    codec: str = "auto",
    image_codec: str = "auto",
    max_drop: float = 1.0,
    threads: int = 1,
    progress: Progress = silent,
) -> Bundle:
    """Export the run directory ``run`` (or ``shipped:NAME``) as a bundle at ``out``.

    * ``target``, ``cloud_target``: what each half is compiled for; ``cloud_precision`` is ``precision`` if absent.
    * ``gate``: the score of the gates; the threshold is chosen on the data's val part, by the compiled edge half, for
      ``offload_rate`` (0 to 1; default 0.3) or for the fewest offloads that give ``min_accuracy`` (0 to 1).
    * ``codec``: of the boundary, ``image_codec``: of the input; ``auto`` takes what gives the fewest bytes on the
      calibration samples without losing anything.
    * ``max_drop``: percentage points that compiling may cost any deployment, measured on the val part.

    Raises :class:`RunError`, :class:`TargetError`, :class:`BackendMissingError`, :class:`ExportRejectedError`,
    :class:`UsageError`.
    """
    if offload_rate is not None and min_accuracy is not None:
        raise UsageError("give an offload rate or a minimum accuracy, not both")
    if offload_rate is None and min_accuracy is None:
        offload_rate = DEFAULT_OFFLOAD_RATE
    targets = {"edge": load_target(target), "cloud": load_target(cloud_target)}
    precisions = {
        "edge": _precision(targets["edge"], "edge", precision),
        "cloud": _precision(targets["cloud"], "cloud", cloud_precision or precision),
    }
    choices = _Choices(known_score(gate), offload_rate, min_accuracy, codec, image_codec, max_drop)
    loaded = load_run(run)
    _check_trained(loaded)
    exporter = _Exporter(loaded, targets, load_calibration(calibration), threads, progress)

    def fill(folder: Path) -> Manifest:
        exporter.compile(folder, precisions)
        with ExitStack() as stack:
            runners = {
                key: stack.enter_context(open_runner(folder / half.file, half, threads))
                for key, half in exporter.compiled.items()
            }
            return exporter.finish(folder, runners, choices)

    return write_bundle(out, fill)


@dataclass(frozen=True)
class _Choices:
    """What :func:`export` was asked for, beyond targets and precisions."""

    gate: Score
    offload_rate: float | None
    min_accuracy: float | None
    codec: str
    image_codec: str
    max_drop: float


def _precision(target: Target, side: str, wanted: str) -> Precision:
    if side not in target.sides:
        raise TargetError(f"the target {target.name} cannot be the {side}", f"It can be: {', '.join(target.sides)}.")
    for precision in target.precisions:
        if precision == wanted:
            return precision
    raise TargetError(
        f"the target {target.name} has no precision {wanted!r}", f"It has: {', '.join(target.precisions)}."
    )


def _check_trained(run: Run) -> None:
    missing = [part for part in ("edge", "cloud", "adapter") if part not in run.parts]
    if missing:
        raise RunError(
            f"{run.path} holds no trained {' and no trained '.join(missing)}",
            "Train it: a recipe with `init` set to this run and a phase that trains what is missing. "
            "`ecc-deploy train fashion-mnist-quickstart --out RUN` shows one.",
        )


class _Exporter:
    """One export, in order: :meth:`compile`, then :meth:`finish`."""

    def __init__(
        self,
        run: Run,
        targets: dict[str, Target],
        calibration: CalibrationRecipe,
        threads: int,
        progress: Progress,
    ) -> None:
        self.run, self.targets, self.calibration = run, targets, calibration
        self.threads, self.progress = threads, progress
        self.done = 0
        self.dataset: Dataset = data.load(run.recipe.data.name, run.recipe.data.folder)
        self.halves: Halves = halves_of(run.system, len(self.dataset.classes))
        self.compiled: dict[str, Half] = {}
        self.calibration_samples = draw(calibration, self.dataset)
        self.calibration_images = self.dataset.normalisation(self.calibration_samples.images)
        self.toolchain: dict[str, str] = {"ecc-deploy": version("ecc-deploy"), "python": platform.python_version()}

    def step(self, note: str) -> None:
        self.progress("Export", self.done, STEPS, note)
        self.done += 1

    def compile(self, folder: Path, precisions: dict[str, Precision]) -> None:
        """Compile every half into ``folder``; the tail is calibrated with what the compiled edge half sends."""
        torch.set_num_threads(self.threads)
        boundary = self.halves.boundary
        received: np.ndarray | None = None
        for key, source in self.halves.sources.items():
            self.step(f"compiling {source.side} half {key}")
            target = self.targets[source.side]
            compiler = load_compiler(target.backend)
            self.toolchain |= compiler.versions()
            name = source.inputs[0].name
            if source.inputs[0] == boundary.tensor:
                assert received is not None
                inputs = received
            else:
                inputs = self.calibration_images
            batches = [{name: inputs[i : i + 64]} for i in range(0, len(inputs), 64)]
            self.compiled[key] = compiler.compile_half(
                source,
                folder,
                precision=precisions[source.side],
                calibration=batches,
                method=self.calibration.method,
            )
            if key == ENCODE:
                with open_runner(folder / self.compiled[key].file, self.compiled[key], self.threads) as runner:
                    self.calibration_codes = run_all(runner, "image", self.calibration_images)["boundary"]
                received = self.calibration_codes.astype(np.float32)
                if boundary.scale is not None:
                    received = (received - np.float32(boundary.zero_point or 0)) * np.float32(boundary.scale)

    def finish(self, folder: Path, runners: dict[str, Runner], choices: _Choices) -> Manifest:
        """Choose codecs and thresholds, judge the drop, write golden samples; returns the manifest."""
        dataset, boundary = self.dataset, self.halves.boundary
        self.step("choosing codecs and thresholds")
        tensor = TensorSpec(boundary.tensor.dtype, boundary.tensor.shape)
        boundary_codec = choose(choices.codec, boundary_candidates(boundary.bits), tensor, self.calibration_codes)
        pixels = TensorSpec("uint8", dataset.image_shape)
        input_codec = choose(choices.image_codec, LOSSLESS_IMAGE, pixels, self.calibration_samples.images)
        val = dataset.part("val")
        images = dataset.normalisation(val.images)
        delivered = images if input_codec.is_lossless else dataset.normalisation(through(input_codec, val.images))
        answers = compiled_answers(runners, images, delivered, boundary_codec)
        chosen_on = f"{dataset.name} val, {len(val)} samples"
        gates = {
            name: gate_for(edge, cloud, val.labels, choices.gate, choices.offload_rate, choices.min_accuracy, chosen_on)
            for name, edge, cloud in (
                ("independent", answers.edge, answers.cloud),
                ("dynamic", answers.gate_edge, answers.adapted),
            )
        }

        self.step("measuring what compiling cost")
        guard = judge(
            final_answers(float_answers(self.run.system, images), gates),
            final_answers(answers, gates),
            val.labels,
            data=f"{dataset.name} val",
            max_drop_points=choices.max_drop,
        )

        self.step("writing golden samples")
        write_golden(folder, runners, val.first(COUNT), dataset.normalisation, input_codec, boundary_codec)
        split = self.run.system.split.name
        manifest = self._manifest(
            folder, deployments(split, boundary_codec.spec, input_codec.spec, gates, guard), split
        )
        self.step("done")
        return manifest

    def _manifest(self, folder: Path, listed: dict, split: str) -> Manifest:
        height, width, channels = self.dataset.image_shape
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        facts: dict[str, Any] = {
            **self.calibration.model_dump(),
            "dataset": self.dataset.name,
        }
        return Manifest(
            name=self.run.recipe.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            classes=self.dataset.classes,
            dataset=self.dataset.name,
            input=InputInfo(
                height=height,
                width=width,
                channels=1 if channels == 1 else 3,
                mean=self.dataset.normalisation.mean,
                std=self.dataset.normalisation.std,
            ),
            boundaries={split: self.halves.boundary},
            halves=self.compiled,
            fallback=EXIT,
            deployments=listed,
            targets={"edge": self.targets["edge"].name, "cloud": self.targets["cloud"].name},
            calibration=facts,
            toolchain=self.toolchain,
            files={file: hash_file(folder / file) for file in files},
            golden=FILE,
        )
