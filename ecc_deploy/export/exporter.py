"""From a run directory to a bundle: cut, quantize, compile, choose codec and threshold, guard, pack."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import ExitStack
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
from ecc_deploy.evaluation.answers import float_answers
from ecc_deploy.evaluation.offline import run_all
from ecc_deploy.evaluation.result import AUTO
from ecc_deploy.export.boundary_codec import choose_codec, with_table
from ecc_deploy.export.cache import HalfCache, compile_half
from ecc_deploy.export.choices import Choices, check_trained, precision_of
from ecc_deploy.export.compiled import compiled_answers
from ecc_deploy.export.deployments import deployments, final_answers, make_plan
from ecc_deploy.export.described import describe
from ecc_deploy.export.golden import COUNT, write_golden
from ecc_deploy.export.guard import judge
from ecc_deploy.export.identity import system_identity
from ecc_deploy.export.shared import Shared, finish_like
from ecc_deploy.partition.halves import ENCODE, Halves, halves_of
from ecc_deploy.payload import TensorSpec
from ecc_deploy.payload.choice import LOSSLESS_IMAGE, choose, through
from ecc_deploy.preprocess import laid_out
from ecc_deploy.progress import Progress, silent
from ecc_deploy.quantization.boundary import values_of
from ecc_deploy.quantization.calibration import CalibrationRecipe, draw, load_calibration
from ecc_deploy.quantization.excluded import excluded
from ecc_deploy.training.run import Run, load_data, load_run

STEPS = 8  # five halves, then codecs and thresholds, guard, golden samples


def export(
    run: str | Path,
    out: str | Path,
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
    data_folder: str | Path | None = None,
    threads: int = 1,
    cache: bool = True,
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
    * ``cache``: take halves that were compiled before from the user's cache folder, and keep them there.

    Raises :class:`RunError`, :class:`TargetError`, :class:`BackendMissingError`, :class:`ExportRejectedError`,
    :class:`UsageError`.
    """
    choices = Choices(gate, offload_rate, min_accuracy, fusion, codec, image_codec, max_drop)
    targets = {"edge": load_target(target), "cloud": load_target(cloud_target)}
    precisions = {
        "edge": precision_of(targets["edge"], "edge", precision),
        "cloud": precision_of(targets["cloud"], "cloud", cloud_precision or precision),
    }
    loaded = load_run(run, dataset=dataset, data_folder=data_folder)
    recipe = load_calibration(calibration)
    kept = HalfCache() if cache else None
    return export_loaded(
        loaded, Path(out), targets, precisions, recipe, choices, threads=threads, cache=kept, progress=progress
    )


def export_loaded(
    run: Run,
    out: Path,
    targets: Mapping[str, Target],
    precisions: Mapping[str, Precision],
    calibration: CalibrationRecipe,
    choices: Choices,
    *,
    threads: int = 1,
    cache: HalfCache | None = None,
    shared: Shared | None = None,
    progress: Progress = silent,
) -> Bundle:
    """As :func:`export`, of what is loaded already; ``targets`` and ``precisions`` by side.

    ``shared``: of exports that have all but targets and precisions in common.
    """
    check_trained(run)
    choices.wanted(run)  # a wrong score is an error before anything is compiled
    shared = shared or Shared()
    exporter = _Exporter(run, targets, calibration, choices, threads=threads, cache=cache, progress=progress)

    def fill(folder: Path) -> Manifest:
        exporter.compile(folder, precisions)
        twin = shared.twin(folder, exporter.compiled)
        if twin is not None:
            exporter.end()
            return finish_like(twin, folder, targets, exporter.toolchain)
        with ExitStack() as stack:
            runners = {key: stack.enter_context(exporter._open(folder, key)) for key, half in exporter.compiled.items()}
            return exporter.finish(folder, runners, shared)

    bundle = write_bundle(out, fill)
    shared.add(bundle)
    return bundle


class _Exporter:
    """One export, in order: :meth:`compile`, then :meth:`finish`."""

    def __init__(
        self,
        run: Run,
        targets: Mapping[str, Target],
        calibration: CalibrationRecipe,
        choices: Choices,
        *,
        threads: int,
        cache: HalfCache | None,
        progress: Progress,
    ) -> None:
        self.run, self.targets, self.calibration, self.choices = run, targets, calibration, choices
        self.threads, self.cache, self.progress = threads, cache, progress
        self.done = self.from_cache = 0
        self.dataset: Dataset = load_data(run.recipe)
        self.learned_gate = "gate" in run.parts
        self.halves: Halves = halves_of(run.system, len(self.dataset.classes), learned_gate=self.learned_gate)
        self.excluded = excluded(calibration, self.halves.modules)
        self.compiled: dict[str, Half] = {}
        self.calibration_pixels = draw(calibration, self.dataset)
        self.calibration_images = self.dataset.normalisation(self.calibration_pixels)
        self.toolchain: dict[str, str] = {"ecc-deploy": version("ecc-deploy"), "python": platform.python_version()}

    def step(self, note: str) -> None:
        self.progress("Export", self.done, STEPS, note)
        self.done += 1

    def end(self) -> None:
        count = self.from_cache
        self.progress("Export", STEPS, STEPS, f"{count} of 5 halves from the cache" if count else "done")

    def compile(self, folder: Path, precisions: Mapping[str, Precision]) -> None:
        """Compile every half into ``folder``; the tail is calibrated with what the compiled edge half sends."""
        torch.set_num_threads(self.threads)
        boundary = self.halves.boundary
        received: np.ndarray | None = None
        for key, source in self.halves.sources.items():
            self.step(f"compiling {source.side} half {key}")
            target = self.targets[source.side]
            self.toolchain |= load_compiler(target.backend).versions()
            name = source.inputs[0].name
            if source.inputs[0] == boundary.tensor:
                assert received is not None
                inputs = received
            else:
                inputs = self.calibration_images
            batches = [{name: inputs[i : i + 64]} for i in range(0, len(inputs), 64)]
            job = Job(
                precision=precisions[source.side],
                calibration=batches,
                ranges=self.calibration.ranges,
                options=target.backend_options,
                exclude=self.excluded[key],
                threads=self.threads,
            )
            self.compiled[key], kept = compile_half(target.backend, source, folder, job, self.calibration, self.cache)
            if kept:
                self.from_cache += 1
                self.progress("Export", self.done - 1, STEPS, f"{source.side} half {key}: from the cache")
            if key == ENCODE:
                with self._open(folder, key) as runner:
                    sent = run_all(runner, "image", self.calibration_images, partial(laid_out, runner.half))
                received = values_of(sent["boundary"], boundary)

    def _open(self, folder: Path, key: str) -> Runner:
        half = self.compiled[key]
        return open_runner(folder / half.file, half, self.threads, stand_in=True)

    def finish(self, folder: Path, runners: dict[str, Runner], shared: Shared) -> Manifest:
        """Choose codecs, gates and fusions, judge the drop, write golden samples; returns the manifest."""
        dataset, split, choices = self.dataset, self.run.system.split.name, self.choices
        self.step("choosing codecs, thresholds and fusion")
        boundary_codec = choose_codec(choices.codec, self.halves.boundary, runners[ENCODE], self.calibration, dataset)
        boundary = with_table(self.halves.boundary, boundary_codec, folder, f"codec/{split}.table")
        pixels = TensorSpec("uint8", dataset.image_shape)
        input_codec = choose(choices.image_codec, LOSSLESS_IMAGE, pixels, self.calibration_pixels)
        val = dataset.part("val")
        images = dataset.normalisation(val.images)
        delivered = images if input_codec.is_lossless else dataset.normalisation(through(input_codec, val.images))
        answers = compiled_answers(runners, images, delivered, boundary_codec)
        plan = make_plan(answers, val.labels, choices.wanted(self.run), f"{dataset.name} val, {len(val)} samples")

        self.step("measuring what compiling cost")
        floats = shared.floats(lambda: float_answers(self.run.system, images, learned_gate=self.learned_gate))
        guard = judge(
            final_answers(floats, plan),
            final_answers(answers, plan),
            val.labels,
            data=f"{dataset.name} val",
            max_drop_points=choices.max_drop,
        )

        self.step("writing golden samples")
        calibration = {**self.calibration.model_dump(mode="json"), "dataset": dataset.name}
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
            calibration={**calibration, "system": system_identity(self.run)},
            toolchain=self.toolchain,
        )
        self.end()
        return manifest
