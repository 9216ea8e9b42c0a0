"""One cloud half, loaded: from the tensors of a request to logits."""

from __future__ import annotations

import numpy as np

from ecc_deploy import wire
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bundle import Bundle
from ecc_deploy.bundle.golden import load_golden
from ecc_deploy.errors import BundleError, PayloadError
from ecc_deploy.serving.half import ServedHalf


class CloudModel(ServedHalf):
    """A served half with its engine."""

    def __init__(self, bundle: Bundle, key: str, threads: int) -> None:
        super().__init__(bundle, key)
        self._runner = open_runner(bundle.file(self.half.file), self.half, threads)

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
    def label(self) -> str:
        """By what the figures name it: its bundle's name, its key, and the beginning of the pair's identity."""
        return f"{self.bundle.manifest.name}/{self.key}@{self.pair_id[:8]}"

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
            payload, codec = golden.payload(name, 0), self.sent_as.codec(spec)
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
