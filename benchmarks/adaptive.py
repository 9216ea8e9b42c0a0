"""The adaptive policy against fixed thresholds, on a link whose rate changes.

    python benchmarks/adaptive.py BUNDLE [--budget 60] [--phase LINK:SECONDS ...] [--samples-per-s 20] [--json]

Every arm lives through the same phases of the link, one arm after the other, each with a link, a server and a
connection of its own. Samples of the dataset's test part come at a fixed rate, whether or not those before them are
answered; the latency of one counts from the moment when it came. Up to ``--in-flight`` requests are under way.

* ``edge-only`` sends nothing; ``always`` sends everything (fused, where the bundle has that);
* ``dynamic``, ``independent``: the bundle's gate, a fixed threshold; ``.../deadline``: with the budget as deadline, so
  that the edge answers when it passes;
* ``dynamic/adaptive``, ``independent/adaptive``: with the policy; the latter may choose ``--codec`` too.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
from far_server import far_server

from ecc_deploy.bench.environment import fingerprint
from ecc_deploy.bundle import Bundle, open_bundle
from ecc_deploy.data import Samples, load_for_bundle
from ecc_deploy.errors import EccError, UsageError
from ecc_deploy.links import LinkProfile, load_link, open_link
from ecc_deploy.runtime.choice import Policy
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.pipeline import Pipeline
from ecc_deploy.runtime.result import Prediction, Route

PHASES = ("rate=20mbit,delay=20ms:10", "rate=0.3mbit,delay=150ms:10", "rate=2mbit,delay=40ms:10",
          "rate=20mbit,delay=20ms:10")  # fmt: skip


def main() -> int:
    """Exit code 0: measured; 2: it could not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--budget", type=float, default=60.0, help="latency budget, ms (default 60)")
    parser.add_argument("--deadline", type=float, default=1000.0, help="of the other arms, ms (default 1000)")
    parser.add_argument("--phase", action="append", metavar="LINK:SECONDS", help=f"default: {' '.join(PHASES)}")
    parser.add_argument("--samples-per-s", type=float, default=20.0)
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--codec", action="append", help="for independent/adaptive (default webp:80, webp:30)")
    parser.add_argument("--arm", action="append", help="only this one; repeatable")
    parser.add_argument("--method", default="auto", help="emulation: auto, netem, tun or proxy")
    parser.add_argument("--json", action="store_true", help="print a JSON document instead of a table")
    given = parser.parse_args()
    try:
        result = measure(open_bundle(given.bundle), given)
    except EccError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1) if given.json else _table(result))
    return 0


def measure(bundle: Bundle, given: argparse.Namespace) -> dict[str, Any]:
    """Measure; times in milliseconds. Raises :class:`EccError` where link, bundle or dataset do not do."""
    manifest = bundle.manifest
    shape = (manifest.input.height, manifest.input.width, manifest.input.channels)
    samples = load_for_bundle(manifest.dataset, shape, manifest.classes, None).part("test")
    phases = [_phase(text) for text in given.phase or PHASES]
    policy = Policy(latency_budget_ms=given.budget)
    image_policy = Policy(latency_budget_ms=given.budget, codecs=tuple(given.codec or ("webp:80", "webp:30")))
    always = "adaptive-fused" if "adaptive-fused" in manifest.deployments else "adaptive"
    arms: dict[str, tuple[str, dict[str, Any]]] = {
        "edge-only": ("edge-only", {}),
        "always": (always, {}),
        "dynamic": ("dynamic", {}),
        "dynamic/deadline": ("dynamic", {"deadline_ms": given.budget}),
        "dynamic/adaptive": ("dynamic", {"policy": policy}),
        "independent": ("independent", {}),
        "independent/deadline": ("independent", {"deadline_ms": given.budget}),
        "independent/adaptive": ("independent", {"policy": image_policy}),
    }
    unknown = set(given.arm or ()) - set(arms)
    if unknown:
        raise UsageError(f"there is no arm {', '.join(sorted(unknown))}", f"Arms: {', '.join(arms)}.")
    rows = []
    for name, (deployment, options) in arms.items():
        if given.arm is None or name in given.arm:
            rows.append({"arm": name, **_live(bundle, deployment, options, samples, phases, given)})
    return {
        "budget_ms": given.budget,
        "samples_per_s": given.samples_per_s,
        "in_flight": given.in_flight,
        "phases": [[profile.name, seconds] for profile, seconds in phases],
        "arms": rows,
        "bundle": {"name": manifest.name, "pair_id": manifest.pair_id},
        "environment": fingerprint(),
    }


def _phase(text: str) -> tuple[LinkProfile, float]:
    link, _, seconds = text.rpartition(":")
    try:
        return load_link(link), float(seconds)
    except ValueError:
        raise UsageError(f"{text!r} is no phase", "Write LINK:SECONDS, for example lte:10.") from None


def _live(
    bundle: Bundle, deployment: str, options: dict[str, Any], samples: Samples, phases: list, given: argparse.Namespace
) -> dict[str, Any]:
    """One arm through all phases."""
    chosen = np.random.default_rng(0).permutation(len(samples))
    records: list[tuple[int, int, float, Prediction]] = []  # phase, sample, latency, answer
    kept = threading.Lock()
    with (
        open_link(phases[0][0], method=given.method, verify=False) as link,
        far_server(link, bundle.path) as url,
        CloudClient(url, bundle.manifest) as client,
        EdgeRuntime(
            bundle,
            deployment,
            cloud=None if bundle.manifest.deployments[deployment].cloud is None else client,
            **{"deadline_ms": given.deadline, **options},
        ) as runtime,
    ):
        client.connect(20.0)
        before = link.counts()
        with Pipeline(runtime, in_flight=given.in_flight) as pipeline:
            due, place, futures = time.perf_counter(), 0, []
            for number, (profile, seconds) in enumerate(phases):
                link.change(profile)
                for _ in range(int(seconds * given.samples_per_s)):
                    time.sleep(max(due - time.perf_counter(), 0))
                    index = int(chosen[place % len(chosen)])
                    future = pipeline.submit(samples.images[index])

                    def note(
                        done: Future[Prediction], number: int = number, index: int = index, came: float = due
                    ) -> None:
                        with kept:
                            records.append((number, index, 1e3 * (time.perf_counter() - came), done.result()))

                    future.add_done_callback(note)
                    futures.append(future)
                    place += 1
                    due += 1 / given.samples_per_s
            for future in futures:
                future.result()
        after = link.counts()
        method = f"{link.method}: {link.note}"
    wire = None if before is None or after is None else (after.up + after.down - before.up - before.down) / place
    return {
        "deployment": deployment,
        "link": method,
        **_summary(records, samples, given.budget),
        "wire_bytes_per_sample": wire and round(wire, 1),
        "phases": [_summary([r for r in records if r[0] == n], samples, given.budget) for n in range(len(phases))],
    }


def _summary(records: list[tuple[int, int, float, Prediction]], samples: Samples, budget: float) -> dict[str, Any]:
    latency = np.array([record[2] for record in records])
    answers = [record[3] for record in records]
    right = np.array(
        [answer.label == samples.labels[record[1]] for record, answer in zip(records, answers, strict=True)]
    )
    in_time = latency <= budget
    return {
        "samples": len(records),
        "accuracy": round(float(right.mean()), 4),
        "right_in_budget": round(float((right & in_time).mean()), 4),
        "in_budget": round(float(in_time.mean()), 4),
        "p50_ms": round(float(np.percentile(latency, 50)), 2),
        "p95_ms": round(float(np.percentile(latency, 95)), 2),
        "by_cloud": round(float(np.mean([answer.route == Route.CLOUD for answer in answers])), 4),
        "payload_bytes_per_sample": round(float(np.mean([answer.payload_bytes for answer in answers])), 1),
        "reasons": dict(sorted(Counter(answer.reason.value for answer in answers).items())),
    }


def _table(result: dict[str, Any]) -> str:
    head = (
        f"{'':22}{'top-1':>8}{'in time':>9}{'both':>8}{'p50 ms':>9}{'p95 ms':>9}{'cloud':>8}{'payload':>9}{'wire B':>9}"
    )
    lines = [head]
    for arm in result["arms"]:
        wire = arm["wire_bytes_per_sample"]
        lines.append(
            f"{arm['arm']:22}{arm['accuracy']:8.2%}{arm['in_budget']:9.1%}{arm['right_in_budget']:8.2%}{arm['p50_ms']:9.1f}"
            f"{arm['p95_ms']:9.1f}{arm['by_cloud']:8.1%}{arm['payload_bytes_per_sample']:9.1f}"
            + (f"{wire:9.1f}" if wire is not None else f"{'–':>9}")
        )
    phases = "; ".join(f"{name} {seconds:g} s" for name, seconds in result["phases"])
    lines.append(f"in time: within {result['budget_ms']:g} ms; {result['samples_per_s']:g} samples/s; {phases}")
    lines.append("by the cloud, in each phase:")
    lines += [
        f"{arm['arm']:22}" + "".join(f"{phase['by_cloud']:8.1%}" for phase in arm["phases"]) for arm in result["arms"]
    ]
    lines += sorted({arm["link"] for arm in result["arms"]})
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
