"""One cloud half as it is served, without its engine: what is sent to it, by which codecs, and how that is decoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ecc_deploy import wire
from ecc_deploy.bundle import Bundle
from ecc_deploy.bundle.codecs import Sent, sent
from ecc_deploy.errors import BundleError, PayloadError
from ecc_deploy.payload import Codec, TensorSpec
from ecc_deploy.preprocess import Preprocess
from ecc_deploy.serving.refusal import invalid, quoted

MAX_REQUEST_BYTES = 64 << 20
"""Where samples are large, fewer of them than ``wire.MAX_BATCH`` fit into one request."""


class ServedHalf:
    """A cloud half with its codecs. Safe to call from several threads.

    ``sent`` is one sample as the edge sends it: an image uint8 ``(H, W, C)``, or the boundary of the half. Raises
    :class:`BundleError` for a half that does not take what is sent to it.
    """

    def __init__(self, bundle: Bundle, key: str) -> None:
        manifest = bundle.manifest
        self.bundle = bundle
        self.key = key
        self.half = manifest.halves[key]
        self.pair_id = manifest.pair_id
        tensor = self.half.inputs[0]
        self.classes = self._classes()
        users = {name: item for name, item in sorted(manifest.deployments.items()) if item.cloud == key}
        self.preprocess: Preprocess | None = None
        """Makes the engine's input of images; ``None`` where a boundary is what the engine takes."""
        if tensor.name == "boundary" and len(self.half.inputs) == 1:
            # The manifest makes sure that all who use a half send the same boundary.
            boundary = next((item.boundary for item in users.values() if item.boundary is not None), None)
            here = TensorSpec(tensor.dtype, tensor.shape)
            self.sent_as = Sent(here) if boundary is None else sent(bundle, boundary)
            if self.sent_as.tensor != here:
                raise BundleError(
                    f"the half {key!r} of {bundle.path} takes {here}, and {self.sent_as.tensor} is sent to it",
                    "Export the bundle again.",
                )
            self.direct_input = "boundary"
        else:
            self.preprocess = Preprocess(manifest.input, self.half)
            self.sent_as = sent(bundle, None)
            self.direct_input = "image"
        self.sent = self.sent_as.tensor
        self.codecs = {name: item.codec for name, item in users.items() if item.codec is not None}
        """The codec of every deployment that uses this half."""
        lossless = "raw" if self.direct_input == "image" else "float32" if self.sent.dtype == "float32" else "int8"
        self.default_codec = next(iter(self.codecs.values()), lossless)
        specs = {lossless, *self.codecs.values()}
        self.max_payload_bytes = max(self.sent_as.codec(spec).max_bytes for spec in specs)
        self.max_batch = max(1, min(wire.MAX_BATCH, MAX_REQUEST_BYTES // (self.max_payload_bytes + 4)))

    @property
    def facts(self) -> dict[str, str]:
        """What the configuration of the served model says to clients, beside its tensors."""
        return {
            wire.PAIR_ID: self.pair_id,
            "bundle": self.bundle.manifest.name,
            "max_batch": str(self.max_batch),
            wire.CODEC: self.default_codec,
            **{f"{wire.CODEC}.{deployment}": spec for deployment, spec in self.codecs.items()},
        }

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
            return self.sent_as.codec(self.default_codec if spec is None else spec)
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
        return samples if self.preprocess is None else self.preprocess(samples)
