"""Mixed precision by measured sensitivity: which units of an int8 half to keep float, and what that brings."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from ecc_deploy.backends.interface import HalfSource, Job
from ecc_deploy.backends.registry import load_compiler, load_layers
from ecc_deploy.backends.scopes import inside
from ecc_deploy.backends.targets import Target, load_target
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import BundleError, TargetError
from ecc_deploy.evaluation.offline import BATCH, chunks
from ecc_deploy.progress import Progress, silent
from ecc_deploy.quantization.calibration import CalibrationRecipe, draw
from ecc_deploy.quantization.excluded import excluded
from ecc_deploy.workbench.debug import CHUNK, PART, SAMPLES, Workbench, int8_halves
from ecc_deploy.workbench.layers import anatomy, beside, watching
from ecc_deploy.workbench.noise import Noise
from ecc_deploy.workbench.proposal import HalfProposal, Proposal, Step
from ecc_deploy.workbench.units import LARGEST, units
from ecc_deploy.zoo.backbone import evaluating

WANTED_SNR_DB = 30.0
HELD_OUT = 256
"""Samples that steps are measured on, behind those that the ranking was made on."""
LEAST_GAIN_DB = 1.0
"""What a step must bring to be proposed, to all outputs together."""
LEAST_GAIN_PER_MACS_DB = 10.0
"""And what it must bring for its share of the MACs: one decibel for each tenth."""
NOISE_FREE_DB = 100.0
"""Above this the rounding of float32 is what is heard."""
PATIENCE = 2
"""After so many steps in a row that bring too little over one that pays, the rest is not tried."""


def propose_exclusions(
    bundle: Bundle,
    run: str | Path,
    *,
    halves: Sequence[str] = (),
    samples: int = SAMPLES,
    wanted_snr_db: float = WANTED_SNR_DB,
    dataset: str | None = None,
    data_folder: str | Path | None = None,
    target: str | Path | None = None,
    cloud_target: str | Path | None = None,
    threads: int = 1,
    progress: Progress = silent,
) -> Proposal:
    """Propose which modules of the int8 halves of ``bundle`` to keep float.

    Each unit of a half (see :func:`~ecc_deploy.workbench.units.units`) is ranked by what its noise alone does to the
    outputs that do not have ``wanted_snr_db``, on ``samples`` of the val part. The half is compiled anew with 1, 2, 4,
    ... of the worst units excluded, up to half of its MACs, and measured on 256 other samples. It ends where all
    outputs have what is wanted, or two steps beyond one that pays, with a decibel for each tenth of the MACs.

    ``target``, ``cloud_target``: where they are not the shipped ones that the bundle names. The rest is as for
    :func:`~ecc_deploy.workbench.debug.debug_bundle`, and so is what it raises, with :class:`TargetError`,
    :class:`CompileError` and :class:`DataError` for a bundle that cannot be compiled again as it was.
    """
    keys = int8_halves(bundle, halves)
    bench = Workbench(bundle, run, dataset=dataset, data_folder=data_folder, threads=threads)
    given = {"edge": target, "cloud": cloud_target}
    targets: dict[str, Target] = {
        side: load_target(given[side] or name) for side, name in bundle.manifest.targets.items()
    }
    search = _Search(bench, targets, samples, wanted_snr_db, progress)
    found = [search.half(key) for key in keys]
    exclude = {key: list(paths) for key, paths in search.recipe.exclude.items()}
    for half in found:
        if half.chosen:
            exclude[half.key] = [*exclude.get(half.key, ()), *half.step.exclude]
    recipe = CalibrationRecipe.model_validate({**search.recipe.model_dump(), "exclude": exclude})
    data = f"{bench.dataset.name} {PART}"
    return Proposal(recipe, data, len(search.ranking), len(search.measuring), tuple(found))


class _Search:
    """The same samples and calibration for all halves."""

    def __init__(
        self, bench: Workbench, targets: Mapping[str, Target], samples: int, wanted: float, progress: Progress
    ) -> None:
        self.bench, self.targets, self.wanted, self.progress = bench, targets, wanted, progress
        facts = bench.bundle.manifest.calibration
        own = {name: value for name, value in facts.items() if name in CalibrationRecipe.model_fields}
        try:
            self.recipe = CalibrationRecipe.model_validate(own)
        except ValidationError as error:
            raise BundleError(
                f"{bench.bundle.path} was calibrated by a recipe that this ecc-deploy does not know: {error}",
                "Export it again.",
            ) from error
        self.excluded = excluded(self.recipe, bench.halves.modules)
        self.ranking, self.measuring = bench.images(0, samples), bench.images(samples, HELD_OUT)
        self.calibration = bench.dataset.normalisation(draw(self.recipe, bench.dataset))

    def half(self, key: str) -> HalfProposal:
        """Try one half."""
        bench, half = self.bench, self.bench.bundle.manifest.halves[key]
        source = bench.halves.sources[key]
        target = self.targets[half.side]
        if target.backend != half.backend:
            raise TargetError(
                f"the half {key} is compiled for {half.backend}, and the target {target.name} is for {target.backend}",
                "Give the targets that the bundle was exported for: --target, --cloud.",
            )
        first = self._as_it_is(key)
        if first.snr_db >= self.wanted:
            return HalfProposal(key, half.backend, (), (first,), 0, self.wanted)
        costs = units(source)
        short = [place for place, output in enumerate(first.outputs) if output.noise.order < self.wanted]
        ranked = self._ranked(key, source, [unit for unit in costs if unit not in self.excluded[key]], short)
        order = fitting([unit for unit, _ in ranked], costs, LARGEST * source.macs)

        def measure(worst: tuple[str, ...]) -> Step:
            self.progress(f"Exclude from {key}", len(worst) - 1, len(order), f"the worst {len(worst)}")
            return self._compiled(key, worst, sum(costs[unit] for unit in worst) / source.macs)

        steps, chosen = climb(first, order, measure, self.wanted)
        self.progress(f"Exclude from {key}", len(order), len(order), "done")
        return HalfProposal(key, half.backend, tuple(ranked), tuple(steps), chosen, self.wanted)

    def _as_it_is(self, key: str) -> Step:
        bench, half = self.bench, self.bench.bundle.manifest.halves[key]
        floats, given = bench.inputs(key, self.measuring)
        answers = bench.answers(bench.bundle.file(half.file), half, given)
        files = bench.bundle.manifest.files.items()
        own = Path(half.file).with_suffix("")  # OpenVINO's halves have two
        size = sum(file.bytes for name, file in files if Path(name).with_suffix("") == own)
        return Step((), 0.0, size, bench.judge(bench.halves.sources[key], floats, answers))

    def _ranked(
        self, key: str, source: HalfSource, candidates: list[str], places: list[int]
    ) -> list[tuple[str, float]]:
        """Units that add noise, and what the noise of each alone does to the worst of the outputs at ``places``."""
        bench, half = self.bench, self.bench.bundle.manifest.halves[key]
        floats, given = bench.inputs(key, self.ranking)
        facts, path = anatomy(source), bench.bundle.file(half.file)
        batches = ({half.inputs[0].name: chunk} for chunk in chunks(given, CHUNK))
        shown = load_layers(half.backend).show_layers(path, half, source, batches)
        found: dict[str, list[Noise]] = {}
        for batch, part in zip(chunks(floats, CHUNK), shown, strict=True):
            noise = {module: v.found - v.exact for module, v in beside(source, facts, batch, part).items()}
            wanted = _with_noise(source, batch, {})
            for unit in candidates:
                own = {module: values for module, values in noise.items() if inside(module, unit) and values.any()}
                if not own:
                    continue
                got = _with_noise(source, batch, own)
                parts = [Noise.between(a, b) for a, b in zip(wanted, got, strict=True)]
                found[unit] = [a + b for a, b in zip(found.get(unit, [Noise()] * len(parts)), parts, strict=True)]
        ratios = [(unit, min(noise[place].order for place in places)) for unit, noise in found.items()]
        return sorted((item for item in ratios if item[1] < NOISE_FREE_DB), key=lambda item: item[1])

    def _compiled(self, key: str, worst: tuple[str, ...], share: float) -> Step:
        bench, half = self.bench, self.bench.bundle.manifest.halves[key]
        source, target = bench.halves.sources[key], self.targets[half.side]
        values, _ = bench.inputs(key, self.calibration)
        batches = [{source.inputs[0].name: chunk} for chunk in chunks(values, BATCH)]
        keep = tuple(dict.fromkeys((*self.excluded[key], *worst)))
        job = Job("int8", batches, self.recipe.ranges, target.backend_options, keep, bench.threads)
        with tempfile.TemporaryDirectory() as work:
            compiled = load_compiler(half.backend).compile_half(source, Path(work), job)
            size = sum(path.stat().st_size for path in Path(work).rglob("*") if path.is_file())
            floats, given = bench.inputs(key, self.measuring, compiled)
            outputs = bench.judge(source, floats, bench.answers(Path(work) / compiled.file, compiled, given))
        return Step(worst, share, size, outputs)


def climb(
    first: Step, order: Sequence[str], measure: Callable[[tuple[str, ...]], Step], wanted_snr_db: float
) -> tuple[list[Step], int]:
    """Measure with 1, 2, 4, ... units of ``order`` excluded; the steps, ``first`` among them, and the one that pays."""
    steps, chosen, misses, count = [first], 0, 0, 0
    while misses < PATIENCE and count < len(order) and steps[-1].snr_db < wanted_snr_db:
        count = min(2 * count or 1, len(order))
        steps.append(measure(tuple(order[:count])))
        if pays_off(steps[-1], steps[chosen], wanted_snr_db):
            chosen, misses = len(steps) - 1, 0
        elif chosen:
            misses += 1
    return steps, chosen


def fitting(order: list[str], costs: Mapping[str, int], most: float) -> list[str]:
    """Those of ``order`` that together cost no more than ``most``, each taken if there is room for it."""
    found: list[str] = []
    for unit in order:
        if sum(costs[other] for other in found) + costs[unit] <= most:
            found.append(unit)
    return found


def pays_off(last: Step, before: Step, wanted_snr_db: float) -> bool:
    """Whether ``last`` reaches what is wanted, or brings enough over ``before`` for the MACs that it keeps."""
    gain = last.worth(wanted_snr_db) - before.worth(wanted_snr_db)
    price = LEAST_GAIN_PER_MACS_DB * (last.macs_share - before.macs_share)
    return last.snr_db >= wanted_snr_db or gain >= max(LEAST_GAIN_DB, price)


def _with_noise(source: HalfSource, batch: np.ndarray, noise: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Outputs of the float module with ``noise`` added to the outputs of some of its modules."""

    def add(path: str, output: torch.Tensor) -> torch.Tensor | None:
        return output + torch.tensor(noise[path]) if path in noise else None

    with evaluating(source.module), watching(source.module, add):
        found = source.module(torch.tensor(batch))
    return [value.numpy() for value in (found if isinstance(found, tuple) else (found,))]
