"""Answers for users' own images: what each is, which route it took, and why."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import UsageError
from ecc_deploy.progress import Progress, silent
from ecc_deploy.runtime.breaker import Breaker
from ecc_deploy.runtime.choice import Policy
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.cloud import Cloud
from ecc_deploy.runtime.credentials import Credentials
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.gate import confidence
from ecc_deploy.runtime.hedge import Hedge
from ecc_deploy.runtime.images import read_images
from ecc_deploy.runtime.pipeline import WhenFull
from ecc_deploy.runtime.result import Prediction


@dataclass(frozen=True)
class Answer:
    """One image's answer."""

    source: str
    """The file, or ``file[i]`` for the i-th image of an array."""
    label: str
    """Name of the class with the highest logit."""
    confidence: float
    """Its softmax probability, 0 to 1, according to whoever answered: edge, cloud, or both together."""
    prediction: Prediction

    def to_json(self) -> dict[str, Any]:
        """Plain data; times in milliseconds."""
        p = self.prediction
        return {
            "source": self.source,
            "label": self.label,
            "class": p.label,
            "confidence": self.confidence,
            "route": p.route.value,
            "reason": p.reason.value,
            "payload_bytes": p.payload_bytes,
            "timings_ms": asdict(p.timings),
            "logits": [float(value) for value in p.logits],
            "detail": p.detail,
        }


def predict(
    bundle: Bundle,
    inputs: Sequence[str | Path | np.ndarray] | str | Path | np.ndarray,
    *,
    deployment: str = "dynamic",
    cloud: str | None = None,
    resize: bool = False,
    threads: int = 1,
    deadline_ms: float = 1000.0,
    credentials: Credentials | None = None,
    in_flight: int = 1,
    when_full: WhenFull = "wait",
    breaker: bool = True,
    hedge: str | None = None,
    hedge_after_ms: float | None = None,
    policy: Policy | None = None,
    progress: Progress = silent,
) -> list[Answer]:
    """Answer every image of ``inputs`` (see :func:`~ecc_deploy.runtime.images.read_images`), in their order.

    A single file or array need not be put into a list.

    ``cloud``: ``host:port`` of a server of this bundle; needed where the deployment has a cloud half. Where it does
    not answer within ``deadline_ms``, or refuses, the edge does, and the answer says so. ``threads``: CPU threads of
    one inference. ``in_flight``: how many requests may be under way at a time, and ``when_full`` whether a sample then
    waits or the edge answers it (see :class:`~ecc_deploy.runtime.pipeline.Pipeline`). ``breaker``: while the cloud
    keeps failing, the edge answers at once (:class:`~ecc_deploy.runtime.breaker.Breaker`). ``hedge``: address of a
    server, the same or another, that is asked too where the first takes longer than ``hedge_after_ms``, or than usual
    (:class:`~ecc_deploy.runtime.hedge.Hedge`). ``policy``: a budget that gate and codec follow. ``credentials``: for
    servers that encrypt, or that want to know their clients.

    All images are read before the first is answered. Raises :class:`UsageError`, :class:`BundleError`.
    """
    facts = bundle.manifest.deployments.get(deployment)
    if facts is not None and facts.cloud is not None and cloud is None:
        alone = next((n for n, d in bundle.manifest.deployments.items() if d.architecture == "edge-only"), None)
        without = f" Without a cloud: --deployment {alone}." if alone else ""
        raise UsageError(
            f"the deployment {deployment!r} needs a cloud server",
            f"Start one with `ecc-deploy serve {bundle.path}` and give --cloud HOST:PORT.{without}",
        )
    if facts is not None and facts.cloud is None and cloud is not None:
        raise UsageError(f"the deployment {deployment!r} sends nothing", "Leave the cloud's address out.")
    if hedge is not None and cloud is None:
        raise UsageError("there is nothing to hedge without a cloud server", "Give its address too.")
    sources = [inputs] if isinstance(inputs, str | Path | np.ndarray) else inputs
    images = [named for source in sources for named in read_images(source, bundle.manifest.input, resize)]
    if not images:
        raise UsageError("there is no image to answer", "Give at least one image or array.")
    answers = []
    with ExitStack() as stack:
        client: Cloud | None = None
        if cloud is not None:
            client = stack.enter_context(CloudClient(cloud, bundle.manifest, credentials=credentials))
        if client is not None and hedge is not None:
            second = stack.enter_context(CloudClient(hedge, bundle.manifest, credentials=credentials))
            client = stack.enter_context(Hedge(client, second, after_ms=hedge_after_ms))
        runtime = stack.enter_context(
            EdgeRuntime(
                bundle,
                deployment,
                cloud=client,
                threads=threads,
                deadline_ms=deadline_ms,
                breaker=Breaker() if breaker else None,
                policy=policy,
            )
        )
        pixels = (image for _, image in images)
        predictions = runtime.predict_many(pixels, in_flight=in_flight, when_full=when_full)
        if in_flight == 1 and when_full == "wait":  # the same, without the detour by another thread
            predictions = (runtime.predict(image) for _, image in images)
        for number, (source, _) in enumerate(images):
            progress("predict", number, len(images), "")
            prediction = next(predictions)
            sure = float(confidence(prediction.logits, "max-softmax"))
            answers.append(Answer(source, bundle.manifest.classes[prediction.label], sure, prediction))
    progress("predict", len(images), len(images), "")
    return answers
