"""What each group of a graph takes on one device: measured there, by its runtime's own profiler."""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ecc_deploy.backends import registry
from ecc_deploy.backends.interface import HalfSource, Job, Runner
from ecc_deploy.backends.targets import Target
from ecc_deploy.bundle import TensorInfo
from ecc_deploy.errors import UsageError
from ecc_deploy.partition.cuts import Cuts
from ecc_deploy.partition.grouped import Grouped, name_of

RUNS = 60
"""Of the profiler; medians are taken."""
SECONDS = 0.5
"""How long the whole is run to say what a run takes."""
_GROUP, _ANSWER = re.compile(r"g(\d+)/"), re.compile(r"answer(\d+)")


@dataclass(frozen=True)
class Profile:
    """Times in milliseconds, of one sample.

    A half that has some of the groups takes ``call_ms`` and the sum of theirs: the profiler's figures in proportion, so
    that all groups together take what the whole takes without a profiler.
    """

    target: str
    threads: int
    call_ms: float
    """What a run takes in which hardly anything is computed."""
    whole_ms: float
    group_ms: tuple[float, ...]
    unaccounted: float
    """Share of the profiler's time that belongs to no group: conversions of layout that the runtime put in."""

    def half_ms(self, groups: int) -> float:
        """Predicted, of a half with these groups (a set of bits)."""
        return self.call_ms + sum(taken for number, taken in enumerate(self.group_ms) if groups >> number & 1)


def measure(cuts: Cuts, target: Target, threads: int | None = None) -> Profile:
    """Compile the whole for ``target`` in float32 and measure it on this machine.

    Raises :class:`UsageError` for a target whose backend has no profiler, :class:`CompileError` where it cannot compile
    the model.
    """
    profiler = registry.load_profiler(target.backend)
    compiler = registry.load_compiler(target.backend)
    threads = threads or target.threads
    job = Job("fp32", (), options=target.backend_options, threads=threads)
    image = cuts.cuts[0].crossing[0]
    rng = np.random.default_rng(0)
    inputs = {"image": rng.standard_normal((1, *image.shape), dtype=np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)

        def compiled(key: str, module: nn.Module) -> tuple[Path, Runner, HalfSource]:
            source = _source(key, module.eval(), image.shape)
            half = compiler.compile_half(source, home, job)
            path = home / half.file
            return path, registry.open_runner(path, half, threads), source

        path, runner, _ = compiled("whole", Grouped(cuts))
        with runner:
            by_operator = profiler.profile_operators(path, runner.half, threads, inputs, RUNS)
            whole = _run_s(runner, inputs)
        _, empty, _ = compiled("empty", _Corner())
        with empty:
            call = min(_run_s(empty, inputs), whole)
    by_group, unaccounted = _by_group(cuts, by_operator)
    scale = (whole - call) / max(sum(by_group), 1e-9)
    return Profile(
        target=target.name,
        threads=threads,
        call_ms=1e3 * call,
        whole_ms=1e3 * whole,
        group_ms=tuple(1e3 * scale * taken for taken in by_group),
        unaccounted=unaccounted,
    )


class _Corner(nn.Module):
    """As little work on an image as there can be."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.flatten(1)[:, :1] + 1.0


def _source(key: str, module: nn.Module, shape: Sequence[int]) -> HalfSource:
    with torch.no_grad():
        found = module(torch.zeros(1, *shape))
    answers = found if isinstance(found, tuple) else (found,)
    entry = TensorInfo(name="image", dtype="float32", shape=tuple(shape), layout="NCHW")
    outputs = tuple(
        TensorInfo(
            name=f"answer{number}",
            dtype="float32",
            shape=tuple(answer.shape[1:]),
            layout="NCHW" if answer.dim() == 4 else "NC",
        )
        for number, answer in enumerate(answers)
    )
    return HalfSource(key, "edge", module, (entry,), outputs, None, 0)


def _run_s(runner: Runner, inputs: Mapping[str, np.ndarray]) -> float:
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        runner.run(inputs)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _by_group(cuts: Cuts, by_operator: Mapping[str, float]) -> tuple[list[float], float]:
    """Each group's share, and the share of the whole that is nobody's. A model's answer belongs to who made it."""
    graph = cuts.graph
    owner = {node: group.number for group in cuts.groups for node in group.nodes}
    answers = [owner.get(graph.root(node)) for node in graph.outputs]
    found, nobodys = [0.0] * len(cuts.groups), 0.0
    for name, seconds in by_operator.items():
        number: int | None = None
        if match := _GROUP.match(name):
            number = int(match[1])
        elif match := _ANSWER.match(name):
            number = answers[int(match[1])]
        if number is None:
            nobodys += seconds
        else:
            found[number] += seconds
    if not sum(found):
        raise UsageError(
            "the runtime's profiler names no operator of the model",
            f"Its names begin with {name_of(cuts.groups[0])}/ and the like; found: {', '.join(list(by_operator)[:5])}.",
        )
    return found, nobodys / (sum(found) + nobodys)
