"""What a benchmark was run on and with, and what a reader must know before using its figures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ecc_deploy.bench.loop import OpenArm
from ecc_deploy.bench.schema import Arm
from ecc_deploy.bundle import Manifest
from ecc_deploy.runtime.result import Reason


def bundle_facts(manifest: Manifest) -> dict[str, Any]:
    """What identifies the bundle, and what it promised: halves, gates, fusions and guard results."""
    deployments = manifest.deployments.items()
    return {
        "name": manifest.name,
        "pair_id": manifest.pair_id,
        "created": manifest.created,
        "dataset": manifest.dataset,
        "classes": len(manifest.classes),
        "targets": dict(manifest.targets),
        "toolchain": dict(manifest.toolchain),
        "halves": {
            key: half.model_dump(include={"side", "backend", "precision", "macs"})
            for key, half in manifest.halves.items()
        },
        "gates": {name: facts.gate.model_dump() for name, facts in deployments if facts.gate},
        "fusions": {name: facts.fusion.model_dump() for name, facts in deployments if facts.fusion},
        "guards": {name: facts.guard.model_dump() for name, facts in deployments if facts.guard},
    }


_DETAIL_CHARACTERS = 300


def warnings(
    arms: Sequence[Arm],
    opened: Sequence[OpenArm],
    environment: dict[str, Any],
    server_reports: Sequence[str],
    server_names: Collection[str],
) -> list[str]:
    """Sentences for the reader.

    ``server_reports``: how servers of the benchmark's own ended before they were asked to. ``server_names``: their
    addresses, which are kept out of the sentences: a ``bench.json`` is to be passed on.
    """
    found = [f"the server that the benchmark had started {report}" for report in server_reports]
    for arm, source in zip(arms, opened, strict=True):
        fallbacks = {reason: count for reason, count in arm.reasons.items() if Reason(reason).is_fallback}
        if fallbacks:
            detail = source.first_detail[:_DETAIL_CHARACTERS] or "nothing"
            for name in sorted(server_names, key=len, reverse=True):
                detail = detail.replace(name, "SERVER")
            parts = ", ".join(f"{count} {reason}" for reason, count in fallbacks.items())
            found.append(
                f"{source.label}: the edge answered {sum(fallbacks.values())} of {arm.samples} samples that the cloud "
                f"should have answered ({parts}); the first said: {detail}"
            )
    uncounted = [source.label for source in opened if source.wire and not source.wire.is_complete]
    if uncounted:
        found.append(
            f"the wire bytes of {', '.join(uncounted)} were not counted: answers came over no TCP connection "
            "from here to the server's address (a proxy?)"
        )
    load, cores = environment.get("load_average_start"), environment.get("cores_usable")
    if load is not None and cores and load > cores:
        found.append(f"the machine was busy: a load average of {load} at the start, on {cores} cores")
    governor = environment.get("cpu_governor")
    if governor in ("powersave", "ondemand", "conservative"):
        found.append(f"the CPU governor is {governor!r}: latencies include the time that clocks need to rise")
    return found
