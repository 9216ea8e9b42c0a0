"""One cloud half, loaded: from the tensors of a request to logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ecc_deploy import wire
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bundle import Bundle
from ecc_deploy.bundle.codecs import Sent, sent
from ecc_deploy.bundle.golden import load_golden
from ecc_deploy.errors import BundleError, PayloadError
from ecc_deploy.payload import Codec, TensorSpec
from ecc_deploy.preprocess import Preprocess
from ecc_deploy.serving.refusal import invalid, quoted

MAX_REQUEST_BYTES = 64 << 20
"""Where samples are large, fewer of them than ``wire.MAX_BATCH`` fit into one request."""


class CloudModel:
    """A cloud half with its codecs. Safe to call from several threads.

    ``sent`` is one sample as the edge sends it: an image uint8 ``(H, W, C)``, or the boundary of the half.
    """

    def __init__(self, bundle: Bundle, key: str, threads: int) -> None:
        manifest = bundle.manifest
        self.bundle = bundle
        self.key = key
        self.half = manifest.halves[key]
        self.pair_id = manifest.pair_id
        tensor = self.half.inputs[0]
        self.classes = self._classes()
        users = {name: item for name, item in sorted(manifest.deployments.items()) if item.cloud == key}
        self._preprocess: Preprocess | None = None
        if tensor.name == "boundary" and len(self.half.inputs) == 1:
            # The manifest makes sure that all who use a half send the same boundary.
            boundary = next((item.boundary for item in users.values() if item.boundary is not None), None)
            here = TensorSpec(tensor.dtype, tensor.shape)
            self._sent = Sent(here) if boundary is None else sent(bundle, boundary)
            if self._sent.tensor != here:
                raise BundleError(
                    f"the half {key!r} of {bundle.path} takes {here}, and {self._sent.tensor} is sent to it",
                    "Export the bundle again.",
                )
            self.direct_input = "boundary"
        else:
            self._preprocess = Preprocess(manifest.input, self.half)
            self._sent = sent(bundle, None)
            self.direct_input = "image"
        self.sent = self._sent.tensor
        self.codecs = {name: item.codec for name, item in users.items() if item.codec is not None}
        """The codec of every deployment that uses this half."""
        lossless = "raw" if self.direct_input == "image" else "float32" if self.sent.dtype == "float32" else "int8"
        self.default_codec = next(iter(self.codecs.values()), lossless)
        specs = {lossless, *self.codecs.values()}
        self.max_payload_bytes = max(self._sent.codec(spec).max_bytes for spec in specs)
        self.max_batch = max(1, min(wire.MAX_BATCH, MAX_REQUEST_BYTES // (self.max_payload_bytes + 4)))
        self._runner = open_runner(bundle.file(self.half.file), self.half, threads)

    def _classes(self) -> int:
        logits = [t for t in self.half.outputs if t.name == wire.LOGITS]
        classes = len(self.bundle.manifest.classes)
        if not logits or logits[0].dtype != "float32" or logits[0].shape != (classes,):
            raise BundleError(
                f"the half {self.key!r} of {self.bundle.path} gives no float32 logits of {classes} classes",
                "Export the bundle again.",
            )
        return classes

    def codec(self, spec: str | None) -> Codec:
        """The codec ``spec``, or the default one. Raises :class:`RefusalError` for one that does not suit the half."""
        if spec is not None and len(spec) > wire.MAX_CODEC_LENGTH:
            raise invalid(f"the codec's name has {len(spec)} characters; at most {wire.MAX_CODEC_LENGTH} are allowed")
        try:
            return self._sent.codec(self.default_codec if spec is None else spec)
        except PayloadError as error:
            message = f"the codec {quoted(spec or '')} cannot be used: {error.message}. {error.hint}"
            raise invalid(message.rstrip()) from error

    def decode(self, payloads: Sequence[memoryview], codec: Codec) -> np.ndarray:
        """Payloads to one batch of ``sent``. Raises :class:`RefusalError` for a payload that is none."""
        samples = np.empty((len(payloads), *self.sent.shape), self.sent.dtype)
        for index, payload in enumerate(payloads):
            try:
                samples[index] = codec.decode(payload)
            except PayloadError as error:
                raise invalid(f"payload {index} is not {codec.spec}: {error.message}") from error
        return samples

    def prepare(self, samples: np.ndarray) -> np.ndarray:
        """A batch of ``sent`` to the input of the engine."""
        return samples if self._preprocess is None else self._preprocess(samples)

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """Run the engine: float32 logits ``[batch, classes]``."""
        name, size = self.half.inputs[0].name, self.half.batch
        if size == "dynamic":
            return self._runner.run({name: inputs})[wire.LOGITS]
        logits = []
        for start in range(0, len(inputs), size):
            chunk = inputs[start : start + size]
            # A fixed batch is filled up with copies of its last sample, whose answers are thrown away.
            filled = np.concatenate([chunk, np.repeat(chunk[-1:], size - len(chunk), axis=0)])
            logits.append(self._runner.run({name: filled})[wire.LOGITS][: len(chunk)])
        return np.concatenate(logits)

    @property
    def batch_limit(self) -> int:
        """Samples of several requests that are run together, at most: what a fixed batch holds, or ``max_batch``."""
        return self.max_batch if self.half.batch == "dynamic" else self.half.batch

    def warm_up(self) -> None:
        """Answer one golden sample of every deployment that uses this half, so that no client pays for first times.

        Raises :class:`BundleError` where that fails.
        """
        golden = load_golden(self.bundle)
        for name, spec in self.codecs.items():
            payload, codec = golden.payload(name, 0), self._sent.codec(spec)
            try:
                samples = codec.decode(payload)[np.newaxis]
            except PayloadError as error:
                raise BundleError(
                    f"the golden payload of the deployment {name!r} in {golden.source} cannot be decoded: "
                    f"{error.message}",
                    "Export the bundle again.",
                ) from error
            self.run(self.prepare(samples))
        if not self.codecs:
            self.run(self.prepare(np.zeros((1, *self.sent.shape), self.sent.dtype)))

    def close(self) -> None:
        """Free the engine."""
        self._runner.close()
