"""One benchmark: prove the bundle right, open the arms, measure, and say under what conditions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecc_deploy.bench import bootstrap, lanes, sensors, wirebytes
from ecc_deploy.bench.arms import choose_arms
from ecc_deploy.bench.beside import measure_beside
from ecc_deploy.bench.conditions import bundle_facts, warnings
from ecc_deploy.bench.environment import fingerprint, load_average
from ecc_deploy.bench.floor import floor
from ecc_deploy.bench.lanes import Lane, LinkMethod
from ecc_deploy.bench.loop import LOOP, ORDER, OpenArm, choose_samples, measure, warm_up
from ecc_deploy.bench.opener import Opener
from ecc_deploy.bench.scenarios import load_generator
from ecc_deploy.bench.schema import Arm, Bench
from ecc_deploy.bench.schema_setting import BeforeAfter
from ecc_deploy.bench.series import Series
from ecc_deploy.bench.stats import PERCENTILE_METHOD, summarise
from ecc_deploy.bundle import Bundle, Manifest
from ecc_deploy.data import Dataset, Samples, load, load_for_bundle
from ecc_deploy.errors import DataError, UsageError
from ecc_deploy.progress import Progress, silent
from ecc_deploy.runtime.credentials import Credentials
from ecc_deploy.runtime.selftest import check_edge

if TYPE_CHECKING:
    from ecc_deploy.links import Link, LinkProfile

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
    links: Sequence[str | LinkProfile] = (),
    link_method: LinkMethod = "auto",
    series: Series | Mapping[str, Any] | None = None,
    budget_minutes: float | None = None,
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

    ``links``: every arm that sends something is measured over each of them: a name, a file or a text of
    :func:`ecc_deploy.links.load_link`, ``"as-is"`` for the network as it is. Each is emulated on this machine by
    ``link_method``, checks itself first, and has a server of its own at its far end; all are open at once. ``series``:
    what to measure beside, after the main series; its fields by name are as good. ``budget_minutes``: of the main
    series; it ends early, after the same samples for all arms.

    The golden self-test runs first, on both sides. A server that goes away meanwhile loses no sample: the edge
    answers, the sample is marked, and ``warnings`` of the result says so.

    Raises :class:`UsageError`, :class:`DataError`, :class:`BundleError` (the self-test failed), :class:`ServerError`,
    :class:`LinkError` (a link cannot be emulated here, or is not what it is to be).
    """
    _check(samples=samples, warmup=warmup, threads=threads, deadline_ms=deadline_ms, seed=seed, minutes=budget_minutes)
    series = series if isinstance(series, Series) else Series(**(series or {}))
    if series.scenarios:
        load_generator()  # what is missing is said before anything is measured
    manifest = bundle.manifest
    specs = choose_arms(bundle, arms, image_codecs)
    wanted = lanes.profiles(links)
    source = _source(manifest, dataset, data_folder)
    test = _test_part(manifest, source)
    if samples is not None and samples > len(test):
        raise UsageError(f"{samples} samples were asked for, and the {_PART} part of {source.name} has {len(test)}")
    chosen = choose_samples(len(test), samples or len(test), seed)
    environment = {**fingerprint(), "load_average_start": load_average()}
    started, notes, before = _now(), check_edge(bundle, threads), sensors.conditions()

    def opener(link: Link | None) -> Opener:
        return Opener(
            bundle,
            cloud,
            link=link,
            threads=threads,
            deadline_ms=deadline_ms,
            credentials=credentials,
            progress=progress,
        )

    with ExitStack() as stack:
        ways = lanes.open_lanes(wanted, link_method, cloud, opener, stack, progress)
        opened = lanes.open_arms(ways, specs, None in wanted)
        warm_up(opened, test, chosen, warmup, progress)
        time.sleep(_SETTLE_S)
        lanes.start_counting(ways, opened)
        until = None if budget_minutes is None else time.monotonic() + 60 * budget_minutes
        measured = measure(opened, test, chosen, seed, progress, until)
        time.sleep(_SETTLE_S)
        facts = lanes.link_facts(ways, opened)
        results = [_summary(arm, manifest, ways, seed) for arm in opened]
        beside = measure_beside(
            opened, results, bundle, test, chosen, series,
            threads=threads, deadline_ms=deadline_ms, is_server_here=any(way.opener.has_server for way in ways),
            seed=seed, progress=progress,
        )  # fmt: skip
        after = sensors.conditions()
        used = [way.opener for way in ways if way.opener.is_used or way is ways[0]]
        reports = [report for way in used if (report := way.server_report()) is not None]
        names = set().union(*(way.server_names for way in used))
        remarks = warnings(results, opened, environment, reports, names)
        self_test = list(dict.fromkeys(note for way in used for note in way.notes))
        conditions = _conditions(used)
    if measured < len(chosen):
        remarks.append(f"the budget of {budget_minutes:g} minutes ended after {measured} of {len(chosen)} samples")
    ended = _now()
    return Bench(
        created=ended,
        bundle=bundle_facts(manifest),
        settings={
            "samples": measured,
            "part": _PART,
            "dataset": source.name,
            "warmup": warmup,
            "seed": seed,
            "threads_edge": threads,
            "deadline_ms": deadline_ms,
            "loop": LOOP,
            "order": ORDER,
            "percentiles": f"numpy, method {PERCENTILE_METHOD!r}",
            "intervals": bootstrap.METHOD,
            "image_codecs": [spec.codec for spec in specs if spec.architecture == "cloud-only"],
            "wire_method": wirebytes.why_not() or wirebytes.METHOD,
            "self_test": notes + self_test,
            "started": started,
            "ended": ended,
            **conditions,
        },
        environment={**environment, "load_average_end": load_average()},
        raw_input_bytes=manifest.input.height * manifest.input.width * manifest.input.channels,
        links=facts,
        arms=results,
        scenarios=beside.scenarios,
        conditions=BeforeAfter(before=before, after=after),
        warnings=[*remarks, *sensors.remarks(before, after), *beside.remarks],
    )


def _summary(arm: OpenArm, manifest: Manifest, ways: Sequence[Lane], seed: int) -> Arm:
    wire = arm.wire_bytes()
    result = summarise(arm.spec, manifest, arm.raw, wire, seed)
    result.link = arm.link
    line = next((way.link for way in ways if way.link is not None and way.link.profile.name == arm.link), None)
    result.floor = None if line is None else floor(arm.raw, wire, line.profile)
    return result


def _conditions(used: Sequence[Opener]) -> dict[str, object]:
    """Where servers ran, their threads and the kinds of link: one value where all agree."""
    each = [way.conditions() for way in used if way.is_used] or [used[0].conditions()]
    joined: dict[str, object] = {}
    for key in each[0]:
        values = list(dict.fromkeys(facts[key] for facts in each))
        joined[key] = values[0] if len(values) == 1 else ", ".join(map(str, values))
    return joined


def _check(
    *, samples: int | None, warmup: int, threads: int, deadline_ms: float, seed: int, minutes: float | None
) -> None:
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
    if minutes is not None and not 0 < minutes < float("inf"):
        raise UsageError(f"the budget is {minutes} minutes; it must be above 0")


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
