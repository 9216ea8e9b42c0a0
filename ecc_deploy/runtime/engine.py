"""The edge side of a deployment: engine, gate, codec, link, and the edge's own answer where the cloud gives none."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack

import numpy as np

from ecc_deploy.bundle import Bundle
from ecc_deploy.bundle.codecs import sent, tensor_sent
from ecc_deploy.closing import Closing
from ecc_deploy.errors import UsageError
from ecc_deploy.payload import Codec, TensorSpec
from ecc_deploy.runtime.breaker import Breaker
from ecc_deploy.runtime.cloud import Cloud, CloudAnswer, CloudError, outcome_of
from ecc_deploy.runtime.fusion import fuse
from ecc_deploy.runtime.gate import confidence
from ecc_deploy.runtime.half import EdgeEngine
from ecc_deploy.runtime.ladder import check_bits, rungs
from ecc_deploy.runtime.pipeline import Pipeline, WhenFull
from ecc_deploy.runtime.policy import Choice, Controller, Policy
from ecc_deploy.runtime.result import Prediction, Reason, Route
from ecc_deploy.runtime.sample import Sample, ms_since


class EdgeRuntime(Closing):
    """Runs one deployment of a bundle, one sample at a time. A context manager; several threads may call it.

    It loads the halves that the deployment needs and, where those give no answer of their own (adaptive without
    fusion, cloud-only), the fallback half too: up front, because the moment the cloud fails is the worst one to load a
    model.

    ``cloud``: needed where the deployment has a cloud half. ``codec``: instead of the deployment's. ``threads``: CPU
    threads of one inference. ``deadline_ms``: of one sample, from the call of :meth:`predict`; what the edge used of it
    is not left for the cloud. The edge's own work is not cut short. ``breaker``: while it is open, the edge answers at
    once; several runtimes of one server may share it. ``policy``:
    what the gate sends, and by which codec, follows link and server; :attr:`controller` says how.

    Raises :class:`UsageError` for arguments that do not fit together, :class:`PayloadError` for a codec that does not
    suit what is sent, :class:`BundleError` for halves that are not what the manifest says.
    """

    def __init__(
        self,
        bundle: Bundle,
        deployment: str,
        *,
        cloud: Cloud | None = None,
        codec: str | None = None,
        threads: int = 1,
        deadline_ms: float = 1000.0,
        breaker: Breaker | None = None,
        policy: Policy | None = None,
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
        self._breaker = breaker
        self._deadline_ns = int(deadline_ms * 1e6)
        self._image = tensor_sent(manifest, None)
        if chosen.sends is not None:
            self.codec = sent(bundle, chosen.boundary).codec(codec or chosen.codec or "")
            check_bits(manifest, chosen.boundary, self.codec.spec)
        self._codecs = {} if self.codec is None else {self.codec.spec: self.codec}
        self.controller = None if policy is None else self._control(policy, deployment)
        self._open = ExitStack()
        try:
            self._load(threads)
        except BaseException:
            self.close()
            raise

    def _control(self, policy: Policy, name: str) -> Controller:
        if self.deployment.gate is None or self.codec is None:
            gated = [key for key, one in self.bundle.manifest.deployments.items() if one.gate is not None]
            raise UsageError(
                f"the deployment {name!r} has no gate, so there is nothing to choose",
                f"Deployments with a gate: {', '.join(sorted(gated)) or 'none'}.",
            )
        self._codecs, found = rungs(self.bundle, name, self.codec, policy.codecs)
        return Controller(policy, self.deployment.gate, found, len(self.bundle.manifest.classes))

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
        sample = self.begin(image)
        if isinstance(sample, Prediction):
            return sample
        outcome: CloudAnswer | CloudError | None = None
        try:
            outcome = self.admit(sample)
            if outcome is None:
                assert self._cloud is not None
                outcome = self._cloud.infer(*self._request(sample))
        except CloudError as error:
            outcome = error
        except BaseException:
            self.forget(sample)
            raise
        return self.conclude(sample, outcome)

    def predict_many(
        self,
        images: Iterable[np.ndarray],
        *,
        in_flight: int = 8,
        when_full: WhenFull = "wait",
    ) -> Iterator[Prediction]:
        """Answer ``images`` with up to ``in_flight`` requests under way at a time, in the order of the images.

        See :class:`~ecc_deploy.runtime.pipeline.Pipeline`, which this is for one series of images.
        """
        with Pipeline(self, in_flight=in_flight, when_full=when_full) as pipeline:
            yield from pipeline.predict_many(images)

    def begin(self, image: np.ndarray) -> Prediction | Sample:
        """The edge's part: its half and its gate. A prediction where the edge answers, else the sample to be sent.

        What is to be sent goes on to :meth:`admit`, :meth:`send` and, in the end, to :meth:`conclude` or
        :meth:`forget`. Raises :class:`UsageError` for another dtype or shape than :meth:`predict` takes.
        """
        start = time.perf_counter_ns()
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape != self._image.shape:
            given = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise UsageError(f"an image is uint8 {self._image.shape} (height, width, channels), not {given}")
        sample = Sample(image, start, start + self._deadline_ns)
        if self._breaker is not None and self._fallback is not None and self._breaker.refuses():
            return self.conclude(sample, self._refusal())  # without running a half that gives no answer
        if self._edge is not None:
            sample.outputs = self._edge(image)
            sample.timings.edge = ms_since(start)
        gate = self.deployment.gate
        if self.codec is None:
            return sample.answered(sample.own, Route.EDGE, Reason.EDGE_ONLY)
        if gate is None:
            return sample
        score = float(confidence(sample.own, gate.score, sample.outputs.get("confidence")))
        if self.controller is None:
            is_sent = score < gate.threshold
            return sample if is_sent else sample.answered(sample.own, Route.EDGE, Reason.CONFIDENT)
        choice = self.controller.choose(score, ms_since(start))
        if choice.probe is not None:
            self._probe(sample, choice.probe)
        if choice.spec is None:
            return sample.answered(sample.own, Route.EDGE, choice.reason, choice.detail)
        sample.choice = choice
        return sample

    def _probe(self, sample: Sample, spec: str) -> None:
        """Send the sample to learn how link and server are; the edge answers it, and nobody waits."""
        probe = Sample(sample.image, sample.start_ns, sample.deadline_ns, outputs=sample.outputs)
        probe.choice = Choice(Reason.LINK, spec, probe=spec)
        try:
            refusal = self.admit(probe)
            call = None if refusal is not None else self.send(probe)
        except BaseException:
            self.forget(probe)
            raise
        if call is None:
            self.forget(probe)
            return
        sample.payload, sample.timings.encode = probe.payload, probe.timings.encode  # bytes that the sample cost
        call.add_done_callback(lambda done: self._tell(probe, outcome_of(done)))

    def admit(self, sample: Sample) -> CloudError | None:
        """Give the sample its payload, if the breaker lets it through; else why it does not."""
        assert self.codec is not None
        if self._breaker is not None:
            sample.permit = self._breaker.ask()
            if sample.permit is None:
                return self._refusal()
        encoding = time.perf_counter_ns()
        codec = self.codec if sample.choice is None or sample.choice.spec is None else self._codecs[sample.choice.spec]
        sample.codec = codec.spec
        sample.payload = codec.encode(sample.image if self.deployment.boundary is None else sample.outputs["boundary"])
        sample.timings.encode = ms_since(encoding)
        if self.controller is not None and sample.choice is not None:
            self.controller.sent(sample.choice, codec.spec, len(sample.payload), sample.timings.encode)
        return None

    def _refusal(self) -> CloudError:
        assert self._breaker is not None
        return CloudError(Reason.BREAKER, self._breaker.why(), is_fault=False)

    def send(self, sample: Sample) -> Future[CloudAnswer]:
        """Send the payload without waiting; the future's exception is a :class:`CloudError`."""
        assert self._cloud is not None
        return self._cloud.submit(*self._request(sample))

    def _request(self, sample: Sample) -> tuple[str, bytes, str, float]:
        assert self.deployment.cloud is not None
        sample.sent_ns = time.perf_counter_ns()
        return self.deployment.cloud, sample.payload, sample.codec, sample.remaining_s()

    def conclude(self, sample: Sample, outcome: CloudAnswer | CloudError) -> Prediction:
        """The last word on what was to be sent: the cloud's answer, fused where the deployment fuses, or the edge's."""
        timings, sample.requests = sample.timings, outcome.requests
        self._tell(sample, outcome)
        if isinstance(outcome, CloudError):
            if sample.sent_ns:
                timings.network = ms_since(sample.sent_ns)
            if self._fallback is not None:
                falling_back = time.perf_counter_ns()
                sample.outputs = self._fallback(sample.image)
                timings.fallback = ms_since(falling_back)
            return sample.answered(sample.own, Route.EDGE, outcome.reason, outcome.detail)
        timings.network = outcome.round_trip_ms - outcome.server_ms
        timings.server_queue = outcome.queue_ms
        timings.cloud_decode = outcome.decode_ms
        timings.cloud_compute = outcome.compute_ms
        fusion = self.deployment.fusion
        logits = outcome.logits if fusion is None else fuse(sample.own, outcome.logits, fusion)
        return sample.answered(logits, Route.CLOUD, Reason.ALWAYS if self.deployment.gate is None else Reason.OFFLOADED)

    def forget(self, sample: Sample) -> None:
        """Instead of :meth:`conclude`, for a sample that nobody waits for any more."""
        self._tell(sample, None)

    def _tell(self, sample: Sample, outcome: CloudAnswer | CloudError | None) -> None:
        """What came of the sample, to breaker and policy; ``None``: it was cancelled."""
        if sample.permit is not None:
            if isinstance(outcome, CloudAnswer):
                sample.permit.succeeded()
            elif outcome is not None and outcome.is_fault:
                sample.permit.failed(outcome.detail)
            else:
                sample.permit.forgotten()
        if self.controller is not None and sample.choice is not None:
            self.controller.ended(sample.choice, outcome, ms_since(sample.sent_ns) if sample.sent_ns else 0.0)

    def close(self) -> None:
        """Free the engines. The cloud client stays open: it belongs to whoever made it. May be called twice."""
        self._open.close()
