"""One benchmark: prove the bundle right, open the arms, measure, and say under what conditions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from ecc_deploy.bench import wirebytes
from ecc_deploy.bench.arms import choose_arms
from ecc_deploy.bench.conditions import bundle_facts, warnings
from ecc_deploy.bench.environment import fingerprint, load_average
from ecc_deploy.bench.loop import LOOP, ORDER, choose_samples, measure, warm_up
from ecc_deploy.bench.opener import Opener
from ecc_deploy.bench.schema import Bench
from ecc_deploy.bench.stats import PERCENTILE_METHOD, summarise
from ecc_deploy.bundle import Bundle, Manifest
from ecc_deploy.data import Dataset, Samples, load, load_for_bundle
from ecc_deploy.errors import DataError, UsageError
from ecc_deploy.progress import Progress, silent
from ecc_deploy.runtime.credentials import Credentials
from ecc_deploy.runtime.selftest import check_edge

_PART = "test"
_SETTLE_S = 0.1  # longer than a delayed acknowledgement (40 ms): each is counted on the side where it belongs


def bench(
    bundle: Bundle,
    *,
    cloud: str | None = None,
    samples: int | None = None,
    arms: Sequence[str] | None = None,
    image_codecs: Sequence[str] | None = None,
    warmup: int = 20,
    seed: int = 0,
    threads: int = 1,
    deadline_ms: float = 1000.0,
    credentials: Credentials | None = None,
    dataset: Dataset | str | None = None,
    data_folder: str | Path | None = None,
    progress: Progress = silent,
) -> Bench:
    """Measure the arms of a bundle on the same real samples: accuracy, latency by stage, bytes, MACs.

    ``cloud``: ``host:port`` of a running server; ``None`` starts one in another process on this machine and ends it
    again. ``samples``: how many of the test part, chosen by ``seed``; ``None``: all. ``arms`` and ``image_codecs``:
    see :func:`~ecc_deploy.bench.arms.choose_arms`. ``warmup``: samples per arm that do not count. ``threads``: CPU
    threads of one inference, here and in a server that is started. ``deadline_ms``: per request; what misses it is
    answered by the edge. ``credentials``: for a server at ``cloud`` that encrypts, or wants to know its clients.
    ``dataset``: instead of the one that the manifest names: a dataset, its name, or
    ``package.module:factory``. ``data_folder``: of its files; ``None`` is the dataset's default place.

    The golden self-test runs first, on both sides. A server that goes away meanwhile loses no sample: the edge
    answers, the sample is marked, and ``warnings`` of the result says so.

    Raises :class:`UsageError`, :class:`DataError`, :class:`BundleError` (the self-test failed), :class:`ServerError`.
    """
    _check(samples=samples, warmup=warmup, threads=threads, deadline_ms=deadline_ms, seed=seed)
    manifest = bundle.manifest
    specs = choose_arms(bundle, arms, image_codecs)
    source = _source(manifest, dataset, data_folder)
    test = _test_part(manifest, source)
    if samples is not None and samples > len(test):
        raise UsageError(f"{samples} samples were asked for, and the {_PART} part of {source.name} has {len(test)}")
    chosen = choose_samples(len(test), samples or len(test), seed)
    environment = {**fingerprint(), "load_average_start": load_average()}
    started, notes = _now(), check_edge(bundle, threads)
    with Opener(
        bundle, cloud, threads=threads, deadline_ms=deadline_ms, credentials=credentials, progress=progress
    ) as opener:
        opened = [opener.open(spec) for spec in specs]
        warm_up(opened, test, chosen, warmup, progress)
        time.sleep(_SETTLE_S)
        for arm in opened:
            if arm.wire is not None:
                arm.wire.start()
        measure(opened, test, chosen, seed, progress)
        time.sleep(_SETTLE_S)
        results = [summarise(arm.spec, manifest, arm.raw, arm.wire_bytes()) for arm in opened]
        remarks = warnings(results, opened, environment, opener.server_report(), opener.server_names)
    ended = _now()
    return Bench(
        created=ended,
        bundle=bundle_facts(manifest),
        settings={
            "samples": len(chosen),
            "part": _PART,
            "dataset": source.name,
            "warmup": warmup,
            "seed": seed,
            "threads_edge": threads,
            "deadline_ms": deadline_ms,
            "loop": LOOP,
            "order": ORDER,
            "percentiles": f"numpy, method {PERCENTILE_METHOD!r}",
            "image_codecs": [spec.codec for spec in specs if spec.architecture == "cloud-only"],
            "wire_method": wirebytes.why_not() or wirebytes.METHOD,
            "self_test": notes + opener.notes,
            "started": started,
            "ended": ended,
            **opener.conditions(),
        },
        environment={**environment, "load_average_end": load_average()},
        raw_input_bytes=manifest.input.height * manifest.input.width * manifest.input.channels,
        arms=results,
        warnings=remarks,
    )


def _check(*, samples: int | None, warmup: int, threads: int, deadline_ms: float, seed: int) -> None:
    for name, value, least in (
        ("samples", samples, 1),
        ("warmup", warmup, 0),
        ("threads", threads, 1),
        ("seed", seed, 0),
    ):
        if value is not None and value < least:
            raise UsageError(f"{name} is {value}; the least is {least}")
    if not 0 < deadline_ms < float("inf"):
        raise UsageError(f"deadline_ms is {deadline_ms}; it is a positive number of milliseconds")


def _source(manifest: Manifest, dataset: Dataset | str | None, folder: str | Path | None) -> Dataset:
    if dataset is not None and not isinstance(dataset, str):
        return dataset
    if dataset is not None and ":" in dataset:
        return load(dataset, folder)
    shape = (manifest.input.height, manifest.input.width, manifest.input.channels)
    return load_for_bundle(dataset or manifest.dataset, shape, manifest.classes, folder)


def _test_part(manifest: Manifest, source: Dataset) -> Samples:
    wanted = (manifest.input.height, manifest.input.width, manifest.input.channels)
    if tuple(source.image_shape) != wanted or len(source.classes) != len(manifest.classes):
        raise DataError(
            f"the dataset {source.name} has images {tuple(source.image_shape)} in {len(source.classes)} classes, and "
            f"the bundle {manifest.name} takes {wanted} in {len(manifest.classes)}",
            "Benchmark with the dataset that the bundle was made for, or one like it.",
        )
    test = source.part(_PART)
    if len(test) == 0:
        raise DataError(f"the {_PART} part of {source.name} is empty")
    return test


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
