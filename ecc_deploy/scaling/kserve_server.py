"""The cloud halves of a bundle in KServe's own model server: ``python -m ecc_deploy.scaling.kserve_server BUNDLE``.

For clusters whose servers are all made with KServe's ``ModelServer``. Needs ``kserve``, in an environment of its own:
its messages of the protocol and those of ``tritonclient`` cannot be in one process, so nothing here imports the latter.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import kserve
from grpc_interceptor.exceptions import GrpcException

from ecc_deploy import wire
from ecc_deploy.bundle import open_bundle
from ecc_deploy.errors import EccError
from ecc_deploy.serving.model import CloudModel
from ecc_deploy.serving.refusal import RefusalError, invalid, quoted


class CloudHalf(kserve.Model):  # type: ignore[misc] # of a package that is not here
    """One half under one of its names.

    KServe's server answers no ``ModelConfig``; whose half it is, it says by a second name, with the pair in front.
    """

    def __init__(self, name: str, model: CloudModel) -> None:
        super().__init__(name)
        self._model = model
        self.ready = True

    async def predict(
        self, payload: Any, headers: dict[str, str] | None = None, response_headers: dict[str, str] | None = None
    ) -> Any:
        """Answer one request. It is computed where KServe's loop runs, as KServe's own runtimes do."""
        try:
            return self._answer(payload)
        except RefusalError as refusal:
            raise GrpcException(status_code=refusal.code, details=refusal.message) from None

    def _answer(self, request: Any) -> Any:
        start = time.perf_counter_ns()
        model = self._model
        pair_id, spec = _text(request, wire.PAIR_ID), _text(request, wire.CODEC)
        if pair_id is not None and pair_id != model.pair_id:
            raise RefusalError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"the model {model.key!r} here belongs to the pair {model.pair_id}, the request to {quoted(pair_id)}: "
                "edge and cloud run different bundles",
            )
        codec = model.codec(spec)
        payloads = _payloads(request, model)
        samples = model.prepare(model.decode(payloads, codec))
        decoded = time.perf_counter_ns()
        logits = model.run(samples)
        computed = time.perf_counter_ns()
        output = kserve.InferOutput(wire.LOGITS, list(logits.shape), "FP32")
        output.set_data_from_numpy(logits, binary_data=True)
        times = {wire.DECODE_NS: decoded - start, wire.COMPUTE_NS: computed - decoded, wire.SERVER_NS: computed - start}
        return kserve.InferResponse(
            request.id or "", request.model_name, [output], parameters=times, use_binary_outputs=True
        )


def _payloads(request: Any, model: CloudModel) -> list[memoryview]:
    if len(request.inputs) != 1 or request.inputs[0].name != wire.PAYLOAD or request.inputs[0].datatype != "BYTES":
        raise invalid(f"one input is wanted, {wire.PAYLOAD!r}, BYTES")
    tensor = request.inputs[0]
    shape = list(tensor.shape)
    if len(shape) != 1 or not 1 <= shape[0] <= model.max_batch:
        raise invalid(f"the shape {shape[:8]} is not [batch] of 1 to {model.max_batch}")
    raw = tensor._raw_data  # its own deserialization makes arrays of objects, and trusts the lengths
    if raw is None:
        raise invalid(f"{wire.PAYLOAD!r} travels in raw_input_contents")
    try:
        return wire.unpack_bytes(raw, shape[0])
    except ValueError as error:
        raise invalid(f"the contents of {wire.PAYLOAD!r} are not a BYTES tensor: {error}") from error


def _text(request: Any, name: str) -> str | None:
    if not request.parameters or name not in request.parameters:
        return None
    found = request.parameters[name]
    text = getattr(found, "string_param", found)
    if not isinstance(text, str) or not text:
        raise invalid(f"the parameter {name!r} must be a string")
    return text


def main() -> int:
    """Serve until SIGINT or SIGTERM; 2 for an error that the caller can mend."""
    parser = argparse.ArgumentParser(prog="python -m ecc_deploy.scaling.kserve_server")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--grpc-port", type=int, default=8001)
    parser.add_argument("--http-port", type=int, default=8080)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of one inference")
    given = parser.parse_args()
    try:
        bundle = open_bundle(given.bundle)
        models = []
        for key, half in sorted(bundle.manifest.halves.items()):
            if half.side == "cloud":
                model = CloudModel(bundle, key, given.threads)
                model.warm_up()
                models += [CloudHalf(name, model) for name in (key, f"{model.pair_id}/{key}")]
    except EccError as error:
        print(error, file=sys.stderr)
        return 2
    server = kserve.ModelServer(grpc_port=given.grpc_port, http_port=given.http_port, workers=1)
    server.start(models)
    return 0


if __name__ == "__main__":
    sys.exit(main())
