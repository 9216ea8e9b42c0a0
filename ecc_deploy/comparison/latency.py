"""How long halves take here: one batch at a time, all halves in turn, round by round."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack

import numpy as np

from ecc_deploy.backends.interface import Runner
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bench.stats import quantiles
from ecc_deploy.bundle import Bundle
from ecc_deploy.bundle.golden import Golden, load_golden
from ecc_deploy.comparison.bundles import content
from ecc_deploy.comparison.outputs import BOUNDARY
from ecc_deploy.comparison.result import Latency
from ecc_deploy.errors import BackendMissingError, DeviceError
from ecc_deploy.preprocess import Preprocess
from ecc_deploy.progress import Progress

ORDER = "interleaved: every round runs each half twice and times the second run, in an order shuffled anew per round"
Inputs = list[dict[str, np.ndarray]]


class Stopwatch:
    """Halves that are measured together. Equal halves with equal threads are one."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._runners: dict[tuple[str, int], tuple[Runner, Inputs, int]] = {}
        self._times_ms: dict[tuple[str, int], list[float]] = {}

    def __enter__(self) -> Stopwatch:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add_all(self, bundle: Bundle, threads: Mapping[str, int]) -> None:
        """Let all halves of ``bundle`` take part; ``threads``: by side."""
        for key, half in bundle.manifest.halves.items():
            self.add(bundle, key, threads[half.side])

    def add(self, bundle: Bundle, key: str, threads: int) -> None:
        """Let the half ``key`` take part, on the golden samples, if its own runtime runs here."""
        place = content(bundle, key), threads
        if place in self._runners:
            return
        half = bundle.manifest.halves[key]
        try:
            runner = self._open.enter_context(open_runner(bundle.file(half.file), half, threads))
        except (BackendMissingError, DeviceError):
            return
        self._runners[place] = runner, _inputs(bundle, key), threads
        self._times_ms[place] = []

    def run(self, rounds: int, warmup: int, seed: int, progress: Progress) -> None:
        """Measure ``rounds`` rounds after ``warmup`` ones that do not count."""
        places, shuffle = list(self._runners), np.random.default_rng(seed)
        for number in range(-warmup, rounds):
            for position in shuffle.permutation(len(places)):
                runner, inputs, _ = self._runners[places[position]]
                given = inputs[number % len(inputs)]
                runner.run(given)  # its weights back into the caches, the threads of the half before it to sleep
                start = time.perf_counter_ns()
                runner.run(given)
                taken = (time.perf_counter_ns() - start) / 1e6
                if number >= 0:
                    self._times_ms[places[position]].append(round(taken, 6))
            progress("Latency", number + warmup + 1, rounds + warmup, f"{len(places)} halves")

    def latency(self, bundle: Bundle, key: str, threads: int) -> Latency | None:
        """Of a half that took part; ``None`` where it does not run here, or nothing was measured."""
        times = self._times_ms.get((content(bundle, key), threads))
        if not times:
            return None
        found = quantiles(times)
        return Latency(threads=threads, p50_ms=found.p50, p95_ms=found.p95, raw_ms=tuple(times))


def _inputs(bundle: Bundle, key: str) -> Inputs:
    """The golden samples as the half takes them, one per batch; a half with a larger fixed batch gets it repeated."""
    half, golden = bundle.manifest.halves[key], load_golden(bundle)
    name = half.inputs[0].name
    ready = Preprocess(bundle.manifest.input, half)(golden.images) if name == "image" else _codes(bundle, key, golden)
    count = half.batch if isinstance(half.batch, int) else 1
    return [{name: np.repeat(ready[i : i + 1], count, axis=0)} for i in range(len(ready))]


def _codes(bundle: Bundle, key: str, golden: Golden) -> np.ndarray:
    """What the edge sends to the cloud half ``key``."""
    edge = next(d.edge for d in bundle.manifest.deployments.values() if d.cloud == key and d.edge is not None)
    return golden.output(edge, BOUNDARY)
