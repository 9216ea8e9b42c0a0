"""Makes the rows of a comparison, and what a reader must know of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ecc_deploy.bundle import Deployment, Half
from ecc_deploy.comparison.bundles import disk_bytes
from ecc_deploy.comparison.candidates import Candidate, Found
from ecc_deploy.comparison.latency import Stopwatch
from ecc_deploy.comparison.outputs import Ran
from ecc_deploy.comparison.result import DeploymentRow, HalfRow, Row

_NEVER = Ran(None, "nobody", "what it continues is not run here")


def make_row(found: Found, watch: Stopwatch, earlier: Sequence[Found]) -> Row:
    """The row of one candidate; ``earlier``: those of the rows before it."""
    candidate = found.candidate
    manifest = candidate.bundle.manifest
    edge, cloud = candidate.halves_of_dynamic()
    twins = [other.candidate.name for other in earlier if other.candidate.settings == candidate.settings]
    return Row(
        name=candidate.name,
        pair_id=manifest.pair_id,
        same_as=twins[0] if twins else None,
        targets={str(side): name for side, name in manifest.targets.items()},
        precisions={half.side: half.precision for half in manifest.halves.values()},
        edge=edge,
        cloud=cloud,
        halves={key: _half(candidate, key, half, found, watch) for key, half in manifest.halves.items()},
        deployments={name: _deployment(name, item, found) for name, item in manifest.deployments.items()},
    )


def _half(candidate: Candidate, key: str, half: Half, found: Found, watch: Stopwatch) -> HalfRow:
    ran = found.ran.get(key, _NEVER)
    weights = half.compiled.get("weights")
    return HalfRow(
        side=half.side,
        backend=half.backend,
        precision=half.precision,
        disk_bytes=disk_bytes(candidate.bundle, key),
        weights=weights if isinstance(weights, int) else None,
        macs=half.macs,
        batch=half.batch,
        answered_by=ran.by,
        why_not=ran.why_not,
        agreement=found.agreement.get(key),
        latency=watch.latency(candidate.bundle, key, candidate.threads[half.side]),
    )


def _deployment(name: str, deployment: Deployment, found: Found) -> DeploymentRow:
    final, right, reference = found.final.get(name), found.right.get(name), found.float_right.get(name)
    guard = deployment.guard
    return DeploymentRow(
        edge=deployment.edge,
        cloud=deployment.cloud,
        accuracy=None if right is None else float(right.mean()),
        offload_rate=None if final is None else final.offload_rate,
        float_accuracy=None if reference is None else float(reference.mean()),
        recorded_float_accuracy=guard.float_accuracy if guard else None,
        recorded_drop_points=guard.drop_points if guard else None,
    )


def notes(
    rows: Sequence[Row], candidates: Sequence[Candidate], environment: dict[str, Any], *, timed: bool
) -> list[str]:
    """Sentences for the reader."""
    found = []
    for by, told in (
        ("stand-in", "compiled, not run here; their answers are a stand-in's"),
        ("nobody", "compiled, not run here, and nothing answers for them"),
    ):
        reasons: dict[str, list[str]] = {}
        for row in rows:
            for half in (row.halves[row.edge], row.halves[row.cloud]):
                if half.answered_by == by:
                    reasons.setdefault(half.why_not, []).append(f"{row.name} ({half.side})")
        found += [f"{', '.join(names)}: {told}: {reason}" for reason, names in reasons.items()]
    if not timed:
        return found
    found.append(f"times are of this machine, {environment['cpu']}: on another one, int8 may gain or lose")
    fewer: dict[tuple[int, int], list[str]] = {}
    for candidate in candidates:
        for side, wanted in candidate.wanted_threads.items():
            if wanted is not None and wanted > candidate.threads[side]:
                fewer.setdefault((candidate.threads[side], wanted), []).append(f"{candidate.name} ({side})")
    for (here, wanted), names in fewer.items():
        found.append(f"{', '.join(names)}: timed with {here} instead of the target's {wanted} threads: all cores here")
    unknown = sorted({candidate.name for candidate in candidates if None in candidate.wanted_threads.values()})
    if unknown:
        found.append(f"{', '.join(unknown)}: timed with 1 thread: their targets are not among those that ship")
    load, cores = environment.get("load_average_start"), environment.get("cores_usable")
    if load is not None and cores and load > cores:
        found.append(f"the machine was busy: a load average of {load} at the start, on {cores} cores")
    return found
