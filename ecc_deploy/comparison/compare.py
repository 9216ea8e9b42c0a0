"""Compares bundles of one system over targets and precisions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ecc_deploy.bench.environment import fingerprint, load_average
from ecc_deploy.bench.loop import choose_samples
from ecc_deploy.bench.stats import PERCENTILE_METHOD
from ecc_deploy.comparison.answers import FloatAnswers
from ecc_deploy.comparison.bundles import common_system, open_all
from ecc_deploy.comparison.candidates import Candidate, Found, answer, candidate
from ecc_deploy.comparison.latency import ORDER, Stopwatch
from ecc_deploy.comparison.outputs import Given, Outputs
from ecc_deploy.comparison.result import Comparison
from ecc_deploy.comparison.rows import make_row, notes
from ecc_deploy.comparison.verdicts import verdicts
from ecc_deploy.data import Samples
from ecc_deploy.errors import UsageError
from ecc_deploy.evaluation.compiled_bundle import CompiledBundle
from ecc_deploy.evaluation.subject import Subject, open_subject
from ecc_deploy.progress import Progress, silent

PARTS = ("val", "test")
ROUNDS, WARMUP = 200, 20


def compare_bundles(
    bundles: Sequence[str | Path] | str | Path,
    *,
    run: str | Path | None = None,
    part: str = "test",
    samples: int | None = None,
    rounds: int = ROUNDS,
    warmup: int = WARMUP,
    seed: int = 0,
    dataset: str | None = None,
    data_folder: str | Path | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Compare ``bundles`` (folders of bundles among them) of one system by size, accuracy and latency.

    * ``run``: the run that they were made of (or ``shipped:NAME``): answers are compared with its float system's.
    * ``part``: ``val`` or ``test``; ``samples`` of it, drawn with ``seed``, all for ``None``.
    * ``rounds``: of latency, each of all halves that run here, after ``warmup`` that do not count; none for 0. Batch 1,
      the target's threads, one golden sample after the other, on this machine.
    * ``dataset``, ``data_folder``: where they are not what the bundles say.

    A half whose runtime is not here is not timed; a stand-in answers for it where there is one, and its row says so.
    Raises :class:`BundleError` for bundles of different systems, :class:`UsageError`, :class:`DataError`,
    :class:`RunError`, and :class:`BackendMissingError` for a run where torch is not installed.
    """
    for name, value, least in (
        ("samples", samples, 1),
        ("rounds", rounds, 0),
        ("warmup", warmup, 0),
        ("seed", seed, 0),
    ):
        if value is not None and value < least:
            raise UsageError(f"{name} is {value}; the least is {least}")
    if part not in PARTS:
        raise UsageError(f"bundles are compared on val or test, not on {part!r}")
    opened = open_all([bundles] if isinstance(bundles, str | Path) else bundles)
    system = common_system(opened)
    subject = None if run is None else _float_system(run, system["weights"], dataset, data_folder)
    first = next(iter(opened.values()))
    chosen = _chosen(CompiledBundle.open(first.path, dataset=dataset, data_folder=data_folder), part, samples, seed)
    environment = {**fingerprint(), "load_average_start": load_average()}
    candidates = [candidate(name, bundle, environment["cores_usable"] or 1) for name, bundle in opened.items()]
    floats = None if subject is None else FloatAnswers(subject, chosen.images)
    with Stopwatch() as watch:
        if rounds > 0:
            for one in candidates:
                watch.add_all(one.bundle, one.threads)
            watch.run(rounds, warmup, seed, progress)
    found = _answers(candidates, chosen, floats, progress)
    rows = [make_row(one, watch, found[:place]) for place, one in enumerate(found)]
    right = {one.candidate.name: one.right for one in found}
    float_right = {one.candidate.name: one.float_right for one in found if one.float_right}
    return Comparison(
        system=system,
        part=part,
        samples=len(chosen),
        run=None if subject is None else subject.name,
        settings={
            "rounds": rounds,
            "warmup": warmup,
            "seed": seed,
            "order": ORDER,
            "percentiles": f"numpy, method {PERCENTILE_METHOD!r}",
        },
        environment={**environment, "load_average_end": load_average()},
        rows=tuple(rows),
        verdicts=tuple(verdicts(rows, right, float_right)),
        notes=tuple(notes(rows, candidates, environment, timed=rounds > 0)),
    )


def _float_system(run: str | Path, weights: str | None, dataset: str | None, data_folder: str | Path | None) -> Subject:
    subject = open_subject(run, dataset=dataset, data_folder=data_folder)
    if subject.kind != "float":
        raise UsageError(f"{run} is a bundle, and a run is wanted", "Give the run directory that the bundles are of.")
    from ecc_deploy.export.identity import system_identity
    from ecc_deploy.training.run import load_run

    found = system_identity(load_run(run, dataset=dataset, data_folder=data_folder))
    if found != weights:
        raise UsageError(
            f"the bundles were not made of {run}: its weights are {found}, theirs are {weights or 'not recorded'}",
            "Give the run that they were exported from, or none.",
        )
    return subject


def _chosen(source: CompiledBundle, part: str, wanted: int | None, seed: int) -> Samples:
    samples = source.dataset.part(part)
    if wanted is None:
        return samples
    if wanted > len(samples):
        raise UsageError(f"{wanted} samples were asked for, and the {part} part has {len(samples)}")
    places = choose_samples(len(samples), wanted, seed)
    return Samples(samples.images[places], samples.labels[places])


def _answers(
    candidates: Sequence[Candidate], chosen: Samples, floats: FloatAnswers | None, progress: Progress
) -> list[Found]:
    outputs, images = Outputs(os.cpu_count() or 1), Given(chosen.images)
    found = []
    for number, one in enumerate(candidates):
        progress("Answers", number, len(candidates), one.name)
        found.append(answer(one, chosen, images, outputs, floats))
    progress("Answers", len(candidates), len(candidates), "done")
    return found
