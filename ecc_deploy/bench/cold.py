"""The cold series: what an arm takes before it is warm, each time in a new process with a new connection."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence

import numpy as np

from ecc_deploy import child
from ecc_deploy.bench.loop import OpenArm
from ecc_deploy.bench.schema_series import Cold
from ecc_deploy.bench.series import repeated
from ecc_deploy.bundle import Bundle
from ecc_deploy.data import Samples
from ecc_deploy.errors import ServerError
from ecc_deploy.progress import Progress

_STAGES = ("process_start_ms", "connection_ms", "engine_load_ms", "first_inference_ms")
_SLACK_S = 120.0
"""For a start on a slow and busy device; the request itself has its deadline."""


def cold_series(
    arms: Sequence[OpenArm],
    bundle: Bundle,
    samples: Samples,
    *,
    repetitions: int,
    threads: int,
    deadline_ms: float,
    seed: int,
    progress: Progress,
) -> tuple[list[Cold], list[str]]:
    """One :class:`Cold` per arm, and sentences for the reader. To be called after the arms were measured, since each
    arm's first sample is one of those that it sent, where it sent any.

    Raises :class:`ServerError` where a process fails, with what it wrote.
    """
    shuffle = np.random.default_rng([seed, 2])
    found: list[dict[str, list[float]]] = [{stage: [] for stage in _STAGES} for _ in arms]
    fallbacks = [0] * len(arms)
    for repetition in range(repetitions):
        for position in shuffle.permutation(len(arms)):
            arm = arms[position]
            sent = arm.sent_samples() or arm.raw.sample
            image = samples.images[sent[repetition % len(sent)]]
            times = _start(arm, bundle, image, threads, deadline_ms)
            fallbacks[position] += bool(times["fell_back"])
            for stage in _STAGES:
                found[position][stage].append(times[stage])
        progress("Cold starts", repetition + 1, repetitions, f"{len(arms)} arms")
    colds = [
        Cold(
            process_start_ms=repeated(series["process_start_ms"]),
            connection_ms=repeated(series["connection_ms"]) if arm.url is not None else None,
            engine_load_ms=repeated(series["engine_load_ms"]),
            first_inference_ms=repeated(series["first_inference_ms"]),
        )
        for arm, series in zip(arms, found, strict=True)
    ]
    remarks = [
        f"{arm.label}: {count} of {repetitions} first inferences after a cold start were answered by the edge instead "
        "of the cloud"
        for arm, count in zip(arms, fallbacks, strict=True)
        if count
    ]
    return colds, remarks


def _start(arm: OpenArm, bundle: Bundle, image: np.ndarray, threads: int, deadline_ms: float) -> dict[str, float]:
    wanted = {
        "bundle": str(bundle.path.absolute()),
        "deployment": arm.spec.deployment,
        "codec": arm.spec.codec,
        "url": arm.url,
        "threads": threads,
        "deadline_ms": deadline_ms,
        # By stdin, where nobody else on this machine can read the token.
        "credentials": None if arm.credentials is None else arm.credentials.to_json(),
    }
    command, environment = child.command("ecc_deploy.bench.cold_process"), child.environment()
    message = json.dumps({**wanted, "started_ns": time.monotonic_ns()}).encode() + b"\n" + image.tobytes()
    try:
        done = subprocess.run(
            command, input=message, capture_output=True, env=environment, timeout=_SLACK_S + deadline_ms / 1e3
        )
    except subprocess.TimeoutExpired as error:
        raise ServerError(f"a cold start of {arm.label} took longer than {error.timeout:g} s") from error
    if done.returncode != 0:
        raise ServerError(
            f"a cold start of {arm.label} failed with exit code {done.returncode}",
            done.stderr.decode(errors="replace").strip()[-2000:],
        )
    times: dict[str, float] = json.loads(done.stdout)
    return times
