"""The edge side of a deployment: engine, gate, codec, link, and the edge's own answer where the cloud gives none."""

from __future__ import annotations

import math
import re
import time
from contextlib import ExitStack

import numpy as np

from ecc_deploy.backends.interface import Runner
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bundle import Bundle, Half
from ecc_deploy.bundle.codecs import sent, tensor_sent
from ecc_deploy.closing import Closing
from ecc_deploy.errors import BundleError, UsageError
from ecc_deploy.payload import Codec, TensorSpec
from ecc_deploy.preprocess import Preprocess
from ecc_deploy.runtime.client import CloudAnswer, CloudClient, CloudError
from ecc_deploy.runtime.fusion import fuse
from ecc_deploy.runtime.gate import offloads
from ecc_deploy.runtime.result import Prediction, Reason, Route, Timings


class EdgeEngine:
    """An edge half that takes one uint8 image ``[H, W, C]`` and gives its outputs without batch.

    Raises :class:`BundleError` where the half lacks one of the outputs ``wanted``, or takes more than one image.
    """

    def __init__(self, bundle: Bundle, key: str, wanted: dict[str, TensorSpec], threads: int) -> None:
        half: Half = bundle.manifest.halves[key]
        given = {t.name: TensorSpec(t.dtype, t.shape) for t in half.outputs}
        for name, tensor in wanted.items():
            if given.get(name) != tensor:
                raise BundleError(
                    f"the half {key!r} of {bundle.path} gives {name} as {given.get(name)}, and {tensor} is needed",
                    "Export the bundle again.",
                )
        if half.batch not in ("dynamic", 1):
            raise BundleError(
                f"the half {key!r} of {bundle.path} takes batches of {half.batch}; the edge answers one at a time",
                "Export the edge half with a batch of 1.",
            )
        self._preprocess = Preprocess(bundle.manifest.input, half)
        self._runner: Runner = open_runner(bundle.file(half.file), half, threads)

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        outputs = self._runner.run({"image": self._preprocess(image[np.newaxis])})
        return {name: value[0] for name, value in outputs.items()}

    def close(self) -> None:
        self._runner.close()


class EdgeRuntime(Closing):
    """Runs one deployment of a bundle, one sample at a time. A context manager; several threads may call it.

    It loads the halves that the deployment needs and, where those give no answer of their own (adaptive without
    fusion, cloud-only), the fallback half too: up front, because the moment the cloud fails is the worst one to load a
    model.

    ``cloud``: needed where the deployment has a cloud half. ``codec``: instead of the deployment's. ``threads``: CPU
    threads of one inference. ``deadline_ms``: of one sample, from the call of :meth:`predict`; what the edge used of it
    is not left for the cloud. The edge's own work is not cut short.

    Raises :class:`UsageError` for arguments that do not fit together, :class:`PayloadError` for a codec that does not
    suit what is sent, :class:`BundleError` for halves that are not what the manifest says.
    """

    def __init__(
        self,
        bundle: Bundle,
        deployment: str,
        *,
        cloud: CloudClient | None = None,
        codec: str | None = None,
        threads: int = 1,
        deadline_ms: float = 1000.0,
    ) -> None:
        manifest = bundle.manifest
        if deployment not in manifest.deployments:
            raise UsageError(
                f"{bundle.path} has no deployment {deployment!r}", f"It has: {', '.join(sorted(manifest.deployments))}."
            )
        chosen = manifest.deployments[deployment]
        if not (math.isfinite(deadline_ms) and deadline_ms > 0):
            raise UsageError(f"the deadline is {deadline_ms} ms; it must be above 0")
        if threads < 1:
            raise UsageError(f"the engine cannot run on {threads} threads")
        if codec is not None and chosen.sends is None:
            raise UsageError(f"the deployment {deployment!r} sends nothing, so it takes no codec")
        if chosen.cloud is not None and cloud is None:
            raise UsageError(
                f"the deployment {deployment!r} needs a cloud server",
                "Start one with `ecc-deploy serve BUNDLE`, and give its address.",
            )
        if cloud is not None and cloud.pair_id != manifest.pair_id:
            raise UsageError(f"the cloud client was made for the pair {cloud.pair_id}, not {manifest.pair_id}")
        self.bundle = bundle
        self.deployment = chosen
        self.codec: Codec | None = None
        self._cloud = cloud
        self._deadline_ns = int(deadline_ms * 1e6)
        self._image = tensor_sent(manifest, None)
        if chosen.sends is not None:
            self.codec = sent(bundle, chosen.boundary).codec(codec or chosen.codec or "")
            self._check_bits(self.codec.spec)
        self._open = ExitStack()
        try:
            self._load(threads)
        except BaseException:
            self.close()
            raise

    def _check_bits(self, spec: str) -> None:
        packed = re.match(r"int(\d)\b", spec)
        if packed is None or self.deployment.boundary is None:
            return
        bits = self.bundle.manifest.boundaries[self.deployment.boundary].bits
        if int(packed[1]) < bits:
            raise UsageError(
                f"the codec {spec!r} holds codes of {packed[1]} bits, the boundary has {bits}",
                f"Use int{bits} or wider, or export with a boundary of fewer bits.",
            )

    def _load(self, threads: int) -> None:
        chosen = self.deployment
        logits = {"logits": TensorSpec("float32", (len(self.bundle.manifest.classes),))}
        wanted = dict(logits) if chosen.edge_answers else {}
        if chosen.gate is not None and chosen.gate.score == "learned":
            wanted["confidence"] = TensorSpec("float32", (1,))
        if chosen.boundary is not None:
            wanted["boundary"] = tensor_sent(self.bundle.manifest, chosen.boundary)

        def load(key: str, wanted: dict[str, TensorSpec]) -> EdgeEngine:
            engine = EdgeEngine(self.bundle, key, wanted, threads)
            self._open.callback(engine.close)
            return engine

        self._edge = None if chosen.edge is None else load(chosen.edge, wanted)
        self._fallback = None if chosen.edge_answers else load(self.bundle.manifest.fallback, logits)

    def predict(self, image: np.ndarray) -> Prediction:
        """Classify one image, uint8 ``[H, W, C]``, of the size in the manifest.

        Trouble with the cloud never raises: the edge answers, and the prediction says so. Raises :class:`UsageError`
        for another dtype or shape.
        """
        start = time.perf_counter_ns()
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape != self._image.shape:
            given = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise UsageError(f"an image is uint8 {self._image.shape} (height, width, channels), not {given}")
        timings = Timings()
        prediction = self._answer(image, timings, start)
        timings.total = (time.perf_counter_ns() - start) / 1e6
        stages = (
            timings.edge, timings.encode, timings.network, timings.server_queue, timings.cloud_decode,
            timings.cloud_compute, timings.fallback,
        )  # fmt: skip
        timings.other = max(timings.total - sum(stages), 0.0)
        return prediction

    def _answer(self, image: np.ndarray, timings: Timings, start: int) -> Prediction:
        outputs: dict[str, np.ndarray] = {}
        if self._edge is not None:
            outputs = self._edge(image)
            timings.edge = _ms_since(start)
        own = outputs.get("logits")
        gate = self.deployment.gate
        if self.codec is None:
            return Prediction(_given(own), Route.EDGE, Reason.EDGE_ONLY, timings=timings)
        if gate is not None and not offloads(_given(own), gate, outputs.get("confidence")):
            return Prediction(_given(own), Route.EDGE, Reason.CONFIDENT, timings=timings)

        encoding = time.perf_counter_ns()
        payload = self.codec.encode(image if self.deployment.boundary is None else outputs["boundary"])
        timings.encode = _ms_since(encoding)
        sending = time.perf_counter_ns()
        try:
            answer = self._ask(payload, (start + self._deadline_ns - sending) / 1e9)
        except CloudError as error:
            timings.network = _ms_since(sending)
            if self._fallback is not None:
                falling_back = time.perf_counter_ns()
                own = self._fallback(image)["logits"]
                timings.fallback = _ms_since(falling_back)
            return Prediction(_given(own), Route.EDGE, error.reason, len(payload), timings, error.detail)
        timings.network = answer.round_trip_ms - answer.server_ms
        timings.server_queue = answer.queue_ms
        timings.cloud_decode = answer.decode_ms
        timings.cloud_compute = answer.compute_ms
        reason = Reason.ALWAYS if gate is None else Reason.OFFLOADED
        fusion = self.deployment.fusion
        logits = answer.logits if fusion is None else fuse(_given(own), answer.logits, fusion)
        return Prediction(logits, Route.CLOUD, reason, len(payload), timings)

    def _ask(self, payload: bytes, deadline_s: float) -> CloudAnswer:
        assert self._cloud is not None
        assert self.codec is not None
        assert self.deployment.cloud is not None
        return self._cloud.infer(self.deployment.cloud, payload, self.codec.spec, deadline_s)

    def close(self) -> None:
        """Free the engines. The cloud client stays open: it belongs to whoever made it. May be called twice."""
        self._open.close()


def _ms_since(start: int) -> float:
    return (time.perf_counter_ns() - start) / 1e6


def _given(logits: np.ndarray | None) -> np.ndarray:
    """Loading made sure of the logits; this tells the type checker."""
    assert logits is not None
    return logits
