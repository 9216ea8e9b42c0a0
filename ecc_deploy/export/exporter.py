"""From a run directory to a bundle: cut, quantize, compile, choose codec and threshold, guard, pack."""

from __future__ import annotations

import platform
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from ecc_deploy.backends.interface import Job, Runner
from ecc_deploy.backends.registry import load_compiler, open_runner
from ecc_deploy.backends.targets import Target, load_target
from ecc_deploy.bundle import Bundle, Half, Manifest, write_bundle
from ecc_deploy.bundle.manifest import Precision
from ecc_deploy.data import Dataset
from ecc_deploy.errors import RunError, TargetError, UsageError
from ecc_deploy.evaluation.answers import float_answers
from ecc_deploy.evaluation.offline import laid_out, run_all
from ecc_deploy.evaluation.result import AUTO
from ecc_deploy.evaluation.scores import chosen_scores
from ecc_deploy.export.boundary_codec import choose_codec, with_table
from ecc_deploy.export.compiled import compiled_answers
from ecc_deploy.export.deployments import deployments, final_answers, make_plan
from ecc_deploy.export.described import describe
from ecc_deploy.export.gating import Wanted
from ecc_deploy.export.golden import COUNT, write_golden
from ecc_deploy.partition.halves import ENCODE, Halves, halves_of
from ecc_deploy.payload import TensorSpec
from ecc_deploy.payload.choice import LOSSLESS_IMAGE, choose, through
from ecc_deploy.progress import Progress, silent
from ecc_deploy.quantization.calibration import CalibrationRecipe, draw, load_calibration
from ecc_deploy.quantization.guard import judge
from ecc_deploy.training.run import Run, load_data, load_run

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
    gate: str = AUTO,
    offload_rate: float | None = None,
    min_accuracy: float | None = None,
    fusion: str = AUTO,
    codec: str = "auto",
    image_codec: str = "auto",
    max_drop: float = 1.0,
    dataset: str | None = None,
    data_folder: Path | None = None,
    threads: int = 1,
    progress: Progress = silent,
) -> Bundle:
    """Export the run directory ``run`` (or ``shipped:NAME``) as a bundle at ``out``.

    * ``target``, ``cloud_target``: what each half is compiled for; ``cloud_precision`` is ``precision`` if absent.
    * ``gate``: the score of the gates; the threshold is chosen on the data's val part, by the compiled halves, for
      ``offload_rate`` (0 to 1; default 0.3) or for the fewest offloads that give ``min_accuracy`` (0 to 1). ``auto``
      takes for each gate the score that does best there; ``learned`` needs a run whose gate is trained.
    * ``fusion``: ``auto`` makes one answer of the edge's and the cloud's for what is sent, weights and temperatures
      fitted on the val part, and adds the deployment ``adaptive-fused``; with ``off`` the cloud's answer stands alone.
    * ``codec``: of the boundary, ``image_codec``: of the input; ``auto`` takes what gives the fewest bytes on samples
      of the train part without losing anything.
    * ``dataset``, ``data_folder``: to calibrate and choose on, where they are not those of the run's recipe.
    * ``max_drop``: percentage points that compiling may cost any deployment, measured on the val part.

    Raises :class:`RunError`, :class:`TargetError`, :class:`BackendMissingError`, :class:`ExportRejectedError`,
    :class:`UsageError`.
    """
    if offload_rate is not None and min_accuracy is not None:
        raise UsageError("give an offload rate or a minimum accuracy, not both")
    if offload_rate is None and min_accuracy is None:
        offload_rate = DEFAULT_OFFLOAD_RATE
    if fusion not in (AUTO, "off"):
        raise UsageError(f"there is no fusion {fusion!r}", "Give auto or off.")
    targets = {"edge": load_target(target), "cloud": load_target(cloud_target)}
    precisions = {
        "edge": _precision(targets["edge"], "edge", precision),
        "cloud": _precision(targets["cloud"], "cloud", cloud_precision or precision),
    }
    loaded = load_run(run, dataset=dataset, data_folder=data_folder)
    _check_trained(loaded)
    scores = chosen_scores(gate, has_learned="gate" in loaded.parts, name=loaded.recipe.name)
    wanted = Wanted(scores, offload_rate, min_accuracy, fused=fusion == AUTO)
    choices = _Choices(wanted, codec, image_codec, max_drop)
    exporter = _Exporter(loaded, targets, load_calibration(calibration), threads, progress)

    def fill(folder: Path) -> Manifest:
        exporter.compile(folder, precisions)
        with ExitStack() as stack:
            runners = {key: stack.enter_context(exporter._open(folder, key)) for key, half in exporter.compiled.items()}
            return exporter.finish(folder, runners, choices)

    return write_bundle(out, fill)


@dataclass(frozen=True)
class _Choices:
    """What :func:`export` was asked for, beyond targets and precisions."""

    wanted: Wanted
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
        self.dataset: Dataset = load_data(run.recipe)
        self.learned_gate = "gate" in run.parts
        self.halves: Halves = halves_of(run.system, len(self.dataset.classes), learned_gate=self.learned_gate)
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
                Job(
                    precision=precisions[source.side],
                    calibration=batches,
                    ranges=self.calibration.ranges,
                    options=target.backend_options,
                    threads=self.threads,
                ),
            )
            if key == ENCODE:
                with self._open(folder, key) as runner:
                    codes = run_all(runner, "image", self.calibration_images, partial(laid_out, runner.half))[
                        "boundary"
                    ]
                received = codes.astype(np.float32)
                if boundary.scale is not None:
                    received = (received - np.float32(boundary.zero_point or 0)) * np.float32(boundary.scale)

    def _open(self, folder: Path, key: str) -> Runner:
        half = self.compiled[key]
        return open_runner(folder / half.file, half, self.threads, stand_in=True)

    def finish(self, folder: Path, runners: dict[str, Runner], choices: _Choices) -> Manifest:
        """Choose codecs, gates and fusions, judge the drop, write golden samples; returns the manifest."""
        dataset, split = self.dataset, self.run.system.split.name
        self.step("choosing codecs, thresholds and fusion")
        boundary_codec = choose_codec(choices.codec, self.halves.boundary, runners[ENCODE], self.calibration, dataset)
        boundary = with_table(self.halves.boundary, boundary_codec, folder, f"codec/{split}.table")
        pixels = TensorSpec("uint8", dataset.image_shape)
        input_codec = choose(choices.image_codec, LOSSLESS_IMAGE, pixels, self.calibration_samples.images)
        val = dataset.part("val")
        images = dataset.normalisation(val.images)
        delivered = images if input_codec.is_lossless else dataset.normalisation(through(input_codec, val.images))
        answers = compiled_answers(runners, images, delivered, boundary_codec)
        plan = make_plan(answers, val.labels, choices.wanted, f"{dataset.name} val, {len(val)} samples")

        self.step("measuring what compiling cost")
        guard = judge(
            final_answers(float_answers(self.run.system, images, learned_gate=self.learned_gate), plan),
            final_answers(answers, plan),
            val.labels,
            data=f"{dataset.name} val",
            max_drop_points=choices.max_drop,
        )

        self.step("writing golden samples")
        listed = deployments(split, boundary_codec.spec, input_codec.spec, plan, guard)
        codecs = {"input": input_codec, "boundary": boundary_codec}
        write_golden(folder, runners, val.first(COUNT), dataset.normalisation, codecs, listed)
        manifest = describe(
            folder,
            name=self.run.recipe.name,
            dataset=dataset,
            boundaries={split: boundary},
            halves=self.compiled,
            listed=listed,
            targets=self.targets,
            calibration={**self.calibration.model_dump(), "dataset": dataset.name},
            toolchain=self.toolchain,
        )
        self.step("done")
        return manifest
