"""The workbench: a run in float beside the int8 halves of a bundle that was exported from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ecc_deploy.backends.interface import HalfSource
from ecc_deploy.backends.registry import load_layers, open_runner
from ecc_deploy.bundle import Bundle, Half
from ecc_deploy.bundle.manifest import LOGITS
from ecc_deploy.data import Dataset, load_for_bundle
from ecc_deploy.errors import RunError, UsageError
from ecc_deploy.evaluation.offline import chunks, run_all
from ecc_deploy.partition.halves import ENCODE, Halves, halves_of
from ecc_deploy.preprocess import laid_out
from ecc_deploy.progress import Progress, silent
from ecc_deploy.quantization.boundary import sent, values_of
from ecc_deploy.training.run import Run, load_data, load_run
from ecc_deploy.workbench.layers import Layer, compare
from ecc_deploy.workbench.noise import Noise
from ecc_deploy.zoo.backbone import evaluating

PART = "val"
SAMPLES = 64
CHUNK = 16
"""Samples at a time: all that lies between input and output is kept for them."""


@dataclass(frozen=True)
class Output:
    """One output of a half."""

    name: str
    noise: Noise
    equal: float | None
    """Share of samples with the same top-1 answer as in float; of a boundary in codes, share of equal codes."""

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, **self.noise.to_json(), "equal": self.equal}


@dataclass(frozen=True)
class HalfNoise:
    """What int8 did to one half."""

    key: str
    side: str
    backend: str
    macs: int
    layers: tuple[Layer, ...]
    """Those that can be told in the file, the worst first: by the noise that they add themselves."""
    outputs: tuple[Output, ...]

    @property
    def worst(self) -> float:
        """Signal-to-noise ratio in decibels of the worst output; infinite where none has any noise."""
        return min(output.noise.order for output in self.outputs)

    def to_json(self) -> dict[str, Any]:
        return {
            "half": self.key,
            "side": self.side,
            "backend": self.backend,
            "macs": self.macs,
            "outputs": [output.to_json() for output in self.outputs],
            "layers": [layer.to_json() for layer in self.layers],
        }


@dataclass(frozen=True)
class DebugResult:
    """What int8 did to the halves of a bundle."""

    bundle: Path
    run: Path
    data: str
    """Dataset and part."""
    samples: int
    halves: tuple[HalfNoise, ...]

    def to_json(self) -> dict[str, Any]:
        """Ratios in dB, shares from 0 to 1."""
        facts = {"bundle": str(self.bundle), "run": str(self.run), "data": self.data, "samples": self.samples}
        return {**facts, "halves": [half.to_json() for half in self.halves]}


def debug_bundle(
    bundle: Bundle,
    run: str | Path,
    *,
    halves: Sequence[str] = (),
    samples: int = SAMPLES,
    dataset: str | None = None,
    data_folder: str | Path | None = None,
    threads: int = 1,
    progress: Progress = silent,
) -> DebugResult:
    """Compare the int8 halves of ``bundle`` with ``run``, which it was exported from, layer by layer.

    * ``halves``: their keys; all that are int8 by default;
    * ``samples``: of the val part of the data. The half behind the boundary gets what the compiled one before it sends;
    * ``dataset``, ``data_folder``: where they are not those that the bundle names.

    Raises :class:`UsageError` for a bundle or half without int8 and for a backend that cannot show what is inside its
    files, :class:`RunError` for another run, :class:`DataError`, :class:`BackendMissingError`.
    """
    keys = int8_halves(bundle, halves)
    bench = Workbench(bundle, run, dataset=dataset, data_folder=data_folder, threads=threads)
    images = bench.images(0, samples)
    found = []
    for done, key in enumerate(keys):
        progress("Debug", done, len(keys), key)
        found.append(bench.debug(key, images))
    progress("Debug", len(keys), len(keys), "done")
    return DebugResult(bundle.path, bench.run.path, f"{bench.dataset.name} {PART}", len(images), tuple(found))


def int8_halves(bundle: Bundle, wanted: Sequence[str] = ()) -> list[str]:
    """Keys of the halves to look at; all that are int8 if none is ``wanted``. Raises :class:`UsageError`."""
    halves = bundle.manifest.halves
    quantized = [key for key, half in halves.items() if half.precision == "int8"]
    if not quantized:
        raise UsageError(
            f"{bundle.path} has no int8 half, so there is no quantization to debug",
            "`ecc-deploy export RUN --out BUNDLE --precision int8` makes one with int8 halves.",
        )
    for key in wanted:
        if key not in halves:
            raise UsageError(f"{bundle.path} has no half {key!r}", f"It has: {', '.join(halves)}.")
        if key not in quantized:
            raise UsageError(
                f"the half {key} is {halves[key].precision}, so there is no quantization to debug",
                f"In int8: {', '.join(quantized)}.",
            )
    return [key for key in quantized if not wanted or key in wanted]


class Workbench:
    """A bundle, and the float halves that it was compiled from."""

    def __init__(
        self,
        bundle: Bundle,
        run: str | Path,
        *,
        dataset: str | None = None,
        data_folder: str | Path | None = None,
        threads: int = 1,
    ) -> None:
        """Raises :class:`RunError` where ``bundle`` was not exported from ``run``, :class:`DataError`."""
        torch.set_num_threads(threads)
        self.bundle, self.threads = bundle, threads
        self.run: Run = load_run(run, dataset=dataset, data_folder=data_folder)
        self.dataset = _data(bundle, self.run, is_given=dataset is not None or data_folder is not None)
        manifest = bundle.manifest
        learned = "gate" in self.run.parts
        self.halves: Halves = halves_of(self.run.system, len(manifest.classes), learned_gate=learned)
        self._check()

    def _check(self) -> None:
        for key, half in self.bundle.manifest.halves.items():
            source = self.halves.sources.get(key)
            if source is None or (source.outputs, source.macs) != (half.outputs, half.macs):
                raise self._other_run(f"its half {key} is another one")
        for boundary in self.bundle.manifest.boundaries.values():
            if boundary.model_copy(update={"table": None}) != self.halves.boundary:
                raise self._other_run("its boundary has another scale")

    def _other_run(self, why: str) -> RunError:
        return RunError(
            f"{self.bundle.path} was not exported from {self.run.path}: {why}",
            "Give the run that it was exported from, as it was then.",
        )

    def images(self, start: int, count: int) -> np.ndarray:
        """Normalised images ``[N, C, H, W]`` of the val part. Raises :class:`DataError`, :class:`UsageError`."""
        part = self.dataset.part(PART)
        if len(part) <= start:
            raise UsageError(
                f"the {PART} part of {self.dataset.name} has {len(part)} samples, and those from {start} on are wanted",
                "Give fewer --samples.",
            )
        return self.dataset.normalisation(part.images[start : start + count])

    @cached_property
    def _encode(self) -> Half:
        return self.bundle.manifest.halves[ENCODE]

    def inputs(self, key: str, images: np.ndarray, compiled: Half | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What the float half takes and what the compiled one takes, for normalised ``images``.

        For the half behind the boundary these are values and codes, as the bundle's edge half sends them. ``compiled``:
        another one than the bundle's.
        """
        half, boundary = compiled or self.bundle.manifest.halves[key], self.halves.boundary
        if half.inputs[0].name != boundary.tensor.name:
            return images, laid_out(half, images)
        with open_runner(self.bundle.file(self._encode.file), self._encode, self.threads, stand_in=True) as runner:
            codes = run_all(runner, "image", images, partial(laid_out, self._encode))[boundary.tensor.name]
        return values_of(codes, boundary), codes

    def debug(self, key: str, images: np.ndarray) -> HalfNoise:
        """The half ``key`` of the bundle, on normalised ``images``."""
        half = self.bundle.manifest.halves[key]
        source, path = self.halves.sources[key], self.bundle.file(half.file)
        show = load_layers(half.backend)
        floats, given = self.inputs(key, images)
        batches = ({half.inputs[0].name: chunk} for chunk in chunks(given, CHUNK))
        layers = compare(source, chunks(floats, CHUNK), show.show_layers(path, half, source, batches))
        layers.sort(key=lambda layer: layer.own.order)
        outputs = self.judge(source, floats, self.answers(path, half, given))
        return HalfNoise(key, half.side, half.backend, half.macs, tuple(layers), outputs)

    def answers(self, path: Path, half: Half, given: np.ndarray) -> dict[str, np.ndarray]:
        """What the compiled half at ``path`` gives, boundaries in codes."""
        with open_runner(path, half, self.threads, stand_in=True) as runner:
            return run_all(runner, half.inputs[0].name, given)

    def judge(self, source: HalfSource, floats: np.ndarray, ends: dict[str, np.ndarray]) -> tuple[Output, ...]:
        """What a compiled half gave (``ends``) beside what the float one makes of ``floats``."""
        boundary = self.halves.boundary
        rows: list[tuple[np.ndarray, ...]] = []
        with evaluating(source.module):
            for chunk in chunks(floats):
                found = source.module(torch.tensor(chunk))
                rows.append(tuple(value.numpy() for value in (found if isinstance(found, tuple) else (found,))))
        outputs = []
        for place, info in enumerate(source.outputs):
            wanted, got = np.concatenate([row[place] for row in rows]), ends[info.name]
            equal = float((wanted.argmax(1) == got.argmax(1)).mean()) if info.name == LOGITS else None
            if info.name == boundary.tensor.name:
                wanted, got = sent(wanted, boundary), values_of(got, boundary)
                equal = float((wanted == got).mean()) if boundary.scale is not None else None
            outputs.append(Output(info.name, Noise.between(wanted, got), equal))
        return tuple(outputs)


def _data(bundle: Bundle, run: Run, *, is_given: bool) -> Dataset:
    own = load_data(run.recipe)
    manifest = bundle.manifest
    if is_given or own.name == manifest.dataset:
        return own
    info = manifest.input
    return load_for_bundle(manifest.dataset, (info.height, info.width, info.channels), manifest.classes)
