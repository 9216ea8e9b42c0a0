"""The cloud half run by ONNX Runtime in Triton's Python backend, for a Triton without ONNX Runtime's own backend.

``engine.json`` beside it names tensors, threads and execution providers. Needs numpy and onnxruntime.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

HERE = Path(__file__).parent


class TritonPythonModel:
    """One input ``[batch, ...]`` to the logits ``[batch, classes]``."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load ``model.onnx``. An execution provider that does not start is an error: nothing falls back unasked."""
        facts = json.loads((HERE / "engine.json").read_text(encoding="utf-8"))
        self._input: str = facts["input"]
        self._output: str = facts["output"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = facts["threads"]
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(HERE / "model.onnx"), options, providers=list(facts["providers"])
        )
        if self._session.get_providers()[0] != facts["providers"][0]:
            raise pb_utils.TritonModelException(f"ONNX Runtime's {facts['providers'][0]} does not start here")

    def execute(self, requests: list[Any]) -> list[Any]:
        """Run what Triton gives at once, which is what its dynamic batcher gathered, as one batch."""
        parts = [pb_utils.get_input_tensor_by_name(request, self._input).as_numpy() for request in requests]
        inputs = parts[0] if len(parts) == 1 else np.concatenate(parts)
        (logits,) = self._session.run([self._output], {self._input: inputs})
        ends = np.cumsum([len(part) for part in parts])[:-1]
        return [
            pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor(self._output, np.ascontiguousarray(part))])
            for part in np.split(logits, ends)
        ]
