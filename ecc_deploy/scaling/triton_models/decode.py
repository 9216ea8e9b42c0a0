"""First step of the ensemble: payloads, as an edge sends them, to the input of the engine.

A model of Triton's Python backend; ``decode.json`` beside it says what it decodes. Needs numpy, zstandard and pillow.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # the codecs in this folder are those of the bundle, whatever else is installed

import numpy as np  # noqa: E402
import triton_python_backend_utils as pb_utils  # noqa: E402

from ecc_deploy.errors import PayloadError  # noqa: E402
from ecc_deploy.payload import Codec, TensorSpec, make_codec  # noqa: E402


class RefusalError(Exception):
    """A request that cannot be answered, and why."""


class TritonPythonModel:
    """``payload`` (BYTES ``[batch]``) to the engine's input ``[batch, ...]``.

    The parameters of a request are ``codec``, where it is not the default one, and ``pair_id``, where the client wants
    to be sure that this half belongs to its own.
    """

    def initialize(self, args: dict[str, str]) -> None:
        """Read ``decode.json``, and decode the golden payloads: other results than those of the export are an error."""
        facts = json.loads((HERE / "decode.json").read_text(encoding="utf-8"))
        self._pair_id: str = facts["pair_id"]
        self._default: str = facts["codec"]
        self._max_batch: int = facts["max_batch"]
        self._max_spec: int = facts["max_codec_length"]
        self._output: str = facts["output"]
        self._tensor = TensorSpec(facts["dtype"], tuple(facts["shape"]))
        self._table = (HERE / "codec.table").read_bytes() if facts["has_table"] else None
        self._values = np.load(HERE / "pixels.npy", allow_pickle=False) if facts["is_image"] else None
        self._is_nchw: bool = facts["is_nchw"]
        for golden in facts["golden"]:
            payload = base64.b64decode(golden["payload"])
            found = self._prepared(self._codec(golden["codec"]).decode(payload)[np.newaxis])
            if hashlib.sha256(found.tobytes()).hexdigest() != golden["sha256"]:
                raise pb_utils.TritonModelException(
                    f"the golden payload of {golden['codec']} decodes to something else here than where the bundle was "
                    "made: is the same zstandard or pillow installed?"
                )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Decode each request by itself: what is wrong with one concerns no other."""
        answers = []
        for request in requests:
            try:
                decoded = pb_utils.Tensor(self._output, self._decoded(request))
                answers.append(pb_utils.InferenceResponse(output_tensors=[decoded]))
            except RefusalError as refusal:
                error = pb_utils.TritonError(str(refusal), pb_utils.TritonError.INVALID_ARG)
                answers.append(pb_utils.InferenceResponse(error=error))
        return answers

    def _decoded(self, request: Any) -> np.ndarray:
        parameters = json.loads(request.parameters() or "{}")
        pair_id, spec = parameters.get("pair_id"), parameters.get("codec")
        if pair_id is not None and pair_id != self._pair_id:
            raise RefusalError(
                f"this half belongs to the pair {self._pair_id}, the request to {str(pair_id)[:64]!a}: edge and cloud "
                "run different bundles"
            )
        codec = self._codec(spec)
        payloads = pb_utils.get_input_tensor_by_name(request, "payload").as_numpy()
        if payloads.ndim != 1 or not 1 <= len(payloads) <= self._max_batch:
            raise RefusalError(f"the shape {list(payloads.shape)[:8]} is not [batch] of 1 to {self._max_batch}")
        samples = np.empty((len(payloads), *self._tensor.shape), self._tensor.dtype)
        for index, payload in enumerate(payloads):
            try:
                samples[index] = codec.decode(payload)
            except PayloadError as error:
                raise RefusalError(f"payload {index} is not {codec.spec}: {error.message}") from error
        return self._prepared(samples)

    def _codec(self, spec: object) -> Codec:
        if spec is None:
            spec = self._default
        if not isinstance(spec, str) or len(spec) > self._max_spec:
            raise RefusalError(f"the codec must be a string of at most {self._max_spec} characters")
        try:
            return make_codec(spec, self._tensor, self._table if spec.endswith("+ans") else None)
        except PayloadError as error:
            raise RefusalError(f"the codec {spec!a} cannot be used: {error.message}. {error.hint}".rstrip()) from error

    def _prepared(self, samples: np.ndarray) -> np.ndarray:
        """Images uint8 ``[N, H, W, C]`` to the engine's dtype and layout, looked up by channel and pixel."""
        if self._values is None:
            return samples
        found = np.empty(samples.shape, self._values.dtype)
        for channel, values in enumerate(self._values):
            found[..., channel] = values[samples[..., channel]]
        return np.ascontiguousarray(found.transpose(0, 3, 1, 2)) if self._is_nchw else found
